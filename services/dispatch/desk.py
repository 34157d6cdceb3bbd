"""What a desk must see of a case, moved by each of its facts: who has it, by when, who must act and why.  Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from libs.events.contracts.base import Event, Place
from libs.events.contracts.dispatch import (
    Accepted,
    Acknowledged,
    Assigned,
    ClockPaused,
    ClockResumed,
    Declined,
    Escalated,
    EscalationReason,
    ExtensionGranted,
    ExtensionRefused,
    ExtensionRequested,
    Handled,
    Recalled,
    ReportedIn,
    Summoned,
    UnitSent,
    WhistleBlown,
)
from libs.events.contracts.evaluation import CaseClosed, HandlingReturned
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseMerged, CaseRejected, CaseReported
from libs.events.envelope import Entry


class Step(StrEnum):
    """Where the case is."""

    REPORTED = "reported"
    FILED = "filed"
    """A case that no department has yet."""
    WAITING = "waiting"
    """Nobody is responsible, and the post in `acts` must say who is."""
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    HANDLED = "handled"
    """Somebody else must look."""


@dataclass(frozen=True, slots=True)
class Called:
    """A department that was called by a whistle."""

    department: str
    whistle: int
    lead: bool
    officer: str | None
    report_by: datetime
    reported_in_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An open case."""

    case_id: str
    category: str
    community: str | None
    step: Step
    department: str | None = None
    assigned_at: datetime | None = None
    sign_by: datetime | None = None
    due_at: datetime | None = None
    warn_at: datetime | None = None
    verify_by: datetime | None = None
    lane: str | None = None
    paused: str | None = None
    """The code of the pause, while the clock stands still."""
    asked_until: datetime | None = None
    """The extension that waits for an answer."""
    whistle: int | None = None
    level: str | None = None
    acts: str | None = None
    """The post that must act now."""
    why: str | None = None
    since: datetime | None = None
    summons: tuple[Called, ...] = ()


SIGNED_AWAY: Final = frozenset({EscalationReason.NOT_SIGNED, EscalationReason.NOT_ACKNOWLEDGED})
GRANTED_AWAY: Final = frozenset({EscalationReason.NOT_HANDLED, EscalationReason.LONG_OVERDUE})


def advance(row: Row | None, entry: Entry) -> Row | None:
    """The case after a fact; None while it is not open."""
    match entry.event:
        case CaseReported(category=category, place=place):
            return row or Row(entry.case_id, category, place.community, Step.REPORTED)
        case CaseClosed() | CaseRejected() | CaseMerged():
            return None
        case Assigned() as assigned:
            return _assigned(row, assigned, entry)
        case _:
            return _moved(row, entry) if row else None


def _moved(row: Row, entry: Entry) -> Row:  # noqa: PLR0911 - one for each fact
    event, at = entry.event, entry.envelope.time
    match event:
        case CaseFiled(category=category):
            return replace(row, category=category, step=Step.FILED, why="filed", since=at)
        case CaseAdopted(category=category, place=place):
            return _nobodys(_placed(row, category, place), Step.FILED, "adopted", at)
        case Recalled():
            # Who took it away is who must give it to somebody.
            return replace(_nobodys(row, Step.WAITING, "recalled", at), acts=entry.envelope.actor)
        case Declined():
            return _nobodys(row, Step.WAITING, "returned", at)
        case Escalated(level=level, acts=acts, reason=reason):
            return replace(row, level=level, acts=acts, why=reason.value, since=at)
        case WhistleBlown() | Summoned() | ReportedIn():
            return _called(row, event, at)
        case _:
            return _clocked(_worked_on(row, event), event)


def _placed(row: Row, category: str, place: Place) -> Row:
    return replace(row, category=category, community=place.community)


def _nobodys(row: Row, step: Step, why: str, at: datetime) -> Row:
    kept = Row(row.case_id, row.category, row.community, step, level=row.level, why=why, since=at)
    return replace(kept, whistle=row.whistle, summons=row.summons)


def _assigned(row: Row | None, event: Assigned, entry: Entry) -> Row | None:
    if event.brief is None:
        return row  # imported history starts no work
    return Row(
        case_id=entry.case_id,
        category=event.brief.category,
        community=event.brief.place.community,
        step=Step.ASSIGNED,
        department=event.department,
        assigned_at=entry.envelope.time,
        sign_by=event.sign.due_at if event.sign else None,
        due_at=event.due_at,
        warn_at=event.warn_at,
        lane=event.lane,
        whistle=row.whistle if row else None,
        level=row.level if row else None,
        summons=row.summons if row else (),
    )


def _called(row: Row, event: WhistleBlown | Summoned | ReportedIn, at: datetime) -> Row:
    match event:
        case WhistleBlown(whistle=whistle):
            return replace(row, whistle=whistle)
        case Summoned(department=department):
            others = tuple(each for each in row.summons if each.department != department)
            called = Called(department, event.whistle, event.lead, event.officer, event.report_in.due_at)
            return replace(row, summons=(*others, called))
        case ReportedIn(department=department):
            summons = tuple(
                replace(each, reported_in_at=at) if each.department == department else each
                for each in row.summons
            )
            return _settled(replace(row, summons=summons), frozenset({EscalationReason.NOT_REPORTED_IN}))


def _worked_on(row: Row, event: Event) -> Row:
    match event:
        case Accepted():
            return _settled(replace(row, step=Step.ACCEPTED, sign_by=None), SIGNED_AWAY)
        case Acknowledged():
            return _settled(replace(row, sign_by=None), SIGNED_AWAY)
        case UnitSent():
            return _settled(row, frozenset({EscalationReason.NO_UNIT}))
        case Handled(verify=verify):
            verify_by = verify.due_at if verify else None
            done = replace(row, step=Step.HANDLED, paused=None, verify_by=verify_by, asked_until=None)
            return replace(done, acts=None, why=None, since=None)
        case HandlingReturned() if row.step is Step.HANDLED:
            return replace(row, step=Step.ACCEPTED, verify_by=None)
        case _:
            return row


def _clocked(row: Row, event: Event) -> Row:
    match event:
        case ClockPaused(reason=reason):
            return replace(row, paused=reason)
        case ClockResumed(due_at=due_at, warn_at=warn_at, sign=sign):
            sign_by = sign.due_at if sign else None
            return replace(row, paused=None, due_at=due_at, warn_at=warn_at, sign_by=sign_by)
        case ExtensionRequested(until=until):
            return replace(row, asked_until=until)
        case ExtensionGranted(due_at=due_at, warn_at=warn_at):
            granted = replace(row, asked_until=None, due_at=due_at, warn_at=warn_at)
            return _settled(granted, GRANTED_AWAY)
        case ExtensionRefused():
            return replace(row, asked_until=None)
        case _:
            return row


def _settled(row: Row, reasons: frozenset[EscalationReason]) -> Row:
    """What somebody above was to see to has happened."""
    return replace(row, acts=None, why=None, since=None) if row.why in reasons else row
