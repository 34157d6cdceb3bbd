"""The bus of the departments: how soon each hears what is appended, and how many acts it takes for good."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from itertools import count, islice
from typing import Final

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
from libs.events.log import History, Log, facts_of, opened

DELIVERED_P99_NAME: Final = "append to delivery at its department, p99"
TAKEN_NAME: Final = "acts taken for good"
CONNECTED: Final = 100
"""Departments, each with a connection of its own."""
EVENTS_PER_SECOND: Final = 500
ACTS_IN_FLIGHT: Final = 200
WRITER: Final = "dispatch"
PROVISIONER: Final = "provision-bus"
CODES: Final = tuple(f"office-{number:03}" for number in range(CONNECTED))
CONTEXT: Final = Context(actor="bench", time=datetime(2026, 3, 2, tzinfo=UTC))
SECONDS_MAX: Final = 60.0


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """Delivery in milliseconds of the wall clock after the append returned; acts that were acknowledged per second."""
    numbers = count()
    medians: list[float] = []
    tails: list[float] = []
    rates: list[float] = []
    async with _connected(arena) as departments, arena.connection(WRITER) as client, opened(client) as log:
        for repetition in range(plan.repetitions + 1):
            warming = repetition == 0
            tell(f"{CONNECTED} departments connected, {EVENTS_PER_SECOND} events/s, repetition {repetition}")
            events = EVENTS_PER_SECOND if warming else plan.deliveries
            took = await _deliveries(log, departments, events, numbers)
            tell(f"{plan.acts:,} acts, repetition {repetition}")
            rate = await _acts(departments, plan.acts // 10 if warming else plan.acts)
            if not warming:
                medians.append(1000 * percentile(took, 0.5))
                tails.append(1000 * percentile(took, 0.99))
                rates.append(rate)
    note = f"{CONNECTED} departments, {EVENTS_PER_SECOND} events/s, {plan.deliveries:,} of them"
    return [
        Figure("departments", "append to delivery at its department, p50", "ms", tuple(medians), note),
        Figure("departments", DELIVERED_P99_NAME, "ms", tuple(tails), note),
        Figure(
            "departments", TAKEN_NAME, "acts/s", tuple(rates), f"{plan.acts:,}, {ACTS_IN_FLIGHT} in flight"
        ),
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
    log: Log, departments: Sequence[Department], events: int, numbers: Iterator[int]
) -> list[float]:
    """Seconds from each append's return until the department has it in hand."""
    cases = [
        (number, case_id_of_import("bench-departments", str(number))) for number in islice(numbers, events)
    ]
    appended: dict[str, float] = {}
    heard: dict[str, float] = {}

    async def listen(department: Department, wanted: set[str]) -> None:
        async with aclosing(department.news()) as news:
            async for case in news:
                heard.setdefault(case.id, time.perf_counter())
                wanted.discard(case.id)
                if not wanted:
                    break

    async def append(number: int, case_id: str) -> None:
        fact = Assigned(department=CODES[number % CONNECTED])
        await log.append(History(case_id), facts_of((fact,), CONTEXT))
        appended[case_id] = time.perf_counter()

    clock = asyncio.get_running_loop().time
    async with asyncio.timeout(SECONDS_MAX), asyncio.TaskGroup() as group:
        for index, department in enumerate(departments):
            wanted = {case_id for number, case_id in cases if number % CONNECTED == index}
            group.create_task(listen(department, wanted))
        began = clock()
        for index, (number, case_id) in enumerate(cases):
            await asyncio.sleep(max(0.0, began + index / EVENTS_PER_SECOND - clock()))
            group.create_task(append(number, case_id))
    return [max(0.0, heard[case_id] - at) for case_id, at in appended.items()]


async def _acts(departments: Sequence[Department], acts: int) -> float:
    """Acts per second: each is on disk when it counts."""
    case_id = case_id_of_import("bench-departments", "0")

    async def send(number: int) -> None:
        await departments[number % CONNECTED].act("progress", case_id, {"note": f"note {number}"})

    return acts / await shared(ACTS_IN_FLIGHT, range(acts), send)
