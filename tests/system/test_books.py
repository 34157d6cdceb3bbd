"""Closing the books on a real server: the log lets go of what is sealed, and nothing that anybody asks for changes."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from libs.events import starting, streams
from libs.events.books import Closed, Closing, check_consumed
from libs.events.carrying import EVENT as CARRIED
from libs.events.contracts.base import Event
from libs.events.envelope import Entry
from libs.events.errors import BooksClosed, BooksRefused
from libs.events.history import WholeLog
from libs.events.jetstream import JetStream
from libs.events.jetstream.expiring import let_go
from libs.events.jetstream.reader import Credentials, RawEvent, read
from libs.events.ledger.archive import Archive, opened
from libs.events.ledger.growing import growing
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.notes import Checkpoint, Signer
from libs.events.ledger.stretches import Sealed
from libs.events.log import Fact, History, Log, typed
from libs.events.starting import (
    NothingThere,
    OfCase,
    first_position,
    last_position,
    recorded_at,
    recorded_at_position,
)
from libs.events.storage import FolderStore
from libs.events.subjects import CASES
from libs.events.testing.examples import EXAMPLES
from tests.support.nodes import CONTEXT, PASSWORD, Servers, declared, eventually, kill, single

SIGNER: Final = Signer("city.example", bytes(32))
ORIGIN: Final = "city.example/CASES"
READER: Final = Credentials("bookkeeper", PASSWORD)
DUPLICATE_WINDOW_NS: Final = 100_000_000
"""Younger events than that no server lets go of."""
APART_SECONDS: Final = 10.0
"""Between what goes and what stays: while the age limit stands, for a moment, everything grows older."""
BY_NAME: Final[dict[str, Event]] = {event.name(): event for event in EXAMPLES.values()}
BEGUN: Final = ("reported", "filed", "assigned", "accepted")
ENDED: Final = (*BEGUN, "handled", "verified", "closed", "rated")
LONG_EVENTS: Final = 1_100
"""More than the server gives of one case at once."""


@dataclass(slots=True)
class City:
    """A log, and the files that are sealed from it."""

    servers: Servers
    log: Log
    jetstream: JetStream
    archive: Archive
    before: dict[str, History] = field(default_factory=dict)

    async def write(self, case_id: str, *names: str) -> None:
        for start in range(0, len(names), 500):
            history = await self.log.load(case_id)
            part = enumerate(names[start : start + 500], history.version)
            facts = [Fact(BY_NAME[name], CONTEXT, f"{case_id}/{number}") for number, name in part]
            await self.log.append(history, facts)
        self.before[case_id] = await self.log.load(case_id)

    async def seal(self) -> Checkpoint:
        """All of the log in the files, and a checkpoint over it."""
        writer = await growing(self.archive)
        async for events in self.raw(writer.size + 1):
            await writer.seal([Sealed(_leaf(raw), 0) for raw in events])
        return Checkpoint(ORIGIN, writer.size, writer.root())

    async def raw(self, start: int = 1) -> AsyncGenerator[list[RawEvent]]:
        last = await self.log.last_position()
        async with aclosing(read(self.jetstream, READER, start=start, stop=last)) as reading:
            async for events in reading:
                yield events

    async def everything(self, archive: Archive | None) -> list[RawEvent]:
        last = await self.log.last_position()

        async def sealed() -> Archive:
            assert archive is not None
            return archive

        history = WholeLog(self.jetstream, READER, sealed if archive else None)
        return [raw async for events in history.replayed(stop=last) for raw in events]

    async def close(self, through: int) -> Closed:
        """As `./whistle books close` does it."""
        checkpoint = await self.seal()
        closing = Closing(self.log, self.jetstream, READER, self.archive, checkpoint)
        closed = await closing.run(through, lambda _: None)
        breakglass = await self.servers.jetstream("breakglass")
        assert await let_go(breakglass, CASES, through, margin_seconds=0) == through + 1
        return closed

    async def grow_apart(self) -> None:
        """Wait until the newest event is old enough to be told from what comes now."""

        async def old_enough() -> bool:
            info = await self.jetstream.api("STREAM.INFO.CASES")
            age = datetime.fromisoformat(info["ts"]) - datetime.fromisoformat(info["state"]["last_ts"])
            return age.total_seconds() > APART_SECONDS

        await eventually(old_enough, "the past is past")


def _leaf(raw: RawEvent) -> Leaf:
    return Leaf(CASES, raw.sequence, raw.subject.decode(), typed(raw).envelope.id, raw.payload)


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    async with single(tmp_path / "nats", duplicate_window=DUPLICATE_WINDOW_NS) as servers:
        archive = await opened(FolderStore(tmp_path / "ledger"), CASES, ORIGIN)
        jetstream = await servers.jetstream("bookkeeper")
        yield City(servers, await servers.log(), jetstream, archive)


def told(entries: Sequence[Entry]) -> list[object]:
    """What happened; of what carried the case forward only that it did, since its content is not carried on."""
    return [
        entry if entry.name != CARRIED else (entry.sequence, entry.version, entry.envelope.id)
        for entry in entries
    ]


async def goes_on(city: City, *cases: str) -> None:
    """What was known of these cases is known still, at any position, and by whoever asks for many at once."""
    many = await city.log.load_many(cases)
    for case_id in cases:
        before, now = city.before[case_id].entries, await city.log.load(case_id)
        assert told(now.entries[: len(before)]) == told(before)
        assert many[case_id] == now
        for entry in before[:: max(1, len(before) // 5)]:
            then = await city.log.load(case_id, up_to=entry.sequence)
            assert told(then.entries) == told(before[: entry.version])
            then = await city.log.load(case_id, up_to=entry.sequence - 1)
            assert told(then.entries) == told(before[: entry.version - 1])
        assert (await city.log.stored(case_id, 1)) is not None
        assert await city.log.unreadable(case_id) is None


async def times_and_cases_are_found(city: City, everything: Sequence[RawEvent]) -> None:
    """Whoever asks for a time or a case is led to where it was in the log, on both sides of the border."""

    async def sealed() -> Archive:
        return city.archive

    history, last = WholeLog(city.jetstream, READER, sealed), everything[-1].sequence
    assert len(city.archive.stretches) > 2
    times = [recorded_at(raw) for raw in everything]
    assert times == sorted(times), "there was one clock"
    for raw, moment in list(zip(everything, times, strict=True))[:: max(1, last // 12)]:
        first = next(each.sequence for each, time in zip(everything, times, strict=True) if time >= moment)
        assert await first_position(history, moment, last) == first
        until = max(each.sequence for each, time in zip(everything, times, strict=True) if time <= moment)
        assert await last_position(history, moment, last) == until
        assert await recorded_at_position(history, raw.sequence) == moment
    assert await first_position(history, times[0] - timedelta(days=1), last) == 1
    with pytest.raises(NothingThere):
        await last_position(history, times[0] - timedelta(days=1), last)
    for case_id, before in city.before.items():
        assert await first_position(history, OfCase(case_id), last) == before.entries[0].sequence
    with pytest.raises(NothingThere, match="has no case nobody"):
        await first_position(history, OfCase("nobody"), last)
    with pytest.raises(BooksClosed):
        await first_position(history._replace(sealed=None), times[0], last)


async def test_the_log_lets_go_of_closed_books_and_nothing_else_changes(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    await city.write("open", *BEGUN)
    await city.write("over", *ENDED)
    await city.seal()
    await city.write("again", *ENDED, "reopened", "assigned")
    await city.seal()
    await city.write("long", "reported", *["progress"] * LONG_EVENTS)
    through = await city.log.last_position()
    await city.grow_apart()
    await city.write("late", *BEGUN)
    everything = await city.everything(None)

    closed = await city.close(through)
    assert (closed.first, closed.through, closed.cases, closed.carried) == (1, through, 4, 3)
    assert await city.log.first_position() == through + 1
    await streams.check(
        city.jetstream,
        [each for each in declared(1, duplicate_window=DUPLICATE_WINDOW_NS) if each.name == CASES],
    )
    await goes_on(city, "open", "again", "long", "late")
    assert (await city.log.load("over")).entries == ()
    assert [*city.before] == ["open", "over", "again", "long", "late"]

    with pytest.raises(BooksClosed) as refused:
        await city.everything(None)
    assert refused.value.first == through + 1
    assert (await city.everything(city.archive))[: len(everything)] == everything

    await times_and_cases_are_found(city, everything)
    monkeypatch.setattr(
        starting, "CLOCKS_APART", timedelta()
    )  # so that sealed files are told apart by seconds
    await times_and_cases_are_found(city, everything)

    await city.write("open", "handled")
    await kill(city.servers.nodes[0])
    await city.servers.nodes[0].start()
    await goes_on(city, "open", "again", "long", "late")
    # What it let go of last may be back, as it is not synced at once. That opens the books again, and no more.
    assert await city.log.first_position() in {1, through + 1}

    # And again, over what was carried forward: only what is still going on is carried on.
    await city.write("again", "handled", "verified", "closed")
    through = await city.log.last_position()
    await city.grow_apart()
    await city.write("late", "handled")
    closed = await city.close(through)
    assert closed.carried == 3, "open, long, and late, which has events on both sides"
    await goes_on(city, "open", "long", "late")
    assert (await city.log.load("again")).entries == ()
    assert (await city.everything(city.archive))[: len(everything)] == everything


async def test_books_are_not_closed_over_what_is_not_proved(city: City) -> None:
    await city.write("open", *BEGUN)
    checkpoint = await city.seal()
    await city.write("open", "handled")

    async def closing(through: int, checkpoint: Checkpoint) -> Closed:
        return await Closing(city.log, city.jetstream, READER, city.archive, checkpoint).run(
            through, lambda _: None
        )

    with pytest.raises(BooksRefused, match="only 4 events are sealed and signed, not 5"):
        await closing(5, checkpoint)
    with pytest.raises(BooksRefused, match="not those of the signed checkpoint"):
        await closing(4, checkpoint._replace(root=bytes(32)))
    assert await city.log.last_position() == 5, "nothing was carried forward"


async def test_books_are_not_closed_over_an_event_that_is_another_one_in_the_files(city: City) -> None:
    await city.write("open", *BEGUN)
    leaves = [_leaf(raw) async for events in city.raw() for raw in events]
    forged = leaves[2]._replace(payload=leaves[2].payload.replace(b"No Q", b"No R"))
    assert forged != leaves[2]
    writer = await growing(city.archive)
    await writer.seal([Sealed(leaf, 0) for leaf in (*leaves[:2], forged, leaves[3])])
    closing = Closing(city.log, city.jetstream, READER, city.archive, Checkpoint(ORIGIN, 4, writer.root()))
    with pytest.raises(BooksRefused, match="event 3 of the log is not the one that was sealed"):
        await closing.run(4, lambda _: None)


async def test_whoever_has_not_finished_with_the_log_holds_the_books_open(city: City) -> None:
    await city.write("open", *BEGUN)
    provision = await city.servers.jetstream("provision")
    await streams.ensure(provision, streams.service_consumers(["dispatch"]))
    with pytest.raises(BooksRefused, match="dispatch has finished with the log up to position 0 only"):
        await check_consumed(city.jetstream, ["dispatch"], 3)


async def test_what_is_too_young_is_not_let_go_of(city: City) -> None:
    await city.write("open", *BEGUN)
    breakglass = await city.servers.jetstream("breakglass")
    with pytest.raises(BooksRefused, match="too young"):
        await let_go(breakglass, CASES, 4, margin_seconds=-60)
    assert await city.log.first_position() == 1
