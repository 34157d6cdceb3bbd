"""The vault in a file, and back: keys as they are wrapped, digests as they are keyed.  It says of nobody who they are.

The file is JSON Lines: a head, a line for each row, and an end with the SHA-256 of all before it, so that a file that
was cut short or changed by accident is found.  It opens nothing without the master key.  Both ways need room in memory
for one row, not for all.
"""

import hashlib
import json
import os
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from libs.events.errors import VaultBackupInvalid
from libs.events.readmodel import Connection

FORMAT: Final = "whistle.vault.backup.v1"
ROWS_AT_ONCE: Final = 1_000
LINE_BYTES_MAX: Final = 16 * 1_024
TABLES: Final = ("master_keys", "persons", "addresses", "carried_out")
"""In an order in which each row finds those that it refers to."""
COLUMNS: Final = {
    "master_keys": ("master_key_id", "public_key", "is_current", "published_at"),
    "persons": (
        *("person", "contact_digest", "public_key", "wrapped_key", "master_key_id"),
        *("values_sealed", "made_at", "erased_at"),
    ),
    "addresses": ("digest", "person"),
    "carried_out": ("position", "event_id"),
}
BYTES: Final = frozenset({"public_key", "contact_digest", "digest"})
MOMENTS: Final = frozenset({"published_at", "made_at", "erased_at"})
LOCK: Final = "LOCK TABLE vault.persons, vault.addresses, vault.master_keys, vault.carried_out"
ANYBODY: Final = "SELECT EXISTS (SELECT FROM vault.persons)"
ERASE_ALL: Final = "SELECT vault.erase(person) FROM unnest($1::text[]) AS t (person)"


class Head(NamedTuple):
    """What a file holds."""

    made_at: datetime
    master_key_ids: tuple[str, ...]
    """One of them must be at hand, or nobody's key can be unwrapped."""
    persons: int


class VaultNotEmpty(VaultBackupInvalid):
    """There are people in the vault already."""


async def write(connection: Connection, path: Path) -> int:
    """Write the vault as it is at one moment to a new file that its owner alone may read; how many people are in it.

    Raises FileExistsError; nothing is left of a file that was not finished.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            digest = hashlib.sha256()
            persons = 0
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                async for line in _lines(connection):
                    digest.update(line)
                    file.write(line)
                persons = await connection.fetchval("SELECT count(*) FROM vault.persons")
            file.write(_line({"end": digest.hexdigest()}))
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)  # never over a file that came meanwhile
    finally:
        unfinished.unlink(missing_ok=True)
    return int(persons)


def examine(path: Path) -> Head:
    """What the file holds, gone through to its end.  Raises VaultBackupInvalid with what is wrong, OSError."""
    digest, head, counted, ended = hashlib.sha256(), None, 0, False
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES_MAX):
            if ended:
                raise VaultBackupInvalid("something stands behind its end")
            said = _read(line)
            if head is None:
                head = _head(said)
            elif "end" in said:
                ended = said["end"] == digest.hexdigest()
                if not ended:
                    raise VaultBackupInvalid("it was changed: its digest does not fit")
            else:
                _row(said)
                counted += said["table"] == "persons"
            digest.update(line)
    if head is None or not ended:
        raise VaultBackupInvalid("it was cut short: its end is missing")
    if counted != head.persons:
        raise VaultBackupInvalid(f"it says {head.persons} people and has {counted}")
    return head


async def restore(connection: Connection, path: Path, erased: Sequence[str], *, replace: bool) -> None:
    """Put what the file holds in the vault's place, without those who were *erased*, all at once or not at all.

    So nobody finds, opens or seals for anybody who was erased, not for a moment.  The file was `examine`d before.
    Raises VaultNotEmpty unless it may *replace*, VaultBackupInvalid.
    """
    async with connection.transaction():
        await connection.execute(LOCK)
        if await connection.fetchval(ANYBODY) and not replace:
            raise VaultNotEmpty("there are people in this vault already")
        for table in reversed(TABLES):
            await connection.execute(f"DELETE FROM vault.{table}")
        for table in TABLES:
            await _fill(connection, path, table)
        await connection.execute(ERASE_ALL, list(erased))


async def _fill(connection: Connection, path: Path, table: str) -> None:
    batch: list[tuple[Any, ...]] = []
    for row in _rows(path, table):
        batch.append(row)
        if len(batch) == ROWS_AT_ONCE:
            await _copy(connection, table, batch)
            batch = []
    await _copy(connection, table, batch)


async def _copy(connection: Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    await connection.copy_records_to_table(
        table, schema_name="vault", columns=list(COLUMNS[table]), records=rows
    )


def _rows(path: Path, table: str) -> Iterator[tuple[Any, ...]]:
    with path.open("rb") as file:
        for line in file:
            said = _read(line)
            if said.get("table") == table:
                yield _row(said)


async def _lines(connection: Connection) -> AsyncGenerator[bytes]:
    keys = await connection.fetch("SELECT master_key_id FROM vault.master_keys ORDER BY is_current DESC")
    persons = await connection.fetchval("SELECT count(*) FROM vault.persons")
    yield _line(
        {
            "format": FORMAT,
            "made_at": datetime.now(UTC).isoformat(),
            "master_keys": [each["master_key_id"] for each in keys],
            "persons": persons,
        }
    )
    for table in TABLES:
        columns = ", ".join(COLUMNS[table])
        async for record in connection.cursor(f"SELECT {columns} FROM vault.{table}"):
            yield _line({"table": table, **{name: _written(record[name]) for name in COLUMNS[table]}})


def _line(said: dict[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _written(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value


def _read(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError as error:
        raise VaultBackupInvalid("it was cut short, or is no backup of a vault") from error
    if not isinstance(said, dict):
        raise VaultBackupInvalid("it is no backup of a vault")
    return said


def _head(said: dict[str, Any]) -> Head:
    if said.get("format") != FORMAT:
        raise VaultBackupInvalid(f"it is no {FORMAT}")
    try:
        made_at = datetime.fromisoformat(said["made_at"])
        return Head(made_at, tuple(map(str, said["master_keys"])), int(said["persons"]))
    except (KeyError, TypeError, ValueError) as error:
        raise VaultBackupInvalid("its head is not whole") from error


def _row(said: dict[str, Any]) -> tuple[Any, ...]:
    try:
        return tuple(_value(name, said[name]) for name in COLUMNS[said["table"]])
    except (KeyError, TypeError, ValueError) as error:
        raise VaultBackupInvalid("a row in it is not whole") from error


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in BYTES:
        return b64decode(value, validate=True)
    return datetime.fromisoformat(value) if name in MOMENTS else value
