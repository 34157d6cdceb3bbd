"""Follows one stream and seals it, for as long as the process lives."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Final, NamedTuple

import structlog

from libs.events.errors import BooksClosed, LogRefused, LogUnavailable, StoreUnavailable
from libs.events.jetstream.reader import Credentials, KeptEvent, read_kept
from libs.events.ledger.archive import ArchiveBroken
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.notes import Note, NoteInvalid
from libs.events.ledger.stretches import EVENTS_MAX, Sealed, StretchBroken
from services.ledger.board import Outrun
from services.ledger.refusing import Refusal
from services.ledger.standing import Standing
from services.ledger.tree import Office, Tree, open_tree

log = structlog.get_logger(__name__)

PENDING_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of payloads that wait to be sealed; then they are, whatever the rhythm says."""
LISTS_WAITING_MAX: Final = 16
"""Lists of events, of some 256 KiB at most, that were read and not looked at yet."""
LOOK_SECONDS: Final = 2.0
"""How often it is seen that the log is still the one that is sealed."""
AGAIN_FIRST_SECONDS: Final = 0.2
AGAIN_SECONDS_MAX: Final = 5.0

Arrived = asyncio.Queue[list[KeptEvent] | Exception]
WRONG: Final = (Refusal, ArchiveBroken, StretchBroken, NoteInvalid, LogRefused, BooksClosed)
"""What only a person can put right."""


class Rhythm(NamedTuple):
    """How often a checkpoint is made, if something is new."""

    seconds: float
    events: int


class Sealer:
    """Of one stream."""

    def __init__(
        self,
        office: Office,
        credentials: Credentials,
        standing: Standing,
        rhythm: Rhythm,
        told: Callable[[str, Note], None],
    ) -> None:
        """*told* hears of each new checkpoint, and first of the newest that there is."""
        self.standing = standing
        self.looked = asyncio.Event()
        """Set once it is known how the stream stands."""
        self.tree: Tree | None = None
        self._office = office
        self._credentials = credentials
        self._rhythm = rhythm
        self._told = told
        self._again_seconds = AGAIN_FIRST_SECONDS
        self._pending: list[Sealed] = []
        self._pending_bytes = 0
        self._sign_at = inf
        self._look_at = 0.0

    async def run(self) -> None:
        """Seal until cancelled, or until it must refuse."""
        while True:
            try:
                await self._go_on()
            except WRONG as error:
                self.standing.refuse(str(error))
                return
            except Outrun:
                log.info("ledger_outrun", stream=self.standing.stream)
            except (LogUnavailable, StoreUnavailable) as error:
                await self._wait(str(error) or type(error).__name__)
            finally:
                self.looked.set()

    async def _wait(self, reason: str) -> None:
        self.standing.trouble = reason
        log.warning(
            "ledger_again_later", stream=self.standing.stream, seconds=self._again_seconds, reason=reason
        )
        self.looked.set()
        await asyncio.sleep(self._again_seconds)
        self._again_seconds = min(AGAIN_SECONDS_MAX, self._again_seconds * 2)

    async def _go_on(self) -> None:
        stream, now = self.standing.stream, asyncio.get_running_loop().time
        tree = await open_tree(self._office, stream, self.standing)
        log.info("ledger_opened", stream=stream, sealed=tree.size, signed=tree.signed)
        self.tree, self._again_seconds = tree, AGAIN_FIRST_SECONDS
        self._pending, self._pending_bytes = [], 0
        self._sign_at, self._look_at = (now() if tree.size > tree.signed else inf), now() + LOOK_SECONDS
        self.looked.set()
        if newest := tree.newest():
            self._told(stream, newest)
        async with _reading(self._office, self._credentials, stream, tree.size + 1) as arrived:
            while True:
                events = await _next(arrived, min(self._sign_at, self._look_at))
                if events:
                    self._take(tree, events, now())
                await self._step(tree, now())

    def _take(self, tree: Tree, events: Sequence[KeptEvent], now: float) -> None:
        stream, expected = self.standing.stream, tree.size + len(self._pending) + 1
        for event in events:
            if event.sequence != expected:
                raise Refusal(f"event {expected} of {stream} is not in the log: {event.sequence} comes next")
            expected += 1
            self._pending.append(_sealed(stream, event))
            self._pending_bytes += len(event.payload)
        waiting = tree.size + len(self._pending) - tree.signed
        self._sign_at = now if waiting >= self._rhythm.events else min(
            self._sign_at, now + self._rhythm.seconds
        )  # fmt: skip

    async def _step(self, tree: Tree, now: float) -> None:
        room = EVENTS_MAX - tree.size % EVENTS_MAX
        signs, full = now >= self._sign_at, len(self._pending) >= room
        if self._pending and (signs or full or self._pending_bytes >= PENDING_BYTES_MAX):
            events, self._pending, self._pending_bytes = self._pending, [], 0
            await tree.seal(events)
        if signs:
            self._sign_at = inf
            note = await tree.sign()
            if note is None:
                self._sign_at = now + self._rhythm.seconds
            else:
                self._told(self.standing.stream, note)
        elif now >= self._look_at:
            await tree.look()
            self._look_at = asyncio.get_running_loop().time() + LOOK_SECONDS


def _sealed(stream: str, event: KeptEvent) -> Sealed:
    try:
        leaf = Leaf(stream, event.sequence, event.subject.decode(), event.event_id.decode(), event.payload)
    except UnicodeDecodeError as error:
        raise Refusal(f"event {event.sequence} of {stream} has a subject or id that is not UTF-8") from error
    return Sealed(leaf, event.stored_at_ns)


@asynccontextmanager
async def _reading(
    office: Office, credentials: Credentials, stream: str, start: int
) -> AsyncGenerator[Arrived]:
    """What the stream holds from *start* on, as it arrives."""
    arrived: Arrived = asyncio.Queue(LISTS_WAITING_MAX)

    async def read() -> None:
        try:
            async for events in read_kept(office.jetstream, credentials, stream=stream, start=start):
                await arrived.put(events)
        except Exception as error:  # whatever it is: nobody would miss events that do not come
            await arrived.put(error)

    task = asyncio.create_task(read(), name=f"read-{stream}")
    try:
        yield arrived
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _next(arrived: Arrived, until: float) -> list[KeptEvent]:
    """The next events; none when the time has come."""
    try:
        async with asyncio.timeout_at(until):
            found = await arrived.get()
    except TimeoutError:
        return []
    if isinstance(found, Exception):
        raise found
    return found
