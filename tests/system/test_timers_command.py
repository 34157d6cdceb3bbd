"""`whistle timers` on a running stack whose stream of timers is lost."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from cli.client import ask
from cli.stack.state import Stack
from libs.events.jetstream import JetStream, connected
from tests.support.cases import until_in_log
from tests.support.faults import running_pid
from tests.support.halting import halted
from tests.support.stack import eventually, running, whistle

POLL_SECONDS = 0.05
SECONDS_MAX = 180.0


def out(stack: Stack, *arguments: str) -> str:
    done = whistle(stack, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def standing(stack: Stack, case_id: str) -> set[str]:
    """The names of the deadlines for which a timer stands."""
    found: list[dict[str, Any]] = json.loads(out(stack, "timers", "list", case_id, "--json"))
    return {each["name"] for each in found}


async def lose_the_timers(stack: Stack) -> None:
    user = "breakglass"
    async with connected(stack.nats_url, user=user, password=stack.secret(user)) as client:
        await JetStream(client).api("STREAM.DELETE.TIMERS")


def halted_service(stack: Stack, service: str) -> AbstractContextManager[None]:
    """A service that does nothing meanwhile."""
    pid = running_pid(stack, service)
    assert pid is not None
    return halted(pid)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The city of the exercise, where a day passes in a minute."""
    with running() as quick:
        yield quick


@pytest.fixture(scope="module")
def case_id(stack: Stack) -> str:
    place = {"community": "liuyuan", "street": "hebin"}
    body = {"category": "0101", "channel": "patrol", "description": "Broken cover", "place": place}
    receipt: dict[str, Any] = ask(
        stack.service_url("intake"), "/cases", body=body, as_="grid-worker:liuyuan-01", home=stack.home
    )
    asyncio.run(until_in_log(stack, receipt["case_id"], "due-soon"))
    return str(receipt["case_id"])


@pytest.mark.full
def test_lost_timers_come_back_and_dispatch_goes_on_hearing_them(stack: Stack, case_id: str) -> None:
    asyncio.run(eventually(lambda: one_stands(stack, case_id)))  # only the next deadline of a case has one
    # A fact that dispatch has in hand would have it put a timer up by itself.
    with halted_service(stack, "dispatch"):
        asyncio.run(lose_the_timers(stack))
        assert json.loads(out(stack, "timers", "rebuild", "--json"))["put_up"] >= 1
    # The time to handle it ends only now; nobody but the timers could tell dispatch.
    reasons = asyncio.run(until_escalated(stack, case_id, "not_handled"))
    assert reasons.count("not_handled") == 1
    asyncio.run(eventually(lambda: stands(stack, case_id, "overdue-1")))


async def one_stands(stack: Stack, case_id: str) -> bool:
    return len(await asyncio.to_thread(standing, stack, case_id)) == 1


async def stands(stack: Stack, case_id: str, name: str) -> bool:
    return name in await asyncio.to_thread(standing, stack, case_id)


async def until_escalated(stack: Stack, case_id: str, reason: str) -> list[str]:
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            history = await until_in_log(stack, case_id, "escalated")
            events = [entry.event for entry in history.entries if entry.name == "escalated"]
            reasons = [str(getattr(event, "reason", "")) for event in events]
            if reason in reasons:
                return reasons
            await asyncio.sleep(POLL_SECONDS)


def test_a_rebuild_with_nothing_to_do_leaves_all_as_it_is(stack: Stack, case_id: str) -> None:
    report = json.loads(out(stack, "timers", "rebuild", "--json"))
    assert (report["put_up"], report["taken_down"], report["cases_unreadable"]) == (0, 0, 0)
    assert case_id in out(stack, "timers", "list")
