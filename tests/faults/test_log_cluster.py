"""Three nodes, killed in every way, while writers race: what the log promises still holds.

Goal: no acknowledged event lost, none doubled, one winner for each version of a case, no partial decision, no gap.
Method: writers on connections to different nodes race for a few cases, with decisions of one to four events, alone
and in groups; meanwhile nodes die by SIGKILL. Every fact has an id that says which decision it belongs to, so what
stands in the log at the end tells by itself whether something went wrong.

`WHISTLE_TEST_SEED=<seed>` repeats a run's choices; the seed is printed.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from cli.embedded.nats import NatsServer
from libs.events.envelope import Entry
from libs.events.errors import LogUnavailable, VersionConflict
from libs.events.jetstream import NotNow, Unknown, expectation
from libs.events.log import Fact, History, Log
from tests.support.nodes import (
    CONTEXT,
    FILED,
    SECONDS_MAX,
    Servers,
    cluster,
    eventually,
    kill,
    seed_of_run,
    told,
)

pytestmark = pytest.mark.asyncio

WRITERS = 24
CASES_RACED_FOR = 12
EVENTS_PER_DECISION_MAX = 4
PROGRESS_DECISIONS = 30  # so many more acknowledged means: the cluster works
DEADLINE_SECONDS = 3.0


@pytest_asyncio.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Servers]:
    async with cluster(tmp_path) as running:
        yield running


@pytest.fixture
def chance() -> random.Random:
    return random.Random(seed_of_run())


@dataclass(slots=True)
class Record:
    """What the writers were told."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    overtaken: set[str] = field(default_factory=set)
    unknown: Counter[str] = field(default_factory=Counter)
    decisions: int = 0
    ended: bool = False


async def append(record: Record, cases: Log, history: History, facts: list[Fact]) -> int:
    """Send the same facts until the answer is definite; the position that the case is known to have reached."""
    while True:
        try:
            written = await cases.append(history, facts)
        except LogUnavailable:
            record.unknown[facts[0].event_id] += 1
        except VersionConflict as conflict:
            record.overtaken.update(fact.event_id for fact in facts)
            return conflict.last_sequence
        else:
            record.acknowledged.update((entry.envelope.id, entry.sequence) for entry in written)
            record.decisions += 1
            return written[-1].sequence


async def write(record: Record, cases: Log, writer: int, chance: random.Random) -> None:
    reached: defaultdict[str, int] = defaultdict(int)
    number = 0
    while not record.ended:
        case_id = f"case{chance.randrange(CASES_RACED_FOR)}"
        try:
            history = await cases.load(case_id, at_least=reached[case_id])
        except LogUnavailable:
            continue
        number += 1
        size = chance.randint(1, EVENTS_PER_DECISION_MAX)
        facts = [Fact(FILED, CONTEXT, f"{writer}.{number}.{part}.{size}") for part in range(size)]
        reached[case_id] = await append(record, cases, history, facts)


async def leader_of(servers: Servers) -> NatsServer:
    """The node that leads the log; a cluster without one is waited for."""
    jetstream = await servers.jetstream("auditor")
    found: list[NatsServer] = []

    async def led() -> bool:
        try:
            name = (await jetstream.api("STREAM.INFO.CASES"))["cluster"].get("leader", "")
        except (NotNow, Unknown):
            return False
        found.extend(node for node in servers.nodes if node.folder.name == name)
        return bool(found)

    await eventually(led, "the log had a leader")
    return found[-1]


async def progress(record: Record) -> None:
    before = record.decisions

    async def further() -> bool:
        return record.decisions >= before + PROGRESS_DECISIONS

    await eventually(further, "appends were acknowledged again")


async def all_nodes_in_turn(servers: Servers, record: Record, chance: random.Random) -> None:
    for node in chance.sample(servers.nodes, len(servers.nodes)):
        await kill(node)
        await progress(record)
        await node.start()
        await progress(record)


async def leader_in_the_middle_of_a_batch(servers: Servers, record: Record, chance: random.Random) -> None:
    cases = await servers.log(deadline_seconds=DEADLINE_SECONDS)
    jetstream = await servers.jetstream()
    leader = await leader_of(servers)
    case_id = f"long{record.decisions}"
    size = chance.randint(300, 900)
    facts = [Fact(FILED, CONTEXT, f"{case_id}.0.{part}.{size}") for part in range(size)]
    long = asyncio.create_task(append(record, cases, History(case_id), facts))
    for number in range(1, 4):  # a batch of somebody who will never end it
        headers = {**expectation(f"open.{case_id}.{number}"), "Nats-Batch-Id": case_id}
        await jetstream.client.publish(
            f"case.open.filed.{number}", b"{}", headers={**headers, "Nats-Batch-Sequence": str(number)}
        )
    await jetstream.client.flush(int(SECONDS_MAX))
    for _ in range(chance.randrange(20)):
        await asyncio.sleep(0)
    await kill(leader)
    await progress(record)
    await leader.start()
    await long
    await progress(record)


async def all_nodes_at_once(servers: Servers, record: Record, chance: random.Random) -> None:
    await asyncio.gather(*(kill(node) for node in servers.nodes))
    await asyncio.gather(*(node.start() for node in servers.nodes))
    await progress(record)


async def race(servers: Servers, chance: random.Random, rounds: int) -> tuple[Record, list[Entry]]:
    record = Record()
    logs = [await servers.log(first=n % 3, deadline_seconds=DEADLINE_SECONDS) for n in range(4)]
    async with asyncio.TaskGroup() as writers:
        for writer in range(WRITERS):
            own = random.Random(chance.random())
            writers.create_task(write(record, logs[writer % len(logs)], writer, own))
        await progress(record)
        for _ in range(rounds):
            await all_nodes_in_turn(servers, record, chance)
            await leader_in_the_middle_of_a_batch(servers, record, chance)
            await all_nodes_at_once(servers, record, chance)
        record.ended = True
    await leader_of(servers)
    return record, await servers.everything()


def judge(record: Record, stored: list[Entry]) -> None:
    """What must be true, and what must not be."""
    assert [entry.sequence for entry in stored] == list(range(1, len(stored) + 1)), "gap-free"
    positions = {entry.envelope.id: entry.sequence for entry in stored}
    assert len(positions) == len(stored), "none doubled"
    lost = {each: at for each, at in record.acknowledged.items() if positions.get(each) != at}
    assert not lost, "none lost, each where its writer was told"
    assert not positions.keys() & record.overtaken, "what was told to be overtaken is not in"
    assert positions.keys() == record.acknowledged.keys(), "nothing else is in"
    versions: dict[str, list[int]] = defaultdict(list)
    for entry in stored:
        versions[entry.case_id].append(entry.version)
    for case_id, found in versions.items():
        assert found == list(range(1, len(found) + 1)), f"one winner for each version of {case_id}"
    decisions: dict[str, list[Entry]] = defaultdict(list)
    for entry in stored:
        writer, number, _, _ = entry.envelope.id.split(".")
        decisions[f"{writer}.{number}"].append(entry)
    for decision, entries in decisions.items():
        parts = [entry.envelope.id.split(".")[2] for entry in entries]
        size = int(entries[0].envelope.id.split(".")[3])
        assert parts == [str(part) for part in range(size)], f"decision {decision} is whole and in order"
        assert all(b.sequence == a.sequence + 1 for a, b in pairwise(entries)), decision


async def test_what_the_log_promises_holds_while_nodes_die(servers: Servers, chance: random.Random) -> None:
    record, stored = await race(servers, chance, rounds=1)
    told(f"{len(stored)} events, {record.decisions} decisions, {len(record.overtaken)} overtaken")
    told(f"{sum(record.unknown.values())} times no definite answer in {DEADLINE_SECONDS:g} s")
    assert record.overtaken, "they raced"
    judge(record, stored)


@pytest.mark.full
async def test_what_the_log_promises_holds_while_nodes_die_again_and_again(
    servers: Servers, chance: random.Random
) -> None:
    record, stored = await race(servers, chance, rounds=8)
    judge(record, stored)
