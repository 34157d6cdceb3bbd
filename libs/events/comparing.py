"""Two generations of one service's tables side by side: what they say differently of the cases that both hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from libs.events.readmodel import Connection, ReadModel, Table

EXAMPLES_MAX: Final = 10

AHEAD: Final = """
SELECT count(*) FROM {new}.positions AS new LEFT JOIN {old}.positions AS old USING (case_id)
WHERE new.version > coalesce(old.version, 0)
"""
PARKED_ANEW: Final = """
SELECT case_id FROM {new}.parked LEFT JOIN {old}.parked AS old USING (case_id) WHERE old.case_id IS NULL
ORDER BY case_id
"""
COLUMNS: Final = """
SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
LEVEL: Final = """
SELECT case_id FROM {old}.positions AS old JOIN {new}.positions AS new USING (case_id, version)
WHERE NOT old.parked AND NOT new.parked
"""
DIFFERENT: Final = """
WITH level AS ({level}),
old AS (SELECT {columns} FROM {old}.{table} JOIN level USING (case_id)),
new AS (SELECT {columns} FROM {new}.{table} JOIN level USING (case_id)),
lost AS (SELECT * FROM old EXCEPT ALL SELECT * FROM new),
gained AS (SELECT * FROM new EXCEPT ALL SELECT * FROM old),
different AS (SELECT case_id FROM lost UNION SELECT case_id FROM gained)
SELECT count(*) AS cases, (array_agg(case_id ORDER BY case_id))[1:{examples_max}] AS examples FROM different
"""


@dataclass(frozen=True, slots=True)
class Generations:
    """The numbers of two generations, the one that answers and the one that is to."""

    old: int
    new: int

    def schemas(self, model: ReadModel) -> dict[str, str]:
        """The PostgreSQL schema of each, as the statements here name them."""
        return {"old": model.schema_name(self.old), "new": model.schema_name(self.new)}


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table, old beside new."""

    name: str
    old_digest: str | None
    """None for a table that the old read models do not have."""
    new_digest: str
    different_cases: int
    """Of the cases that stand at the same version in both."""
    examples: tuple[str, ...]
    columns_not_compared: tuple[str, ...]
    """New ones, and those whose type has changed."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a rebuild, or going back, did."""

    service: str
    old_generation: int
    new_generation: int
    events: int
    """The position up to which the log was read before the switch began; going back, the cases brought level."""
    cases_ahead: int
    """Cases for which the new tables hold more than the old ones, which were behind the log."""
    cases_parked_anew: int
    """Cases that the old read models hold and the new ones cannot: a difference."""
    parked_examples: tuple[str, ...]
    tables: tuple[TableReport, ...]
    switched: bool

    @property
    def differs(self) -> bool:
        """Whether old and new say different things about the same facts."""
        return self.cases_parked_anew > 0 or any(table.different_cases for table in self.tables)


async def compare(connection: Connection, model: ReadModel, pair: Generations, events: int) -> Report:
    """What both say, within one transaction in which nobody else writes to them."""
    names = pair.schemas(model)
    parked = [str(record["case_id"]) for record in await connection.fetch(PARKED_ANEW.format(**names))]
    return Report(
        service=model.service,
        old_generation=pair.old,
        new_generation=pair.new,
        events=events,
        cases_ahead=int(await connection.fetchval(AHEAD.format(**names))),
        cases_parked_anew=len(parked),
        parked_examples=tuple(parked[:EXAMPLES_MAX]),
        tables=tuple([await _compare_table(connection, names, each) for each in model.tables]),
        switched=False,
    )


async def _compare_table(connection: Connection, names: Mapping[str, str], table: Table) -> TableReport:
    old = await _columns(connection, f"{names['old']}.{table.name}")
    new = await _columns(connection, f"{names['new']}.{table.name}")
    common = [name for name, kind in new.items() if old.get(name) == kind]
    old_digest = await digest(connection, names["old"], table) if old else None
    new_digest = await digest(connection, names["new"], table)
    cases, examples = 0, []
    if common and (
        list(old.items()) != list(new.items()) or old_digest != new_digest
    ):  # else all rows are equal
        query = DIFFERENT.format(
            table=table.name,
            columns=", ".join(common),
            examples_max=EXAMPLES_MAX,
            level=LEVEL.format(**names),
            **names,
        )
        [(cases, examples)] = await connection.fetch(query)
    return TableReport(
        name=table.name,
        old_digest=old_digest,
        new_digest=new_digest,
        different_cases=cases,
        examples=tuple(examples or ()),
        columns_not_compared=tuple(name for name in new if name not in common),
    )


async def _columns(connection: Connection, table: str) -> dict[str, str]:
    """The columns of a table with their types, in order; none when there is no such table."""
    return {record["name"]: record["type"] for record in await connection.fetch(COLUMNS, table)}


async def digest(connection: Connection, schema: str, table: Table) -> str:
    """SHA-256 over all rows of a table in the order of its key, as PostgreSQL's text format in UTC shows them."""
    state = sha256()

    async def update(data: bytes) -> None:
        state.update(data)

    order = ", ".join(table.key)
    await connection.copy_from_query(f"SELECT * FROM {schema}.{table.name} ORDER BY {order}", output=update)
    return state.hexdigest()
