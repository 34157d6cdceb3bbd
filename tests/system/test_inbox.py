"""Taking acts on a real server: what cannot be settled holds up its case alone; the next replica goes on in order."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import pytest

from cli.departments.serving import enable
from cli.stack.state import Stack
from libs.events.department import Department
from libs.events.errors import LogUnavailable
from libs.events.jetstream import JetStream, connected
from libs.events.subjects import ACTS
from services.dispatch.inbox.clerk import Outcome
from services.dispatch.inbox.documents import Act, Unclear
from services.dispatch.inbox.taking import Inbox
from tests.support.faults import stored
from tests.support.stack import SERVERS_ONLY, eventually, running

STUCK, SOUND, OTHER = ("a" * 20, "b" * 20, "c" * 20)
NUMBERS: Final = 10
ACK_WAIT_SECONDS: Final = 3_600
"""Nobody waits so long: what comes a second time was given back."""


@pytest.fixture(scope="module")
def servers() -> Iterator[Stack]:
    with running(SERVERS_ONLY, settings={"WHISTLE_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS)}) as bare:
        yield bare


class Clerk:
    """Notes what is settled; some cases it cannot settle."""

    def __init__(self, *stuck: str) -> None:
        self.stuck = set(stuck)
        self.settled: defaultdict[str, list[str]] = defaultdict(list)

    async def settle(self, act: Act | Unclear, received_at: datetime, *, again: bool) -> Outcome:
        assert act.case_id is not None
        assert act.id is not None
        await asyncio.sleep(0)
        if act.case_id in self.stuck:
            raise LogUnavailable("not now")
        self.settled[act.case_id].append(act.id)
        return Outcome.DONE


@asynccontextmanager
async def taking(stack: Stack, clerk: Clerk) -> AsyncGenerator[JetStream]:
    """An inbox as dispatch runs it, on a connection of its own."""
    office = "dispatch-bus"
    async with connected(stack.nats_url, user=office, password=stack.secret(office)) as client:
        jetstream = JetStream(client)
        running = asyncio.create_task(Inbox(jetstream, clerk, ack_wait_seconds=ACK_WAIT_SECONDS).run())
        try:
            yield jetstream
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def send(stack: Stack, department: str, *case_ids: str) -> list[str]:
    """Acts on these cases by turns; their ids, which are the same for each case."""
    await enable(stack, [department])
    seed = stack.department_seed_file(department)
    numbers = [str(number) for number in range(NUMBERS)]
    async with Department.connected(department, url=stack.nats_url, seed=seed) as opened:
        for number in numbers:
            for case_id in case_ids:
                await opened.act("accept", case_id, act_id=number)
    return numbers


async def test_a_case_that_is_stuck_holds_up_nobody_and_the_next_replica_goes_on_in_order(
    servers: Stack,
) -> None:
    first, second = Clerk(STUCK), Clerk()
    async with taking(servers, first) as jetstream:
        numbers = await send(servers, "water", STUCK, SOUND)
        assert await send(servers, "roads", OTHER) == numbers

        async def only_the_stuck_are_left() -> bool:
            return await stored(jetstream, ACTS) == NUMBERS

        await eventually(only_the_stuck_are_left)
        assert first.settled == {SOUND: numbers, OTHER: numbers}
    async with taking(servers, second) as jetstream:

        async def all_done() -> bool:
            return await stored(jetstream, ACTS) == 0

        await eventually(all_done)
    assert second.settled == {STUCK: numbers}, "given back, sooner than it would come by itself"
