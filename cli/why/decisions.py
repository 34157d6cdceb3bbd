"""A history taken apart into decisions: each is one append, whose facts came together or not at all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CaseClosed, CaseReopened
from libs.events.contracts.intake import CaseMerged, ReportJoined
from libs.events.envelope import Entry, Envelope, Origin
from libs.events.log import History
from services.evaluation.decider.rating import REPORT


@dataclass(frozen=True, slots=True)
class Decision:
    """Facts that were decided together, and what stood before them."""

    before: History
    entries: tuple[Entry, ...]
    elsewhere: Mapping[str, History] = field(default_factory=dict)
    """Other cases that it looked at, as they were then."""

    @property
    def envelope(self) -> Envelope:
        """What surrounds all of its facts."""
        return self.entries[0].envelope

    @property
    def facts(self) -> tuple[Event, ...]:
        """What was decided."""
        return tuple(entry.event for entry in self.entries)

    @property
    def time(self) -> datetime:
        """When it happened."""
        return self.envelope.time

    @property
    def stated_elsewhere(self) -> bool:
        """Whether another system stated it: then nobody here decided anything."""
        return self.envelope.origin is not Origin.LIVE

    @property
    def put_in_order(self) -> bool:
        """Whether it has the very time of the fact before it: its decider's clock may have shown an earlier one."""
        return bool(self.before.entries) and self.before.entries[-1].envelope.time == self.time

    def other_cases(self) -> tuple[str, ...]:
        """The cases that it looked at."""
        found: list[str] = []
        for event in self.facts:
            match event:
                case CaseMerged(into=case_id) | ReportJoined(report=case_id):
                    found.append(case_id)
                case CaseClosed(joined_to=str(case_id)):
                    found.append(case_id)
                case CaseReopened(by=by) if by.startswith(REPORT):
                    found.append(by.removeprefix(REPORT))
                case _:
                    pass
        return tuple(found)


def decisions_of(history: History) -> Iterator[Decision]:
    """The decisions of a case, in order.

    One append gives all of its facts one time of recording, to the microsecond, and positions that follow one another.
    """
    begin = 0
    for end in range(1, len(history.entries) + 1):
        if end < len(history.entries) and _together(history.entries[end - 1], history.entries[end]):
            continue
        before = History(history.case_id, history.entries[:begin])
        yield Decision(before, history.entries[begin:end])
        begin = end


class _Together(NamedTuple):
    recorded: datetime
    source: str
    actor: str
    cause: str | None


def _together(one: Entry, other: Entry) -> bool:
    return other.sequence == one.sequence + 1 and _of(one.envelope) == _of(other.envelope)


def _of(envelope: Envelope) -> _Together:
    return _Together(envelope.recordedtime, envelope.source, envelope.actor, envelope.causationid)
