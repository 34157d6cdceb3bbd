"""Questions about the past, answered out of the log by the very code that keeps the read models.

A read model knows what is; what was it knows only where it keeps times (docs/decisions/0040). For everything else the
log is folded anew up to the cut, into temporary tables of one transaction, and the ordinary statements are asked there.
So there is one meaning of a question, whenever it is asked about, and nothing stays behind.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from libs.events.asof import Cut, cut_at, origin_of, recorded_at
from libs.events.consume import PASSING
from libs.events.envelope import Entry
from libs.events.errors import CaseUnreadable, PastTooLong
from libs.events.history import WholeLog
from libs.events.jetstream.reader import RawEvent
from libs.events.log import History, Log, typed
from libs.events.readmodel import Connection, Pool, ReadModel, asking

log = structlog.get_logger(__name__)

PAST_EVENTS_MAX: Final = 500_000
"""So many events are taken into account for one question; one case's own are not counted."""
PAST_WAIT_SECONDS_MAX: Final = 30.0
"""One question about the past is worked on at a time in a process; so long another one waits for its turn."""
PAST_SECONDS_MAX: Final = 50.0
"""So long one such question is worked on."""
EVENTS_PER_STEP: Final = 5_000
EVENTS_PER_BREATH: Final = 2_000
CASES_PER_BREATH: Final = 50
"""So many are looked at, or decoded, before the process sees to its other work."""

USE_TEMPORARY: Final = "SELECT set_config('search_path', 'pg_temp', true)"
DISMISSED: Final = "SELECT case_id, version FROM {service}.dismissed"


class Seen(NamedTuple):
    """The read models as they were, and what the clock showed then."""

    connection: Connection
    now: datetime


class Pasts:
    """Answers for one service out of the log."""

    def __init__(
        self,
        model: ReadModel,
        pool: Callable[[], Pool],
        cases: Log,
        history: WholeLog,
        now: Callable[[], datetime],
    ) -> None:
        self._model = model
        self._pool = pool
        self._log = cases
        self._history = history
        self._now = now
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def asking(
        self,
        as_of: datetime | int | None,
        *,
        forgetting: frozenset[str] = frozenset(),
        case_id: str | None = None,
    ) -> AsyncGenerator[Seen]:
        """The read models as of a moment or position, to be asked like those of now; those of now for None.

        *forgetting* names facts that make whatever a case was before them of no matter for the question: then only the
        cases that still matter are folded. With *case_id* only that case is.
        Raises NotYet, PastTooLong, LogUnavailable, and TimeoutError when others' questions take too long.
        """
        if as_of is None:
            async with asking(self._pool(), self._model.service) as connection:
                yield Seen(connection, self._now())
            return
        async with asyncio.timeout(PAST_WAIT_SECONDS_MAX):
            await self._turn.acquire()
        try:
            async with self._pool().acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    async with asyncio.timeout(PAST_SECONDS_MAX):
                        now = await self._fold(connection, as_of, forgetting, case_id)
                    yield Seen(connection, now)
                finally:
                    await transaction.rollback()  # and the tables are gone
        finally:
            self._turn.release()

    async def cut(self, as_of: datetime | int) -> Cut:
        """Where *as_of* cuts the log.  Raises NotYet, PastTooLong, LogUnavailable."""
        first, last = await self._log.bounds()
        cut = cut_at(as_of, last, self._now())
        if first > 1 and self._history.sealed is None:
            raise PastTooLong(
                f"The log begins at position {first}: what was before is not in it.",
                f"日志自位置 {first} 开始，此前的记录不在其中。",
            )
        return cut

    async def moment_of(self, position: int) -> datetime:
        """What the clock showed when the event at *position* was written.  Raises NotYet, LogUnavailable."""
        cut = await self.cut(position)
        position = cut.position
        async with aclosing(self._history.replayed(start=position, stop=position)) as reading:
            async for events in reading:
                return recorded_at(events[-1])
        return self._now()

    async def history(self, case_id: str, as_of: datetime | int | None) -> History:
        """One case as it was.  Raises NotYet, PastTooLong, LogUnavailable, CaseUnreadable."""
        return await history_as_of(self._log, case_id, as_of, self._now())

    async def _fold(
        self, connection: Connection, as_of: datetime | int, forgetting: frozenset[str], case_id: str | None
    ) -> datetime:
        """Make and fill the tables; what the clock showed then."""
        cut = await self.cut(as_of)
        dismissed = await connection.fetch(DISMISSED.format(service=self._model.service))
        await connection.execute(USE_TEMPORARY)
        await connection.execute(self._model.schema)
        folding = _Folding(
            self._model, connection, self._log, cut, {(each[0], each[1]) for each in dismissed}
        )
        if case_id is not None:
            await folding.one(await self._log.load(case_id, up_to=cut.position or None))
            return cut.moment or await self.moment_of(cut.position)
        now = cut.moment or self._now()
        async with aclosing(self._history.replayed(stop=cut.position)) as reading:
            async for events in reading:
                await folding.take(events, forgetting)
                if cut.moment is None:
                    now = recorded_at(events[-1])
        await folding.end()
        return now


async def history_as_of(log: Log, case_id: str, as_of: datetime | int | None, now: datetime) -> History:
    """One case as it was; empty where it was not yet.  Raises NotYet, LogUnavailable, CaseUnreadable."""
    if as_of is None:
        return await log.load(case_id)
    cut = cut_at(as_of, await log.last_position(), now)
    if cut.position == 0:
        return History(case_id)
    history = await log.load(case_id, up_to=cut.position)
    return history if cut.moment is None else history.as_of(cut.moment)


class _Folding:
    """Moves the temporary tables by the events before the cut, as the service would have."""

    def __init__(
        self, model: ReadModel, connection: Connection, cases: Log, cut: Cut, dismissed: set[tuple[str, int]]
    ) -> None:
        self._model = model
        self._connection = connection
        self._log = cases
        self._cut = cut
        self._dismissed = dismissed
        self._origins = frozenset(origin.value for origin in model.origins)
        self._begun: set[str] = set()
        """The cases of which the first event was seen and wanted, or that were loaded whole."""
        self._whole: set[str] = set()
        """The cases that were loaded whole: what comes of them later is in it already."""
        self._parked: set[str] = set()
        self._kept: dict[str, list[RawEvent]] = {}
        self._size = 0
        self._events = 0

    async def take(self, events: Iterable[RawEvent], forgetting: frozenset[str]) -> None:
        """Take events of the log in order; what may be forgotten waits until the end, or is forgotten."""
        for number, raw in enumerate(events, 1):
            if number % EVENTS_PER_BREATH == 0:
                await asyncio.sleep(0)
            _, case_id, name, version, *_ = raw.subject.decode().split(".")
            if not self._wanted(raw) or (case_id, int(version)) in self._dismissed:
                continue
            if version == "1":
                self._begun.add(case_id)
            elif case_id not in self._begun:
                await self._load(case_id, forgetting)
            if case_id in self._whole:
                continue
            self._keep(case_id, name, raw, forgetting)
            if not forgetting and self._size >= EVENTS_PER_STEP:
                await self._flush()

    async def one(self, history: History) -> None:
        """Take one case alone."""
        entries = [each for each in history.entries if self._fits(each)]
        if any(each.envelope.origin in self._model.origins for each in entries):
            await self._apply(entries)

    async def end(self) -> None:
        """Apply what waits."""
        await self._flush()

    def _wanted(self, raw: RawEvent) -> bool:
        try:
            return self._cut.holds(raw) and origin_of(raw) in self._origins
        except ValueError:
            return True  # whoever decodes it will say what is wrong

    def _keep(self, case_id: str, name: str, raw: RawEvent, forgetting: frozenset[str]) -> None:
        if name in forgetting:
            self._size -= len(self._kept.pop(case_id, ()))
            return
        self._kept.setdefault(case_id, []).append(raw)
        self._size += 1
        self._count(1 if not forgetting else 0)
        if self._size > PAST_EVENTS_MAX:
            raise _too_long()

    def _count(self, events: int) -> None:
        self._events += events
        if self._events > PAST_EVENTS_MAX:
            raise _too_long()

    async def _load(self, case_id: str, forgetting: frozenset[str]) -> None:
        """A case whose beginning is of another origin, such as an imported one that was adopted: all of it counts."""
        self._begun.add(case_id)
        self._whole.add(case_id)
        history = await self._log.load(case_id, up_to=self._cut.position)
        entries: list[Entry] = []
        for entry in history.entries:
            if entry.name in forgetting:
                entries = []
            elif self._fits(entry):
                entries.append(entry)
        await self._apply(entries)

    def _fits(self, entry: Entry) -> bool:
        moment = self._cut.moment
        in_time = moment is None or entry.envelope.time <= moment
        return in_time and (entry.case_id, entry.version) not in self._dismissed

    async def _flush(self) -> None:
        for part in _parts(self._kept.values()):
            entries: list[Entry] = []
            for number, case in enumerate(part):
                if number % CASES_PER_BREATH == 0:
                    await asyncio.sleep(0)
                entries += self._readable(case)
            await self._apply(entries)
        self._kept, self._size = {}, 0

    def _readable(self, case: Sequence[RawEvent]) -> Iterator[Entry]:
        """The events of a case up to the first that cannot be read: there the service parked it."""
        for raw in case:
            try:
                yield typed(raw)
            except CaseUnreadable as error:
                self._park(error.case_id, error)
                return

    async def _apply(self, entries: Sequence[Entry]) -> None:
        """Apply them together; if that fails one by one, each case as far as it goes: there the service parked it."""
        entries = [entry for entry in entries if entry.case_id not in self._parked]
        if not entries:
            return
        try:
            async with self._connection.transaction():  # a savepoint
                await self._model.apply(self._connection, entries)
        except PASSING:
            raise
        except Exception as error:  # whatever it is: it is met again at the one event that it belongs to
            if len(entries) == 1:
                self._park(entries[0].case_id, error)
                return
            for entry in entries:
                await self._apply([entry])

    def _park(self, case_id: str, reason: Exception) -> None:
        self._parked.add(case_id)
        log.info("past_ends_early", service=self._model.service, case_id=case_id, reason=str(reason))


def _parts(cases: Iterable[Sequence[RawEvent]]) -> Iterator[list[Sequence[RawEvent]]]:
    """The cases in parts of about EVENTS_PER_STEP events."""
    part: list[Sequence[RawEvent]] = []
    size = 0
    for case in cases:
        part.append(case)
        size += len(case)
        if size >= EVENTS_PER_STEP:
            yield part
            part, size = [], 0
    if part:
        yield part


def _too_long() -> PastTooLong:
    return PastTooLong(
        f"More than {PAST_EVENTS_MAX:,} events count for this: ask about an earlier time.",
        f"涉及的记录超过 {PAST_EVENTS_MAX:,} 条，请查询更早的时间。",
    )
