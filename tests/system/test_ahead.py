"""What departments are told at once, and what is kept for them: each fact once, in order, none lost."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from nats.aio.msg import Msg

from cli.departments.keyring import new_seed, public_of
from cli.embedded.account_file import render_accounts
from cli.embedded.nats import NatsServer
from cli.stack.ports import free_port
from libs.events import streams
from libs.events.ahead import Ahead
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Assigned, Recalled
from libs.events.department import Department
from libs.events.envelope import Context
from libs.events.ids import case_id_of_import
from libs.events.log import History, Log, facts_of, opened
from libs.events.streams import Stream
from libs.events.subjects import DEPARTMENTS
from tests.support.nodes import PASSWORD, Servers, eventually, provision

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEEDS: Final = {code: new_seed() for code in ("water", "fire")}
CONTEXT: Final = Context(actor="test", time=datetime(2026, 3, 2, tzinfo=UTC))
FACTS: Final = 20
SECONDS_MAX: Final = 60.0
NUMBERS: Final = count()
TO_WATER: Final = Assigned(department="water")
FROM_WATER: Final = Recalled(department="water", reason="mistake")


def accounts() -> str:
    """Those of production with two departments, and somebody who may do anything in BUS."""
    text = render_accounts({code: [public_of(seed)] for code, seed in SEEDS.items()}, lambda _: PASSWORD)
    log, bus, rest = text.partition("  BUS {")
    hand = f'    users: [\n      {{ user: "hand", password: "{PASSWORD}" }}\n'
    return log + bus + rest.replace("    users: [\n", hand, 1)


@asynccontextmanager
async def bus(folder: Path, log_streams: Iterable[Stream]) -> AsyncGenerator[Servers]:
    """One server with the log and the bus of two departments."""
    node = NatsServer(folder, port=free_port(), accounts=accounts)
    await node.start()
    servers = Servers([node])
    try:
        await provision(servers, [each for each in log_streams if each.name == "CASES"])
        keeper = await servers.jetstream("provision-bus")
        await streams.ensure(keeper, [*streams.bus_streams(1), *streams.department_consumers(SEEDS)])
        yield servers
    finally:
        await servers.close()
        await node.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Servers]:
    async with bus(tmp_path_factory.mktemp("bus"), streams.log_streams(1)) as made:
        yield made


@asynccontextmanager
async def writing(servers: Servers) -> AsyncGenerator[Log]:
    jetstream = await servers.jetstream("dispatch")
    async with opened(jetstream.client) as log:
        yield log


@asynccontextmanager
async def department(servers: Servers, code: str) -> AsyncGenerator[Department]:
    async with Department.connected(code, url=servers.url, seed=SEEDS[code]) as opened_one:
        yield opened_one


async def told(log: Log, history: History | None = None, events: tuple[Event, ...] = (TO_WATER,)) -> History:
    """The case, a new one if none is given, after these facts."""
    case = history or History(case_id_of_import("test-ahead", str(next(NUMBERS))))
    return replace(case, entries=(*case.entries, *await log.append(case, facts_of(events, CONTEXT))))


class Listener:
    """What a department's client gave out, in order, while the block lasts."""

    def __init__(self, department: Department) -> None:
        self._department = department
        self.heard: list[tuple[str, str]] = []

    async def run(self) -> None:
        async with aclosing(self._department.news()) as news:
            async for case in news:
                self.heard.append((case.id, case.envelope.id))

    async def until(self, histories: Iterable[History]) -> None:
        wanted = {entry.envelope.id for history in histories for entry in history.entries}

        async def came() -> bool:
            return wanted <= {event_id for _, event_id in self.heard}

        await eventually(came, "all of it was heard")

    def of(self, history: History) -> list[str]:
        return [event_id for case_id, event_id in self.heard if case_id == history.case_id]


@asynccontextmanager
async def listening(servers: Servers, code: str = "water") -> AsyncGenerator[Listener]:
    """A department that listens; what was said before it did has been heard."""
    async with Department.connected(code, url=servers.url, seed=SEEDS[code]) as own, writing(servers) as log:
        listener = Listener(own)
        task = asyncio.create_task(listener.run())
        try:
            await listener.until([await told(log, events=(Assigned(department=code),))])
            yield listener
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def ids(history: History) -> list[str]:
    return [entry.envelope.id for entry in history.entries]


async def everything_is_acknowledged(servers: Servers, code: str = "water") -> None:
    """The bus has nothing more to deliver to the department."""
    jetstream = await servers.jetstream("provision-bus")

    async def done() -> bool:
        return await streams.lag(jetstream, code, DEPARTMENTS) == 0

    await eventually(done, "all that is kept was acknowledged")


@asynccontextmanager
async def nothing_delivered(servers: Servers, code: str = "water") -> AsyncGenerator[None]:
    """The bus delivers nothing that it keeps for the department: what is heard was sent on from the log."""
    by_hand = await servers.jetstream("hand")
    call = f"CONSUMER.PAUSE.{DEPARTMENTS}.{code}"
    until = datetime.now(UTC) + timedelta(hours=1)
    assert (await by_hand.api(call, {"pause_until": until.isoformat()}))["paused"]
    try:
        yield
    finally:
        assert not (await by_hand.api(call, {}))["paused"]


async def test_a_fact_is_heard_before_the_bus_delivers_it_and_only_once(servers: Servers) -> None:
    async with listening(servers) as water, writing(servers) as log:
        async with nothing_delivered(servers):
            cases = [await told(log, events=(TO_WATER, FROM_WATER)) for _ in range(FACTS)]
            cases = [await told(log, case) for case in cases]
            await water.until(cases)
        for case in cases:
            assert water.of(case) == ids(case)
        await everything_is_acknowledged(servers)
        for case in cases:
            assert water.of(case) == ids(case), "what the bus delivered was heard before"


async def test_whatever_is_lost_on_the_quick_way_comes_in_order(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third fact that is sent on is dropped, and no case misses one or hears it twice."""
    numbers, hear = count(), Ahead.hear

    async def half_deaf(self: Ahead, message: Msg) -> None:
        if next(numbers) % 3:
            await hear(self, message)

    monkeypatch.setattr(Ahead, "hear", half_deaf)
    async with listening(servers) as water, writing(servers) as log:
        cases = [await told(log) for _ in range(FACTS)]
        for _ in range(3):
            cases = [await told(log, case, (FROM_WATER, TO_WATER)) for case in cases]
        await water.until(cases)
        await everything_is_acknowledged(servers)
        for case in cases:
            assert water.of(case) == ids(case)


async def test_who_begins_to_listen_hears_what_it_missed_and_in_order(servers: Servers) -> None:
    """A case of which it does not know what it was told last comes as the bus delivers it."""
    async with writing(servers) as log:
        case = await told(log, events=(TO_WATER, FROM_WATER))
        async with listening(servers) as water:
            case = await told(log, case)
            await water.until([case])
            assert water.of(case) == ids(case)
        async with listening(servers) as water:
            later = await told(log, case, (FROM_WATER,))
            await water.until([History(case.case_id, later.entries[-1:])])
            assert water.of(case) == ids(later)[-len(water.of(case)) :]


async def test_what_was_heard_ahead_and_not_handled_comes_again(servers: Servers) -> None:
    cases: list[History] = []
    async with (
        writing(servers) as log,
        nothing_delivered(servers),
        Department.connected("water", url=servers.url, seed=SEEDS["water"]) as own,
        aclosing(own.news()) as news,
    ):
        heard = asyncio.create_task(anext(news))
        async with asyncio.timeout(SECONDS_MAX):
            while not heard.done():  # it begins to listen while others are told
                cases.append(await told(log))
    assert heard.result().id in {case.case_id for case in cases}
    async with listening(servers) as water:
        await water.until(cases)


async def test_each_department_hears_its_own(servers: Servers) -> None:
    async with listening(servers) as water, listening(servers, "fire") as fire, writing(servers) as log:
        case = await told(log, events=(TO_WATER, FROM_WATER, Assigned(department="fire")))
        own = [History(case.case_id, case.entries[:2]), History(case.case_id, case.entries[2:])]
        await water.until(own[:1])
        await fire.until(own[1:])
        assert (water.of(case), fire.of(case)) == (ids(own[0]), ids(own[1]))


async def test_a_log_that_sends_nothing_on_is_taken_as_it_is(tmp_path: Path) -> None:
    """As older software made it: departments hear what the bus delivers."""
    older = [
        replace(each, config={key: value for key, value in each.config.items() if key != "republish"})
        for each in streams.log_streams(1)
    ]
    async with bus(tmp_path, older) as servers:
        await streams.check(
            await servers.jetstream("provision"), [e for e in streams.log_streams(1) if e.name == "CASES"]
        )
        async with listening(servers) as water, writing(servers) as log:
            case = await told(log, await told(log), (FROM_WATER,))
            await water.until([case])
            assert water.of(case) == ids(case)
