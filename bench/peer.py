"""The other side: the Python package `eventsourcing` with its own PostgreSQL module, tuned as well as we know.

It is blocking, so its calls run in threads here, which is its own way to do several things at once.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from itertools import islice
from threading import Event
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg
from eventsourcing.application import Application
from eventsourcing.persistence import JSONTranscoder, Notification, Transcoding

from bench.arena import Arena
from bench.cases import imported, reported
from bench.peer_events import PeerEvent, PeerPlace, PeerReference, peer_event
from cli.importing.rows import Row

T = TypeVar("T")

DATABASE: Final = "peer"
CONNECTIONS_MAX: Final = 16
NOTIFICATIONS_PER_PAGE: Final = 1_000  # larger pages are not faster
FUNCTIONS_SCHEMA: Final = "functions"


class _PlaceAsDict(Transcoding):
    type = PeerPlace
    name = "place"

    def encode(self, obj: PeerPlace) -> dict[str, Any]:
        return vars(obj)

    def decode(self, data: dict[str, Any]) -> PeerPlace:
        return PeerPlace(**data)


class _ReferenceAsDict(Transcoding):
    type = PeerReference
    name = "reference"

    def encode(self, obj: PeerReference) -> dict[str, Any]:
        return vars(obj)

    def decode(self, data: dict[str, Any]) -> PeerReference:
        return PeerReference(**data)


class _Cases(Application[str]):
    def register_transcodings(self, transcoder: JSONTranscoder) -> None:
        super().register_transcodings(transcoder)
        transcoder.register(_PlaceAsDict())
        transcoder.register(_ReferenceAsDict())


class _Replayed(_Cases):
    """The log that is replayed."""


class _Saved(_Cases):
    """Where saves are measured, so that the log that is replayed stays as it is."""


class _SavedByFunction(_Cases):
    """The same with its option to insert by a function of the database."""


class Stopped(Exception):
    """The run is over before its end."""


class Peer:
    """Does with `eventsourcing` what the measurements do with Whistle; times are in seconds.  Made by `peer`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._replayed = _Replayed(environment)
        self._saved = _Saved(environment)
        # A schema of its own: the function has the same name for all applications of a schema.
        functions = {"POSTGRES_ENABLE_DB_FUNCTIONS": "yes", "POSTGRES_SCHEMA": FUNCTIONS_SCHEMA}
        self._saved_by_function = _SavedByFunction(environment | functions)
        self._stopping = Event()

    async def fill(self, rows: Iterable[Row], cases_per_save: int) -> None:
        """Save all events of *rows* where `replay` finds them."""
        await self._in_thread(lambda: self._save_cases(self._replayed, rows, cases_per_save))

    async def save_singles(self, rows: list[Row], threads: int, *, by_function: bool) -> float:
        """Save one event for each of *rows*, each in a transaction of its own, by so many threads."""
        application = self._saved_by_function if by_function else self._saved
        return await self._in_thread(lambda: self._save_singles(application, rows, threads))

    async def save_batches(self, rows: list[Row], events_per_save: int, *, by_function: bool) -> float:
        """Save one event for each of *rows*, so many in one transaction, one after another."""
        application = self._saved_by_function if by_function else self._saved
        return await self._in_thread(lambda: self._save_batches(application, rows, events_per_save))

    async def replay(self, events: int, *, decode: bool) -> float:
        """Read the whole notification log; *decode* turns each of its stored events into a domain event."""
        return await self._in_thread(lambda: self._replay(events, decode=decode))

    def close(self) -> None:
        """Give its connections back."""
        self._replayed.close()
        self._saved.close()
        self._saved_by_function.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        working = asyncio.create_task(asyncio.to_thread(work))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            # A thread cannot be cancelled: it looks at the flag between two saves or pages.
            self._stopping.set()
            await asyncio.gather(working, return_exceptions=True)
            raise

    def _until_stopped(self, pieces: Iterable[T]) -> Iterator[T]:
        for piece in pieces:
            if self._stopping.is_set():
                raise Stopped
            yield piece

    def _save_cases(self, application: _Cases, rows: Iterable[Row], cases_per_save: int) -> None:
        waiting = iter(rows)
        while part := list(islice(self._until_stopped(waiting), cases_per_save)):
            now = datetime.now(UTC)
            application.save(
                *(
                    peer_event(row.case_id, version, fact, now)
                    for row in part
                    for version, fact in enumerate(imported(row), 1)
                )
            )

    def _save_singles(self, application: _Cases, rows: list[Row], threads: int) -> float:
        waiting = iter(rows)  # a list's iterator may be shared by threads

        def save() -> None:
            for row in self._until_stopped(waiting):
                application.save(_reported(row))

        with ThreadPoolExecutor(threads) as pool:
            started = time.perf_counter()
            saving = [pool.submit(save) for _ in range(threads)]
            wait(saving)
            seconds = time.perf_counter() - started
        for each in saving:
            each.result()
        return seconds

    def _save_batches(self, application: _Cases, rows: list[Row], events_per_save: int) -> float:
        started = time.perf_counter()
        for first in self._until_stopped(range(0, len(rows), events_per_save)):
            application.save(*map(_reported, rows[first : first + events_per_save]))
        return time.perf_counter() - started

    def _replay(self, events: int, *, decode: bool) -> float:
        decoded: Callable[[Notification], object] = self._replayed.mapper.to_domain_event
        position = found = 0
        started = time.perf_counter()
        while page := self._page(position):
            if decode:
                for notification in page:
                    decoded(notification)
            found += len(page)
            position = page[-1].id
        assert found == events, "the log was filled before"
        return time.perf_counter() - started

    def _page(self, position: int) -> list[Notification]:
        if self._stopping.is_set():
            raise Stopped
        return list(
            self._replayed.recorder.select_notifications(
                position, NOTIFICATIONS_PER_PAGE, inclusive_of_start=False
            )
        )


@asynccontextmanager
async def peer(arena: Arena) -> AsyncGenerator[Peer]:
    """The peer on the arena's PostgreSQL, in a database of its own."""
    connection = await asyncpg.connect(arena.postgres_dsn())
    try:
        await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
    connection = await asyncpg.connect(arena.postgres_dsn(DATABASE))
    try:
        await connection.execute(f"CREATE SCHEMA {FUNCTIONS_SCHEMA}")
    finally:
        await connection.close()
    with _closing(await asyncio.to_thread(Peer, _environment(arena.postgres_dsn(DATABASE)))) as made:
        yield made


@contextmanager
def _closing(made: Peer) -> Generator[Peer]:
    try:
        yield made
    finally:
        made.close()


def _environment(dsn: str) -> dict[str, str]:
    parts = urlsplit(dsn)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "ORIGINATOR_ID_TYPE": "text",
        "POSTGRES_DBNAME": DATABASE,
        "POSTGRES_HOST": str(parts.hostname),
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": str(parts.username),
        "POSTGRES_PASSWORD": unquote(str(parts.password)),
        "POSTGRES_POOL_SIZE": str(CONNECTIONS_MAX),
        "POSTGRES_MAX_OVERFLOW": "0",
    }


def _reported(row: Row) -> PeerEvent:
    [fact] = reported(row)
    return peer_event(row.case_id, 1, fact, datetime.now(UTC))
