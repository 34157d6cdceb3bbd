"""The timers of a service's cases: kept in step with the log, and decided about when they are due."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC
from enum import Enum

import structlog

from libs.events.contracts.base import Event
from libs.events.envelope import Context, Entry, Origin
from libs.events.handle import Handler
from libs.events.log import History, Log
from libs.events.timers import Deadlines, Due, Timers

log = structlog.get_logger(__name__)

DeadlinesOf = Callable[[Sequence[Event]], Deadlines]
"""Which timers must stand after these facts of a case.  Pure."""


@dataclass(frozen=True, slots=True)
class TimeIsUp:
    """What is decided when a timer is due."""

    decide: Callable[[History], tuple[Event, ...] | Enum]
    """New facts, or none when the timer is late, comes twice or was not taken down in time."""
    context: Context


class Timekeeper:
    """Puts the case's timers up and takes them down, and hears of those that are due."""

    def __init__(
        self,
        timers: Timers,
        cases: Log,
        handler: Handler,
        *,
        deadlines_of: DeadlinesOf,
        time_is_up: Callable[[Due], TimeIsUp],
        quiet: Collection[str] = (),
    ) -> None:
        """*quiet* names facts that never move a deadline, for which nothing need be looked at."""
        self._timers = timers
        self._log = cases
        self._handler = handler
        self._deadlines_of = deadlines_of
        self._time_is_up = time_is_up
        self._quiet = frozenset(quiet)

    async def keep(self, entry: Entry) -> None:
        """Call it for each fact, before its message is acknowledged.  Raises LogUnavailable.

        Each fact answers for the timers that it changes, and has them stand as the whole case asks by then. So the
        order in which facts are handled, or how often, does not matter. Imported facts have no timers.
        """
        if entry.envelope.origin is not Origin.LIVE or entry.name in self._quiet:
            return
        history = await self._log.load(entry.case_id, at_least=entry.sequence)
        before = self._deadlines_of(history.events[: entry.version - 1])
        after = self._deadlines_of(history.events[: entry.version])
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        if not changed:
            return
        if not before:
            # Nothing stood, so nothing need be looked at first; should somebody have been faster, it is refused.
            kept = await self._timers.adjust(entry.case_id, {}, self._deadlines_of(history.events))
            if kept is not None:
                return
        await self._keep(entry.case_id, entry.sequence, changed)

    async def fire(self, due: Due) -> None:
        """Decide what follows from a timer that is due; repeating it adds nothing.

        Raises LogUnavailable, or RuntimeError when it cannot be decided, which parks the case.
        """
        after: Deadlines = {}
        decided = False
        time_is_up = self._time_is_up(due)

        def decide(history: History) -> tuple[Event, ...] | Enum:
            nonlocal after, decided
            outcome = time_is_up.decide(history)
            facts = () if isinstance(outcome, Enum) else outcome
            after, decided = self._deadlines_of((*history.events, *facts)), bool(facts)
            return outcome

        outcome = await self._handler.handle(
            due.case_id, decide, time_is_up.context, cause=f"timer/{_id_of(due)}"
        )
        if isinstance(outcome, Enum):
            raise RuntimeError(f"nothing can follow from timer {_id_of(due)}: {outcome}")  # noqa: TRY004 - no type
        if after.get(due.name) == due.due_at:
            raise RuntimeError(
                f"timer {_id_of(due)} was decided about, and still has to stand: it would go round"
            )
        if due.name in after or not decided:
            # The server purged the timer's place when this one came due, and with it any newer one put up just then.
            # And where nothing followed, no fact will have the next timer put up.
            await self._keep(due.case_id, 0, set(after))

    async def _keep(self, case_id: str, at_least: int, changed: set[str]) -> None:
        async def wanted() -> Deadlines:
            return self._deadlines_of((await self._log.load(case_id, at_least=at_least)).events)

        kept = await self._timers.keep(case_id, wanted, changed)
        log.debug("timers_kept", case_id=case_id, put_up=kept.put_up, taken_down=kept.taken_down)


def _id_of(due: Due) -> str:
    return f"{due.case_id}/{due.name}/{due.due_at.astimezone(UTC).isoformat()}"
