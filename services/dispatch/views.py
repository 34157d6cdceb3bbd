"""Read models of dispatch: each department's queue, and what waits for a post of the command centre."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from libs.events.contracts.evaluation import CaseClosed
from libs.events.contracts.intake import CaseMerged, CaseRejected
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered
from libs.events.envelope import Entry, Origin
from libs.events.readmodel import Connection, ReadModel, Table
from services.dispatch.desk import Called, Row, Step, advance
from services.dispatch.patrol import views as patrol

QUEUE_CASES_MAX: Final = 1_000
WAITING_CASES_MAX: Final = 1_000

OVER: Final = frozenset(
    each.name()
    for each in (
        *(CaseClosed, CaseRejected, CaseMerged),
        *(PatrolOrdered, CheckedIn, PatrolFound, PatrolEnded),
    )
)
"""Facts before and with which nothing of a case, or of a patrol, is of any matter to a queue."""

COLUMNS: Final = (
    "case_id, category, community, step, department, assigned_at, sign_by, due_at, warn_at, verify_by, lane,"
    " paused, asked_until, whistle, level, acts, why, since"
)
CALLED: Final = "case_id, department, whistle, lead, officer, report_by, reported_in_at"
SELECT_ROWS: Final = f"SELECT {COLUMNS} FROM queue WHERE case_id = ANY($1::text[])"
SELECT_CALLED: Final = f"SELECT {CALLED} FROM summons WHERE case_id = ANY($1::text[]) ORDER BY department"
DELETE_ROWS: Final = "DELETE FROM queue WHERE case_id = ANY($1::text[])"
DELETE_CALLED: Final = "DELETE FROM summons WHERE case_id = ANY($1::text[])"
UPSERT_ROW: Final = f"""
INSERT INTO queue ({COLUMNS})
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (case_id) DO UPDATE SET
    category = excluded.category, community = excluded.community, step = excluded.step,
    department = excluded.department, assigned_at = excluded.assigned_at, sign_by = excluded.sign_by,
    due_at = excluded.due_at, warn_at = excluded.warn_at, verify_by = excluded.verify_by,
    lane = excluded.lane, paused = excluded.paused, asked_until = excluded.asked_until,
    whistle = excluded.whistle, level = excluded.level, acts = excluded.acts, why = excluded.why,
    since = excluded.since
"""
INSERT_CALLED: Final = f"INSERT INTO summons ({CALLED}) VALUES ($1, $2, $3, $4, $5, $6, $7)"
QUEUE_OF: Final = """
WITH mine AS (
    SELECT case_id FROM queue WHERE department = $1 AND step IN ('assigned', 'accepted')
    UNION SELECT case_id FROM summons WHERE department = $1
)
SELECT queue.case_id, category, community, step, queue.department AS responsible, assigned_at, sign_by, due_at,
    warn_at AS warn, lane, paused, asked_until, queue.whistle, level,
    summons.whistle IS NOT NULL AS summoned, summons.officer, summons.report_by, summons.reported_in_at
FROM mine JOIN queue USING (case_id)
    LEFT JOIN summons ON summons.case_id = queue.case_id AND summons.department = $1
WHERE step IN ('assigned', 'accepted', 'waiting')
ORDER BY least(sign_by, due_at, CASE WHEN reported_in_at IS NULL THEN report_by END) NULLS LAST, queue.case_id
LIMIT $2
"""
WAITING: Final = """
SELECT case_id, category, community, step, department, sign_by, due_at, lane, asked_until, whistle, level, acts, why,
    since
FROM queue
WHERE (acts IS NOT NULL OR step IN ('filed', 'waiting') OR asked_until IS NOT NULL
        OR step = 'assigned' AND lane IS NOT NULL AND sign_by IS NOT NULL)
    AND ($1::text IS NULL OR acts = $1)
ORDER BY coalesce(since, assigned_at), case_id LIMIT $2
"""


async def apply(connection: Connection, fresh: Sequence[Entry]) -> None:
    """Move the desks by facts that were not applied before, in order for each case."""
    case_ids = list({entry.case_id for entry in fresh})
    before = await _rows(connection, case_ids)
    after: dict[str, Row | None] = dict.fromkeys(case_ids) | before
    for entry in fresh:
        after[entry.case_id] = advance(after[entry.case_id], entry)
    changed = [case_id for case_id in case_ids if after[case_id] != before.get(case_id)]
    over = [case_id for case_id in changed if after[case_id] is None]
    rows = [row for case_id in changed if (row := after[case_id]) is not None]
    called_anew = [row for row in rows if row.summons != _summons_of(before.get(row.case_id))]
    if over:
        await connection.execute(DELETE_ROWS, over)
    if over or called_anew:
        await connection.execute(DELETE_CALLED, [*over, *(row.case_id for row in called_anew)])
    if rows:
        await connection.executemany(UPSERT_ROW, map(_values, rows))
    if called_anew:
        await connection.executemany(INSERT_CALLED, _called_values(called_anew))


async def queue_of(connection: Connection, department: str) -> list[dict[str, Any]]:
    """A department's open cases and those a whistle calls it to, the most urgent first, at most QUEUE_CASES_MAX."""
    return [dict(record) for record in await connection.fetch(QUEUE_OF, department, QUEUE_CASES_MAX)]


async def waiting(connection: Connection, post: str | None) -> list[dict[str, Any]]:
    """What waits for the centre, the longest first, at most WAITING_CASES_MAX; only what a post must act on, if given.

    Cases that nobody has or that went up, requests for more time, and what the fast lane's desk has not acknowledged.
    """
    return [dict(record) for record in await connection.fetch(WAITING, post, WAITING_CASES_MAX)]


async def _rows(connection: Connection, case_ids: list[str]) -> dict[str, Row]:
    records = await connection.fetch(SELECT_ROWS, case_ids)
    if not records:
        return {}
    called: dict[str, list[Called]] = {}
    for record in await connection.fetch(SELECT_CALLED, [record["case_id"] for record in records]):
        case_id, *values = record
        called.setdefault(case_id, []).append(Called(*values))
    rows: dict[str, Row] = {}
    for record in records:
        columns: dict[str, Any] = {**record, "step": Step(record["step"])}
        rows[record["case_id"]] = Row(**columns, summons=tuple(called.get(record["case_id"], ())))
    return rows


def _summons_of(row: Row | None) -> tuple[Called, ...]:
    return row.summons if row else ()


def _values(row: Row) -> tuple[object, ...]:
    return tuple(getattr(row, name.strip()) for name in COLUMNS.split(","))


def _called_values(rows: Iterable[Row]) -> list[tuple[object, ...]]:
    names = [name.strip() for name in CALLED.split(",")][1:]
    return [(row.case_id, *(getattr(each, name) for name in names)) for row in rows for each in row.summons]


async def _apply_all(connection: Connection, fresh: Sequence[Entry]) -> None:
    await apply(connection, fresh)
    await patrol.apply(connection, fresh)


MODEL: Final = ReadModel(
    service="dispatch",
    schema=(Path(__file__).parent / "schema" / "queue.sql").read_text(encoding="utf-8") + patrol.SCHEMA,
    tables=(Table("queue", ("case_id",)), Table("summons", ("case_id", "department")), *patrol.TABLES),
    apply=_apply_all,
    origins=frozenset({Origin.LIVE}),
)
