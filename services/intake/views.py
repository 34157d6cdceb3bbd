"""Read model of intake: the live reports that wait for a specialist, and the open cases that others may tell of.

What the public may see of all cases stands beside them: `open311/table.py`.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, TypeAlias

from libs.events.contracts.base import Event, Place
from libs.events.contracts.evaluation import CaseClosed, CaseReopened
from libs.events.contracts.intake import (
    CaseAdopted,
    CaseFiled,
    CaseMerged,
    CaseRejected,
    CaseReported,
    ReportJoined,
)
from libs.events.envelope import Entry, Origin
from libs.events.readmodel import Connection, ReadModel, Table
from services.intake.open311 import table

WAITING_PAGE_MAX: Final = 200
SETTLED: Final = frozenset(each.name() for each in (CaseFiled, CaseRejected, CaseMerged, CaseClosed))
"""Facts after which a report waits no more, whatever was before."""

INSERT: Final = """
INSERT INTO reports (case_id, category, channel, description, photos, address, longitude, latitude, street,
    community, grid, reported_at, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'waiting') ON CONFLICT (case_id) DO NOTHING
"""
FILE: Final = "UPDATE reports SET state = 'open', category = $2 WHERE case_id = $1"
PLACE: Final = """
UPDATE reports SET longitude = $2, latitude = $3, street = $4, community = $5, grid = $6 WHERE case_id = $1
"""
MOVE: Final = "UPDATE reports SET state = $2 WHERE case_id = $1"
CLOSE: Final = (
    "UPDATE reports SET state = state || '-closed' WHERE case_id = $1 AND state NOT LIKE '%-closed'"
)
REOPEN: Final = "UPDATE reports SET state = replace(state, '-closed', '') WHERE case_id = $1"
JOIN: Final = "UPDATE reports SET joined = joined + 1 WHERE case_id = $1"
WAITING: Final = """
SELECT case_id, category, channel, description, photos, address, longitude, latitude, street, community, grid,
    reported_at
FROM reports WHERE state = 'waiting' AND reported_at <= $4 AND ($1::text IS NULL OR community = $1)
    AND ($2::text IS NULL OR (reported_at, case_id) > (SELECT reported_at, case_id FROM reports WHERE case_id = $2))
ORDER BY reported_at, case_id LIMIT $3
"""

Statement: TypeAlias = tuple[str, tuple[object, ...]]


async def apply(connection: Connection, fresh: Sequence[Entry]) -> None:
    """Move the reports by facts that were not applied before, in order for each case.

    Cases do not touch one another here: the first facts of all go together, then the second ones, and so on.
    """
    by_case: dict[str, list[Statement]] = {}
    for entry in fresh:
        statements = _statements(entry.case_id, entry.event, entry.envelope.time)
        by_case.setdefault(entry.case_id, []).extend(statements)
    for together in zip_longest(*by_case.values()):
        by_sql: dict[str, list[tuple[object, ...]]] = {}
        for statement in together:
            if statement is not None:
                by_sql.setdefault(statement[0], []).append(statement[1])
        for sql, values in by_sql.items():
            await connection.executemany(sql, values)


def _statements(case_id: str, event: Event, time: datetime) -> tuple[Statement, ...]:  # noqa: PLR0911 - each fact
    match event:
        case CaseReported():
            report = (
                event.category,
                event.channel,
                event.description,
                list(event.photos),
                event.place.address,
            )
            return ((INSERT, (case_id, *report, *_where(event.place), time)),)
        case CaseFiled():
            return ((FILE, (case_id, event.category)),)
        case CaseAdopted():
            return (FILE, (case_id, event.category)), (PLACE, (case_id, *_where(event.place)))
        case CaseRejected():
            return ((MOVE, (case_id, "rejected")),)
        case CaseMerged():
            return ((MOVE, (case_id, "merged")),)
        case ReportJoined():
            return ((JOIN, (case_id,)),)
        case CaseClosed():
            return ((CLOSE, (case_id,)),)
        case CaseReopened():
            return ((REOPEN, (case_id,)),)
        case _:
            return ()


def _where(place: Place) -> tuple[object, ...]:
    return place.longitude, place.latitude, place.street, place.community, place.grid


async def waiting(
    connection: Connection, community: str | None, after: str | None, reports_max: int, *, until: datetime
) -> list[dict[str, Any]]:
    """The reports up to *until* that wait for a specialist, the oldest first.

    *after* is the last case id of the page before.
    """
    return [dict(record) for record in await connection.fetch(WAITING, community, after, reports_max, until)]


async def _apply_all(connection: Connection, fresh: Sequence[Entry]) -> None:
    await apply(connection, fresh)
    await table.apply(connection, fresh)


MODEL: Final = ReadModel(
    service="intake",
    schema=(Path(__file__).parent / "schema" / "reports.sql").read_text(encoding="utf-8") + table.SCHEMA,
    tables=(Table("reports", ("case_id",)), *table.TABLES),
    apply=_apply_all,
    origins=frozenset({Origin.LIVE}),
)
