"""Older versions of events, read as if they had been written today.

What was released stays in the log for ever as it was written.  When a new version of an event takes its place, the old
class stays, nobody writes it any more, and one function says what an old fact means in the new words.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from libs.events.contracts.base import Event

Old = TypeVar("Old", bound=Event)
New = TypeVar("New", bound=Event)


@dataclass(frozen=True, slots=True)
class Upcaster(Generic[Old, New]):
    """One step from a version of an event to the next."""

    old: type[Old]
    new: type[New]
    convert: Callable[[Old], New]
    """Pure and total: whatever the old contract allows has a meaning in the new one."""


class Upcasters:
    """All steps; a fact takes as many as it needs to become the newest version."""

    def __init__(self, steps: Iterable[Upcaster[Any, Any]]) -> None:
        by_old: dict[type[Event], Upcaster[Any, Any]] = {}
        for step in steps:
            assert step.old not in by_old, f"two ways lead on from {step.old.TYPE}"
            assert _is_later(step.old.TYPE, step.new.TYPE), f"{step.new.TYPE} is no later {step.old.TYPE}"
            by_old[step.old] = step
        self._by_old: Mapping[type[Event], Upcaster[Any, Any]] = by_old

    def newest(self, kind: type[Event]) -> type[Event]:
        """The class that is read and written in place of *kind*; itself when it is the newest."""
        while kind in self._by_old:
            kind = self._by_old[kind].new
        return kind

    def upcast(self, event: Event) -> Event:
        """The fact in the words of the newest version."""
        while type(event) in self._by_old:
            event = self._by_old[type(event)].convert(event)
        return event


def _is_later(old: str, new: str) -> bool:
    (old_name, _, old_version), (new_name, _, new_version) = old.rpartition(".v"), new.rpartition(".v")
    return old_name == new_name and int(new_version) > int(old_version)


UPCASTERS: Final = Upcasters(())
"""None yet: every event is in its first version.  `docs/contracts.md` says how the first one comes here."""
