"""Looking after the vault: publish the master key, turn it, count, erase."""

import os
import secrets
import tempfile
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import asyncpg
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libs.events.errors import VaultInconsistent
from libs.events.readmodel import Connection, Pool
from libs.events.vault.index import Index
from libs.events.vault.master import ForPublished, MasterFile, keyed, master_keys, published

SCHEMA: Final = Path(__file__).with_name("schema.sql")
PREPARING: Final = 0x7661756C74  # "vault": two who prepare at once do it one after the other
BATCH_PERSONS: Final = 500
SECRET_BYTES: Final = 24

CURRENT: Final = "SELECT master_key_id FROM vault.master_keys WHERE is_current"
PUBLISH: Final = """
INSERT INTO vault.master_keys (master_key_id, public_key, is_current) VALUES ($1, $2, true)
ON CONFLICT (master_key_id) DO UPDATE SET is_current = true
"""
RETIRE: Final = "UPDATE vault.master_keys SET is_current = false WHERE is_current AND master_key_id <> $1"
RETIRED: Final = "SELECT master_key_id FROM vault.master_keys WHERE NOT is_current ORDER BY master_key_id"
WRAPPED_FOR: Final = """
SELECT person, wrapped_key FROM vault.persons WHERE master_key_id = $1 AND person > $2
ORDER BY person LIMIT $3 FOR UPDATE
"""
REWRAP: Final = """
UPDATE vault.persons SET wrapped_key = t.wrapped_key, master_key_id = $1
FROM unnest($2::text[], $3::text[]) AS t (person, wrapped_key) WHERE persons.person = t.person
"""
DROP_RETIRED: Final = "DELETE FROM vault.master_keys WHERE NOT is_current"
COUNTS: Final = """
SELECT count(*) FILTER (WHERE erased_at IS NULL) AS persons, count(*) FILTER (WHERE erased_at IS NOT NULL) AS erased,
    coalesce(sum(values_sealed), 0)::bigint AS values_sealed
FROM vault.persons
"""
COUNTS_BY_MASTER_KEY: Final = """
SELECT m.master_key_id, m.is_current, m.published_at, count(p.person) AS persons
FROM vault.master_keys AS m LEFT JOIN vault.persons AS p USING (master_key_id)
GROUP BY m.master_key_id ORDER BY m.published_at
"""
FIND: Final = "SELECT person FROM vault.addresses WHERE digest = $1 ORDER BY person"
ERASE: Final = "SELECT vault.erase($1)"
VALUES: Final = "SELECT values_sealed FROM vault.persons WHERE person = $1"
KNOWN_AFTER: Final = """
SELECT person, made_at, values_sealed FROM vault.persons
WHERE erased_at IS NULL AND person > $1 ORDER BY person LIMIT $2
"""
CARRIED_OUT: Final = "SELECT position, event_id FROM vault.carried_out"
NOTE_CARRIED_OUT: Final = """
INSERT INTO vault.carried_out (position, event_id) VALUES ($1, $2)
ON CONFLICT (one) DO UPDATE SET position = excluded.position, event_id = excluded.event_id
"""


Keeper: TypeAlias = "Pool | Connection"
"""The vault as its keeper, or the administrator, reaches it."""


class Rewrapped(NamedTuple):
    """How far a rotation is."""

    master_key_id: str
    persons: int
    """Whose key was wrapped anew so far."""


class CarriedOut(NamedTuple):
    """Up to which order of the stream `PERSONS` erasures were carried out in this vault."""

    position: int
    event_id: str


async def prepare(connection: Connection, master: str) -> None:
    """Make the tables, functions and rights, and publish *master* (the file's content) if no key is in force.

    Repeated it changes nothing.  Raises VaultInconsistent when another key is in force: then this is another vault's.
    """
    keys = [keyed(line) for line in master.split()]
    if not keys:
        raise VaultInconsistent("there is no master key")
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", PREPARING)
        await connection.execute(SCHEMA.read_text(encoding="utf-8"))
        current = await connection.fetchval(CURRENT)
        if current is None:
            await _publish(connection, keys[0][1])
        elif current not in dict(keys):
            raise VaultInconsistent(f"the vault's master key {current} is not among those that are given")


async def rotate(pool: Pool, file: Path) -> AsyncGenerator[Rewrapped]:
    """Put a new master key in force, wrap everybody's key for it, and drop the old one; the log is not touched.

    May be stopped at any moment and run again: a rotation that was begun is ended before another can begin.  Whoever
    opens goes on meanwhile, if they read this *file* or get it before the new key is in force (`begin`).
    """
    await begin(pool, file)
    master_key_id, private_key = master_keys(file)[0]
    async with pool.acquire() as connection, connection.transaction():
        await _publish(connection, private_key)
    done = 0
    yield Rewrapped(master_key_id, done)
    for retired in [record["master_key_id"] for record in await pool.fetch(RETIRED)]:
        last = ""
        while some := await _rewrap_some(pool, file, private_key, retired, last):
            done, last = done + len(some), some[-1]
            yield Rewrapped(master_key_id, done)
    await pool.execute(DROP_RETIRED)
    _write(file, _lines(file)[:1])


async def begin(pool: Pool, file: Path) -> None:
    """Put a new master key on top of the file, in force for nobody yet; nothing if a rotation is under way."""
    keys = [key_id for key_id, _ in master_keys(file)]
    current = await pool.fetchval(CURRENT)
    if current not in keys:
        raise VaultInconsistent(f"the vault's master key {current} is not in {file}")
    if len(keys) == 1:
        # A letter in front, as all secrets have.
        _write(file, ["w" + secrets.token_hex(SECRET_BYTES), *_lines(file)])


async def _publish(connection: Connection, private_key: X25519PrivateKey) -> None:
    master = published(private_key)
    await connection.execute(RETIRE, master.key_id)
    await connection.execute(PUBLISH, master.key_id, master.public_key)


async def _rewrap_some(
    pool: Pool, file: Path, private_key: X25519PrivateKey, retired: str, after: str
) -> list[str]:
    """Those whose keys were wrapped for *retired* and are wrapped anew now; none when there is nobody after *after*."""
    master, old, new = published(private_key), MasterFile(file), ForPublished()
    async with pool.acquire() as connection, connection.transaction():
        found = await connection.fetch(WRAPPED_FOR, retired, after, BATCH_PERSONS)
        persons = [each["person"] for each in found]
        if found:
            wrapped = [
                await new.wrap(await old.unwrap(each["wrapped_key"], each["person"]), each["person"], master)
                for each in found
            ]
            await connection.execute(REWRAP, master.key_id, persons, wrapped)
    return persons


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").split()


def _write(file: Path, lines: list[str]) -> None:
    """Whole and on the disk before anything is wrapped for what stands in it."""
    descriptor, unfinished = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as new:
        os.fchmod(new.fileno(), file.stat().st_mode & 0o777)
        new.write("\n".join(lines))
        new.flush()
        os.fsync(new.fileno())
    Path(unfinished).replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def counts(pool: Pool) -> tuple[asyncpg.Record, list[asyncpg.Record]]:
    """How many people there are, erased ones and values sealed; and how many for each master key."""
    totals = await pool.fetchrow(COUNTS)
    assert totals is not None, "a count is always one row"
    return totals, await pool.fetch(COUNTS_BY_MASTER_KEY)


async def persons_of(pool: Pool, index: Index, said: str) -> list[str]:
    """The pseudonyms of everybody who left this telephone number, identity number or mail address."""
    return [record["person"] for record in await pool.fetch(FIND, index.of(said))]


async def known_persons(pool: Pool) -> AsyncGenerator[tuple[str, datetime, int]]:
    """Everybody whose key is there, with when it was made and how many values were sealed for them."""
    last = ""
    while some := await pool.fetch(KNOWN_AFTER, last, BATCH_PERSONS):
        for each in some:
            yield each["person"], each["made_at"], each["values_sealed"]
        last = some[-1]["person"]


async def erase(vault: Keeper, person: str) -> bool:
    """Destroy a person's key: what was sealed for them opens nowhere any more.  Whether there was one to destroy."""
    return bool(await vault.fetchval(ERASE, person))


async def values_of(vault: Keeper, person: str) -> int:
    """How many values were sealed for a person, as the vault counted them; 0 of somebody whom it does not know."""
    return int(await vault.fetchval(VALUES, person) or 0)


async def carried_out(vault: Keeper) -> CarriedOut:
    """Which order was carried out last; position 0 when none was."""
    found = await vault.fetchrow(CARRIED_OUT)
    return CarriedOut(found["position"], found["event_id"]) if found else CarriedOut(0, "")


async def note_carried_out(vault: Keeper, done: CarriedOut) -> None:
    """Note that all orders up to this one were carried out."""
    await vault.execute(NOTE_CARRIED_OUT, done.position, done.event_id)
