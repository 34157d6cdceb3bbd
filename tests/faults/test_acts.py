"""Dispatch, killed between the facts of an act, its refusal and its acknowledgement, and the server: each act once.

Departments send what they do for good and ask for nothing: what becomes of it shows in the log and in refusals.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from cli.departments.serving import enable
from cli.stack.rulebook import example_in
from cli.stack.state import Stack
from libs.events.contracts.acts import ActRefused
from libs.events.contracts.dispatch import ProgressNoted
from libs.events.department import Department
from libs.events.jetstream import JetStream, connected
from libs.events.log import History
from libs.events.subjects import ACTS
from tests.support.cases import report, until_in_log
from tests.support.faults import QUICK, SECONDS_MAX, kill, seeded, stored, until_restarted
from tests.support.stack import eventually, log_of, running

AFTER: Final = "https://photos.example.org/after.jpg"
CASES: Final = 10
NOTES: Final = 8
DEATHS: Final = "acts.carried_out=0.007,acts.refused=0.02"
"""Two of them on average; and one more is dealt by hand, so that no run is without."""
HANDS: Final = ("dispatch", "dispatch-2")


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    return seeded(request.node.name)


@pytest.fixture
def stack(chance: random.Random, tmp_path: Path) -> Iterator[Stack]:
    deaths = {"WHISTLE_FAULTS": DEATHS, "WHISTLE_FAULTS_SEED": str(chance.random())}
    policy = example_in(tmp_path / "policy", time_lapse=1)
    with running(replicas=2, policy_dir=policy, settings=QUICK | deaths) as mortal:
        yield mortal


@asynccontextmanager
async def water_of(stack: Stack) -> AsyncGenerator[Department]:
    await enable(stack, ["water"])
    seed = stack.department_seed_file("water")
    async with Department.connected("water", url=stack.nats_url, seed=seed) as department:
        yield department


async def a_case(stack: Stack) -> str:
    receipt = await asyncio.to_thread(report, stack)
    await until_in_log(stack, receipt["case_id"], "assigned")
    return str(receipt["case_id"])


async def work(water: Department, case_id: str) -> None:
    """All that is said to one case: two of the acts must be refused, and each is sent twice."""

    async def say(verb: str, act_id: str, **said: object) -> None:
        for _ in range(2):
            await water.act(verb, case_id, said, act_id=act_id)

    await say("handle", "too-soon", photos=[AFTER])
    await say("accept", "sign")
    for number in range(NOTES):
        await say("progress", f"note-{number}", note=str(number))
    await say("handle", "end", photos=[AFTER])
    await say("progress", "too-late", note="more")


async def all_taken(stack: Stack) -> None:
    """Wait until dispatch has finished every act: each is kept until then."""
    office = "dispatch-bus"
    async with connected(stack.nats_url, user=office, password=stack.secret(office)) as client:
        jetstream = JetStream(client)

        async def nothing_left() -> bool:
            return await stored(jetstream, ACTS) == 0

        await eventually(nothing_left, SECONDS_MAX)


def assert_once_and_in_order(found: History) -> None:
    told = [entry for entry in found.entries if entry.envelope.actor == "department:water"]
    notes = [str(number) for number in range(NOTES)]
    assert [entry.event.note for entry in told if isinstance(entry.event, ProgressNoted)] == notes
    assert [entry.name for entry in told] == ["accepted", *("progress" for _ in notes), "handled"]
    assert len({entry.envelope.causationid for entry in told}) == len(told)


async def refusals(water: Department, wanted: int) -> Counter[tuple[str, str | None]]:
    """The refusals that the department hears, until there are *wanted*, and what else comes up to then."""
    heard: Counter[tuple[str, str | None]] = Counter()
    ids: set[str] = set()
    async with asyncio.timeout(SECONDS_MAX), aclosing(water.news()) as news:
        async for case in news:
            if isinstance(case.event, ActRefused):
                heard[case.id, case.event.act] += 1
                ids.add(case.envelope.id)
            if len(ids) == wanted:
                return heard
    raise AssertionError("the news ended")


async def test_each_act_is_done_or_refused_once_whatever_dies(stack: Stack, chance: random.Random) -> None:
    case_ids = [await a_case(stack) for _ in range(CASES)]
    async with water_of(stack) as water:
        async with asyncio.TaskGroup() as group:
            for case_id in case_ids:
                group.create_task(work(water, case_id))
            await kill(stack, victim := chance.choice(HANDS))
            await kill(stack, "nats")
        await all_taken(stack)
        await until_restarted(stack, [victim, "nats"])
        async with log_of(stack, "auditor") as (log, _):
            for case_id in case_ids:
                assert_once_and_in_order(await log.load(case_id))
        heard = await refusals(water, 2 * CASES)
    expected = {(case_id, act) for case_id in case_ids for act in ("too-soon", "too-late")}
    assert heard == Counter(expected)
