"""The whole stack on a cluster of three NATS servers that is not its own, killed node by node and all at once.

The import through all of it must leave what an undisturbed import into one server leaves.
"""

import asyncio
import json
import os
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from cli.embedded.account_file import render_accounts
from cli.embedded.nats import NatsCluster, NatsServer
from cli.embedded.postgres import SUPERUSER, PostgresServer
from cli.embedded.secrets import Secrets
from cli.stack.plan import StackPlan
from cli.stack.ports import free_port
from cli.stack.rulebook import example_policy, provision
from cli.stack.state import Stack
from libs.events.jetstream import JetStream, NotNow, Unknown, connected
from tests.support.faults import (
    QUICK,
    SECONDS_MAX,
    Blow,
    Import,
    Source,
    assert_whole,
    caught_up,
    digests,
    events,
    imported,
    made_up,
    nobody_parked,
    said,
    scoreboards,
    seeded,
    strike,
    under_name,
)
from tests.support.stack import eventually, running, whistle

ROWS: Final = 1_000
"""Of each file; there is one for each kill."""
EVENTS_MIN: Final = 4 * ROWS
REPLICAS: Final = 3
CITY_ROUNDS: Final = 2
CITY_LAST_BLOW: Final = 120_000
"""Well before the end: after a kill the cluster may take seconds to let the log be followed again."""
SERVICES: Final = {"intake", "dispatch", "evaluation", "notify", "ledger"}
Step = tuple[str, Callable[[], Awaitable[None]]]


@pytest.fixture
def calm() -> Iterator[Stack]:
    """One server of its own, which nobody disturbs."""
    with running() as stack:
        yield stack


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    return seeded(request.node.name)


class Cluster:
    """Three log servers and a PostgreSQL, with passwords in a folder, as an operator would run them."""

    def __init__(self, folder: Path) -> None:
        self._starting: dict[NatsServer, asyncio.Task[None]] = {}
        self._to_follow: list[NatsServer] = []
        self.secrets = Secrets(folder / "secrets")
        plan = StackPlan.from_environment(home=folder, policy_dir=example_policy(), provision=provision)
        self.secrets.make((*plan.secret_names(), "route"))
        *ports, postgres = (free_port() for _ in range(2 * REPLICAS + 1))
        self.nats = NatsCluster(
            folder / "nats",
            ports=list(zip(ports[:REPLICAS], ports[REPLICAS:], strict=True)),
            accounts=lambda: render_accounts({}, self.secrets),
            route_password=self.secrets("route"),
        )
        self.postgres = PostgresServer(folder / "postgres", port=postgres, password=self.secrets(SUPERUSER))

    @property
    def settings(self) -> dict[str, str]:
        """What `whistle up` is told of these servers."""
        return {
            "WHISTLE_NATS_URL": self.nats.url,
            "WHISTLE_POSTGRES_DSN": self.postgres.dsn,
            "WHISTLE_SECRETS_DIR": str(self.secrets.folder),
            "WHISTLE_STREAM_REPLICAS": str(REPLICAS),
        }

    async def again(self, *nodes: NatsServer) -> None:
        """Kill these at once, as `kill -9` does it; they start again while the world goes on."""
        await asyncio.gather(*(self._starting.pop(node) for node in nodes if node in self._starting))
        for node in nodes:
            node.child.kill()
        await asyncio.gather(*(node.child.wait() for node in nodes))
        self._starting.update((node, asyncio.create_task(node.start())) for node in nodes)

    async def all_back(self) -> None:
        """Wait for whoever is starting again."""
        await asyncio.gather(*self._starting.values())
        self._starting.clear()

    async def leader_again(self) -> None:
        """The same with whoever leads the log at this moment; the others are to follow."""
        leader = await self._leader()
        self._to_follow = [node for node in self.nats.nodes if node is not leader]
        await self.again(leader)

    async def another_again(self) -> None:
        """The same with the next of those that are to follow."""
        await self.again(self._to_follow.pop())

    async def _leader(self) -> NatsServer:
        found: list[NatsServer] = []
        async with connected(self.nats.url, user="auditor", password=self.secrets("auditor")) as client:

            async def is_there() -> bool:
                try:
                    info = await JetStream(client).api("STREAM.INFO.CASES")
                except (NotNow, Unknown):
                    return False
                number = str(info["cluster"].get("leader", "")).removeprefix("node")
                found.extend(self.nats.nodes[int(number) - 1 : int(number)] if number else ())
                return bool(found)

            await eventually(is_there, SECONDS_MAX)
        return found[0]


@asynccontextmanager
async def cluster(folder: Path) -> AsyncGenerator[Cluster]:
    there = Cluster(folder)
    try:
        await asyncio.gather(there.nats.start(), there.postgres.start())
        yield there
    finally:
        await there.all_back()
        await there.nats.stop()
        await there.postgres.stop()


def steps_on(there: Cluster, chance: random.Random) -> list[Step]:
    """Whoever leads, then each of the other nodes and all three at once, in any order."""
    others: list[Step] = [("a node not struck before", there.another_again)] * (REPLICAS - 1)
    rest: list[Step] = [*others, ("all three", partial(there.again, *there.nats.nodes))]
    chance.shuffle(rest)
    return [("the leader", there.leader_again), *rest]


async def imported_through(
    stack: Stack, there: Cluster, source: Source, blows: Sequence[Blow], *, after: int = 0
) -> int:
    """Import while the blows fall; how many events it says to have added."""
    importing = Import(stack, source)
    await strike(stack, blows, after=after, during=importing)
    await there.all_back()
    result = await importing.ended()
    await caught_up(stack)
    return int(result["events_added"])


async def assert_as_calm(stack: Stack, calm: Stack, events_added: int) -> None:
    found = await events(stack)
    assert events_added == len(found)
    assert_whole(found)
    assert said(found) == said(await events(calm))
    tables = await digests(stack)
    assert tables == await digests(calm)
    assert await scoreboards(stack) == await scoreboards(calm)
    await nobody_parked(stack)
    rebuilt = whistle(stack, "rebuild", "evaluation", "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr
    report = json.loads(rebuilt.stdout)
    assert {table["name"]: table["new_digest"] for table in report["tables"]} == tables


@pytest.mark.full
async def test_an_import_survives_the_kill_of_every_node(
    tmp_path: Path, calm: Stack, chance: random.Random
) -> None:
    added = 0
    async with cluster(tmp_path) as there:
        with running(settings=QUICK | there.settings) as stack:
            assert {process.name for process in stack.processes} == SERVICES
            for number, (name, step) in enumerate(steps_on(there, chance)):
                # One file for each: while the log elects a leader nobody could aim at a position.
                source = made_up(tmp_path, f"cluster-{number}", ROWS, chance.randrange(1_000_000))
                aim = added + chance.randint(EVENTS_MIN // 20, EVENTS_MIN // 2)
                added += await imported_through(stack, there, source, [Blow(aim, name, step)], after=added)
                await imported(calm, source)
            await assert_as_calm(stack, calm, added)


@pytest.mark.full
async def test_a_whole_city_survives_it_many_times(
    tmp_path: Path, calm: Stack, chance: random.Random
) -> None:
    place = os.environ.get("WHISTLE_BOSTON_CSV")
    if not place:
        pytest.skip("WHISTLE_BOSTON_CSV is not set: the city's file is not part of the project")
    source = under_name(tmp_path, "boston-cluster", Path(place))
    async with cluster(tmp_path) as there:
        with running(settings=QUICK | there.settings) as stack:
            steps = [step for _ in range(CITY_ROUNDS) for step in steps_on(there, chance)]
            positions = sorted(chance.sample(range(1_000, CITY_LAST_BLOW), len(steps)))
            blows = [Blow(position, *step) for position, step in zip(positions, steps, strict=True)]
            added = await imported_through(stack, there, source, blows)
            await imported(calm, source)
            await assert_as_calm(stack, calm, added)
