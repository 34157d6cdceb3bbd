"""The bus of the departments: how soon each hears what is appended, and how many acts it takes for good."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import count, islice
from typing import Final, NamedTuple

from bench.arena import Arena
from bench.figures import Figure, percentile
from bench.plan import Plan
from bench.work import Tell, shared
from cli.departments.serving import enable, seed_of
from libs.events import streams
from libs.events.contracts.dispatch import Assigned
from libs.events.department import Department
from libs.events.envelope import Context
from libs.events.ids import case_id_of_import
from libs.events.jetstream import JetStream
from libs.events.jetstream.reader import Credentials, read_kept
from libs.events.log import History, Log, facts_of, opened

DELIVERED_P99_NAME: Final = "append to delivery at its department, p99"
TAKEN_NAME: Final = "acts taken for good"
CONNECTED: Final = 100
"""Departments, each with a connection of its own."""
EVENTS_PER_SECOND: Final = 500
ACTS_IN_FLIGHT: Final = 200
WRITER: Final = "dispatch"
READER: Final = "auditor"
PROVISIONER: Final = "provision-bus"
CODES: Final = tuple(f"office-{number:03}" for number in range(CONNECTED))
CONTEXT: Final = Context(actor="bench", time=datetime(2026, 3, 2, tzinfo=UTC))
SECONDS_MAX: Final = 60.0


class Took(NamedTuple):
    """Milliseconds of the wall clock, of each event, until it was in hand."""

    since_appended: list[float]
    """Since its writer had the answer; 0 when it was in hand before."""
    since_stored: list[float]
    """Since the time that the server gave it, which is before it syncs it to disk."""


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """Delivery in milliseconds after the append returned; acts that were acknowledged per second."""
    numbers = count()
    at_once: list[Took] = []
    kept: list[Took] = []
    rates: list[float] = []
    async with _connected(arena) as departments, arena.connection(WRITER) as client, opened(client) as log:
        for repetition in range(plan.repetitions + 1):
            warming = repetition == 0
            tell(f"{CONNECTED} departments connected, {EVENTS_PER_SECOND} events/s, repetition {repetition}")
            events = EVENTS_PER_SECOND if warming else plan.deliveries
            both = [
                await _deliveries(arena, log, departments, tuple(islice(numbers, events)), at_once=quick)
                for quick in (False, True)
            ]
            tell(f"{plan.acts:,} acts, repetition {repetition}")
            rate = await _acts(departments, plan.acts // 10 if warming else plan.acts)
            if not warming:
                kept.append(both[0])
                at_once.append(both[1])
                rates.append(rate)
    note = f"{CONNECTED} departments, {EVENTS_PER_SECOND} events/s, {plan.deliveries:,} of them"
    return [
        *_percentiles(
            "append to delivery at its department", [each.since_appended for each in at_once], note
        ),
        *_percentiles("the same by what the bus keeps alone", [each.since_appended for each in kept], note),
        *_percentiles("the server's time to delivery", [each.since_stored for each in at_once], note),
        Figure(
            "departments", TAKEN_NAME, "acts/s", tuple(rates), f"{plan.acts:,}, {ACTS_IN_FLIGHT} in flight"
        ),
    ]


def _percentiles(name: str, repetitions: Sequence[Sequence[float]], note: str) -> list[Figure]:
    return [
        Figure(
            "departments",
            f"{name}, {label}",
            "ms",
            tuple(percentile(each, share) for each in repetitions),
            note,
        )
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]


@asynccontextmanager
async def _connected(arena: Arena) -> AsyncGenerator[Sequence[Department]]:
    """Every department's own client, with its own key."""
    async with arena.connection(PROVISIONER) as client:
        await streams.ensure(JetStream(client), streams.department_consumers(CODES))
    await enable(arena.stack, CODES)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Department.connected(code, url=arena.stack.nats_url, seed=seed_of(arena.stack, code))
            )
            for code in CODES
        ]


async def _deliveries(
    arena: Arena, log: Log, departments: Sequence[Department], numbers: Sequence[int], *, at_once: bool
) -> Took:
    """How long each took until the department had it in hand, once every department listens."""
    cases = [(number, case_id_of_import("bench-departments", str(number))) for number in numbers]
    appended: dict[str, tuple[int, int]] = {}
    heard_ns: dict[str, int] = {}
    everybody = asyncio.Barrier(CONNECTED + 1)

    async def listen(department: Department, wanted: set[str]) -> None:
        async with aclosing(department.news(at_once=at_once)) as news:
            async for case in news:
                heard_ns.setdefault(case.id, time.time_ns())
                if case.id in first:
                    await everybody.wait()  # what was left of the time before has been heard by now
                wanted.discard(case.id)
                if not wanted:
                    break

    async def append(number: int, case_id: str) -> None:
        fact = Assigned(department=CODES[number % CONNECTED])
        [entry] = await log.append(History(case_id), facts_of((fact,), CONTEXT))
        appended[case_id] = entry.sequence, time.time_ns()

    clock = asyncio.get_running_loop().time
    first = {case_id for _, case_id in cases[:CONNECTED]}
    async with asyncio.timeout(SECONDS_MAX), asyncio.TaskGroup() as group:
        for index, department in enumerate(departments):
            wanted = {case_id for number, case_id in cases if number % CONNECTED == index}
            group.create_task(listen(department, wanted))
        await asyncio.gather(*(append(number, case_id) for number, case_id in cases[:CONNECTED]))
        await everybody.wait()
        began = clock()
        for index, (number, case_id) in enumerate(cases[CONNECTED:]):
            await asyncio.sleep(max(0.0, began + index / EVENTS_PER_SECOND - clock()))
            group.create_task(append(number, case_id))
    positions = [position for position, _ in appended.values()]
    stored_ns = await _stored(arena, min(positions), max(positions))
    counted = {case_id: at for case_id, at in appended.items() if case_id not in first}
    return Took(
        [max(0, heard_ns[case_id] - at_ns) / 1e6 for case_id, (_, at_ns) in counted.items()],
        [(heard_ns[case_id] - stored_ns[position]) / 1e6 for case_id, (position, _) in counted.items()],
    )


async def _stored(arena: Arena, start: int, stop: int) -> dict[int, int]:
    """The server's time on what stands at each position, in nanoseconds since 1970."""
    reader = Credentials(READER, arena.stack.secret(READER))
    async with arena.connection(READER) as client:
        kept = read_kept(JetStream(client), reader, start=start, stop=stop)
        return {event.sequence: event.stored_at_ns async for events in kept for event in events}


async def _acts(departments: Sequence[Department], acts: int) -> float:
    """Acts per second: each is on disk when it counts."""
    case_id = case_id_of_import("bench-departments", "0")

    async def send(number: int) -> None:
        await departments[number % CONNECTED].act("progress", case_id, {"note": f"note {number}"})

    return acts / await shared(ACTS_IN_FLIGHT, range(acts), send)
