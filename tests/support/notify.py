"""Notify as processes of their own on bare servers, and live facts for it to tell of."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

import asyncpg
import orjson

from cli.embedded import child
from cli.embedded.process import tail
from cli.stack.plan import StackPlan, service_environment
from cli.stack.rulebook import example_policy
from cli.stack.state import Stack, repository
from libs.events.contracts.base import Event, Place
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.envelope import Context, Entry
from libs.events.ids import case_id_of_import
from libs.events.keyvalue import KeyValue
from libs.events.log import History, Log, facts_of
from libs.events.subjects import RECEIVERS
from services.notify.subscriptions.model import Secret, State, Subscription
from services.notify.subscriptions.store import Subscriptions
from tests.support.receiver import SECRET
from tests.support.stack import POLL_SECONDS, ended_with, environment, eventually, log_of

PATIENT: Final = {"WHISTLE_DELIVERY_ATTEMPT_SECONDS": "10", "WHISTLE_DELIVERY_LEASE_SECONDS": "30"}
"""On a machine that is busy, too, an answer comes in time."""
QUICK: Final = {"WHISTLE_DELIVERY_ATTEMPT_SECONDS": "2", "WHISTLE_DELIVERY_LEASE_SECONDS": "6"}
"""What a killed replica was about to deliver is taken over soon."""
SECONDS_MAX: Final = 600.0
"""A safety net: nothing here takes so long."""
ACK_WAIT_SECONDS: Final = 2
"""What a killed replica had in hand comes again after this time."""
PLACE: Final = Place(time_zone="Asia/Shanghai", street="hebin", community="qiaotou", address="12 Hebin")
UNSETTLED: Final = """
SELECT exists(SELECT FROM notify.deliveries WHERE state = 'due' AND receiver = $1)
    OR exists(SELECT FROM notify.replays WHERE state = 'running')
"""
# Rows, not tables: to truncate waits for tables that a replica at work holds while it waits for others of them.
EMPTY: Final = "DELETE FROM notify.deliveries; DELETE FROM notify.lanes; DELETE FROM notify.replays"
# Never waiting for a row: a replica that has it may wait for another of these.
NOW_DUE: Final = """
UPDATE notify.deliveries SET due_at = now() WHERE notice_id IN (
    SELECT notice_id FROM notify.deliveries WHERE state = 'due' AND due_at > now() FOR UPDATE SKIP LOCKED);
UPDATE notify.lanes SET due_at = now(), closed_until = '-infinity' WHERE lane IN (
    SELECT lane FROM notify.lanes WHERE due_at > now() OR closed_until > now() FOR UPDATE SKIP LOCKED)
"""
LEASES_OVER: Final = "UPDATE notify.lanes SET leased_until = now()"
"""As if it were long ago that a replica died."""


class Notify:
    """One replica of notify."""

    def __init__(self, stack: Stack, name: str = "notify", **settings: str) -> None:
        self._stack = stack
        self._settings = settings
        self._log = stack.home / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, faults: str = "", seed: int = 0) -> None:
        """Start it; it may meet its end at any of the *faults*."""
        stack = self._stack
        own = {
            "WHISTLE_WEBHOOK_HTTP": "true",
            "WHISTLE_WEBHOOK_NETWORKS": "127.0.0.1/32",
            **PATIENT,
            "WHISTLE_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS),
            "WHISTLE_LOG_FORMAT": "json",
            "WHISTLE_FAULTS": faults,
            "WHISTLE_FAULTS_SEED": str(seed),
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", child.__file__, f"parent={os.getpid()}"),
                    *(f"death_signal={int(signal.SIGKILL)}", "--"),
                    *(sys.executable, "-P", "-m", "services.notify.main"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environment(stack.home), **_given(stack), **own, **self._settings},
                cwd=repository(),
            )
        ended_with(self, self._process)

    @property
    def has_ended(self) -> bool:
        """Whether it does not run any more."""
        return self._process is None or self._process.poll() is not None

    async def must_run(self) -> None:
        """Start it if it does not run."""
        if self.has_ended:
            self.start()
            await self.url()

    async def url(self) -> str:
        """Where it is asked over HTTP, as soon as it is ready."""
        found: list[str] = []

        async def is_ready() -> bool:
            assert not self.has_ended, tail(self._log)
            for line in self._log.read_text(encoding="utf-8").splitlines():
                if '"http_listening"' in line:
                    found[:] = [f"http://127.0.0.1:{orjson.loads(line)['port']}"]
            return bool(found) and await asyncio.to_thread(_answers, f"{found[0]}/readyz")

        await eventually(is_ready, SECONDS_MAX)
        return found[0]

    def kill(self) -> None:
        """As `kill -9` does it."""
        self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it in order; it may wait for an answer of a receiver that runs in this process."""
        await asyncio.to_thread(self._end, signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, how)
            self._process.wait(120)


def _given(stack: Stack) -> dict[str, str]:
    """What `whistle up` gives to notify."""

    async def nothing(**_: object) -> None: ...

    plan = StackPlan.from_environment(policy_dir=example_policy(), provision=nothing, home=stack.home)
    [notify] = [each for each in plan.services if each.name == "notify"]
    return service_environment(notify, plan=plan, port=0, stack=stack, secret=stack.secret)


def _answers(url: str) -> bool:
    with suppress(URLError, OSError), urlopen(url, timeout=10) as answer:
        return bool(answer.status == 200)
    return False


async def subscribe(stack: Stack, name: str, url: str, **more: Any) -> Subscription:
    """A subscription, straight into its bucket, for facts from now on."""
    async with log_of(stack, "notify") as (log, jetstream):
        fields: dict[str, Any] = {"owner": "integrator:test", **more}
        made = Subscription(
            id=name,
            url=url,
            secrets=(Secret(value=SECRET),),
            made_at=datetime.now(UTC),
            after_position=await log.last_position(),
            **fields,
        )
        assert await Subscriptions(KeyValue(jetstream, RECEIVERS)).put(made, 0)
        return made


async def state(stack: Stack, keys: Sequence[str], *events: Event) -> list[list[Entry]]:
    """Live cases in the log, each with a report and then *events*; their entries."""
    first = CaseReported(category="1401", channel="web", description="Burst, call 13912345678", place=PLACE)
    told = (first, *(events or (CaseFiled(category="1401", reason="rule"),)))
    cases: dict[str, list[Entry]] = {key: [] for key in keys}
    for source, part in groupby(told, key=lambda event: event.SOURCE):
        facts = list(part)
        async with log_of(stack, source.strip("/")) as (log, _):

            async def one(key: str, log: Log = log, facts: Sequence[Event] = facts) -> None:
                history = History(case_id_of_import("notices", key), tuple(cases[key]))
                context = Context(actor="resident", time=datetime.now(UTC))
                cases[key] += await log.append(history, facts_of(facts, context))

            await asyncio.gather(*(one(key) for key in keys))
    return list(cases.values())


async def settled(stack: Stack, made: Subscription) -> None:
    """Wait until nothing is due for it, and no stretch of the log is being gone through again."""
    await eventually(lambda: is_settled(stack, made), SECONDS_MAX)


async def is_settled(stack: Stack, made: Subscription) -> bool:
    """Whether nothing is due for it, and no stretch of the log is being gone through again."""
    connection = await asyncpg.connect(stack.postgres_dsn("whistle_notify"))
    try:
        return not await connection.fetchval(UNSETTLED, made.id)
    except asyncpg.UndefinedTableError:
        return False
    finally:
        await connection.close()


async def resume(stack: Stack, made: Subscription) -> None:
    """Have a subscription delivered that was paused."""
    async with log_of(stack, "notify") as (_, jetstream):
        active = made.model_copy(update={"state": State.ACTIVE})
        assert await Subscriptions(KeyValue(jetstream, RECEIVERS)).put(active, None)


async def forget_all(stack: Stack) -> None:
    """End all subscriptions and throw away what is due, so that the next test hears of nothing of it."""
    async with log_of(stack, "notify") as (_, jetstream):
        subscriptions = Subscriptions(KeyValue(jetstream, RECEIVERS))
        for each in (await subscriptions.all()).values():
            found = await subscriptions.get(each.id)
            if found is not None:
                await subscriptions.delete(each.id, found[1])
    await execute(stack, EMPTY)


@asynccontextmanager
async def time_flies(stack: Stack) -> AsyncGenerator[None]:
    """Meanwhile all that waits for its time is due at once."""

    async def fly() -> None:
        while True:
            await execute(stack, NOW_DUE)
            await asyncio.sleep(POLL_SECONDS)

    async with asyncio.TaskGroup() as group:
        flying = group.create_task(fly())
        yield
        flying.cancel()


async def execute(stack: Stack, statement: str) -> None:
    """One statement by notify's role."""
    connection = await asyncpg.connect(stack.postgres_dsn("whistle_notify"))
    try:
        with suppress(asyncpg.UndefinedTableError):
            await connection.execute(statement)
    finally:
        await connection.close()
