"""nats-server for tests of the log: real, with the accounts of production, to be stopped and killed."""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cli.embedded.account_file import render_accounts
from cli.embedded.nats import NatsCluster, NatsServer
from cli.stack.ports import free_port
from libs.events import streams
from libs.events.commit import DEADLINE_SECONDS
from libs.events.contracts.base import Event
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.envelope import Context, Entry, Origin
from libs.events.errors import LogUnavailable
from libs.events.jetstream import JetStream, connected
from libs.events.jetstream.reader import Credentials, read
from libs.events.log import Fact, Log, opened, typed
from libs.events.streams import Consumer, Stream
from libs.events.testing.examples import EXAMPLES, REPORTED_AT
from tests.support.halting import go_on, halt
from tests.support.stack import answered

PASSWORD = "w-for-tests"
AUDITOR = Credentials("auditor", PASSWORD)
SECONDS_MAX = 180.0
POLL_SECONDS = 0.01
CONTEXT = Context(actor="test", time=REPORTED_AT, origin=Origin.IMPORT)
REPORTED = EXAMPLES[CaseReported]
FILED = EXAMPLES[CaseFiled]


def accounts() -> str:
    """The users of production, all with one password; no department signs in."""
    return render_accounts({}, lambda _: PASSWORD)


async def eventually(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until it holds; the bound is only a safety net."""
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while not await holds():  # noqa: ASYNC110  # servers raise no events of ours
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise AssertionError(f"it never came about: {what}") from error


def told(text: str) -> None:
    """What pytest shows beside a failure."""
    print(text)  # noqa: T201  # a seed is of use only where it can be read


def seed_of_run() -> int:
    """`WHISTLE_TEST_SEED`, or one of its own; printed, so that a run's choices can be repeated."""
    seed = int(os.environ.get("WHISTLE_TEST_SEED") or random.randrange(1_000_000))
    told(f"WHISTLE_TEST_SEED={seed}")
    return seed


def facts(*ids: str, event: Event = FILED) -> tuple[Fact, ...]:
    """Facts with these ids."""
    return tuple(Fact(event, CONTEXT, each) for each in ids)


@dataclass(slots=True)
class Servers:
    """One node or three, with the streams of the product."""

    nodes: Sequence[NatsServer]
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def url(self) -> str:
        return ",".join(node.url for node in self.nodes)

    async def jetstream(self, user: str = "importer", *, first: int = 0) -> JetStream:
        """A connection of its own, to node number *first* while that one is there."""
        urls = [node.url for node in self.nodes]
        url = ",".join([*urls[first:], *urls[:first]])
        client = await self._open.enter_async_context(connected(url, user=user, password=PASSWORD))
        return JetStream(client)

    async def log(
        self, user: str = "importer", *, first: int = 0, deadline_seconds: float = DEADLINE_SECONDS
    ) -> Log:
        """The log over a connection of its own."""
        jetstream = await self.jetstream(user, first=first)
        return await self._open.enter_async_context(
            opened(jetstream.client, deadline_seconds=deadline_seconds)
        )

    async def everything(self) -> list[Entry]:
        """Every event in the log, in order."""
        jetstream = await self.jetstream("auditor")
        info = await answered(lambda: jetstream.api("STREAM.INFO.CASES"))
        last = int(info["state"]["last_seq"])
        found: list[Entry] = []
        async for events in read(jetstream, AUDITOR, stop=last):
            found.extend(typed(raw) for raw in events)
        return found

    async def close(self) -> None:
        await self._open.aclose()


def pid_of(node: NatsServer) -> int:
    return node.child.pid


def pause(node: NatsServer) -> None:
    """The process stands still, its connections stay open."""
    halt(pid_of(node))


def resume(node: NatsServer) -> None:
    go_on(pid_of(node))


async def kill(node: NatsServer) -> None:
    """As `kill -9` does it."""
    node.child.kill()
    await node.child.wait()


def declared(replicas: int, **changed: object) -> list[Stream | Consumer]:
    """The streams of the account LOG, `CASES` with some of its settings changed."""
    return [
        replace(each, config={**each.config, **changed}) if each.name == "CASES" else each
        for each in streams.log_streams(replicas)
    ]


async def provision(servers: Servers, wanted: Iterable[Stream | Consumer]) -> None:
    """Make streams and consumers; a cluster that has no leader yet is waited for."""
    jetstream = await servers.jetstream("provision")
    wanted = list(wanted)

    async def made() -> bool:
        try:
            await streams.ensure(jetstream, wanted)
        except LogUnavailable:
            return False
        return True

    await eventually(made, "the streams were made")


@asynccontextmanager
async def single(folder: Path, **changed: object) -> AsyncGenerator[Servers]:
    """One server on loopback."""
    node = NatsServer(folder, port=free_port(), accounts=accounts)
    await node.start()
    servers = Servers([node])
    try:
        await provision(servers, declared(1, **changed))
        yield servers
    finally:
        await servers.close()
        await node.stop()


@asynccontextmanager
async def cluster(folder: Path) -> AsyncGenerator[Servers]:
    """Three servers on loopback with three copies of every stream."""
    nodes = NatsCluster(
        folder,
        ports=[(free_port(), free_port()) for _ in range(3)],
        accounts=accounts,
        route_password=PASSWORD,
    )
    await nodes.start()
    servers = Servers(nodes.nodes)
    try:
        await provision(servers, declared(3))
        yield servers
    finally:
        await servers.close()
        await nodes.stop()
