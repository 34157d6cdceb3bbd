"""Moves the read models of evaluation: pure steps over rows, then one statement for each table."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from libs.events.envelope import Entry
from libs.events.readmodel import Connection, ReadModel, Table
from services.evaluation.views.marks import MARKED, MarkRow, marks_of
from services.evaluation.views.patrols import PatrolRow, advance_patrol, is_patrol
from services.evaluation.views.rows import (
    AssignmentRow,
    CaseRow,
    RenamedRow,
    UndoneRow,
    advance,
    assignment_of,
    renamed_of,
    undone_of,
)

SCHEMA: Final = Path(__file__).parents[1] / "schema"
TABLES: Final = ("cases", "renamed", "assignments", "undone", "marks", "patrols")

_TIME: Final = "timestamptz"
_CASE_TYPES: Final[Mapping[str, str]] = {
    "day": "date",
    "longitude": "float8",
    "latitude": "float8",
    **{name: _TIME for name in CaseRow._fields if name.endswith("_at")},
}
_PATROL_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("points", "check_ins", "found", "passed"), "integer"),
    **dict.fromkeys(("ordered_until", "ended_at"), _TIME),
}
_RENAMED_TYPES: Final[Mapping[str, str]] = {
    "version": "integer",
    "valid_until": _TIME,
    **dict.fromkeys(("longitude", "latitude"), "float8"),
}
_ASSIGNMENT_TYPES: Final[Mapping[str, str]] = {
    "version": "integer",
    "assigned": "boolean",
    **dict.fromkeys(("valid_from", "due_at", "paused_at"), _TIME),
}
_UNDONE_TYPES: Final[Mapping[str, str]] = {
    "version": "integer",
    **dict.fromkeys(("handled_at", "closed_at", "ended_at"), _TIME),
}
_MARK_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("version", "number"), "integer"),
    **dict.fromkeys(("at", "due_at"), _TIME),
}


def _insert(table: str, columns: Sequence[str], types: Mapping[str, str]) -> str:
    arrays = ", ".join(f"${number}::{types.get(name, 'text')}[]" for number, name in enumerate(columns, 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays})"


def _upsert(table: str, columns: Sequence[str], types: Mapping[str, str]) -> str:
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
    return f"{_insert(table, columns, types)} ON CONFLICT (case_id) DO UPDATE SET {changes}"


def _select(table: str, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns)} FROM {table} WHERE case_id = ANY($1::text[])"


SELECT_CASES: Final = _select("cases", CaseRow._fields)
UPSERT_CASES: Final = _upsert("cases", CaseRow._fields, _CASE_TYPES)
SELECT_PATROLS: Final = _select("patrols", PatrolRow._fields)
UPSERT_PATROLS: Final = _upsert("patrols", PatrolRow._fields, _PATROL_TYPES)
INSERT_RENAMED: Final = _insert("renamed", RenamedRow._fields, _RENAMED_TYPES)
INSERT_ASSIGNMENTS: Final = _insert("assignments", AssignmentRow._fields, _ASSIGNMENT_TYPES)
INSERT_UNDONE: Final = _insert("undone", UndoneRow._fields, _UNDONE_TYPES)
INSERT_MARKS: Final = _insert("marks", MarkRow._fields, _MARK_TYPES)


class Changes:
    """What a batch of facts changes beside the rows of the cases themselves."""

    def __init__(self) -> None:
        self.renamed: list[RenamedRow] = []
        self.assignments: list[AssignmentRow] = []
        self.undone: list[UndoneRow] = []
        self.marks: list[MarkRow] = []

    def add(self, before: CaseRow | None, after: CaseRow, entry: Entry) -> None:
        """Take note of one fact."""
        if before is None:
            return
        if renamed := renamed_of(before, after, entry):
            self.renamed.append(renamed)
        if assignment := assignment_of(before, after, entry):
            self.assignments.append(assignment)
        if undone := undone_of(before, after, entry):
            self.undone.append(undone)
        if type(entry.event) in MARKED:
            self.marks += marks_of(before, entry)


async def apply(connection: Connection, fresh: Sequence[Entry]) -> None:
    """Move the read models by facts that were not applied before, in order for each case."""
    patrols = [entry for entry in fresh if is_patrol(entry)]
    cases = [entry for entry in fresh if not is_patrol(entry)] if patrols else fresh
    if cases:
        await _apply_cases(connection, cases)
    if patrols:
        await _apply_patrols(connection, patrols)


async def _apply_cases(connection: Connection, fresh: Sequence[Entry]) -> None:
    found = await connection.fetch(SELECT_CASES, known) if (known := _known(fresh)) else []
    rows: dict[str, CaseRow] = {record["case_id"]: CaseRow(*record) for record in found}
    changes = Changes()
    for entry in fresh:
        before = rows.get(entry.case_id)
        after = rows[entry.case_id] = advance(before, entry)
        changes.add(before, after, entry)
    await connection.execute(UPSERT_CASES, *_by_column(rows.values()))
    for statement, added in (
        (INSERT_RENAMED, changes.renamed),
        (INSERT_ASSIGNMENTS, changes.assignments),
        (INSERT_UNDONE, changes.undone),
        (INSERT_MARKS, changes.marks),
    ):
        if added:
            await connection.execute(statement, *_by_column(added))


async def _apply_patrols(connection: Connection, fresh: Sequence[Entry]) -> None:
    found = await connection.fetch(SELECT_PATROLS, known) if (known := _known(fresh)) else []
    rows: dict[str, PatrolRow] = {record["case_id"]: PatrolRow(*record) for record in found}
    for entry in fresh:
        rows[entry.case_id] = advance_patrol(rows.get(entry.case_id), entry)
    await connection.execute(UPSERT_PATROLS, *_by_column(rows.values()))


def _known(fresh: Sequence[Entry]) -> list[str]:
    """The cases of which earlier facts were applied before."""
    return list({entry.case_id for entry in fresh} - {entry.case_id for entry in fresh if entry.version == 1})


def _by_column(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


MODEL: Final = ReadModel(
    service="evaluation",
    schema="".join((SCHEMA / f"{name}.sql").read_text(encoding="utf-8") for name in TABLES),
    tables=(
        Table("cases", ("case_id",)),
        Table("renamed", ("case_id", "version")),
        Table("assignments", ("case_id", "version")),
        Table("undone", ("case_id", "version")),
        Table("marks", ("case_id", "version", "kind")),
        Table("patrols", ("case_id",)),
    ),
    apply=apply,
)
