"""What evaluation knows of a case: a fold of all its facts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final, TypeVar, assert_never

from libs.events.contracts.base import Event, Place
from libs.events.contracts.dispatch import Assigned, Declined, Handled, Recalled, Summoned, WhistleBlown
from libs.events.contracts.evaluation import (
    CardIssued,
    CaseClosed,
    CaseReopened,
    HandlingReturned,
    Rated,
    ServiceScored,
    Verified,
)
from libs.events.contracts.intake import (
    CaseAdopted,
    CaseFiled,
    CaseMerged,
    CaseRejected,
    CaseReported,
    ReportJoined,
)

BY_RECORD: Final = "record"
"""The reason for which imported cases are filed."""
BY_REPORTER: Final = "reporter"
COMMUNITY: Final = "community:"
DEPARTMENT: Final = "department:"


@dataclass(frozen=True, slots=True)
class Case:
    """What is remembered of a case wherever it stands."""

    filed: bool = False
    recorded: bool = False
    """Imported history that nobody has taken into live work: nobody acts on it."""
    communities: frozenset[str] = frozenset()
    """The communities that it concerns: where it is, and who blew the whistle."""
    department: str | None = None
    """Who is responsible."""
    served: frozenset[str] = frozenset()
    """Every department that was assigned or summoned."""
    handled: bool = False
    """Whether it was ever handled."""
    returned: HandlingReturned | None = None
    """The newest sending back."""
    reopened: CaseReopened | None = None
    """The newest reopening."""
    reopened_by_reporter: int = 0
    rated: Rated | None = None
    """The newest rating, of whichever closing."""
    joined: tuple[str, ...] = ()
    """The reports that were joined to it."""
    into: str | None = None
    """The case that this report was joined to."""
    cards: frozenset[tuple[str, int]] = frozenset()
    """Department and step of each card since the last reopening."""
    scores: tuple[ServiceScored, ...] = ()

    @property
    def reworks(self) -> int:
        """How often its handling was sent back."""
        return self.returned.count if self.returned else 0

    @property
    def reopenings(self) -> int:
        """How often it was reopened."""
        return self.reopened.count if self.reopened else 0


NOTHING: Final = Case()


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Open:
    """Not over, and not handled."""

    case: Case = NOTHING


@dataclass(frozen=True, slots=True)
class Done:
    """Handled; somebody else must look at it."""

    case: Case
    verified_by: str | None = None
    """Who found it good; the closing follows in the same batch."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Over."""

    case: Case
    closing: CaseClosed
    verified_by: str | None = None
    rated: Rated | None = None
    """The rating of this closing."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """No case: it was over when that was said."""

    case: Case


@dataclass(frozen=True, slots=True)
class Merged:
    """Joined to another case, whose end will be its end."""

    case: Case
    into: str


State = Unknown | Open | Done | Closed | Rejected | Merged
INITIAL: State = Unknown()


Known = Open | Done | Closed | Rejected | Merged
"""Every state but that of a case that was never reported."""
K = TypeVar("K", Open, Done, Closed, Rejected, Merged, Open | Done, Rejected | Merged)


def evolve(state: State, event: Event) -> State:
    """The state after a fact.  Never refuses: a fact has already happened; facts of others change nothing here."""
    match state:
        case Unknown():
            return (
                Open(Case(communities=_community(event.place))) if isinstance(event, CaseReported) else state
            )
        case Open() | Done():
            return _of_open(_with(state, _remembered(state.case, event)), event)
        case Closed():
            return _of_closed(_with(state, _remembered(state.case, event)), event)
        case Rejected() | Merged():
            case = _remembered(state.case, event)
            return Closed(case, event) if isinstance(event, CaseClosed) else _with(state, case)
        case _:
            assert_never(state)


def _with(state: K, case: Case) -> K:
    return state if case is state.case else replace(state, case=case)


def _of_open(state: Open | Done, event: Event) -> State:  # noqa: PLR0911 - a list of facts
    match event:
        case CaseRejected():
            return Rejected(state.case)
        case CaseMerged():
            return Merged(state.case, event.into)
        case Assigned() | Declined() | Recalled() | HandlingReturned():
            return Open(state.case)
        case Handled():
            return Done(state.case)
        case Verified():
            return Done(state.case, event.by) if isinstance(state, Done) else state
        case CaseClosed():
            return Closed(state.case, event, state.verified_by if isinstance(state, Done) else None)
        case _:
            return state


def _of_closed(state: Closed, event: Event) -> State:
    match event:
        case CaseReopened():
            return Open(state.case)
        case CaseClosed():
            return replace(state, closing=event, verified_by=None, rated=None)
        case Rated():
            return replace(state, rated=event)
        case _:
            return state


def _remembered(case: Case, event: Event) -> Case:  # noqa: C901, PLR0911, PLR0912 - a list of facts
    match event:
        case CaseFiled():
            return replace(case, filed=True, recorded=event.reason == BY_RECORD)
        case CaseAdopted():
            return replace(case, recorded=False, communities=_community(event.place) or case.communities)
        case CaseMerged():
            return replace(case, into=event.into)
        case ReportJoined():
            return case if event.report in case.joined else replace(case, joined=(*case.joined, event.report))
        case Assigned():
            return replace(case, department=event.department, served=case.served | {event.department})
        case WhistleBlown():
            return _whistled(case, event.by)
        case Declined() | Recalled():
            return replace(case, department=None) if event.department == case.department else case
        case Summoned():
            return replace(case, served=case.served | {event.department})
        case Handled():
            return replace(case, department=event.department, handled=True)
        case HandlingReturned():
            return replace(case, returned=event)
        case CaseReopened():
            by_reporter = case.reopened_by_reporter + (event.by == BY_REPORTER)
            return replace(case, reopened=event, reopened_by_reporter=by_reporter, cards=frozenset())
        case Rated():
            return replace(case, rated=event)
        case CardIssued():
            return replace(case, cards=case.cards | {(event.department, event.step)})
        case ServiceScored():
            return replace(case, scores=(*case.scores, event))
        case _:
            return case


def _community(place: Place) -> frozenset[str]:
    return frozenset() if place.community is None else frozenset({place.community})


def _whistled(case: Case, by: str) -> Case:
    if not by.startswith(COMMUNITY):
        return case
    return replace(case, communities=case.communities | {by.removeprefix(COMMUNITY)})


def fold(events: Iterable[Event]) -> State:
    """The state after all of *events*."""
    return reduce(evolve, events, INITIAL)


def is_department(by: str) -> bool:
    """Whether this post is a department's."""
    return by.startswith(DEPARTMENT)
