"""Many rows at once into the log: streaming, repeatable, and stopped by nothing but a log that stays away."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final

from cli.importing.errors import ImportStalled
from cli.importing.facts import Contradiction, is_reworded, missing_facts
from cli.importing.mapping import Mapping
from cli.importing.patience import STALL_SECONDS_MAX, Patience
from cli.importing.rejects import Rejects
from cli.importing.rows import Reject, Row, RowReader
from cli.importing.source import SourceFile, preflight
from cli.importing.tally import Tally
from libs.events import telemetry
from libs.events.errors import CaseUnreadable, LogRefused, LogUnavailable, VersionConflict
from libs.events.jetstream import JetStream
from libs.events.log import Fact, History, Log
from libs.events.streams import lag

ROWS_IN_FLIGHT_MAX: Final = 1_000
ROWS_PER_CHUNK: Final = 250
CHUNKS_IN_FLIGHT_MAX: Final = ROWS_IN_FLIGHT_MAX // ROWS_PER_CHUNK
CONFLICTS_MAX: Final = 20  # of one row
READ_MODELS: Final = "evaluation"  # the consumer whose lag people wait for
LAG_POLL_SECONDS: Final = 0.5
"""How often the read models are asked how far they are."""


async def run_import(  # noqa: PLR0913 - what is imported, into what, and what is told
    source: SourceFile,
    log: Log,
    jetstream: JetStream,
    *,
    rejects: Rejects,
    tally: Tally | None = None,
    wait_for_read_models: bool = False,
    stall_seconds_max: float = STALL_SECONDS_MAX,
    in_books: frozenset[str] = frozenset(),
) -> Tally:
    """Every row of *source* as facts in the log; the final tally, which *tally* shows while it runs.

    Raises ImportStalled when nothing moves for *stall_seconds_max*, LogRefused, SourceInvalid when rejects
    cannot be written. Whatever ends it, running it again goes on and adds nothing twice. Rows of cases that the log
    does not have, since they are *in_books* that were closed, are left alone.
    """
    tally = tally if tally is not None else Tally()
    tally.rows = source.rows
    run = _Run(source, log, rejects, tally, stall_seconds_max, in_books)
    async with _watching(jetstream, tally):
        await run.all_rows()
        if wait_for_read_models:
            await _caught_up(jetstream, tally, stall_seconds_max)
    return tally


async def import_file(
    path: Path, mapping: Mapping, log: Log, jetstream: JetStream, *, rejects_path: Path
) -> Tally:
    """Check the file and import it without showing anything.  Raises as `preflight` and `run_import` do."""
    source = preflight(path, mapping)
    with Rejects(rejects_path, path) as rejects:
        return await run_import(source, log, jetstream, rejects=rejects)


class _Run:
    """One import under way."""

    def __init__(
        self,
        source: SourceFile,
        log: Log,
        rejects: Rejects,
        tally: Tally,
        stall_seconds_max: float,
        in_books: frozenset[str],
    ) -> None:
        self._in_books = in_books
        self._log = log
        self._rejects = rejects
        self._tally = tally
        self._reader = RowReader(source)
        self._system = source.mapping.system
        self._rows = self._taken(source)
        self._patience = Patience(stall_seconds_max, tally)
        self._under_way: dict[
            str, asyncio.Future[int]
        ] = {}  # by case: when its newest row is done, and where it ends

    async def all_rows(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(CHUNKS_IN_FLIGHT_MAX):
                    tasks.create_task(self._chunks())
        except BaseExceptionGroup as group:
            raise _first_of(group) from group

    def _taken(self, source: SourceFile) -> Iterator[Row]:
        for record in source.records():
            row = self._reader.read(record)
            if isinstance(row, Reject):
                self._reject(row)
            else:
                yield row

    async def _chunks(self) -> None:
        while rows := list(islice(self._rows, ROWS_PER_CHUNK)):
            await self._chunk(rows)

    async def _chunk(self, rows: list[Row]) -> None:
        # Nothing may be awaited in this loop: here rows of one case queue up in the order of the file.
        work: list[tuple[Row, asyncio.Future[int] | None, asyncio.Future[int]]] = []
        for row in rows:
            done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            work.append((row, self._under_way.get(row.case_id), done))
            self._under_way[row.case_id] = done
        try:
            fresh = [row.case_id for row, before, _ in work if before is None]
            histories = await self._histories(fresh)
            async with asyncio.TaskGroup() as tasks:
                for row, before, done in work:
                    tasks.create_task(self._row(row, histories, before, done))
        finally:
            for row, _, done in work:
                if self._under_way.get(row.case_id) is done:
                    del self._under_way[row.case_id]

    async def _histories(self, case_ids: list[str]) -> dict[str, History]:
        """Those that can be read; what cannot is left out, and met again when its row is decided."""
        with suppress(CaseUnreadable):
            return await self._patience(lambda: self._log.load_many(case_ids))
        return {}

    async def _row(
        self,
        row: Row,
        histories: dict[str, History],
        before: asyncio.Future[int] | None,
        done: asyncio.Future[int],
    ) -> None:
        try:
            at_least = await before if before is not None else 0
            history = histories.get(row.case_id) if before is None else None
            end = await self._written(row, history, at_least)
        except CaseUnreadable as error:
            self._reject(Reject(row.line, "", row.key, f"its case in the log cannot be read: {error}"))
            end = 0
        except BaseException:
            done.cancel()
            raise
        done.set_result(end)

    async def _written(self, row: Row, history: History | None, at_least: int) -> int:
        """Add what the row proves; the position at which its case ends then."""
        for _ in range(CONFLICTS_MAX):
            if history is None:
                history = await self._loaded(row.case_id, at_least)
            if not history.entries and row.case_id in self._in_books:
                self._tally.rows_in_books += 1
                self._count(row, history, events=0)
                return 0
            facts = missing_facts(row, history, self._system)
            if isinstance(facts, Contradiction):
                column = self._reader.column_of(facts.name) if facts.name else ""
                self._reject(Reject(row.line, column, facts.value, facts.reason))
                return history.sequence
            if not facts:
                self._count(row, history, events=0)
                return history.sequence
            try:
                end = await self._append(history, facts)
            except VersionConflict as conflict:
                telemetry.count_conflict()
                history, at_least = None, conflict.last_sequence
                continue
            self._count(row, history, events=len(facts))
            return end
        raise ImportStalled(
            f"case {row.case_id} was changed by others {CONFLICTS_MAX} times in a row; run it again"
        )

    async def _append(self, history: History, facts: tuple[Fact, ...]) -> int:
        # Sending the same facts again after an unknown outcome adds nothing: their ids are derived.
        entries = await self._patience(lambda: self._log.append(history, facts))
        return entries[-1].sequence

    async def _loaded(self, case_id: str, at_least: int) -> History:
        return await self._patience(lambda: self._log.load(case_id, at_least=at_least))

    def _count(self, row: Row, history: History, *, events: int) -> None:
        self._tally.done += 1
        self._tally.rows_reworded += is_reworded(row, history)
        self._tally.events_added += events
        if events:
            self._tally.rows_added += 1
        else:
            self._tally.rows_there += 1

    def _reject(self, reject: Reject) -> None:
        self._rejects.add(reject)
        self._tally.done += 1
        self._tally.rejected += 1


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


@asynccontextmanager
async def _watching(jetstream: JetStream, tally: Tally) -> AsyncGenerator[None]:
    watching = asyncio.create_task(_watch(jetstream, tally), name="lag-watch")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(jetstream: JetStream, tally: Tally) -> None:
    while True:
        with suppress(LogRefused):  # no such consumer: whoever waits for it will hear of it
            tally.behind = await _behind(jetstream)
        await asyncio.sleep(LAG_POLL_SECONDS)


async def _behind(jetstream: JetStream) -> int | None:
    try:
        return await lag(jetstream, READ_MODELS)
    except LogUnavailable:
        return None


async def _caught_up(jetstream: JetStream, tally: Tally, stall_seconds_max: float) -> None:
    fewest, moved_at = float("inf"), time.monotonic()
    while (behind := await _behind(jetstream)) != 0:
        tally.behind = behind
        if behind is not None and behind < fewest:
            fewest, moved_at = behind, time.monotonic()
        if time.monotonic() - moved_at > stall_seconds_max:
            raise ImportStalled(
                f"all rows are in the log, but the read models have not moved for {stall_seconds_max:.0f} s "
                f"({'it is not known how far' if behind is None else f'{behind:,} events'} behind)"
            )
        await asyncio.sleep(LAG_POLL_SECONDS)
    tally.behind = 0
