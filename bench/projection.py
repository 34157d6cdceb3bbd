"""Projection: evaluation's read models from a filled log, through its own consumer loop into PostgreSQL."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from bench.arena import Arena
from bench.figures import Figure
from bench.plan import Plan
from bench.work import Tell
from libs.events.consume import consume
from libs.events.jetstream import JetStream
from libs.events.jetstream.pull import Delivery, PullConsumer
from libs.events.log import opened
from libs.events.projection import Projector
from libs.events.readmodel import Pool, pool_of, prepare
from libs.events.settings import ServiceSettings
from libs.events.streams import ensure, service_consumers
from libs.events.subjects import CASES
from services.evaluation.views import MODEL

SERVICE: Final = "evaluation"
BATCH_MESSAGES_MAX: Final[int] = ServiceSettings.model_fields["batch_messages_max"].default
GENERATIONS: Final = (
    "SELECT schema_name FROM information_schema.schemata WHERE schema_name ~ '^evaluation(_g|$)'"
)


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """Each time from the beginning of the log, into empty tables."""
    rates: list[float] = []
    async with pool_of(arena.postgres_dsn("whistle")) as pool:
        for repetition in range(plan.repetitions):
            tell(f"projection, repetition {repetition + 1} of {plan.repetitions}")
            await _start_over(arena, pool)
            rates.append(await _rate(arena, pool))
    return [Figure("projection", "projection into PostgreSQL, one process", "events/s", tuple(rates))]


async def drop_generations(pool: Pool) -> None:
    """As if the service had never run."""
    for record in await pool.fetch(GENERATIONS):
        await pool.execute(f"DROP SCHEMA {record['schema_name']} CASCADE")


async def _start_over(arena: Arena, pool: Pool) -> None:
    await drop_generations(pool)
    await prepare(pool, MODEL)
    async with arena.connection("breakglass") as client:
        await JetStream(client).api(f"CONSUMER.DELETE.{CASES}.{SERVICE}")
    async with arena.connection("provision") as client:
        await ensure(JetStream(client), service_consumers([SERVICE]))


async def _rate(arena: Arena, pool: Pool) -> float:
    async with arena.connection(SERVICE) as client, opened(client) as log:
        jetstream = JetStream(client)
        events = await log.last_position()
        projector = Projector(MODEL, pool, log, jetstream)
        finished = asyncio.Event()
        done = 0

        async def handle(deliveries: Sequence[Delivery]) -> None:
            nonlocal done
            await projector.handle(deliveries)
            done += len(deliveries)
            if done >= events:
                finished.set()

        started = time.perf_counter()
        async with PullConsumer(jetstream, CASES, SERVICE, batch_messages_max=BATCH_MESSAGES_MAX) as pull:
            consuming = asyncio.create_task(consume(SERVICE, pull, handle, projector.park))
            try:
                await finished.wait()
                return events / (time.perf_counter() - started)
            finally:
                consuming.cancel()
                await asyncio.gather(consuming, return_exceptions=True)
