"""What is counted beside the course of a case: one row, or a few, for each such fact.  Pure."""

from datetime import datetime
from typing import Final, NamedTuple

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    ClockPaused,
    Declined,
    Escalated,
    ExtensionGranted,
    ExtensionRefused,
    ExtensionRequested,
    ReportedIn,
    Summoned,
    WhistleBlown,
)
from libs.events.contracts.evaluation import CardIssued, CaseReopened, HandlingReturned, Rated, ServiceScored
from libs.events.envelope import Entry
from services.evaluation.views.rows import CaseRow


class MarkRow(NamedTuple):
    """Something that happened to a case."""

    case_id: str
    version: int
    kind: str
    department: str | None
    at: datetime
    due_at: datetime | None = None
    """By when it had to happen, or must happen."""
    number: int | None = None
    """Stars, or the number of the whistle."""
    detail: str | None = None
    """Who, why or which colour."""


MARKED: Final = frozenset(
    {
        *(Accepted, Declined, HandlingReturned, CaseReopened, Escalated, CardIssued, ServiceScored, Rated),
        *(ExtensionRequested, ExtensionGranted, ExtensionRefused, ClockPaused),
        *(WhistleBlown, Summoned, ReportedIn),
    }
)
"""The facts that leave marks; a look here spares all others the way through `marks_of`."""


class _Mark(NamedTuple):
    kind: str
    department: str | None
    due_at: datetime | None = None
    number: int | None = None
    detail: str | None = None


def marks_of(before: CaseRow, entry: Entry) -> list[MarkRow]:
    """The marks that a fact leaves; *before* is the case as it was."""
    return [
        MarkRow(entry.case_id, entry.version, mark.kind, mark.department, entry.envelope.time, *mark[2:])
        for mark in _marks(before, entry.event)
    ]


def _marks(before: CaseRow, event: Event) -> tuple[_Mark, ...]:  # noqa: PLR0911 - a list of facts
    match event:
        case Accepted():
            return (_Mark("signed", event.department, before.sign_due_at),)
        case Declined():
            return (_Mark("returned", event.department, detail=event.reason),)
        case HandlingReturned():
            return (_Mark("reworked", event.department, detail=event.by),)
        case CaseReopened():
            return (_Mark("reopened", event.department, detail=event.by),)
        case Escalated():
            return (_Mark("escalated", event.department, event.due_at, detail=event.reason),)
        case CardIssued():
            return (_Mark("card", event.department, number=event.step, detail=event.colour),)
        case ServiceScored():
            return (_Mark("scored", event.department, number=event.stars, detail=event.community),)
        case Rated():
            return _rated(event)
        case _:
            return _of_help(event)


def _of_help(event: Event) -> tuple[_Mark, ...]:  # noqa: PLR0911 - a list of facts
    match event:
        case ExtensionRequested():
            return (_Mark("extension_asked", event.department, event.until, detail=event.reason),)
        case ExtensionGranted():
            return (_Mark("extended", event.department, event.due_at),)
        case ExtensionRefused():
            return (_Mark("extension_refused", event.department, detail=event.reason),)
        case ClockPaused():
            return (_Mark("paused", event.department, detail=event.reason),)
        case WhistleBlown():
            return (_Mark("whistle", event.lead, number=event.whistle, detail=event.by),)
        case Summoned():
            return (
                _Mark("summoned", event.department, event.report_in.due_at, event.whistle, event.officer),
            )
        case ReportedIn():
            return (_Mark("reported_in", event.department, number=event.whistle, detail=event.officer),)
        case _:
            return ()


def _rated(event: Rated) -> tuple[_Mark, ...]:
    said = {"rated": True, "reached": event.reached, "solved": event.solved, "satisfied": event.satisfied}
    return tuple(_Mark(kind, event.department, number=event.stars) for kind, true in said.items() if true)
