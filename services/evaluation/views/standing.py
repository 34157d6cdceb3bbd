"""Where cases stand now: how many at which step, one of them, and those that wait for a verifier."""

from datetime import datetime
from typing import Any, Final

from libs.events.readmodel import Connection
from services.evaluation.views.rows import CaseRow

TO_VERIFY_MAX: Final = 500
"""So many are listed at once."""

STATES: Final = """
SELECT count(*) AS cases,
    count(*) FILTER (WHERE filed_at IS NULL AND rejected_at IS NULL AND merged_at IS NULL) AS reported,
    count(rejected_at) AS rejected, count(merged_at) AS merged,
    count(*) FILTER (WHERE filed_at IS NOT NULL AND assigned_at IS NULL) AS filed,
    count(*) FILTER (WHERE assigned_at IS NOT NULL AND accepted_at IS NULL AND handled_at IS NULL
        AND closed_at IS NULL) AS assigned,
    count(*) FILTER (WHERE accepted_at IS NOT NULL AND handled_at IS NULL AND closed_at IS NULL) AS accepted,
    count(*) FILTER (WHERE handled_at IS NOT NULL AND closed_at IS NULL) AS handled,
    count(closed_at) AS closed,
    count(*) FILTER (WHERE coalesce(paused_at, handled_at, closed_at, $1::timestamptz) > due_at) AS overdue
FROM cases
"""
ONE_CASE: Final = f"SELECT {', '.join(CaseRow._fields)} FROM cases WHERE case_id = $1"
MARKS: Final = """
SELECT kind, department, at, due_at, number, detail FROM marks WHERE case_id = $1 ORDER BY version, kind
"""
TO_VERIFY: Final = """
SELECT case_id, category, street, community, grid, department, reported_at, handled_at, verify_due_at
FROM cases
WHERE handled_at IS NOT NULL AND closed_at IS NULL AND origin <> 'import'
    AND ($1::text IS NULL OR community = $1)
ORDER BY verify_due_at NULLS LAST, case_id LIMIT $2
"""
IMPORTED_PAGE_MAX: Final = 500
IMPORTED: Final = """
SELECT case_id, category, community, reported_at FROM cases
WHERE origin = 'import' AND filed_at IS NOT NULL AND closed_at IS NULL AND ($1::text IS NULL OR case_id > $1)
ORDER BY case_id LIMIT $2
"""


async def states(connection: Connection, now: datetime) -> dict[str, int]:
    """How many cases stand where, and how many are past their time at *now*."""
    record = await connection.fetchrow(STATES, now)
    assert record is not None, "an aggregate has one row"
    return {name: int(count) for name, count in record.items()}


async def one_case(connection: Connection, case_id: str) -> dict[str, Any] | None:
    """The row of one case with its marks; None when it is not known."""
    record = await connection.fetchrow(ONE_CASE, case_id)
    if record is None:
        return None
    return {**record, "marks": [dict(mark) for mark in await connection.fetch(MARKS, case_id)]}


async def to_verify(connection: Connection, community: str | None, limit: int) -> list[dict[str, Any]]:
    """Cases that are handled and wait for somebody to look, the most urgent first."""
    return [dict(record) for record in await connection.fetch(TO_VERIFY, community, limit)]


async def imported(connection: Connection, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Imported cases that are open and that nobody has taken into live work, in the order of their ids."""
    return [dict(record) for record in await connection.fetch(IMPORTED, after, limit)]
