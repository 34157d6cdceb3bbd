"""What each fact changes in what the public may see of a case, as pure steps.  Texts are masked as they come in."""

from datetime import datetime
from typing import Final, NamedTuple

from libs.events.contracts.base import Event, Place
from libs.events.contracts.dispatch import (
    Assigned,
    ClockPaused,
    ClockResumed,
    Declined,
    ExtensionGranted,
    Recalled,
)
from libs.events.contracts.evaluation import CaseClosed, CaseReopened
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseMerged, CaseRejected, CaseReported
from libs.events.envelope import Entry, Origin
from libs.events.masking import masked
from services.intake.standing import STATE_NAMES, STEP_NAMES

AFTERWARDS: Final = frozenset({"rated"})
"""What the reporter does with a case that is over: nobody else's business, and no change of it."""

Answers = tuple[tuple[str, tuple[str, ...]], ...]
"""What was answered to each question, by its code."""


class RequestRow(NamedTuple):
    """A case as the public sees it; the order of the fields is that of the table."""

    case_id: str
    live: bool
    """Whether it is worked on here: imported history is the business of the system that it comes from."""
    category: str
    channel: str
    description: str
    answers: Answers
    photos: tuple[str, ...]
    address: str | None
    longitude: float | None
    latitude: float | None
    street: str | None
    community: str | None
    grid: str | None
    requested_at: datetime
    updated_at: datetime
    """When it last changed; of a closed one, when it was closed."""
    state: str
    """A key of STATE_NAMES."""
    closed: bool = False
    seen: bool = False
    """Whether somebody, or the rule book, has taken it for a case: only then its words are for everybody."""
    department: str | None = None
    due_at: datetime | None = None
    outcome: str | None = None
    note: str = ""
    """Why it was closed or rejected, in the words that the reporter reads."""
    joined_to: str | None = None


class StepRow(NamedTuple):
    """One step of a case that the public may know of."""

    case_id: str
    version: int
    step: str
    """A key of STEP_NAMES."""
    at: datetime


def step_of(entry: Entry) -> StepRow | None:
    """The step that a fact is, if the public may know of it."""
    if entry.name not in STEP_NAMES or entry.name in AFTERWARDS:
        return None
    return StepRow(entry.case_id, entry.version, entry.name, entry.envelope.time)


def advance(row: RequestRow | None, entry: Entry) -> RequestRow | None:
    """The row after one more fact; None as long as nothing was reported, as with orders to patrol."""
    event, moment = entry.event, entry.envelope.time
    if isinstance(event, CaseReported):
        return _reported(entry, event)
    if row is None:
        return None
    row = _changed(row, event)
    if entry.name in STATE_NAMES:
        row = row._replace(state=entry.name)
    return row._replace(updated_at=max(moment, row.updated_at)) if step_of(entry) else row


def _reported(entry: Entry, event: CaseReported) -> RequestRow:
    place, moment = event.place, entry.envelope.time
    return RequestRow(
        case_id=entry.case_id,
        live=entry.envelope.origin is Origin.LIVE,
        category=event.category,
        channel=event.channel,
        description=masked(event.description),
        answers=tuple((each.question, tuple(map(masked, each.values))) for each in event.answers),
        photos=event.photos,
        address=masked(place.address) if place.address else None,
        longitude=place.longitude,
        latitude=place.latitude,
        street=place.street,
        community=place.community,
        grid=place.grid,
        requested_at=moment,
        updated_at=moment,
        state=entry.name,
    )


def _changed(row: RequestRow, event: Event) -> RequestRow:  # noqa: PLR0911 - one for each fact
    match event:
        case CaseFiled():
            return row._replace(category=event.category, seen=True)
        case CaseAdopted():
            return _moved(row, event.place)._replace(category=event.category, live=True)
        case CaseRejected():
            return row._replace(closed=True, note=masked(event.reason))
        case CaseMerged():
            return row._replace(joined_to=event.into, seen=True)
        case CaseClosed():
            return row._replace(closed=True, outcome=event.outcome, note=masked(event.note))
        case CaseReopened():
            return row._replace(closed=False, outcome=None, note="", department=None, due_at=None)
        case _:
            return _in_hands(row, event)


def _in_hands(row: RequestRow, event: Event) -> RequestRow:
    match event:
        case Assigned():
            return row._replace(department=event.department, due_at=event.due_at)
        case Recalled() | Declined():
            is_with = event.department == row.department
            return row._replace(department=None, due_at=None) if is_with else row
        case ClockPaused():
            return row._replace(due_at=None)
        case ExtensionGranted() | ClockResumed():
            return row._replace(due_at=event.due_at)
        case _:
            return row


def _moved(row: RequestRow, place: Place) -> RequestRow:
    return row._replace(
        longitude=place.longitude,
        latitude=place.latitude,
        street=place.street,
        community=place.community,
        grid=place.grid,
    )
