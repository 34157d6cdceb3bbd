"""Read model of patrols: each order with its points, what was found, and what others found meanwhile."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered
from libs.events.envelope import Entry
from libs.events.readmodel import Connection, Table

CHANNEL: Final = "patrol"
"""The channel by which grid workers report."""
ORDERS_MAX: Final = 2_000
"""In one answer: more than a large district has grids."""

INSERT_ORDER: Final = """
INSERT INTO patrols (case_id, grid, worker, day, from_at, until) VALUES ($1, $2, $3, $4, $5, $6)
"""
INSERT_POINT: Final = """
INSERT INTO patrol_points (case_id, number, code, longitude, latitude) VALUES ($1, $2, $3, $4, $5)
"""
MARK_PASSED: Final = """
UPDATE patrol_points SET passed_at = $3, distance_metres = $4 WHERE case_id = $1 AND code = $2
"""
INSERT_FIND: Final = """
INSERT INTO patrol_finds (case_id, found, category, found_at) VALUES ($1, $2, $3, $4)
"""
MARK_ENDED: Final = "UPDATE patrols SET ended_at = $2, ended_by = $3 WHERE case_id = $1"
INSERT_REPORT: Final = """
INSERT INTO reported_by_others (case_id, grid, category, channel, reported_at, filed)
VALUES ($1, $2, $3, $4, $5, false)
"""
MARK_FILED: Final = "UPDATE reported_by_others SET filed = true, category = $2 WHERE case_id = $1"

# What others reported in the grid while the patrol was out, and what is a case: the patrol missed it.
MISSED_FINDS: Final = """
reported_by_others AS other
WHERE other.filed AND other.grid = patrols.grid AND other.reported_at >= patrols.from_at
    AND other.reported_at < coalesce(patrols.ended_at, patrols.until)
"""
_SUMMARY: Final = f"""
SELECT case_id AS order_id, grid, worker, day, from_at, until, ended_at, ended_by,
    (SELECT count(*) FROM patrol_points AS point WHERE point.case_id = patrols.case_id) AS points,
    (SELECT count(passed_at) FROM patrol_points AS point WHERE point.case_id = patrols.case_id) AS passed,
    (SELECT count(*) FROM patrol_finds AS find WHERE find.case_id = patrols.case_id) AS finds,
    (SELECT count(*) FROM {MISSED_FINDS}) AS missed_finds
FROM patrols
"""
ORDERS: Final = f"""
{_SUMMARY}
WHERE ($1::text IS NULL OR day = $1) AND ($2::text IS NULL OR grid = $2) AND ($3::text IS NULL OR worker = $3)
ORDER BY day DESC, grid LIMIT $4
"""
ONE_ORDER: Final = f"{_SUMMARY} WHERE case_id = $1"
POINTS: Final = """
SELECT code, longitude, latitude, passed_at, distance_metres FROM patrol_points
WHERE case_id = $1 ORDER BY number
"""
FINDS: Final = """
SELECT found AS case_id, category, found_at FROM patrol_finds WHERE case_id = $1 ORDER BY found_at, found
"""
MISSED_FINDS_OF: Final = f"""
SELECT other.case_id, other.category, other.channel, other.reported_at
FROM patrols, {MISSED_FINDS} AND patrols.case_id = $1 ORDER BY other.reported_at, other.case_id
"""

SCHEMA: Final = (Path(__file__).parents[1] / "schema" / "patrol.sql").read_text(encoding="utf-8")
TABLES: Final = (
    Table("patrols", ("case_id",)),
    Table("patrol_points", ("case_id", "code")),
    Table("patrol_finds", ("case_id", "found")),
    Table("reported_by_others", ("case_id",)),
)


async def apply(connection: Connection, fresh: Sequence[Entry]) -> None:
    """Move the patrols by facts that were not applied before, in order for each order and case."""
    # Each statement needs at most what the ones before it in this list have written.
    for statement, rows in (
        (INSERT_ORDER, [_order(entry) for entry in fresh if isinstance(entry.event, PatrolOrdered)]),
        (INSERT_POINT, [point for entry in fresh for point in _points(entry)]),
        (
            MARK_PASSED,
            [_passed(entry, event) for entry in fresh if isinstance(event := entry.event, CheckedIn)],
        ),
        (
            INSERT_FIND,
            [_find(entry, event) for entry in fresh if isinstance(event := entry.event, PatrolFound)],
        ),
        (
            MARK_ENDED,
            [_end(entry, event) for entry in fresh if isinstance(event := entry.event, PatrolEnded)],
        ),
        (INSERT_REPORT, [row for entry in fresh if (row := _reported_by_other(entry))]),
        (
            MARK_FILED,
            [
                (entry.case_id, event.category)
                for entry in fresh
                if isinstance(event := entry.event, CaseFiled)
            ],
        ),
    ):
        if rows:
            await connection.executemany(statement, rows)


async def orders(
    connection: Connection, *, day: str | None, grid: str | None, worker: str | None
) -> list[dict[str, Any]]:
    """The orders that fit, the newest day first, at most ORDERS_MAX; None fits all."""
    found = await connection.fetch(ORDERS, day, grid, worker, ORDERS_MAX)
    return [_with_coverage(dict(record)) for record in found]


async def one_order(connection: Connection, order_id: str) -> dict[str, Any] | None:
    """An order with its points, in their order, and finds; None when it is not known."""
    found = await connection.fetchrow(ONE_ORDER, order_id)
    if found is None:
        return None
    order = _with_coverage(dict(found))
    parts = {"route": POINTS, "found": FINDS, "found_by_others": MISSED_FINDS_OF}
    for name, statement in parts.items():
        order[name] = [dict(record) for record in await connection.fetch(statement, order_id)]
    return order


def _with_coverage(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "coverage": round(order["passed"] / order["points"], 4)}


def _order(entry: Entry) -> tuple[object, ...]:
    event = entry.event
    assert isinstance(event, PatrolOrdered)
    return entry.case_id, event.grid, event.worker, event.day, event.from_at, event.until


def _points(entry: Entry) -> list[tuple[object, ...]]:
    if not isinstance(entry.event, PatrolOrdered):
        return []
    return [
        (entry.case_id, number, point.code, point.longitude, point.latitude)
        for number, point in enumerate(entry.event.points, 1)
    ]


def _passed(entry: Entry, event: CheckedIn) -> tuple[object, ...]:
    return entry.case_id, event.point, entry.envelope.time, event.distance_metres


def _find(entry: Entry, event: PatrolFound) -> tuple[object, ...]:
    return entry.case_id, event.case_id, event.category, entry.envelope.time


def _end(entry: Entry, event: PatrolEnded) -> tuple[object, ...]:
    return entry.case_id, entry.envelope.time, event.by


def _reported_by_other(entry: Entry) -> tuple[object, ...] | None:
    event = entry.event
    if not isinstance(event, CaseReported) or event.channel == CHANNEL or event.place.grid is None:
        return None
    return entry.case_id, event.place.grid, event.category, event.channel, entry.envelope.time
