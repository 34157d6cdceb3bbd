"""Kills at seeded moments, and the proof that nothing came of them: log, read models and figures as without them."""

import asyncio
import json
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson
import yaml

from cli.client import ask
from cli.importing.sample import write
from cli.stack.state import Stack, repository
from libs.events.comparing import digest
from libs.events.jetstream import JetStream
from libs.events.jetstream.reader import Credentials, RawEvent, read
from libs.events.log import typed
from libs.events.readmodel import ACTIVE
from services.evaluation.views import MODEL, By
from tests.support import cases
from tests.support.stack import answered, command_line, eventually, log_of

SEED_VARIABLE: Final = "WHISTLE_TEST_SEED"
SECONDS_MAX: Final = 600.0
"""A safety net: nothing here takes so long."""
AS_OF: Final = datetime(2011, 11, 6, tzinfo=UTC)
"""In the middle of what the made-up rows tell, so that some cases are open, and some of these late."""
ACK_WAIT_SECONDS: Final = 3
QUICK: Final = {"WHISTLE_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS)}
"""What a killed service had in hand comes again after this time instead of half a minute."""
CONSUMERS: Final = ("dispatch", "evaluation", "notify")
CHANGES_EACH_TIME: Final = ("recordedtime", "traceparent")


def seeded(test: str) -> random.Random:
    """The chance of one test, which shows how to repeat it."""
    seed = os.environ.get(SEED_VARIABLE) or str(random.SystemRandom().randrange(1_000_000))
    print(f"\nthe same again: {SEED_VARIABLE}={seed} ./whistle test -k {test}")  # noqa: T201 - the same
    return random.Random(f"{seed}/{test}")


# The city's file and its import.


@dataclass(frozen=True, slots=True)
class Source:
    """A file of cases with its mapping."""

    file: Path
    mapping: Path


def made_up(folder: Path, system: str, rows: int, seed: int) -> Source:
    """Rows of our own making, under a name of their own."""
    return under_name(folder, system, _written(folder / f"{system}.csv", rows, seed))


def _written(file: Path, rows: int, seed: int) -> Path:
    write(file, rows, seed)
    return file


def under_name(folder: Path, system: str, file: Path) -> Source:
    """A file in Boston's format, under a name of its own, so that several fit into one log."""
    content = yaml.safe_load((repository() / "mappings" / "boston311.yaml").read_text(encoding="utf-8"))
    mapping = folder / f"{system}.yaml"
    mapping.write_text(yaml.safe_dump({**content, "system": system}), encoding="utf-8")
    return Source(file, mapping)


class Import:
    """`./whistle import` as a process, which waits for the read models at its end."""

    def __init__(self, stack: Stack, source: Source) -> None:
        self._stack = stack
        self._arguments = ("import", str(source.file), "--mapping", str(source.mapping), "--json")
        self._process: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        self._process = command_line(self._stack, *self._arguments)

    @property
    def process(self) -> "subprocess.Popen[str]":
        """The process; only after `begin`."""
        assert self._process is not None, "not begun"
        return self._process

    def must_run(self) -> None:
        code = self.process.poll()
        assert code is None, f"it was over already, with {code}: {self.process.communicate()}"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
        assert self.process.returncode == -signal.SIGKILL, "it had ended before the kill"

    async def ended(self) -> dict[str, Any]:
        """What it says at its end, which must be a good one."""
        out, err = await asyncio.to_thread(self.process.communicate, timeout=SECONDS_MAX)
        assert self.process.returncode == 0, err
        result: dict[str, Any] = json.loads(out)
        assert result["rejected"] == 0
        assert result["behind"] == 0
        return result


async def imported(stack: Stack, source: Source) -> dict[str, Any]:
    """Import from the beginning to the end; what it says then."""
    importing = Import(stack, source)
    importing.begin()
    return await importing.ended()


# Kills.


def running_pid(stack: Stack, name: str) -> int | None:
    """The process of this name, if it runs at this moment."""
    now = Stack.read(stack.home)
    assert now is not None, "the stack has ended"
    return next((each.pid for each in now.processes if each.name == name and each.alive), None)


async def kill(stack: Stack, name: str) -> None:
    """As `kill -9` does it; one that is just being started again is waited for."""

    async def killed() -> bool:
        pid = running_pid(stack, name)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid is not None

    await eventually(killed, SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class Blow:
    """What happens when the log reaches a position."""

    position: int
    name: str
    strike: Callable[[], Awaitable[None]]


async def strike(
    stack: Stack, blows: Sequence[Blow], *, after: int = 0, during: Import | None = None
) -> None:
    """Let each blow fall as the log, which ends at *after*, reaches its position; returns when the log answers again.

    *during* is begun when the log is being followed, and must not have ended when a blow falls.
    """
    waiting = sorted(blows, key=lambda blow: blow.position)
    begun = during is None
    auditor = Credentials("auditor", stack.secret("auditor"))
    async with (
        asyncio.timeout(SECONDS_MAX),
        log_of(stack, "auditor") as (log, jetstream),
        # From the last event that is there: when it comes, the reading stands.
        aclosing(_following(read(jetstream, auditor, start=max(after, 1)), empty=not after)) as reading,
    ):
        async for reached in reading:
            if during is not None and not begun:
                during.begin()
                begun = True
            while waiting and reached >= waiting[0].position:
                blow = waiting.pop(0)
                print(f"position {reached}: {blow.name}")  # noqa: T201 - pytest shows it if it fails
                if during is not None:
                    during.must_run()
                await blow.strike()
            if not waiting:
                break
        await answered(log.last_position, SECONDS_MAX)


async def _following(reading: AsyncGenerator[list[RawEvent]], *, empty: bool) -> AsyncGenerator[int]:
    """The positions that the log reaches; at once 0 for an empty one."""
    if empty:
        yield 0
    async with aclosing(reading):
        async for some in reading:
            yield some[-1].sequence


# What came of it.


async def position(stack: Stack) -> int:
    """The end of the log."""
    async with log_of(stack, "auditor") as (log, _):
        return await answered(log.last_position, SECONDS_MAX)


async def events(stack: Stack, *, start: int = 1) -> list[dict[str, Any]]:
    """Every event from *start* as plain JSON with its position and subject; the log must be without gaps."""
    found: list[dict[str, Any]] = []
    auditor = Credentials("auditor", stack.secret("auditor"))
    async with log_of(stack, "auditor") as (log, jetstream):
        last = await answered(log.last_position, SECONDS_MAX)
        if last < start:
            return found
        async with (
            asyncio.timeout(SECONDS_MAX),
            aclosing(read(jetstream, auditor, start=start, stop=last)) as reading,
        ):
            async for some in reading:
                for raw in some:
                    entry = typed(raw)  # must be readable, too
                    place = {"position": raw.sequence, "on": raw.subject.decode(), "n": entry.version}
                    found.append({**orjson.loads(raw.payload), **place})
    assert [each["position"] for each in found] == list(range(start, last + 1))
    return found


def said(found: Sequence[dict[str, Any]]) -> list[str]:
    """What the events say, wherever they stand in the log and whenever they were written."""
    left_out = {*CHANGES_EACH_TIME, "position"}
    kept = ({key: value for key, value in each.items() if key not in left_out} for each in found)
    return sorted(json.dumps(each, sort_keys=True) for each in kept)


def assert_whole(found: Sequence[dict[str, Any]]) -> None:
    """Each case's versions are 1, 2, 3 ... in the order of the log, and no id stands twice."""
    versions: Counter[str] = Counter()
    for each in found:
        versions[each["subject"]] += 1
        assert each["n"] == versions[each["subject"]], each["on"]
    assert len({each["id"] for each in found}) == len(found)


@asynccontextmanager
async def _database(stack: Stack) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(
        stack.postgres_dsn("whistle_evaluation"), server_settings={"timezone": "UTC"}
    )
    try:
        yield connection
    finally:
        await connection.close()


async def digests(stack: Stack) -> dict[str, str]:
    """The digest of each table of evaluation that answers now."""
    async with _database(stack) as connection:
        active = await connection.fetchval(ACTIVE.format(service=MODEL.service))
        schema = MODEL.schema_name(int(active))
        return {table.name: await digest(connection, schema, table) for table in MODEL.tables}


async def scoreboards(stack: Stack) -> dict[str, Any]:
    """Every scoreboard, as of a moment in the middle and as of the end."""
    url = stack.service_url("evaluation")
    moments = (AS_OF.isoformat(), datetime(2020, 1, 1, tzinfo=UTC).isoformat())
    return {
        f"{by} {moment}": await asyncio.to_thread(
            ask, url, "/scoreboard", query={"by": by.value, "as_of": moment}
        )
        for by in By
        for moment in moments
    }


async def stored(jetstream: JetStream, stream: str) -> int:
    """How many messages a stream holds."""
    info = await answered(lambda: jetstream.api(f"STREAM.INFO.{stream}"), SECONDS_MAX)
    return int(info["state"]["messages"])


async def caught_up(stack: Stack) -> None:
    """Wait until every service has taken, and acknowledged, all that stands in the log."""
    await cases.caught_up(stack, *CONSUMERS, seconds_max=SECONDS_MAX)


async def nobody_parked(stack: Stack) -> None:
    """No service met an event that it could not handle."""
    async with log_of(stack, "auditor") as (_, jetstream):
        assert await stored(jetstream, "PARKED") == 0


async def until_restarted(
    stack: Stack, names: Collection[str], earlier: Mapping[str, int] | None = None
) -> None:
    """Wait until each of these was started again, more often than *earlier*: the supervisor says so a moment later."""

    async def all_again() -> bool:
        now = restarts(stack)
        return all(now[name] > (earlier or {}).get(name, 0) for name in names)

    await eventually(all_again, SECONDS_MAX)


def restarts(stack: Stack) -> dict[str, int]:
    """How often each process was started again so far."""
    now = Stack.read(stack.home)
    assert now is not None, "the stack has ended"
    return dict(now.restarts)
