"""What each fact changes in the rows of evaluation, as pure steps."""

from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Assigned,
    ClockPaused,
    ClockResumed,
    Declined,
    Escalated,
    ExtensionGranted,
    Handled,
    Recalled,
)
from libs.events.contracts.evaluation import CaseClosed, CaseReopened, HandlingReturned, Verified
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseMerged, CaseRejected, CaseReported
from libs.events.envelope import Entry, Origin
from libs.events.errors import CaseUnreadable


class CaseRow(NamedTuple):
    """A case as it stands; the order of the fields is that of the table."""

    case_id: str
    origin: str
    category: str
    channel: str
    street: str | None
    community: str | None
    grid: str | None
    day: date
    """The day on which it was reported, by the clocks of the place."""
    reported_at: datetime
    filed_at: datetime | None = None
    accepted_at: datetime | None = None
    """When the department that it is with signed for it."""
    handled_at: datetime | None = None
    """The handling that stands: None again once it is sent back."""
    closed_at: datetime | None = None
    """None again once it is reopened."""
    outcome: str | None = None
    department: str | None = None
    """Who it is with; None also while it waits for another department."""
    assigned_at: datetime | None = None
    due_at: datetime | None = None
    sign_due_at: datetime | None = None
    paused_at: datetime | None = None
    """Since when its clock stands still."""
    verify_due_at: datetime | None = None
    verified_at: datetime | None = None
    rejected_at: datetime | None = None
    merged_at: datetime | None = None
    merged_into: str | None = None
    level: str | None = None
    """The level that it was escalated to."""
    longitude: float | None = None
    """Of live cases only: hot spots are looked for among them."""
    latitude: float | None = None


class RenamedRow(NamedTuple):
    """What a case was called and where it was said to be, until that was changed."""

    case_id: str
    version: int
    valid_until: datetime
    origin: str
    category: str
    street: str | None
    community: str | None
    grid: str | None
    longitude: float | None
    latitude: float | None


class AssignmentRow(NamedTuple):
    """Who a case is with and by when it is due, kept with the time from which that held."""

    case_id: str
    version: int
    department: str | None
    valid_from: datetime
    due_at: datetime | None
    paused_at: datetime | None = None
    assigned: bool = True
    """Whether it was assigned then; else something about the assignment changed."""


class UndoneRow(NamedTuple):
    """A handling, with the closing if there was one, that does not stand any more."""

    case_id: str
    version: int
    department: str | None
    handled_at: datetime | None
    closed_at: datetime | None
    outcome: str | None
    ended_at: datetime


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def advance(row: CaseRow | None, entry: Entry) -> CaseRow:  # noqa: PLR0911 - a list of facts
    """The row after one more fact.  Raises CaseUnreadable when the facts do not follow from one another."""
    event = entry.event
    if isinstance(event, CaseReported):
        return _reported(entry, event)
    if row is None:
        raise CaseUnreadable(entry.case_id, entry.sequence, f"{entry.name} stands before the report")
    moment = entry.envelope.time
    match event:
        case CaseFiled():
            return row._replace(filed_at=moment, category=event.category)
        case Assigned():
            return _assigned(row, event, moment)
        case Accepted():
            return row._replace(accepted_at=moment)
        case Handled():
            verify_due_at = event.verify.due_at if event.verify else None
            return row._replace(handled_at=moment, verify_due_at=verify_due_at)
        case CaseClosed():
            return row._replace(closed_at=moment, outcome=event.outcome, verify_due_at=None)
        case _:
            return _judged(row, event, moment)


def _reported(entry: Entry, event: CaseReported) -> CaseRow:
    moment, place = entry.envelope.time, event.place
    live = entry.envelope.origin is not Origin.IMPORT
    return CaseRow(
        case_id=entry.case_id,
        origin=entry.envelope.origin,
        category=event.category,
        channel=event.channel,
        street=place.street,
        community=place.community,
        grid=place.grid,
        day=moment.astimezone(_zone(place.time_zone)).date(),
        reported_at=moment,
        longitude=place.longitude if live else None,
        latitude=place.latitude if live else None,
    )


def _assigned(row: CaseRow, event: Assigned, moment: datetime) -> CaseRow:
    after = row._replace(
        department=event.department,
        assigned_at=moment,
        due_at=event.due_at,
        sign_due_at=event.sign.due_at if event.sign else None,
        paused_at=None,
        accepted_at=None,
    )
    return _not_handled(after)


def _not_handled(row: CaseRow) -> CaseRow:
    if row.closed_at is not None:
        return row  # what is closed is only taken up again by a reopening
    return row._replace(handled_at=None, verified_at=None, verify_due_at=None)


def _judged(row: CaseRow, event: Event, moment: datetime) -> CaseRow:  # noqa: PLR0911 - a list of facts
    match event:
        case Verified():
            return row._replace(verified_at=moment)
        case HandlingReturned():
            return _not_handled(row)
        case CaseReopened():
            open_again = row._replace(closed_at=None, outcome=None, accepted_at=None, due_at=None)
            return _not_handled(open_again)
        case CaseRejected():
            return row._replace(rejected_at=moment)
        case CaseMerged():
            return row._replace(merged_at=moment, merged_into=event.into)
        case CaseAdopted():
            return _adopted(row, event)
        case Escalated():
            return row._replace(level=event.level)
        case _:
            return _moved(row, event, moment)


def _adopted(row: CaseRow, event: CaseAdopted) -> CaseRow:
    place = event.place
    return row._replace(
        origin=Origin.LIVE,  # from here on it is worked on here
        category=event.category,
        street=place.street,
        community=place.community,
        grid=place.grid,
        longitude=place.longitude,
        latitude=place.latitude,
    )


def _moved(row: CaseRow, event: Event, moment: datetime) -> CaseRow:
    """Facts that move the clock, or take the case from its department."""
    match event:
        case Declined() | Recalled() if event.department == row.department:
            return _not_handled(row._replace(department=None, accepted_at=None, paused_at=None))
        case ExtensionGranted():
            return row._replace(due_at=event.due_at)
        case ClockPaused():
            return row._replace(paused_at=moment)
        case ClockResumed():
            sign_due_at = event.sign.due_at if event.sign else row.sign_due_at
            return row._replace(paused_at=None, due_at=event.due_at or row.due_at, sign_due_at=sign_due_at)
        case _:
            return row


def renamed_of(before: CaseRow | None, after: CaseRow, entry: Entry) -> RenamedRow | None:
    """The row for what the case was called before the fact, if that changed it."""
    if before is None or not isinstance(entry.event, CaseFiled | CaseAdopted):
        return None
    named = RenamedRow(
        entry.case_id,
        entry.version,
        entry.envelope.time,
        before.origin,
        before.category,
        before.street,
        before.community,
        before.grid,
        before.longitude,
        before.latitude,
    )
    changed = any(getattr(after, name) != getattr(named, name) for name in _NAMED)
    return named if changed else None


_NAMED = RenamedRow._fields[3:]


def assignment_of(before: CaseRow | None, after: CaseRow, entry: Entry) -> AssignmentRow | None:
    """The row for who the case is with and by when it is due, if the fact changed that."""
    assigned = isinstance(entry.event, Assigned)
    if before is None or (not assigned and before[_WITH] == after[_WITH] and _clock(before) == _clock(after)):
        return None
    return AssignmentRow(
        entry.case_id,
        entry.version,
        after.department,
        entry.envelope.time,
        after.due_at,
        after.paused_at,
        assigned,
    )


_WITH = CaseRow._fields.index("department")


def _clock(row: CaseRow) -> tuple[datetime | None, datetime | None]:
    return row.due_at, row.paused_at


def undone_of(before: CaseRow | None, after: CaseRow, entry: Entry) -> UndoneRow | None:
    """The row for a handling or closing that the fact put an end to, if it did."""
    if before is None or not (
        (before.handled_at and not after.handled_at) or (before.closed_at and not after.closed_at)
    ):
        return None
    return UndoneRow(
        entry.case_id,
        entry.version,
        before.department,
        before.handled_at,
        before.closed_at,
        before.outcome,
        entry.envelope.time,
    )
