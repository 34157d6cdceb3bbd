"""Fills one generation of a service's read models from the log; what the new code cannot handle it parks there."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final

import structlog

from libs.events.consume import PASSING
from libs.events.envelope import Entry
from libs.events.errors import LogUnavailable, RebuildRefused
from libs.events.history import WholeLog
from libs.events.jetstream.reader import RawEvent
from libs.events.log import READ_AGAIN_SECONDS, READ_ATTEMPTS_MAX, Log, typed
from libs.events.projection import apply, dismissed, set_aside, take
from libs.events.readmodel import USE, Connection, Pool, ReadModel, writing
from libs.events.rebuild_parts import WHOLE, OnProgress, Part, Progress
from libs.events.subjects import case_id_in

log = structlog.get_logger(__name__)

EVENTS_PER_TRANSACTION: Final = 5_000
CASES_PER_STEP: Final = 1_000
PARKED_ANEW_MAX: Final = 100  # then the new code is wrong, and there is no need to see the rest

# A crash loses the whole unfinished generation anyway, and the switch is a commit that waits for all before it.
UNHURRIED_COMMIT: Final = "SET LOCAL synchronous_commit = off"
BEHIND: Final = """
SELECT old.case_id FROM {old}.positions AS old LEFT JOIN {new}.positions AS new USING (case_id)
WHERE old.version > coalesce(new.version, 0) AND NOT coalesce(new.parked, false) ORDER BY old.case_id
"""


class Filling:
    """The tables of one generation while they are being filled."""

    def __init__(
        self,
        model: ReadModel,
        pool: Pool,
        cases: Log,
        history: WholeLog,
        *,
        generation: int,
        may_park: int = PARKED_ANEW_MAX,
    ) -> None:
        self.generation = generation
        self._model = model
        self._pool = pool
        self._log = cases
        self._history = history
        self._may_park = may_park

    async def read(self, start: int, last: int, on_progress: OnProgress, part: Part = WHOLE) -> None:
        """Apply what stands in the log from *start* to *last* of the cases of a part.

        Raises RebuildRefused when too many cases fail, LogUnavailable, BooksClosed where the sealed files are needed,
        and what PostgreSQL says.
        """
        waiting: list[RawEvent] = []
        async with aclosing(self._history.replayed(start=start, stop=last)) as reading:
            async for events in reading:
                waiting += events if part is WHOLE else [each for each in events if part.has(each.subject)]
                position = events[-1].sequence
                if len(waiting) >= EVENTS_PER_TRANSACTION or position >= last:
                    if waiting:
                        await self._apply(waiting)
                    on_progress(Progress(position, last))
                    waiting = []

    async def level(self, connection: Connection, names: dict[str, str]) -> None:
        """Bring every case at least to where the old tables have it: what was acknowledged never comes again."""
        await connection.execute(USE, names["new"])
        for attempt in range(READ_ATTEMPTS_MAX):
            if attempt:
                await asyncio.sleep(READ_AGAIN_SECONDS)  # a replica of the log that lags
            behind = await cases_behind(connection, names)
            if not behind:
                return
            for start in range(0, len(behind), CASES_PER_STEP):
                await self._bring_up(connection, behind[start : start + CASES_PER_STEP])
        raise LogUnavailable("the log does not show yet what the old read models hold")

    async def bring_up(self, cases: Sequence[str]) -> None:
        """Apply all that the log has of some cases, in a transaction of its own."""
        async with writing(self._pool, self._model, self.generation) as connection:
            await self._bring_up(connection, cases)

    async def _bring_up(self, connection: Connection, cases: Sequence[str]) -> None:
        await self._apply_cases(connection, cases, partial(self._entries_of, cases))

    async def _apply(self, events: Sequence[RawEvent]) -> None:
        async def entries() -> list[Entry]:
            return [typed(raw) for raw in events]

        cases = (case_id_in(raw.subject.decode()) for raw in events)
        async with writing(self._pool, self._model, self.generation) as connection:
            await connection.execute(UNHURRIED_COMMIT)
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
            for case_id in dict.fromkeys(cases):
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

    async def _entries_of(self, cases: Sequence[str]) -> list[Entry]:
        histories = await self._log.load_many(cases)
        return [entry for history in histories.values() for entry in history.entries]


async def cases_behind(connection: Connection, names: dict[str, str]) -> list[str]:
    """The cases of which the old tables hold more than the new ones."""
    return [str(record["case_id"]) for record in await connection.fetch(BEHIND.format(**names))]
