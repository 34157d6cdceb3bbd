"""Build the read models anew from the log beside the old ones, compare them row by row, switch in one transaction.

The old ones answer all along, and their service goes on writing to them until the switch. It waits only while old
and new are compared: then nobody writes, so what is compared is exactly what is switched.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Final

import asyncpg
import structlog

from libs.events.consume import PASSING
from libs.events.envelope import Entry
from libs.events.errors import LogUnavailable, RebuildRefused
from libs.events.jetstream import JetStream
from libs.events.jetstream.reader import Credentials, RawEvent, read
from libs.events.log import READ_AGAIN_SECONDS, READ_ATTEMPTS_MAX, Log, typed
from libs.events.projection import COUNT_PARKED, apply, dismissed, set_aside, take
from libs.events.readmodel import (
    GENERATIONS_SCHEMA,
    LOCK_POINTER,
    USE,
    Connection,
    Pool,
    ReadModel,
    Table,
    asking,
    new_generation,
    writing,
)
from libs.events.subjects import parse_case_subject

log = structlog.get_logger(__name__)

EVENTS_PER_TRANSACTION: Final = 5_000
CATCH_UP_EVENTS_MAX: Final = 1_000  # so near to the end the switch may begin; it reads the rest itself
CATCH_UP_ROUNDS_MAX: Final = 100
CASES_PER_STEP: Final = 1_000
EXAMPLES_MAX: Final = 10
PARKED_ANEW_MAX: Final = 100  # then the new code is wrong, and there is no need to see the rest
GENERATIONS_KEPT: Final = 2  # the active one and the one before it

# One that was just killed may hold its lock until PostgreSQL notices: wait that long.
ONE_REBUILD_PATIENCE: Final = "SET lock_timeout = '3s'"
ONE_REBUILD: Final = "SELECT pg_advisory_lock($1)"
ACTIVE_GENERATION: Final = "SELECT generation FROM {service}.generations WHERE active"
STALE_GENERATIONS: Final = """
SELECT generation FROM {service}.generations WHERE NOT active ORDER BY generation DESC OFFSET $1
"""
UNFINISHED_GENERATIONS: Final = """
SELECT generation FROM {service}.generations
WHERE generation > (SELECT generation FROM {service}.generations WHERE active)
"""
DELETE_GENERATION: Final = "DELETE FROM {service}.generations WHERE generation = $1"
BEHIND: Final = """
SELECT old.case_id FROM {old}.positions AS old LEFT JOIN {new}.positions AS new USING (case_id)
WHERE old.version > coalesce(new.version, 0) AND NOT coalesce(new.parked, false) ORDER BY old.case_id
"""
AHEAD: Final = """
SELECT count(*) FROM {new}.positions AS new LEFT JOIN {old}.positions AS old USING (case_id)
WHERE new.version > coalesce(old.version, 0)
"""
PARKED_ANEW: Final = """
SELECT case_id FROM {new}.parked LEFT JOIN {old}.parked AS old USING (case_id) WHERE old.case_id IS NULL
ORDER BY case_id
"""
KEEP_PARKED_POSITIONS: Final = """
INSERT INTO {new}.positions (case_id, version, parked) SELECT case_id, 0, true FROM {old}.parked
ON CONFLICT (case_id) DO UPDATE SET parked = true
"""
KEEP_PARKED: Final = """
INSERT INTO {new}.parked (case_id, version, reason, parked_at)
SELECT case_id, version, reason, parked_at FROM {old}.parked ON CONFLICT DO NOTHING
"""
COLUMNS: Final = """
SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
DIFFERENT: Final = """
WITH level AS (
    SELECT case_id FROM {old}.positions AS old JOIN {new}.positions AS new USING (case_id, version)
    WHERE NOT old.parked AND NOT new.parked
),
old AS (SELECT {columns} FROM {old}.{table} JOIN level USING (case_id)),
new AS (SELECT {columns} FROM {new}.{table} JOIN level USING (case_id)),
lost AS (SELECT * FROM old EXCEPT ALL SELECT * FROM new),
gained AS (SELECT * FROM new EXCEPT ALL SELECT * FROM old),
different AS (SELECT case_id FROM lost UNION SELECT case_id FROM gained)
SELECT count(*) AS cases, (array_agg(case_id ORDER BY case_id))[1:{examples_max}] AS examples FROM different
"""
# Comparing takes as long as it takes, but not longer than the one who asked for it lives.
UNHURRIED: Final = "SET LOCAL statement_timeout = 0; SET LOCAL client_connection_check_interval = '1s'"
SWITCH_OFF: Final = "UPDATE {service}.generations SET active = false WHERE active"
SWITCH_ON: Final = "UPDATE {service}.generations SET active = true WHERE generation = $1"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild has read the log; at the end of it old and new are compared."""

    position: int
    last_position: int


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
    """What a rebuild did."""

    service: str
    old_generation: int
    new_generation: int
    events: int
    """The position up to which the log was read before the switch began."""
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


class Rebuild:
    """One rebuild of one service's read models."""

    def __init__(
        self,
        model: ReadModel,
        pool: Pool,
        cases: Log,
        jetstream: JetStream,
        credentials: Credentials,
    ) -> None:
        self._model = model
        self._pool = pool
        self._log = cases
        self._jetstream = jetstream
        self._credentials = credentials
        self._generation = 0
        self._may_park = 0

    async def run(
        self, on_progress: Callable[[Progress], None], *, accept_differences: bool = False
    ) -> Report:
        """Build, compare, switch.  Raises RebuildRefused, above all when another rebuild runs, and LogUnavailable.

        Where old and new differ, nothing is switched unless *accept_differences* (the code has changed on purpose).
        """
        async with self._alone():
            await self._drop_unfinished()
            async with asking(self._pool, self._model.service) as connection:
                self._may_park = PARKED_ANEW_MAX + int(await connection.fetchval(COUNT_PARKED))
            async with self._pool.acquire() as connection, connection.transaction():
                self._generation = await new_generation(connection, self._model)
            events = await self._fill(on_progress)
            report = await self._switch(events, accept_differences=accept_differences)
            await self._drop_old()
        return report

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        service = self._model.service
        async with self._pool.acquire() as connection:
            await connection.execute(GENERATIONS_SCHEMA.format(service=service))
            try:
                await connection.execute(ONE_REBUILD_PATIENCE)  # until the pool resets the session
                await connection.execute(ONE_REBUILD, self._model.lock_key ^ 1)
            except asyncpg.LockNotAvailableError as error:
                raise RebuildRefused(f"another rebuild of {service} is running") from error
            if await connection.fetchval(ACTIVE_GENERATION.format(service=service)) is None:
                raise RebuildRefused(f"{service} has no read models yet: start it first")
            yield  # the lock goes with the connection's session, which the pool resets

    async def _fill(self, on_progress: Callable[[Progress], None]) -> int:
        position = 0
        for _ in range(CATCH_UP_ROUNDS_MAX):
            last = await self._log.last_position()
            if last - position <= (CATCH_UP_EVENTS_MAX if position else 0):
                break
            await self._read(position + 1, last, on_progress)
            position = last
        return position

    async def _read(self, start: int, last: int, on_progress: Callable[[Progress], None]) -> None:
        waiting: list[RawEvent] = []
        async with aclosing(read(self._jetstream, self._credentials, start=start, stop=last)) as reading:
            async for events in reading:
                waiting.extend(events)
                if len(waiting) >= EVENTS_PER_TRANSACTION or waiting[-1].sequence >= last:
                    await self._apply(waiting)
                    on_progress(Progress(waiting[-1].sequence, last))
                    waiting = []

    async def _apply(self, events: Sequence[RawEvent]) -> None:
        async def entries() -> list[Entry]:
            return [typed(raw) for raw in events]

        cases = dict.fromkeys(parse_case_subject(raw.subject.decode()).case_id for raw in events)
        async with writing(self._pool, self._model, self._generation) as connection:
            await self._apply_cases(connection, cases, entries)

    async def _apply_cases(
        self, connection: Connection, cases: Iterable[str], entries: Callable[[], Awaitable[Sequence[Entry]]]
    ) -> None:
        """Apply what *entries* gives of *cases*; if that fails, one case at a time shows who it is."""
        try:
            await self._apply_together(connection, await entries())
        except PASSING:
            raise
        except Exception as error:  # whatever it is: it is met again for the one case that it belongs to
            log.info("batch_split", reason=str(error) or type(error).__name__)
            for case_id in cases:
                await self._apply_or_park(connection, case_id)

    async def _apply_or_park(self, connection: Connection, case_id: str) -> None:
        try:
            without = (await dismissed(connection, self._model.service, [case_id])).get(case_id, frozenset())
            history = await self._log.load(case_id, without=without)
            await self._apply_together(connection, history.entries)
        except PASSING:
            raise
        except Exception as error:  # parked in the new tables as the service would park it
            _, reason = await set_aside(connection, case_id, error, self._model.service)
            log.warning("case_parked_by_rebuild", case_id=case_id, reason=reason)
            self._may_park -= 1
            if self._may_park < 0:
                raise RebuildRefused(
                    f"too many cases fail in the new read models, now {case_id}: {reason}"
                ) from error

    async def _apply_together(self, connection: Connection, entries: Sequence[Entry]) -> None:
        wanted = [entry for entry in entries if entry.envelope.origin in self._model.origins]
        if wanted:
            async with connection.transaction():  # a savepoint: what fails must not spoil what was written
                fresh, _ = await take(connection, self._log, wanted, self._model.service)
                await apply(connection, self._model, fresh)

    async def _switch(self, events: int, *, accept_differences: bool) -> Report:
        service = self._model.service
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(UNHURRIED)
            await connection.execute(LOCK_POINTER, self._model.lock_key)  # from here on nobody writes
            active = int(await connection.fetchval(ACTIVE_GENERATION.format(service=service)))
            names = {"old": self._model.schema_name(active), "new": self._model.schema_name(self._generation)}
            await self._catch_up(connection, names)
            report = await self._compare(connection, names, active, events)
            if accept_differences or not report.differs:
                await connection.execute(KEEP_PARKED_POSITIONS.format(**names))
                await connection.execute(KEEP_PARKED.format(**names))
                await connection.execute(SWITCH_OFF.format(service=service))
                await connection.execute(SWITCH_ON.format(service=service), self._generation)
                report = replace(report, switched=True)
        log.info("rebuild_ended", service=service, generation=self._generation, switched=report.switched)
        return report

    async def _catch_up(self, connection: Connection, names: dict[str, str]) -> None:
        """Bring every case at least to where the old tables have it: what was acknowledged never comes again."""
        await connection.execute(USE, names["new"])
        for attempt in range(READ_ATTEMPTS_MAX):
            if attempt:
                await asyncio.sleep(READ_AGAIN_SECONDS)  # a replica of the log that lags
            behind = [str(record["case_id"]) for record in await connection.fetch(BEHIND.format(**names))]
            if not behind:
                return
            for start in range(0, len(behind), CASES_PER_STEP):
                part = behind[start : start + CASES_PER_STEP]
                await self._apply_cases(connection, part, partial(self._entries_of, part))
        raise LogUnavailable("the log does not show yet what the old read models hold")

    async def _entries_of(self, cases: Sequence[str]) -> list[Entry]:
        histories = await self._log.load_many(cases)
        return [entry for history in histories.values() for entry in history.entries]

    async def _compare(
        self, connection: Connection, names: dict[str, str], active: int, events: int
    ) -> Report:
        parked = [str(record["case_id"]) for record in await connection.fetch(PARKED_ANEW.format(**names))]
        return Report(
            service=self._model.service,
            old_generation=active,
            new_generation=self._generation,
            events=events,
            cases_ahead=int(await connection.fetchval(AHEAD.format(**names))),
            cases_parked_anew=len(parked),
            parked_examples=tuple(parked[:EXAMPLES_MAX]),
            tables=tuple([await self._compare_table(connection, names, each) for each in self._model.tables]),
            switched=False,
        )

    async def _compare_table(
        self, connection: Connection, names: dict[str, str], table: Table
    ) -> TableReport:
        old = await _columns(connection, f"{names['old']}.{table.name}")
        new = await _columns(connection, f"{names['new']}.{table.name}")
        common = [name for name, kind in new.items() if old.get(name) == kind]
        cases, examples = 0, []
        if common:
            query = DIFFERENT.format(
                table=table.name, columns=", ".join(common), examples_max=EXAMPLES_MAX, **names
            )
            [(cases, examples)] = await connection.fetch(query)
        return TableReport(
            name=table.name,
            old_digest=await digest(connection, names["old"], table) if old else None,
            new_digest=await digest(connection, names["new"], table),
            different_cases=cases,
            examples=tuple(examples or ()),
            columns_not_compared=tuple(name for name in new if name not in common),
        )

    async def _drop_unfinished(self) -> None:
        await self._drop(UNFINISHED_GENERATIONS)

    async def _drop_old(self) -> None:
        await self._drop(STALE_GENERATIONS, GENERATIONS_KEPT - 1)

    async def _drop(self, which: str, *arguments: object) -> None:
        service = self._model.service
        for record in await self._pool.fetch(which.format(service=service), *arguments):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    f"DROP SCHEMA IF EXISTS {self._model.schema_name(record['generation'])} CASCADE"
                )
                await connection.execute(DELETE_GENERATION.format(service=service), record["generation"])


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
