"""Going through a stretch of the log again: what one subscription asks for, or everything when the table was lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson
import structlog

from libs.events.consume import PASSING
from libs.events.envelope import Entry, Origin
from libs.events.errors import CaseUnreadable
from libs.events.ids import new_event_id
from libs.events.jetstream import JetStream
from libs.events.jetstream.reader import Credentials, RawEvent, read
from libs.events.log import Log, typed
from libs.events.readmodel import Pool
from services.notify.deciding.schedule import DEAD_AFTER_DAYS
from services.notify.delivery.table import Planned, Table

log = structlog.get_logger(__name__)

NOTICES_MAX: Final = 100_000
"""Planned by one replay; then it is cut off, and says where it stopped."""
LOOK_SECONDS: Final = 1.0
SHOWN_MAX: Final = 20

ASK: Final = """
INSERT INTO notify.replays (replay_id, receiver, since, until, replay, last_position) VALUES ($1, $2, $3, $4, $5, $6)
"""
TAKE: Final = """
UPDATE notify.replays SET leased_until = now() + $1 WHERE replay_id = (
    SELECT replay_id FROM notify.replays WHERE state = 'running' AND leased_until <= now()
    ORDER BY asked_at LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING replay_id, receiver, since, until, replay, position, last_position, planned
"""
ADVANCE: Final = """
UPDATE notify.replays SET position = $2, planned = $3, state = $4, leased_until = now() + $5 WHERE replay_id = $1
"""
SHOW: Final = """
SELECT replay_id, since, until, state, planned, asked_at FROM notify.replays
WHERE receiver = $1 ORDER BY asked_at DESC LIMIT $2
"""


class Replay(NamedTuple):
    """A stretch of the log that is being gone through."""

    replay_id: str
    receiver: str | None
    """The subscription that asked; None: everybody, since the table was lost."""
    since: datetime
    until: datetime
    replay: int
    position: int
    last_position: int
    planned: int


class Reading(NamedTuple):
    """What the whole log is read with."""

    log: Log
    jetstream: JetStream
    credentials: Credentials


Plan = Callable[[Entry, Replay], Awaitable[Sequence[Planned]]]
"""The notices of a fact, for whom the replay is."""


class Replays:
    """The replays of all replicas; each is gone through by one of them at a time."""

    def __init__(
        self,
        pool: Pool,
        table: Table,
        reading: Reading,
        plan: Plan,
        lease: timedelta,
    ) -> None:
        self._pool = pool
        self._table = table
        self._reading = reading
        self._plan = plan
        self._lease = lease
        self._wake = asyncio.Event()

    async def ask(self, receiver: str | None, since: datetime, until: datetime, now: datetime) -> str:
        """Have the facts that happened from *since* on and before *until* told again; the replay's id."""
        replay_id, last = new_event_id(), await self._reading.log.last_position()
        await self._pool.execute(ASK, replay_id, receiver, since, until, milliseconds(now), last)
        self._wake.set()
        return replay_id

    async def ask_for_all(self, now: datetime) -> None:
        """Plan anew what may still be due, for everybody."""
        log.warning("notices_planned_anew", days=DEAD_AFTER_DAYS)
        await self.ask(None, now - timedelta(days=DEAD_AFTER_DAYS), now, now)

    async def shown(self, receiver: str) -> list[dict[str, Any]]:
        """The newest replays of a subscription."""
        return [dict(row) for row in await self._pool.fetch(SHOW, receiver, SHOWN_MAX)]

    async def run(self) -> None:
        """Go through what was asked for, until cancelled."""
        while True:
            self._wake.clear()
            try:
                if await self._one():
                    continue
            except PASSING as error:
                log.warning("replay_again_later", reason=str(error) or type(error).__name__)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _one(self) -> bool:
        row = await self._pool.fetchrow(TAKE, self._lease)
        if row is None:
            return False
        replay = Replay(str(row["replay_id"]), *list(row.values())[1:])
        planned, position, state = replay.planned, replay.position, "running"
        async for raws in self._parts(replay):
            for raw in raws:
                if planned >= NOTICES_MAX:
                    state = "cut"
                    break
                planned += await self._again(raw, replay)
                position = raw.sequence
            await self._pool.execute(ADVANCE, replay.replay_id, position, planned, state, self._lease)
            if state == "cut":
                break
        end = "done" if state == "running" else state
        await self._pool.execute(ADVANCE, replay.replay_id, position, planned, end, self._lease)
        log.info("replay_ended", replay=replay.replay_id, notices=planned, state=end)
        return True

    async def _parts(self, replay: Replay) -> AsyncIterator[list[RawEvent]]:
        if replay.position >= replay.last_position:
            return
        # What is behind closed books is too old to be told again.
        start, stop = replay.position + 1, replay.last_position
        start = max(start, await self._reading.log.first_position())
        if start > stop:
            return
        async with aclosing(
            read(self._reading.jetstream, self._reading.credentials, start=start, stop=stop)
        ) as reading:
            async for raws in reading:
                yield raws

    async def _again(self, raw: RawEvent, replay: Replay) -> int:
        """How many notices the fact calls for; none when it, or another one of its case, cannot be read."""
        try:
            planned = await self._plan(typed(raw), replay) if _is_asked_for(raw, replay) else ()
        except CaseUnreadable as error:  # its case is parked, which is loud enough
            log.warning("replay_passed_over", sequence=raw.sequence, unreadable=error.sequence)
            return 0
        await self._table.plan(planned, again=replay.receiver is not None)
        return len(planned)


def _is_asked_for(raw: RawEvent, replay: Replay) -> bool:
    """By a glance, which spares decoding imported history; whatever a glance cannot tell is decoded."""
    try:
        document = orjson.loads(raw.payload)
        happened_at = datetime.fromisoformat(document["time"])
        return document["origin"] == Origin.LIVE and replay.since <= happened_at < replay.until
    except (ValueError, LookupError, TypeError):
        return True


def milliseconds(moment: datetime) -> int:
    """Of a moment since 1970: replays of one notice are told apart, and ordered, by it."""
    return round(moment.timestamp() * 1000)
