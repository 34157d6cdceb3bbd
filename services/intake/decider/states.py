"""How far a report is, as intake sees it, and how facts move it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import assert_never

from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CaseClosed, CaseReopened
from libs.events.contracts.intake import (
    CaseAdopted,
    CaseFiled,
    CaseMerged,
    CaseRejected,
    CaseReported,
    ReportJoined,
)


@dataclass(frozen=True, slots=True)
class Unreported:
    """Nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Reported, and not yet a case: it waits for a specialist."""

    report: CaseReported


@dataclass(frozen=True, slots=True)
class Filed:
    """A case."""

    report: CaseReported
    category: str
    """As confirmed."""
    joined: frozenset[str] = frozenset()
    """The reports that were joined to it."""
    adopted: bool = False
    """Imported, and taken into live work."""

    @property
    def live(self) -> bool:
        """Whether departments work on it here: imported history stands in the log, and nobody works on it."""
        return self.report.external is None or self.adopted


@dataclass(frozen=True, slots=True)
class Rejected:
    """No case."""

    report: CaseReported
    reason: str


@dataclass(frozen=True, slots=True)
class Merged:
    """Joined to another case."""

    report: CaseReported
    into: str


@dataclass(frozen=True, slots=True)
class Over:
    """Closed."""

    was: Reported | Filed | Rejected | Merged

    @property
    def report(self) -> CaseReported:
        """What was reported."""
        return self.was.report


State = Unreported | Reported | Filed | Rejected | Merged | Over
INITIAL: State = Unreported()


def evolve(state: State, event: Event) -> State:  # noqa: PLR0911 - one for each fact
    """The state after a fact.  Never refuses: a fact has already happened; facts of others change nothing here."""
    match event:
        case CaseReported():
            return Reported(event)
        case CaseFiled() | CaseRejected() | CaseMerged():
            return _settled(state, event)
        case ReportJoined():
            return _joined(state, event.report)
        case CaseAdopted():
            return (
                replace(state, category=event.category, adopted=True) if isinstance(state, Filed) else state
            )
        case CaseClosed():
            return state if isinstance(state, Unreported | Over) else Over(state)
        case CaseReopened():
            return state.was if isinstance(state, Over) else state
        case _:
            return state


def _settled(state: State, event: CaseFiled | CaseRejected | CaseMerged) -> State:
    if not isinstance(state, Reported):
        return state
    match event:
        case CaseFiled():
            return Filed(state.report, event.category)
        case CaseRejected():
            return Rejected(state.report, event.reason)
        case CaseMerged():
            return Merged(state.report, event.into)
        case _:
            assert_never(event)


def _joined(state: State, report: str) -> State:
    match state:
        case Filed():
            return replace(state, joined=state.joined | {report})
        case Over(was=Filed() as filed):
            return Over(replace(filed, joined=filed.joined | {report}))
        case _:
            return state


def fold(events: Iterable[Event]) -> State:
    """The state after all of *events*."""
    return reduce(evolve, events, INITIAL)
