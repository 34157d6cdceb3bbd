"""Consuming with real servers: in order, once, whoever dies; and a case that cannot be handled stops nobody else."""

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from cli.embedded.postgres import PostgresServer
from cli.stack.ports import free_port
from cli.stack.state import repository
from libs.events import streams
from libs.events.consume import consume
from libs.events.contracts.intake import CaseFiled
from libs.events.envelope import Entry, Origin
from libs.events.jetstream import Message
from libs.events.jetstream.pull import Delivery, PullConsumer
from libs.events.jetstream.reader import Credentials, read
from libs.events.log import Fact, History, Log
from libs.events.projection import Dismissal, Projector, nothing
from libs.events.readmodel import Pool, ReadModel, asking, pool_of, prepare
from libs.events.rebuild import Rebuild
from libs.events.subjects import CASES, PARKED
from tests.support.journal import BATCH_MESSAGES_MAX, MODEL, SERVICE, TOO_LARGE, HandlerBroken
from tests.support.nodes import (
    AUDITOR,
    CONTEXT,
    FILED,
    PASSWORD,
    Servers,
    eventually,
    facts,
    kill,
    provision,
    seed_of_run,
    single,
    told,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ACK_WAIT_SECONDS = 1
EVENTS_PER_CASE = 5
DEATHS_MIN = 3
FAULTS = "consume.committed=0.04,consume.before_commit=0.04"

React = Callable[[Entry], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgres() -> AsyncIterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="whistle-test-"))
    folder.chmod(0o755)  # noqa: ASYNC240  # PostgreSQL may run as another user
    server = PostgresServer(folder, port=free_port(), password=PASSWORD, settings={"fsync": "off"})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class World:
    """A log, an empty journal, and consumers as they are asked for."""

    servers: Servers
    pool: Pool
    dsn: str
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)
    _running: list[asyncio.Task[None]] = field(default_factory=list)

    async def projector(self, *, react: React = nothing, model: ReadModel = MODEL) -> Projector:
        cases = await self.servers.log(SERVICE)
        return Projector(model, self.pool, cases, await self.servers.jetstream(SERVICE), react=react)

    async def consume(self, *, react: React = nothing, model: ReadModel = MODEL) -> Projector:
        """A consumer of its own, running until the test ends."""
        projector = await self.projector(react=react, model=model)
        pull = await self._open.enter_async_context(
            PullConsumer(
                await self.servers.jetstream(SERVICE), CASES, SERVICE, batch_messages_max=BATCH_MESSAGES_MAX
            )
        )
        self._running.append(
            asyncio.create_task(consume(SERVICE, pull, projector.handle, projector.park), name="consumer")
        )
        return projector

    async def caught_up(self) -> None:
        jetstream = await self.servers.jetstream("auditor")

        async def no_lag() -> bool:
            for task in self._running:
                assert not task.done(), task
            return await streams.lag(jetstream, SERVICE) == 0

        await eventually(no_lag, "everything was acknowledged")

    async def journal(self) -> dict[str, list[int]]:
        """The versions that were applied, in the order of their application, by case."""
        found: dict[str, list[int]] = defaultdict(list)
        async with asking(self.pool, SERVICE) as connection:
            for record in await connection.fetch("SELECT case_id, version FROM journal ORDER BY number"):
                found[record["case_id"]].append(record["version"])
        return found

    async def make_fail(self, case_id: str, *, failing: bool = True) -> None:
        statement = "INSERT INTO failing VALUES ($1)" if failing else "DELETE FROM failing WHERE case_id = $1"
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL search_path = evaluation_g1")
            await connection.execute(statement, case_id)

    async def told_parked(self) -> list[dict[str, Any]]:
        """What stands in the stream of parked cases."""
        jetstream = await self.servers.jetstream("auditor")
        last = int((await jetstream.api(f"STREAM.INFO.{PARKED}"))["state"]["last_seq"])
        page = await jetstream.multi_last(PARKED, ["parked.>"]) if last else None
        return [orjson.loads(message.payload) for message in page.messages] if page else []

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._open.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def world(tmp_path: Path, postgres: PostgresServer) -> AsyncIterator[World]:
    name = f"test_{tmp_path.name.lower()}"
    async with pool_of(postgres.dsn, connections_max=1) as admin:
        await admin.execute(f'CREATE DATABASE "{name}"')
    dsn = postgres.dsn.removesuffix("postgres") + name
    async with single(tmp_path) as servers, pool_of(dsn) as pool:
        consumers = [
            replace(each, config={**each.config, "ack_wait": ACK_WAIT_SECONDS * 1_000_000_000})
            for each in streams.service_consumers([SERVICE])
        ]
        await provision(servers, consumers)
        await prepare(pool, MODEL)
        found = World(servers, pool, dsn)
        yield found
        await found.close()


async def write_cases(cases: Log, count: int, prefix: str = "case") -> dict[str, list[int]]:
    """Cases that grow event by event, so that their events lie far apart; what the journal must show of them."""
    histories = {f"{prefix}{n}": History(f"{prefix}{n}") for n in range(count)}
    for number in range(EVENTS_PER_CASE):
        for case_id, written in zip(
            histories,
            await asyncio.gather(
                *(cases.append(each, facts(f"{each.case_id}/{number}")) for each in histories.values())
            ),
            strict=True,
        ):
            histories[case_id] = History(case_id, (*histories[case_id].entries, *written))
    return {case_id: list(range(1, EVENTS_PER_CASE + 1)) for case_id in histories}


async def deliveries_of(world: World) -> list[Delivery]:
    """All that stands in the log as it would be delivered."""
    jetstream = await world.servers.jetstream("auditor")
    last = int((await jetstream.api("STREAM.INFO.CASES"))["state"]["last_seq"])
    return [
        Delivery(raw.subject.decode(), raw.sequence, raw.payload, None, "", 0)
        async for events in read(jetstream, AUDITOR, stop=last)
        for raw in events
    ]


async def test_two_consumers_share_the_work_and_keep_the_order(world: World) -> None:
    for _ in range(2):
        await world.consume()
    expected = await write_cases(await world.servers.log(), 200)
    await world.caught_up()
    assert await world.journal() == expected


async def test_two_processes_killed_again_and_again_lose_double_and_swap_nothing(world: World) -> None:
    seed = seed_of_run()
    deaths = 0

    async def keep_running(first_seed: int) -> None:
        nonlocal deaths
        for own in range(first_seed, first_seed + 1_000):
            settings = {"WHISTLE_FAULTS": FAULTS, "WHISTLE_FAULTS_SEED": str(own)}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.journal", world.servers.url, PASSWORD, world.dsn),
                env={**os.environ, **settings, "PYTHONPATH": str(repository())},
                stdout=asyncio.subprocess.DEVNULL,
            )
            try:
                assert await process.wait() == -signal.SIGKILL
                deaths += 1
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    keepers = [asyncio.create_task(keep_running(seed + 1_000_000 * n)) for n in range(2)]
    try:
        expected: dict[str, list[int]] = {}
        while deaths < DEATHS_MIN:  # how many batches a round takes is chance
            expected |= await write_cases(await world.servers.log(), 300, f"round{len(expected)}-")
            await world.caught_up()
    finally:
        for keeper in keepers:
            keeper.cancel()
        ended = await asyncio.gather(*keepers, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
    told(f"{deaths} deaths")
    assert await world.journal() == expected


async def test_what_comes_twice_or_late_is_applied_once_and_in_order(world: World) -> None:
    expected = await write_cases(await world.servers.log(), 20)
    projector = await world.projector()
    deliveries = await deliveries_of(world)
    chance = random.Random(7)
    for _ in range(3):
        chance.shuffle(deliveries)
        for start in range(0, len(deliveries), 7):
            await projector.handle(deliveries[start : start + 7])
    assert await world.journal() == expected


async def test_several_that_get_the_same_at_once_apply_it_once(world: World) -> None:
    expected = await write_cases(await world.servers.log(), 20)
    projectors = [await world.projector() for _ in range(4)]
    deliveries = await deliveries_of(world)
    for start in range(0, len(deliveries), 10):
        await asyncio.gather(*(each.handle(deliveries[start : start + 10]) for each in projectors))
    assert await world.journal() == expected


class UnreadLog(Log):
    """A log that nobody may need to look into."""

    def __init__(self, cases: Log) -> None:
        super().__init__(cases._jetstream, cases._commit)

    async def load_many(self, case_ids: Sequence[str]) -> dict[str, History]:
        raise AssertionError(f"{case_ids} had no gap")


async def test_without_a_gap_nothing_is_read_whatever_comes_again(world: World) -> None:
    expected = await write_cases(await world.servers.log(), 5)
    unread = UnreadLog(await world.servers.log(SERVICE))
    projector = Projector(MODEL, world.pool, unread, await world.servers.jetstream(SERVICE))
    deliveries = await deliveries_of(world)
    for start in range(len(deliveries)):
        await projector.handle(deliveries[max(0, start - 10) : start + 1])
    await projector.handle(deliveries)
    assert await world.journal() == expected


async def test_a_gap_is_filled_from_the_log(world: World) -> None:
    expected = await write_cases(await world.servers.log(), 3)
    projector = await world.projector()
    last_ones = [each for each in await deliveries_of(world) if each.subject.endswith(f".{EVENTS_PER_CASE}")]
    await projector.handle(last_ones)
    assert await world.journal() == expected


async def test_a_case_that_cannot_be_handled_is_parked_and_the_others_go_on(world: World) -> None:
    projector = await world.consume()
    await world.make_fail("case7")
    expected = await write_cases(await world.servers.log(), 20)
    await world.caught_up()
    assert await world.journal() == {**expected, "case7": [1]}
    [parked] = await projector.parked(10)
    assert (parked["case_id"], parked["version"]) == ("case7", 2)
    assert parked["reason"] == "HandlerBroken: cannot handle event 2"
    [told] = await world.told_parked()
    assert (told["service"], told["case_id"], told["version"]) == (SERVICE, "case7", 2)
    assert told["reason"] == parked["reason"]
    assert await projector.count_parked() == 1


async def test_a_parked_case_is_taken_up_in_order(world: World) -> None:
    projector = await world.consume()
    await world.make_fail("case1")
    expected = await write_cases(await world.servers.log(), 3)
    await world.caught_up()
    with pytest.raises(HandlerBroken):
        await projector.retry("case1")
    assert await projector.count_parked() == 1
    await world.make_fail("case1", failing=False)
    cases = await world.servers.log()
    await cases.append(await cases.load("case1", at_least=await cases.newest("case1")), facts("later"))
    await world.caught_up()
    assert (await world.journal())["case1"] == [1], "it waits until somebody takes it up"
    expected["case1"].append(EVENTS_PER_CASE + 1)
    assert await projector.retry("case1")
    assert not await projector.retry("case1"), "it is parked no more"
    assert await world.journal() == expected
    assert await projector.count_parked() == 0


WHO = Dismissal("administrator:whistle", "p-1", "said twice")


async def test_what_is_dismissed_is_passed_over_for_good_and_the_rest_follows_in_order(world: World) -> None:
    projector = await world.consume()
    await world.make_fail("case1")
    expected = await write_cases(await world.servers.log(), 3)
    await world.caught_up()
    assert await projector.dismiss("case1", WHO)
    assert not await projector.dismiss("case1", WHO), "it is parked no more"
    expected["case1"] = [1, *expected["case1"][2:]]
    assert await world.journal() == expected
    cases = await world.servers.log()
    await cases.append(await cases.load("case1", at_least=await cases.newest("case1")), facts("later"))
    await world.caught_up()
    expected["case1"].append(EVENTS_PER_CASE + 1)
    assert await world.journal() == expected
    [told] = await world.told_parked()
    assert (told["by"], told["reason"], told["version"]) == (WHO.by, WHO.reason, 2)
    assert await projector.count_parked() == 0


class Fails:
    """A reaction that cannot be done to certain events of `case1`."""

    def __init__(self, *versions: int) -> None:
        self.at = {*versions}
        self.heard: list[int] = []

    async def __call__(self, entry: Entry) -> None:
        if entry.case_id != "case1":
            return
        if entry.version in self.at:
            raise HandlerBroken(f"no reaction to {entry.version}")
        self.heard.append(entry.version)


async def test_a_case_tried_again_gets_as_far_as_the_event_that_fails_then(world: World) -> None:
    react = Fails(2, 4)
    projector = await world.consume(react=react)
    expected = await write_cases(await world.servers.log(), 3)
    await world.caught_up()
    react.at = {4}
    with pytest.raises(HandlerBroken, match="no reaction to 4"):
        await projector.retry("case1")
    [parked] = await projector.parked(10)
    assert (parked["version"], parked["reason"]) == (4, "HandlerBroken: no reaction to 4")
    assert (await world.journal())["case1"] == [1, 2, 3]
    with pytest.raises(HandlerBroken):
        await projector.retry("case1")
    assert await projector.parked(10) == [parked], "it got no further, and has been parked since then"
    assert await projector.dismiss("case1", WHO)
    assert await world.journal() == {**expected, "case1": [1, 2, 3, 5]}, "passed over is what failed last"


async def test_what_is_owed_since_before_a_rebuild_is_done_when_an_event_is_dismissed(world: World) -> None:
    react = Fails(2, 4)
    projector = await world.consume(react=react)
    await write_cases(await world.servers.log(), 2)
    await world.caught_up()
    rebuild = Rebuild(
        *(MODEL, world.pool, await world.servers.log(SERVICE)),
        *(await world.servers.jetstream(SERVICE), Credentials(SERVICE, PASSWORD)),
    )
    assert (await rebuild.run(lambda _: None, accept_differences=True)).switched
    assert (await world.journal())["case1"] == [1, 2, 3, 4, 5], "the tables hold all of it"
    react.heard.clear()
    assert await projector.dismiss("case1", WHO)
    [parked] = await projector.parked(10)
    assert (react.heard, parked["version"]) == ([3], 4)
    react.at.clear()
    assert await projector.retry("case1")
    assert react.heard[-2:] == [4, 5]


async def test_where_a_timer_parked_a_case_no_event_to_come_is_passed_over(world: World) -> None:
    projector = await world.consume()
    cases = await world.servers.log()
    expected = await write_cases(cases, 2)
    await world.caught_up()
    await projector.park("case1", HandlerBroken("what is due cannot be decided"))
    assert await projector.dismiss("case1", WHO)
    await cases.append(await cases.load("case1", at_least=await cases.newest("case1")), facts("later"))
    await world.caught_up()
    expected["case1"].append(EVENTS_PER_CASE + 1)
    assert await world.journal() == expected


async def test_of_several_events_that_cannot_be_read_each_is_dismissed_by_a_word_of_its_own(
    world: World,
) -> None:
    projector = await world.consume()
    jetstream = await world.servers.jetstream()
    expected = await write_cases(await world.servers.log(), 2)
    for version in (EVENTS_PER_CASE + 1, EVENTS_PER_CASE + 2):
        await jetstream.publish(Message(f"case.case1.filed.{version}", b"{}", {}))
    await world.caught_up()
    assert await projector.dismiss("case1", WHO)
    [parked] = await projector.parked(10)
    assert parked["version"] == EVENTS_PER_CASE + 2
    assert await projector.dismiss("case1", WHO)
    assert await projector.count_parked() == 0
    assert await world.journal() == expected


async def test_a_rebuild_passes_over_what_was_dismissed(world: World) -> None:
    projector = await world.consume()
    await world.make_fail("case1")
    await write_cases(await world.servers.log(), 2)
    await world.caught_up()
    assert await projector.dismiss("case1", WHO)
    before = await world.journal()
    jetstream = await world.servers.jetstream(SERVICE)
    rebuild = Rebuild(
        MODEL, world.pool, await world.servers.log(SERVICE), jetstream, Credentials(SERVICE, PASSWORD)
    )
    # A journal numbers its rows as they come, which is another order each time.
    report = await rebuild.run(lambda _: None, accept_differences=True)
    assert (report.switched, report.cases_parked_anew) == (True, 0)
    assert await world.journal() == before


class LateLog(Log):
    """Between a reading and what is made of it, somebody else goes on."""

    def __init__(self, cases: Log, late: Callable[[], Awaitable[None]]) -> None:
        super().__init__(cases._jetstream, cases._commit)
        self._late = late

    async def load(
        self,
        case_id: str,
        *,
        up_to: int | None = None,
        at_least: int = 0,
        without: Collection[int] = (),
    ) -> History:
        history = await super().load(case_id, up_to=up_to, at_least=at_least, without=without)
        await self._late()
        return history


async def test_an_event_that_arrives_while_a_case_is_taken_up_is_not_lost(world: World) -> None:
    await world.consume()
    await world.make_fail("case0")
    cases = await world.servers.log()
    await write_cases(cases, 1)
    await world.caught_up()
    await world.make_fail("case0", failing=False)

    async def one_more() -> None:
        history = await cases.load("case0", at_least=await cases.newest("case0"))
        await cases.append(history, facts(f"late/{history.version}"))
        jetstream = await world.servers.jetstream("auditor")
        for _ in range(50):  # the consumer either passes it over now, or waits for the taking up to end
            if await streams.lag(jetstream, SERVICE) == 0:
                break

    log_of_service = await world.servers.log(SERVICE)
    late = LateLog(log_of_service, one_more)
    projector = Projector(MODEL, world.pool, late, await world.servers.jetstream(SERVICE))
    assert await projector.retry("case0")
    await world.caught_up()
    newest = (await cases.load("case0", at_least=await cases.newest("case0"))).version
    assert await world.journal() == {"case0": list(range(1, newest + 1))}


async def test_an_event_that_the_database_cannot_take_parks_its_case_and_stops_nobody(world: World) -> None:
    projector = await world.consume()
    cases = await world.servers.log()
    large = Fact(CaseFiled(category="x", reason=TOO_LARGE), CONTEXT, "large")
    await cases.append(History("large"), [large])
    expected = await write_cases(cases, 5)
    await world.caught_up()
    assert await world.journal() == expected
    assert [each["case_id"] for each in await projector.parked(10)] == ["large"]


@pytest.mark.parametrize("subject", ["case.bad.filed.1", "case.bad.filed.first"])
async def test_an_event_that_cannot_be_read_parks_its_case_and_stops_nobody(
    world: World, subject: str
) -> None:
    projector = await world.consume()
    cases, jetstream = await world.servers.log(), await world.servers.jetstream()
    await jetstream.publish(Message(subject, b"{}", {}))
    expected = await write_cases(cases, 5)
    await world.caught_up()
    assert await world.journal() == expected
    [parked] = await projector.parked(10)
    assert parked["case_id"] == "bad"
    assert "log position 1" in str(parked["reason"])


async def test_the_first_reason_stays_when_later_events_of_a_parked_case_cannot_be_read(
    world: World,
) -> None:
    projector = await world.consume()
    await world.make_fail("case0")
    cases, jetstream = await world.servers.log(), await world.servers.jetstream()
    await write_cases(cases, 1)
    await world.caught_up()
    await jetstream.publish(Message("case.case0.filed.6", b"{}", {}))
    await world.caught_up()
    [parked] = await projector.parked(10)
    assert parked["reason"] == "HandlerBroken: cannot handle event 2"


async def test_while_postgres_is_away_everything_waits_and_then_goes_on(
    world: World, postgres: PostgresServer
) -> None:
    projector = await world.consume()
    cases = await world.servers.log()
    first = await write_cases(cases, 10, "first")
    await world.caught_up()
    postgres.child.kill()
    await postgres.child.wait()
    second = await write_cases(cases, 10, "second")
    await postgres.start()
    await world.caught_up()
    assert await world.journal() == first | second
    assert await projector.count_parked() == 0


async def test_while_nats_is_away_everything_waits_and_then_goes_on(world: World) -> None:
    await world.consume()
    cases = await world.servers.log()
    first = await write_cases(cases, 50, "first")
    await kill(world.servers.nodes[0])
    await world.servers.nodes[0].start()
    second = await write_cases(cases, 50, "second")
    await world.caught_up()
    assert await world.journal() == first | second


async def test_reactions_follow_the_order_of_a_case_and_one_that_fails_parks_it(world: World) -> None:
    heard: dict[str, list[int]] = defaultdict(list)

    async def react(entry: Entry) -> None:
        if entry.case_id == "case1" and entry.version == 3:
            raise HandlerBroken("no reaction")
        heard[entry.case_id].append(entry.version)

    projector = await world.consume(react=react)
    expected = await write_cases(await world.servers.log(), 5)
    await world.caught_up()
    for case_id, versions in expected.items():
        reached = [*dict.fromkeys(heard[case_id])]  # a reaction may come again, and must then add nothing
        assert reached == ([1, 2] if case_id == "case1" else versions)
    assert (await world.journal())["case1"] == [1, 2]
    assert [each["case_id"] for each in await projector.parked(10)] == ["case1"]


async def test_events_of_other_origins_are_passed_over(world: World) -> None:
    only_live = replace(MODEL, origins=frozenset({Origin.LIVE}))
    heard: list[str] = []

    async def react(entry: Entry) -> None:
        heard.append(entry.envelope.id)

    await world.consume(react=react, model=only_live)
    cases = await world.servers.log()
    live = [Fact(FILED, CONTEXT._replace(origin=Origin.LIVE), each) for each in ("live1", "live2")]
    await cases.append(History("imported"), facts("1", "2"))
    await cases.append(History("live"), live)
    await world.caught_up()
    assert await world.journal() == {"live": [1, 2]}
    assert [*dict.fromkeys(heard)] == ["live1", "live2"]


async def test_of_many_deliveries_only_the_failing_case_is_taken_apart(world: World) -> None:
    calls: list[Sequence[str]] = []

    async def apply(connection: Any, fresh: Sequence[Entry]) -> None:
        calls.append([entry.case_id for entry in fresh])
        await MODEL.apply(connection, fresh)

    await world.make_fail("case2")
    expected = await write_cases(await world.servers.log(), 4)
    await world.consume(model=replace(MODEL, apply=apply))
    await world.caught_up()
    assert await world.journal() == {**expected, "case2": [1]}
    assert any(len(set(call)) > 1 for call in calls), "cases travel together until one fails"
