"""Keeps what the public may see of cases, and looks it up."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from libs.events.envelope import Entry
from libs.events.readmodel import Connection, Table
from services.intake.open311.filters import REQUESTS_MAX, Selection
from services.intake.open311.rows import RequestRow, StepRow, advance, step_of

SCHEMA: Final = (Path(__file__).parents[1] / "schema" / "requests.sql").read_text(encoding="utf-8")
TABLES: Final = (Table("requests", ("case_id",)), Table("request_steps", ("case_id", "version")))

_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("live", "closed", "seen"), "boolean"),
    **dict.fromkeys(("answers", "photos"), "jsonb"),
    **dict.fromkeys(("longitude", "latitude"), "float8"),
    **{name: "timestamptz" for name in RequestRow._fields if name.endswith("_at")},
}
_ARRAYS: Final = ", ".join(
    f"${number}::{_TYPES.get(name, 'text')}[]" for number, name in enumerate(RequestRow._fields, 1)
)
_COLUMNS: Final = ", ".join(RequestRow._fields)
_CHANGES: Final = ", ".join(f"{name} = excluded.{name}" for name in RequestRow._fields[1:])
UPSERT: Final = f"""
INSERT INTO requests ({_COLUMNS}) SELECT * FROM unnest({_ARRAYS}) ON CONFLICT (case_id) DO UPDATE SET {_CHANGES}
"""
INSERT_STEPS: Final = """
INSERT INTO request_steps (case_id, version, step, at)
SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[])
"""
SELECT: Final = f"SELECT {_COLUMNS} FROM requests WHERE case_id = ANY($1::text[])"
SELECT_STEPS: Final = """
SELECT case_id, version, step, at FROM request_steps WHERE case_id = ANY($1::text[]) ORDER BY case_id, version
"""


async def apply(connection: Connection, fresh: Sequence[Entry]) -> None:
    """Move the rows by facts that were not applied before, in order for each case."""
    rows = await _rows(connection, _begun_before(fresh))
    steps: list[StepRow] = []
    for entry in fresh:
        after = advance(rows.get(entry.case_id), entry)
        if after is None:
            continue
        rows[entry.case_id] = after
        if step := step_of(entry):
            steps.append(step)
    if rows:
        await keep(connection, rows.values())
    if steps:
        await connection.execute(INSERT_STEPS, *_by_column(steps))


async def keep(connection: Connection, rows: Iterable[RequestRow]) -> None:
    """Store these rows in place of what was there."""
    await connection.execute(UPSERT, *_by_column(map(_stored, rows)))


async def requests(
    connection: Connection, asked: Selection, hidden: Sequence[str]
) -> tuple[list[RequestRow], dict[str, RequestRow]]:
    """The requests that are asked for, in order, and the cases that reports among them were joined to.

    Of the categories in *hidden* none is listed; by its id each is found.
    """
    sql, values = statement(asked, hidden)
    found = [_row(record) for record in await connection.fetch(sql, *values)]
    joined = {row.joined_to for row in found if row.joined_to}
    return found, await _rows(connection, joined)


async def steps(connection: Connection, case_ids: Sequence[str]) -> dict[str, list[StepRow]]:
    """The steps of these cases, in order for each."""
    found: dict[str, list[StepRow]] = {}
    for record in await connection.fetch(SELECT_STEPS, list(case_ids)):
        step = StepRow(*record)
        found.setdefault(step.case_id, []).append(step)
    return found


def statement(asked: Selection, hidden: Sequence[str]) -> tuple[str, list[object]]:
    """The statement that finds what is asked for, and its values."""
    if asked.ids is not None:
        return f"{SELECT} AND live ORDER BY requested_at DESC, case_id DESC LIMIT {REQUESTS_MAX}", [
            list(asked.ids)
        ]
    conditions, values = ["live"], list[object]()
    for condition, value in _conditions(asked, hidden):
        values.append(value)
        conditions.append(condition.format(f"${len(values)}"))
    if asked.closed is not None:
        conditions.append("closed" if asked.closed else "NOT closed")
    order = "updated_at, case_id" if asked.by_change else "requested_at DESC, case_id DESC"
    skipped = (asked.page - 1) * asked.page_size
    sql = (
        f"SELECT {_COLUMNS} FROM requests WHERE {' AND '.join(conditions)} ORDER BY {order}"
        f" LIMIT {asked.page_size} OFFSET {skipped}"
    )
    return sql, values


def _conditions(asked: Selection, hidden: Sequence[str]) -> Iterable[tuple[str, object]]:
    if hidden:
        yield "category <> ALL({}::text[])", list(hidden)
    if asked.codes:
        yield "category = ANY({}::text[])", list(asked.codes)
    if asked.requested:
        yield "requested_at >= {}", asked.requested[0]
        yield "requested_at <= {}", asked.requested[1]
    if asked.updated_after:
        yield "updated_at >= {}", asked.updated_after
    if asked.updated_before:
        yield "updated_at <= {}", asked.updated_before


async def _rows(connection: Connection, case_ids: Iterable[str]) -> dict[str, RequestRow]:
    wanted = list(case_ids)
    found = await connection.fetch(SELECT, wanted) if wanted else []
    return {row.case_id: row for row in map(_row, found)}


def _begun_before(fresh: Sequence[Entry]) -> set[str]:
    """The cases of which earlier facts were applied before."""
    return {entry.case_id for entry in fresh} - {entry.case_id for entry in fresh if entry.version == 1}


def _row(record: asyncpg.Record) -> RequestRow:
    row = RequestRow(*record)
    answers = tuple((code, tuple(values)) for code, values in orjson.loads(str(row.answers)))
    return row._replace(answers=answers, photos=tuple(orjson.loads(str(row.photos))))


def _stored(row: RequestRow) -> tuple[Any, ...]:
    """The row as the table takes it: an array of arrays would be one table."""
    stored = row._asdict()
    return tuple(
        (stored | {name: orjson.dumps(stored[name]).decode() for name in ("answers", "photos")}).values()
    )


def _by_column(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
