"""Where read models live: a numbered generation of tables for each service, and a pointer to the one that answers.

A generation has its own schema (`evaluation_g3`); `evaluation.generations` says which one is active. Whoever writes
holds a shared lock on the pointer, so that a switch sees no write under way; whoever asks reads the pointer and
sets the search path in its own transaction, so that every statement of one question speaks to one generation.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg
import structlog

from libs.events.envelope import Entry, Origin
from libs.events.errors import SchemaMismatch

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

log = structlog.get_logger(__name__)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Apply = Callable[[Connection, Sequence[Entry]], Awaitable[None]]
"""Moves the read models by events that come in order for each case and were not applied before."""

POOL_CONNECTIONS_MAX: Final = 8
STATEMENT_TIMEOUT_SECONDS: Final = 60

POSITIONS_SCHEMA: Final = """
CREATE TABLE positions (
    case_id text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL CHECK (version >= 0),
    parked boolean NOT NULL DEFAULT false
);
CREATE TABLE parked (
    case_id text COLLATE "C" PRIMARY KEY REFERENCES positions,
    version integer NOT NULL,
    reason text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now()
);
"""

GENERATIONS_SCHEMA: Final = """
CREATE SCHEMA IF NOT EXISTS {service};
CREATE TABLE IF NOT EXISTS {service}.generations (
    generation integer PRIMARY KEY,
    schema_digest text NOT NULL,
    active boolean NOT NULL DEFAULT false,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX IF NOT EXISTS one_active ON {service}.generations (active) WHERE active;
CREATE TABLE IF NOT EXISTS {service}.dismissed (
    case_id text COLLATE "C",
    version integer,
    dismissed_by text NOT NULL,
    principal text,
    reason text NOT NULL,
    dismissed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (case_id, version)
);
"""

USE_ACTIVE: Final = """
SELECT set_config('search_path', '{service}_g' || generation, true), schema_digest
FROM {service}.generations WHERE active
"""
USE: Final = "SELECT set_config('search_path', $1, true)"
SHARE_POINTER: Final = "SELECT pg_advisory_xact_lock_shared($1)"
LOCK_POINTER: Final = "SELECT pg_advisory_xact_lock($1)"
ACTIVE: Final = "SELECT generation, schema_digest FROM {service}.generations WHERE active"
INSERT_GENERATION: Final = """
INSERT INTO {service}.generations (generation, schema_digest, active)
SELECT coalesce(max(generation), 0) + 1, $1, $2 FROM {service}.generations RETURNING generation
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a read model that is compared and digested; it has a column `case_id`."""

    name: str
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadModel:
    """What one service keeps to answer questions; it can be dropped and built again from the log at any time."""

    service: str
    schema: str
    """SQL that makes the tables, their names unqualified."""
    tables: tuple[Table, ...]
    apply: Apply
    origins: frozenset[Origin] = frozenset(Origin)
    """Events of other origins are passed over, unless the case also has one of these."""

    @property
    def digest(self) -> str:
        """Tells schemas apart: read models of another digest are built anew, never migrated."""
        return sha256((POSITIONS_SCHEMA + self.schema).encode()).hexdigest()[:16]

    @property
    def lock_key(self) -> int:
        """The advisory lock of this service's pointer."""
        return int.from_bytes(
            blake2b(f"whistle/{self.service}".encode(), digest_size=8).digest(), signed=True
        )

    def schema_name(self, generation: int) -> str:
        """The PostgreSQL schema of a generation."""
        return f"{self.service}_g{generation}"


@asynccontextmanager
async def pool_of(dsn: str, *, connections_max: int = POOL_CONNECTIONS_MAX) -> AsyncGenerator[Pool]:
    """Connections to PostgreSQL whose sessions speak UTC, opened when they are needed."""
    settings = {"timezone": "UTC", "statement_timeout": str(STATEMENT_TIMEOUT_SECONDS * 1000)}
    async with asyncpg.create_pool(
        dsn, min_size=0, max_size=connections_max, server_settings=settings
    ) as pool:
        yield pool


async def prepare(pool: Pool, model: ReadModel) -> None:
    """Make the first generation if there is none.  Raises SchemaMismatch when the active one is of other code."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(LOCK_POINTER, model.lock_key)
        await connection.execute(GENERATIONS_SCHEMA.format(service=model.service))
        if await connection.fetchrow(ACTIVE.format(service=model.service)) is None:
            generation = await new_generation(connection, model, active=True)
            log.info("generation_made", service=model.service, generation=generation)
    await check(pool, model)


async def check(pool: Pool, model: ReadModel) -> None:
    """Raises SchemaMismatch when the active generation is missing or was made by other code."""
    try:
        found = await pool.fetchrow(ACTIVE.format(service=model.service))
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise SchemaMismatch(f"{model.service} has no read models yet") from error
    _must_be_ours(found, model)


def _must_be_ours(active: asyncpg.Record | None, model: ReadModel) -> None:
    if active is None or active["schema_digest"] != model.digest:
        raise SchemaMismatch(
            f"the read models of {model.service} were made by other code: run `whistle rebuild {model.service}`"
        )


async def new_generation(connection: Connection, model: ReadModel, *, active: bool = False) -> int:
    """Make the empty tables of another generation; its number."""
    generation = int(
        await connection.fetchval(INSERT_GENERATION.format(service=model.service), model.digest, active)
    )
    name = model.schema_name(generation)
    await connection.execute(f"CREATE SCHEMA {name}")
    await connection.execute(USE, name)
    await connection.execute(POSITIONS_SCHEMA + model.schema)
    return generation


@asynccontextmanager
async def writing(pool: Pool, model: ReadModel, generation: int | None = None) -> AsyncGenerator[Connection]:
    """A transaction on the active generation (or the one named), during which no switch happens.

    Raises SchemaMismatch when the active one is not of this code any more: a rebuild by newer code has switched.
    """
    async with pool.acquire() as connection, connection.transaction():
        if generation is None:
            await connection.execute(SHARE_POINTER, model.lock_key)
            _must_be_ours(await connection.fetchrow(USE_ACTIVE.format(service=model.service)), model)
        else:
            await connection.execute(USE, model.schema_name(generation))
        yield connection


@asynccontextmanager
async def asking(pool: Pool, service: str) -> AsyncGenerator[Connection]:
    """A read-only transaction in which every statement sees one moment of the active generation."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(USE_ACTIVE.format(service=service))
        yield connection
