"""The log on a real server: what was acknowledged is in, once, in order, and nobody else's."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from enum import Enum
from pathlib import Path

import pytest
import pytest_asyncio

from libs.events import streams
from libs.events.commit import SINGLES_IN_FLIGHT_MAX, GroupCommit
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Assigned
from libs.events.contracts.intake import CaseReported
from libs.events.envelope import Context, Entry, Origin
from libs.events.errors import (
    CaseUnreadable,
    LogRefused,
    LogUnavailable,
    NotProvisioned,
    VersionConflict,
    WhistleError,
)
from libs.events.handle import Handler
from libs.events.ids import new_event_id
from libs.events.jetstream import (
    REQUEST_TIMEOUT_SECONDS,
    JetStream,
    Message,
    Refused,
    connected,
    expectation,
)
from libs.events.jetstream.reader import INACTIVE_SECONDS, read
from libs.events.log import Fact, History, Log, facts_of, typed
from libs.events.testing.examples import EXAMPLES
from tests.support.nodes import (
    AUDITOR,
    CONTEXT,
    FILED,
    PASSWORD,
    REPORTED,
    SECONDS_MAX,
    Servers,
    declared,
    eventually,
    facts,
    kill,
    pause,
    provision,
    resume,
    seed_of_run,
    single,
)

pytestmark = pytest.mark.asyncio
DUPLICATE_WINDOW_SHORT_NANOSECONDS = 100_000_000  # the shortest that the server takes
CONNECTIONS_ENDED = 400
CONNECTING_SECONDS = 0.004  # about as long as connecting takes


@pytest_asyncio.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Servers]:
    async with single(tmp_path) as running:
        yield running


class Counting(JetStream):
    """The real thing, which also remembers how large its batches were."""

    def __init__(self, jetstream: JetStream) -> None:
        super().__init__(jetstream.client)
        self._batches: dict[str, int] = {}
        self._singles: set[str] = set()

    @property
    def batches(self) -> list[int]:
        """The sizes; one that is sent again, since the server was slow to answer, counts once."""
        return list(self._batches.values())

    @property
    def singles(self) -> int:
        """How many messages went alone."""
        return len(self._singles)

    async def publish(self, message: Message, timeout: float = REQUEST_TIMEOUT_SECONDS) -> int:
        self._singles.add(message.subject)
        return await super().publish(message, timeout)

    async def publish_batch(
        self, messages: Sequence[Message], timeout: float = REQUEST_TIMEOUT_SECONDS
    ) -> int:
        first = messages[0].subject
        self._batches[first] = max(self._batches.get(first, 0), len(messages))
        return await super().publish_batch(messages, timeout)


async def test_what_is_appended_is_loaded(servers: Servers) -> None:
    cases = await servers.log("dispatch")
    context = Context("system:dispatch", CONTEXT.time, Origin.LIVE, "corr", "cause", "rules@1")
    written = await cases.append(History("a"), [Fact(EXAMPLES[Assigned], context, "1")])
    [stored] = await servers.everything()
    history = await cases.load("a", at_least=written[-1].sequence)
    assert history.entries == written == (stored,)
    assert (history.version, history.sequence, history.events) == (1, 1, (EXAMPLES[Assigned],))
    envelope = stored.envelope
    assert (envelope.id, envelope.subject, envelope.causationid) == ("1", "a", "cause")
    assert (envelope.correlationid, envelope.policyversion) == ("corr", "rules@1")


async def test_a_live_fact_names_its_department_in_the_subject_and_an_imported_one_does_not(
    servers: Servers,
) -> None:
    live, imported = await servers.log("dispatch"), await servers.log()
    context = Context("system:dispatch", CONTEXT.time, Origin.LIVE)
    await live.append(History("a"), [Fact(EXAMPLES[Assigned], context, "1")])
    await imported.append(History("b"), [Fact(EXAMPLES[Assigned], CONTEXT, "2")])
    jetstream = await servers.jetstream("auditor")
    subjects = [raw.subject async for events in read(jetstream, AUDITOR, stop=2) for raw in events]
    assert subjects == [b"case.a.assigned.1.No_20Q", b"case.b.assigned.1"]


async def test_an_unknown_case_has_an_empty_history(servers: Servers) -> None:
    cases = await servers.log()
    assert await cases.load("a") == History("a")
    assert await cases.load_many(["a", "b"]) == {"a": History("a"), "b": History("b")}
    assert (await cases.newest("a"), await cases.last_position()) == (0, 0)


async def test_a_conflict_names_the_position_on_the_leader(servers: Servers) -> None:
    cases, other = await servers.log(), await servers.log()
    await other.append(History("a"), facts("1", "2"))
    with pytest.raises(VersionConflict, match="case a has moved on to position 2") as conflict:
        await cases.append(History("a"), facts("x"))
    assert (conflict.value.case_id, conflict.value.last_sequence) == ("a", 2)
    assert [entry.envelope.id for entry in await servers.everything()] == ["1", "2"]


async def test_a_refusal_is_no_conflict_while_the_case_stands_where_it_was_read(servers: Servers) -> None:
    cases = await servers.log()
    await cases.append(History("a"), facts("1", "2"))
    read = History("b", await cases.append(History("b"), facts("3")))
    impatient = await servers.log(deadline_seconds=0.3)
    with pytest.raises(LogUnavailable):  # the server knows these ids, and not from this case
        await impatient.append(read, facts("1", "2"))
    assert await cases.last_position() == 3


async def test_a_conflict_is_told_even_when_the_stale_facts_are_several(servers: Servers) -> None:
    cases, other = await servers.log(), await servers.log()
    await other.append(History("a"), facts("1"))
    with pytest.raises(VersionConflict):
        await cases.append(History("a"), facts("x", "y", "z"))
    assert await cases.last_position() == 1


async def test_an_append_that_conflicts_does_not_spoil_its_neighbours(servers: Servers) -> None:
    other = await servers.log()
    await other.append(History("case50"), facts("first"))
    jetstream = Counting(await servers.jetstream())
    async with GroupCommit(jetstream) as commit:
        cases = Log(jetstream, commit)
        outcomes = await asyncio.gather(
            *(cases.append(History(f"case{n}"), facts(f"id{n}")) for n in range(100)), return_exceptions=True
        )
    assert max(jetstream.batches) >= 100 - SINGLES_IN_FLIGHT_MAX, "they travelled together"
    conflicts = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, VersionConflict)]
    assert conflicts == [50]
    told = {
        entry.envelope.id: entry.sequence
        for outcome in outcomes
        if isinstance(outcome, tuple)
        for entry in outcome
    }
    stored = {entry.envelope.id: entry.sequence for entry in await servers.everything()}
    assert stored == {**told, "first": 1}
    assert len(stored) == 100


async def test_neighbours_in_one_batch_get_their_own_positions(servers: Servers) -> None:
    jetstream = Counting(await servers.jetstream())
    async with GroupCommit(jetstream) as commit:
        cases = Log(jetstream, commit)
        written = await asyncio.gather(
            *(
                cases.append(History(f"case{n}"), facts(*(f"{n}/{k}" for k in range(n % 4 + 1))))
                for n in range(50)
            )
        )
    assert len(jetstream.batches) <= 3
    for case in written:
        positions = [entry.sequence for entry in case]
        assert positions == list(range(positions[0], positions[0] + len(case))), "a decision goes in whole"
    by_id = {entry.envelope.id: entry for entry in await servers.everything()}
    for case in written:
        assert [by_id[entry.envelope.id] for entry in case] == list(case)


@pytest.mark.parametrize("count", [1, 3])
async def test_the_same_facts_again_are_in_at_the_same_positions(servers: Servers, count: int) -> None:
    cases, other = await servers.log(), await servers.log()
    same = facts(*map(str, range(count)))
    await other.append(History("b"), facts("b"))
    first = await cases.append(History("a"), same)
    for again in (cases, other):
        repeated = await again.append(History("a"), same)
        assert [entry.sequence for entry in repeated] == [entry.sequence for entry in first]
    assert await cases.last_position() == count + 1


@pytest.mark.parametrize("count", [1, 3])
async def test_the_same_facts_again_add_nothing_when_the_server_has_forgotten_their_ids(
    tmp_path: Path, count: int
) -> None:
    async with single(tmp_path, duplicate_window=DUPLICATE_WINDOW_SHORT_NANOSECONDS) as servers:
        cases, jetstream = await servers.log(), await servers.jetstream()
        same = facts(*map(str, range(count)))
        first = await cases.append(History("a"), same)

        async def forgotten() -> bool:
            probe = Message("case.probe.filed.1", b"{}", expectation("probe"))
            before = await jetstream.publish(probe)
            return await jetstream.publish(probe) > before or before > count + 1

        await eventually(forgotten, "the server forgot the ids")
        position = await cases.last_position()
        repeated = await cases.append(History("a"), same)
        assert [entry.sequence for entry in repeated] == [entry.sequence for entry in first]
        assert await cases.last_position() == position


async def test_the_same_beginning_with_another_end_is_a_conflict_at_once(servers: Servers) -> None:
    cases = await servers.log()
    longer = facts("1", "2", "3")
    await cases.append(History("a"), longer[:2])
    with pytest.raises(VersionConflict):  # two imports of a row at once, one of them knowing more
        await cases.append(History("a"), longer)
    assert (await cases.load("a")).version == 2


async def test_the_same_facts_again_are_in_even_when_the_case_has_moved_on(servers: Servers) -> None:
    cases = await servers.log()
    first = await cases.append(History("a"), facts("1", "2"))
    await cases.append(await cases.load("a"), facts("3"))
    repeated = await cases.append(History("a"), facts("1", "2"))
    assert [entry.sequence for entry in repeated] == [entry.sequence for entry in first]


async def test_a_decision_of_several_events_is_in_whole_or_not_at_all(servers: Servers) -> None:
    logs = [await servers.log(), await servers.log()]
    writes = [
        cases.append(History(f"case{n}"), facts(*(f"{n}/{writer}/{k}" for k in range(5))))
        for n in range(20)
        for writer, cases in enumerate(logs)
    ]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(outcome, tuple) for outcome in outcomes) == 20
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 20
    for n, history in (await logs[0].load_many([f"case{n}" for n in range(20)])).items():
        ids = [entry.envelope.id.rpartition("/") for entry in history.entries]
        assert [k for _, _, k in ids] == list("01234"), n
        assert len({writer for writer, _, _ in ids}) == 1, n


async def grow(cases: Log, case_id: str, events: int) -> History:
    """A case of so many events."""
    history = History(case_id)
    while history.version < events:
        more = facts(
            *(f"{case_id}/{history.version + n}" for n in range(min(1_000, events - history.version)))
        )
        written = await cases.append(history, more)
        history = History(case_id, (*history.entries, *written))
    return history


@pytest.mark.parametrize("events", [1_024, 1_025, 2_500])
async def test_a_long_case_is_loaded_whole(servers: Servers, events: int) -> None:
    cases = await servers.log()
    written = await grow(cases, "a", events)
    await cases.append(History("b"), facts("b"))
    loaded = await cases.load("a")
    assert loaded.entries == written.entries
    assert [entry.version for entry in loaded.entries] == list(range(1, events + 1))
    for position in (700, events - 1):
        assert len((await cases.load("a", up_to=position)).entries) == position
    many = await cases.load_many(["b", "a", "nobody"])
    assert [many[case].version for case in ("a", "b", "nobody")] == [events, 1, 0]


async def test_a_case_as_it_was_at_a_position(servers: Servers) -> None:
    cases = await servers.log()
    history = History("a")
    for number in range(4):
        await cases.append(History(f"other{number}"), facts(f"other{number}"))
        written = await cases.append(history, facts(str(number)))
        history = History("a", (*history.entries, *written))
    for position in range(9):
        expected = [entry for entry in history.entries if entry.sequence <= position]
        assert list((await cases.load("a", up_to=position)).entries) == expected, position


async def test_a_case_as_it_was_at_a_time(servers: Servers) -> None:
    cases = await servers.log()
    times = [CONTEXT.time + timedelta(hours=hours) for hours in range(3)]
    context = [CONTEXT._replace(time=time) for time in times]
    await cases.append(History("a"), [Fact(FILED, each, str(n)) for n, each in enumerate(context)])
    history = await cases.load("a")
    assert history.as_of(times[0] - timedelta(microseconds=1)).version == 0
    assert [history.as_of(time).version for time in times] == [1, 2, 3]


async def test_within_a_process_appends_to_one_case_queue_up(servers: Servers) -> None:
    jetstream = Counting(await servers.jetstream())
    async with GroupCommit(jetstream) as commit:
        cases = Log(jetstream, commit)
        outcomes = await asyncio.gather(
            *(cases.append(History("a"), facts(str(n))) for n in range(20)), return_exceptions=True
        )
    assert [isinstance(outcome, VersionConflict) for outcome in outcomes] == [False, *[True] * 19]
    assert (jetstream.batches, jetstream.singles) == ([], 1), (
        "what is overtaken is not sent, and spoils nothing"
    )
    assert [entry.envelope.id for entry in await servers.everything()] == ["0"]


class Never(Enum):
    """A decision that is never refused."""


async def test_what_got_in_unheard_is_not_told_to_be_overtaken_while_it_waits_in_line(
    servers: Servers,
) -> None:
    cases = await servers.log()
    unheard, next_decision = facts("1"), facts("2")
    await cases.append(History("a"), unheard)  # as if its writer had not got the answer
    history = await cases.load("a")
    following, again = await asyncio.gather(
        cases.append(history, next_decision), cases.append(History("a"), unheard)
    )
    assert [entry.sequence for entry in (*again, *following)] == [1, 2]


async def test_of_fifty_writers_racing_for_one_case_everyone_gets_in(servers: Servers) -> None:
    handlers = [Handler(await servers.log()), Handler(await servers.log())]

    async def write(number: int) -> tuple[Entry, ...] | Never:
        def decide(_: History) -> tuple[Event, ...]:
            return (FILED,)

        return await handlers[number % 2].handle("a", decide, CONTEXT, cause=str(number))

    outcomes = await asyncio.gather(*(write(number) for number in range(50)))
    stored = await servers.everything()
    assert sorted(entry.version for entry in stored) == list(range(1, 51))
    told = [entry.envelope.id for outcome in outcomes if isinstance(outcome, tuple) for entry in outcome]
    assert sorted(told) == sorted(entry.envelope.id for entry in stored)


async def test_who_waited_is_told_after_whom_it_waited_for(servers: Servers) -> None:
    handler = Handler(await servers.log())
    for late in (timedelta(0), timedelta(seconds=2), timedelta(seconds=1)):
        context = CONTEXT._replace(time=CONTEXT.time + late, origin=Origin.LIVE)
        await handler.handle("a", lambda _: (FILED,), context)
    imported = CONTEXT._replace(origin=Origin.IMPORT)
    await handler.handle("a", lambda _: (FILED,), imported)
    times = [entry.envelope.time - CONTEXT.time for entry in await servers.everything()]
    assert times == [timedelta(seconds=each) for each in (0, 2, 2, 0)], "and what a source states stands"


async def test_a_repeated_cause_gets_the_same_ids() -> None:
    first, again = facts_of((FILED, FILED), CONTEXT, cause="c"), facts_of((FILED, FILED), CONTEXT, cause="c")
    assert first == again
    assert first[0].event_id != first[1].event_id
    assert facts_of((FILED,), CONTEXT) != facts_of((FILED,), CONTEXT)


async def test_while_the_server_stands_still_nothing_is_guessed_and_later_nothing_is_doubled(
    servers: Servers,
) -> None:
    cases, patient = await servers.log(deadline_seconds=0.5), await servers.log()
    loop = asyncio.get_running_loop()
    await patient.append(History("z"), facts("z"))
    pause(servers.nodes[0])
    started = loop.time()
    try:
        writes = [cases.append(History(f"case{n}"), facts(f"{n}/0", f"{n}/1")) for n in range(3)]
        outcomes = await asyncio.gather(
            cases.append(History("a"), facts("a")), *writes, return_exceptions=True
        )
        assert all(isinstance(outcome, LogUnavailable) for outcome in outcomes), outcomes
        assert loop.time() - started < REQUEST_TIMEOUT_SECONDS, "the deadline is one"
    finally:
        resume(servers.nodes[0])
    await patient.append(History("a"), facts("a"))
    for n in range(3):
        await patient.append(History(f"case{n}"), facts(f"{n}/0", f"{n}/1"))
    stored = [entry.envelope.id for entry in await servers.everything()]
    assert sorted(stored) == sorted(["z", "a", *(f"{n}/{k}" for n in range(3) for k in range(2))])


async def test_an_append_still_waiting_when_the_log_closes_is_told_so(servers: Servers) -> None:
    jetstream = await servers.jetstream()
    pause(servers.nodes[0])
    try:
        async with GroupCommit(jetstream, deadline_seconds=0.3) as commit:
            cases = Log(jetstream, commit)
            writes = [asyncio.create_task(cases.append(History("a"), facts(str(n)))) for n in range(3)]
            writes += [asyncio.create_task(cases.append(History(f"b{n}"), facts(f"b{n}"))) for n in range(9)]
            await asyncio.sleep(0)  # they have asked
        async with asyncio.timeout(SECONDS_MAX):
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
    finally:
        resume(servers.nodes[0])
    assert all(isinstance(outcome, LogUnavailable) for outcome in outcomes), outcomes


async def test_whoever_connects_can_be_ended_at_any_moment(servers: Servers) -> None:
    chance = random.Random(seed_of_run())
    forgotten = 0
    for _ in range(CONNECTIONS_ENDED):
        connecting = connected(servers.nodes[0].url, user="auditor", password=PASSWORD)
        task = asyncio.create_task(connecting.__aenter__())
        await asyncio.wait([task], timeout=chance.uniform(0, CONNECTING_SECONDS))
        heard = task.cancel()
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(outcome, asyncio.CancelledError):
            forgotten += heard
            await connecting.__aexit__(None, None, None)
    assert forgotten == 0, "a cancellation was taken and forgotten"


async def test_a_caller_that_goes_away_does_not_hold_up_those_behind_it(servers: Servers) -> None:
    cases = await servers.log()
    tasks = [asyncio.create_task(cases.append(History("a"), facts(str(n)))) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], tuple)
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert isinstance(outcomes[2], VersionConflict)


async def test_killed_and_started_again_amid_appends_nothing_acknowledged_is_lost_and_nothing_doubled(
    servers: Servers,
) -> None:
    cases = await servers.log()
    ids = {f"case{n}": [new_event_id() for _ in range(n % 3 + 1)] for n in range(2_000)}
    acknowledged: dict[str, int] = {}
    half = asyncio.Event()

    async def write(case_id: str) -> None:
        for entry in await cases.append(History(case_id), facts(*ids[case_id])):
            acknowledged[entry.envelope.id] = entry.sequence
        if len(acknowledged) > 600:
            half.set()

    async with asyncio.TaskGroup() as group:
        for case_id in ids:
            group.create_task(write(case_id))
        await half.wait()
        await kill(servers.nodes[0])
        await servers.nodes[0].start()
    stored = await servers.everything()
    assert [entry.sequence for entry in stored] == list(range(1, len(stored) + 1))
    assert {entry.envelope.id: entry.sequence for entry in stored} == acknowledged
    assert len(stored) == len(acknowledged) == sum(map(len, ids.values()))


async def test_an_event_that_is_too_large_is_refused_for_good_and_spares_its_neighbours(
    servers: Servers,
) -> None:
    cases = await servers.log()
    assert isinstance(REPORTED, CaseReported)
    large = Fact(REPORTED.model_copy(update={"description": "x" * 1_100_000}), CONTEXT, "large")
    outcomes = await asyncio.gather(
        cases.append(History("a"), facts("a")),
        cases.append(History("b"), [large]),
        cases.append(History("d"), [*facts("d"), large]),
        cases.append(History("c"), facts("c")),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], LogRefused), outcomes[1]
    assert isinstance(outcomes[2], LogRefused), outcomes[2]
    assert sorted(entry.envelope.id for entry in await servers.everything()) == ["a", "c"]


async def test_an_event_that_cannot_be_decoded_is_named(servers: Servers) -> None:
    cases, jetstream = await servers.log(), await servers.jetstream()
    await cases.append(History("a"), facts("1"))
    await jetstream.publish(Message("case.a.filed.2", b'{"type": "whistle.case.unheard.v9"}', {}))
    with pytest.raises(CaseUnreadable, match="case a, log position 2") as unreadable:
        await cases.load("a")
    assert (unreadable.value.case_id, unreadable.value.sequence) == ("a", 2)
    with pytest.raises(CaseUnreadable):
        await cases.load_many(["a"])
    assert (await cases.load("a", up_to=1)).version == 1


@pytest.mark.parametrize(("subject", "payload"), [("case.a.filed.first", b"{}"), ("case.a.filed.1", b"")])
async def test_whatever_stands_in_the_log_is_named_by_its_position(
    servers: Servers, subject: str, payload: bytes
) -> None:
    cases, jetstream = await servers.log(), await servers.jetstream()
    await jetstream.publish(Message(subject, payload, {}))
    await cases.append(History("b"), facts("b"))
    with pytest.raises(CaseUnreadable, match="case a, log position 1"):
        await cases.load("a")
    auditor = await servers.jetstream("auditor")
    raws = [raw async for events in read(auditor, AUDITOR, stop=2) for raw in events]
    assert (raws[0].sequence, raws[0].payload) == (1, payload)
    with pytest.raises(CaseUnreadable, match="case a, log position 1"):
        typed(raws[0])


async def test_a_hole_in_a_case_is_named(servers: Servers) -> None:
    cases, jetstream = await servers.log(), await servers.jetstream()
    [first] = await cases.append(History("a"), facts("1"))
    third = Entry(1, "a", "filed", 2, first.envelope)
    await cases.append(History("a", (first, third)), facts("3"))
    with pytest.raises(CaseUnreadable, match="event 2 is missing before event 3"):
        await cases.load("a")
    assert jetstream.is_connected


async def test_publishing_leaves_the_headers_as_they_were_given(servers: Servers) -> None:
    jetstream = await servers.jetstream()
    messages = [Message(f"case.a.filed.{n}", b"{}", expectation(str(n))) for n in (1, 2, 3)]
    before = [dict(message.headers) for message in messages]
    await jetstream.publish(messages[0])
    await jetstream.publish_batch(messages[1:])
    assert [message.headers for message in messages] == before


async def test_a_user_cannot_weaken_the_log(servers: Servers) -> None:
    breakglass = await servers.jetstream("breakglass")
    await (await servers.log()).append(History("a"), facts("1"))
    for call in ("STREAM.MSG.DELETE.CASES", "STREAM.PURGE.CASES"):
        with pytest.raises(Refused):
            await breakglass.api(call, {"seq": 1})


# --- the fast reader


async def test_the_reader_gives_everything_in_order_and_stops_where_asked(servers: Servers) -> None:
    cases, jetstream = await servers.log(), await servers.jetstream("auditor")
    await asyncio.gather(*(grow(cases, f"case{n}", 500) for n in range(10)))
    for start, stop in ((1, 5_000), (1, 1), (4_999, 5_000), (1_234, 3_210)):
        found = [
            raw.sequence
            async for events in read(jetstream, AUDITOR, start=start, stop=stop)
            for raw in events
        ]
        assert found == list(range(start, stop + 1))
    assert [raws async for raws in read(jetstream, AUDITOR, start=7, stop=6)] == []


async def test_the_reader_reads_the_same_as_a_load(servers: Servers) -> None:
    cases = await servers.log()
    written = await cases.append(History("a"), facts("1", "2"))
    assert tuple(await servers.everything()) == written


async def test_the_reader_follows_the_log(servers: Servers) -> None:
    cases, jetstream = await servers.log(), await servers.jetstream("auditor")
    history = History("a")
    async with aclosing(read(jetstream, AUDITOR)) as reading:
        for number in range(1, 6):
            written = await cases.append(history, facts(str(number)))
            history = History("a", (*history.entries, *written))
            async with asyncio.timeout(SECONDS_MAX):
                assert [typed(raw).version for raw in await anext(reading)] == [number]


async def test_the_reader_goes_on_after_a_restart_without_a_gap_or_a_double(servers: Servers) -> None:
    cases, jetstream = await servers.log(), await servers.jetstream("auditor")
    await grow(cases, "a", 3_000)
    found: list[int] = []
    async with aclosing(read(jetstream, AUDITOR, stop=3_001)) as reading:
        async for events in reading:
            if not found:
                await kill(servers.nodes[0])
                await servers.nodes[0].start()
                await cases.append(History("b"), facts("b"))
            found.extend(raw.sequence for raw in events)
    assert found == list(range(1, 3_002))


async def test_the_reader_leaves_nothing_behind(servers: Servers) -> None:
    cases, jetstream = await servers.log(), await servers.jetstream("auditor")
    await cases.append(History("a"), facts("1"))
    async with aclosing(read(jetstream, AUDITOR)) as reading:
        await anext(reading)

    async def nothing_is_left() -> bool:
        state = (await jetstream.api("STREAM.INFO.CASES"))["state"]
        return int(state["consumer_count"]) == 0

    # It does not wait long for the server to say so; but what goes by itself in the end, unused, is no tidying up.
    async with asyncio.timeout(INACTIVE_SECONDS / 2):
        await eventually(nothing_is_left, "the reader's consumer was deleted")


async def test_a_reader_without_the_right_is_told_so(servers: Servers) -> None:
    jetstream = await servers.jetstream("auditor")
    with pytest.raises(WhistleError):
        async for _ in read(jetstream, AUDITOR._replace(password="wrong"), stop=1):
            pass


# --- what must be provisioned


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("deny_delete", False),
        ("deny_purge", False),
        ("allow_atomic", False),
        ("compression", "s2"),
        ("max_age", 3_600_000_000_000),
        ("max_msgs", 10),
        ("max_bytes", 1_000_000),
        ("max_msgs_per_subject", 1),
        ("duplicate_window", 200_000_000),
        ("allow_rollup_hdrs", True),
    ],
)
async def test_a_stream_made_differently_is_named(tmp_path: Path, setting: str, value: object) -> None:
    # The server allows rollups only where purging is allowed.
    changed = {setting: value} | ({"deny_purge": False} if setting == "allow_rollup_hdrs" else {})
    async with single(tmp_path, **changed) as servers:
        jetstream = await servers.jetstream("provision")
        for verify in (streams.check, streams.ensure):
            with pytest.raises(NotProvisioned, match=f"stream CASES differs: ({setting}|deny_purge) is"):
                await verify(jetstream, declared(1))


async def test_a_missing_stream_or_consumer_is_named_and_making_it_again_changes_nothing(
    servers: Servers,
) -> None:
    jetstream = await servers.jetstream("provision")
    consumers = streams.service_consumers(["dispatch"])
    with pytest.raises(NotProvisioned, match="consumer dispatch on CASES is missing"):
        await streams.check(jetstream, consumers)
    for _ in range(2):
        await provision(servers, [*declared(1), *consumers])
    await streams.check(jetstream, [*declared(1), *consumers])
    assert await streams.lag(jetstream, "dispatch") == 0
