"""One row for each patrol order.  Pure."""

from datetime import datetime
from typing import NamedTuple

from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered
from libs.events.envelope import Entry
from libs.events.errors import CaseUnreadable

PATROL_FACTS = (PatrolOrdered, CheckedIn, PatrolFound, PatrolEnded)


class PatrolRow(NamedTuple):
    """A patrol order as it stands; `case_id` is the order's own id."""

    case_id: str
    grid: str
    worker: str
    day: str
    ordered_until: datetime
    points: int
    check_ins: int = 0
    found: int = 0
    passed: int = 0
    """Points that it passed: known when it has ended."""
    ended_at: datetime | None = None
    ended_by: str | None = None


def is_patrol(entry: Entry) -> bool:
    """Whether a fact is one of a patrol, not of a case."""
    return isinstance(entry.event, PATROL_FACTS)


def advance_patrol(row: PatrolRow | None, entry: Entry) -> PatrolRow:
    """The row after one more fact.  Raises CaseUnreadable when the facts do not follow from one another."""
    event = entry.event
    if isinstance(event, PatrolOrdered):
        return PatrolRow(
            entry.case_id, event.grid, event.worker, event.day, event.until, points=len(event.points)
        )
    if row is None:
        raise CaseUnreadable(entry.case_id, entry.sequence, f"{entry.name} stands before the order")
    match event:
        case CheckedIn():
            return row._replace(check_ins=row.check_ins + 1)
        case PatrolFound():
            return row._replace(found=row.found + 1)
        case PatrolEnded():
            return row._replace(passed=len(event.passed), ended_at=entry.envelope.time, ended_by=event.by)
        case _:
            return row
