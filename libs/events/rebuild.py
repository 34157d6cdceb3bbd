"""Build the read models anew from the log beside the old ones, compare them row by row, switch in one transaction.

The old ones answer all along, and their service goes on writing to them until the switch. It waits only while old
and new are compared: then nobody writes, so what is compared is exactly what is switched. Going back to the
generation before is the same: it is brought level, compared, switched to.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import asyncpg
import structlog

from libs.events.comparing import Generations, Report, compare
from libs.events.errors import RebuildRefused
from libs.events.history import SealedFiles, WholeLog
from libs.events.jetstream import JetStream
from libs.events.jetstream.reader import Credentials
from libs.events.log import Log
from libs.events.projection import COUNT_PARKED
from libs.events.readmodel import (
    GENERATIONS_SCHEMA,
    LOCK_POINTER,
    Connection,
    Pool,
    ReadModel,
    asking,
    new_generation,
)
from libs.events.rebuild_filling import CASES_PER_STEP, PARKED_ANEW_MAX, Filling, cases_behind
from libs.events.rebuild_parts import OnProgress, Part, Progress, Together

log = structlog.get_logger(__name__)

EVENTS_TOGETHER_MIN: Final = 100_000  # below it, other processes would start for longer than they help
CATCH_UP_EVENTS_MAX: Final = 1_000  # so near to the end the switch may begin; it reads the rest itself
CATCH_UP_CASES_MAX: Final = 1_000  # the same, going back
CATCH_UP_ROUNDS_MAX: Final = 100
GENERATIONS_KEPT: Final = 2  # the active one and the one before it

# One that was just killed may hold its lock until PostgreSQL notices: wait that long.
ONE_REBUILD_PATIENCE: Final = "SET lock_timeout = '3s'"
ONE_REBUILD: Final = "SELECT pg_advisory_lock($1)"
# A part of a rebuild that was killed may still be writing, into a generation whose number is given again.
PART_AT_WORK: Final = "SELECT pg_advisory_lock_shared($1)"
NO_PART_AT_WORK: Final = "SELECT pg_advisory_lock($1), pg_advisory_unlock($1)"
ACTIVE_GENERATION: Final = "SELECT generation FROM {service}.generations WHERE active"
GENERATION_BEFORE: Final = """
SELECT generation, schema_digest FROM {service}.generations
WHERE generation < (SELECT generation FROM {service}.generations WHERE active) ORDER BY generation DESC LIMIT 1
"""
STALE_GENERATIONS: Final = """
SELECT generation FROM {service}.generations WHERE NOT active ORDER BY generation DESC OFFSET $1
"""
UNFINISHED_GENERATIONS: Final = """
SELECT generation FROM {service}.generations
WHERE generation > (SELECT generation FROM {service}.generations WHERE active)
"""
DELETE_GENERATION: Final = "DELETE FROM {service}.generations WHERE generation = $1"
# What was parked when this generation was left, and was taken up since, is to be applied here, too.
TAKE_UP: Final = """
WITH since AS (
    DELETE FROM {new}.parked WHERE case_id NOT IN (SELECT case_id FROM {old}.parked) RETURNING case_id
)
UPDATE {new}.positions SET parked = false WHERE case_id IN (SELECT case_id FROM since)
"""
KEEP_PARKED_POSITIONS: Final = """
INSERT INTO {new}.positions (case_id, version, parked) SELECT case_id, 0, true FROM {old}.parked
ON CONFLICT (case_id) DO UPDATE SET parked = true
"""
KEEP_PARKED: Final = """
INSERT INTO {new}.parked (case_id, version, reason, parked_at)
SELECT case_id, version, reason, parked_at FROM {old}.parked ON CONFLICT DO NOTHING
"""
# Comparing takes as long as it takes, but not longer than the one who asked for it lives.
UNHURRIED: Final = "SET LOCAL statement_timeout = 0; SET LOCAL client_connection_check_interval = '1s'"
SWITCH_OFF: Final = "UPDATE {service}.generations SET active = false WHERE active"
SWITCH_ON: Final = "UPDATE {service}.generations SET active = true WHERE generation = $1"


class Rebuild:
    """One rebuild of one service's read models, or its undoing."""

    def __init__(
        self,
        model: ReadModel,
        pool: Pool,
        cases: Log,
        jetstream: JetStream,
        credentials: Credentials,
        *,
        together: Together | None = None,
        sealed: SealedFiles | None = None,
    ) -> None:
        """With *together* other processes share the work; *sealed* is needed where the books were closed."""
        self._model = model
        self._pool = pool
        self._log = cases
        self._history = WholeLog(jetstream, credentials, sealed)
        self._together = together

    async def run(
        self, on_progress: OnProgress, *, accept_differences: bool = False, only_compare: bool = False
    ) -> Report:
        """Build, compare, switch.  Raises RebuildRefused, above all when another rebuild runs, and LogUnavailable.

        Where old and new differ, nothing is switched unless *accept_differences* (the code has changed on purpose).
        With *only_compare* nothing is in any case, and what was built is thrown away.
        """
        async with self._alone():
            await self._drop(UNFINISHED_GENERATIONS)
            async with self._pool.acquire() as connection, connection.transaction():
                generation = await new_generation(connection, self._model)
            filling = await self._filling(generation)
            events = await self._fill(filling, on_progress)
            if only_compare:
                report = await self._compared(filling, events)
                await self._drop(UNFINISHED_GENERATIONS)
                return report
            report = await self._switch(filling, events, accept_differences=accept_differences)
            await self._drop(STALE_GENERATIONS, GENERATIONS_KEPT - 1)
        return report

    async def back(self, on_progress: OnProgress, *, accept_differences: bool = False) -> Report:
        """Go back to the generation before: bring it level, compare, switch.

        Raises what `run` does, and RebuildRefused where that generation is gone, or was made by code with other tables:
        that code alone can bring it level.
        """
        async with self._alone():
            filling = await self._filling(await self._generation_before())
            cases = await self._bring_up(filling, on_progress)
            return await self._switch(filling, cases, accept_differences=accept_differences)

    async def part(self, part: Part, generation: int, last: int, on_progress: OnProgress) -> None:
        """Do the share of another process' rebuild.  Raises as `run` does."""
        async with self._pool.acquire() as connection:
            await connection.execute(PART_AT_WORK, self._model.lock_key ^ 2)
            filling = await self._filling(generation)
            await filling.read(1, last, on_progress, part)

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        service = self._model.service
        async with self._pool.acquire() as connection:
            await connection.execute(GENERATIONS_SCHEMA.format(service=service))
            try:
                await connection.execute(ONE_REBUILD_PATIENCE)  # until the pool resets the session
                await connection.execute(ONE_REBUILD, self._model.lock_key ^ 1)
                await connection.execute(NO_PART_AT_WORK, self._model.lock_key ^ 2)
            except asyncpg.LockNotAvailableError as error:
                raise RebuildRefused(f"another rebuild of {service} is running") from error
            if await connection.fetchval(ACTIVE_GENERATION.format(service=service)) is None:
                raise RebuildRefused(f"{service} has no read models yet: start it first")
            yield  # the lock goes with the connection's session, which the pool resets

    async def _filling(self, generation: int) -> Filling:
        async with asking(self._pool, self._model.service) as connection:
            may_park = PARKED_ANEW_MAX + int(await connection.fetchval(COUNT_PARKED))
        return Filling(
            *(self._model, self._pool, self._log, self._history),
            generation=generation,
            may_park=may_park,
        )

    async def _fill(self, filling: Filling, on_progress: OnProgress) -> int:
        position = 0
        for _ in range(CATCH_UP_ROUNDS_MAX):
            last = await self._log.last_position()
            if last - position <= (CATCH_UP_EVENTS_MAX if position else 0):
                break
            if self._together and last - position >= EVENTS_TOGETHER_MIN and not position:
                await self._fill_together(self._together, filling, last, on_progress)
            else:
                await filling.read(position + 1, last, on_progress)
            position = last
        return position

    @staticmethod
    async def _fill_together(
        together: Together, filling: Filling, last: int, on_progress: OnProgress
    ) -> None:
        async def own(part: Part, advance: OnProgress) -> None:
            await filling.read(1, last, advance, part)

        await together.read(filling.generation, last, own, on_progress)

    async def _generation_before(self) -> int:
        service = self._model.service
        found = await self._pool.fetchrow(GENERATION_BEFORE.format(service=service))
        if found is None:
            raise RebuildRefused(
                f"{service} has no generation before the one that answers: a rebuild makes it anew from the log"
            )
        if found["schema_digest"] != self._model.digest:
            raise RebuildRefused(
                f"generation {found['generation']} of {service} was made by other code, which alone can bring it"
                " level: go back with that version of Whistle"
            )
        return int(found["generation"])

    async def _bring_up(self, filling: Filling, on_progress: OnProgress) -> int:
        """Apply to the generation before what came since, while the other one answers; how many cases that were."""
        service, done = self._model.service, 0
        active = int(await self._pool.fetchval(ACTIVE_GENERATION.format(service=service)))
        names = Generations(active, filling.generation).schemas(self._model)
        await self._pool.execute(TAKE_UP.format(**names))
        for _ in range(CATCH_UP_ROUNDS_MAX):
            async with self._pool.acquire() as connection:
                behind = await cases_behind(connection, names)
            if len(behind) <= CATCH_UP_CASES_MAX:
                return done + len(behind)
            for start in range(0, len(behind), CASES_PER_STEP):
                part = behind[start : start + CASES_PER_STEP]
                await filling.bring_up(part)
                done += len(part)
                on_progress(Progress(start + len(part), len(behind)))
        return done

    async def _compared(self, filling: Filling, events: int) -> Report:
        async with self._pool.acquire() as connection, connection.transaction():
            report, _ = await self._compare(connection, filling, events)
        return report

    async def _compare(
        self, connection: Connection, filling: Filling, events: int
    ) -> tuple[Report, dict[str, str]]:
        """Level and beside each other, and nobody writes until the transaction ends; with the schemas' names."""
        await connection.execute(UNHURRIED)
        await connection.execute(LOCK_POINTER, self._model.lock_key)  # from here on nobody writes
        active = int(await connection.fetchval(ACTIVE_GENERATION.format(service=self._model.service)))
        pair = Generations(active, filling.generation)
        names = pair.schemas(self._model)
        await filling.level(connection, names)
        return await compare(connection, self._model, pair, events), names

    async def _switch(self, filling: Filling, events: int, *, accept_differences: bool) -> Report:
        service = self._model.service
        async with self._pool.acquire() as connection, connection.transaction():
            report, names = await self._compare(connection, filling, events)
            if accept_differences or not report.differs:
                await connection.execute(KEEP_PARKED_POSITIONS.format(**names))
                await connection.execute(KEEP_PARKED.format(**names))
                await connection.execute(SWITCH_OFF.format(service=service))
                await connection.execute(SWITCH_ON.format(service=service), filling.generation)
                report = replace(report, switched=True)
        log.info("rebuild_ended", service=service, generation=filling.generation, switched=report.switched)
        return report

    async def _drop(self, which: str, *arguments: object) -> None:
        service = self._model.service
        for record in await self._pool.fetch(which.format(service=service), *arguments):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    f"DROP SCHEMA IF EXISTS {self._model.schema_name(record['generation'])} CASCADE"
                )
                await connection.execute(DELETE_GENERATION.format(service=service), record["generation"])
