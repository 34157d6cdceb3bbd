"""Rebuild: evaluation's read models anew from a filled log, as the command does it, while the old ones answer."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from bench.arena import Arena
from bench.figures import Figure
from bench.plan import Plan
from bench.projection import drop_generations
from bench.work import Tell
from cli.stack.beside import PYTHON
from cli.stack.state import repository
from libs.events.readmodel import Pool, asking, pool_of, prepare
from services.evaluation.views import MODEL

SERVICE: Final = "evaluation"
NAME: Final = "rebuild beside the old version: read, compared, switched"
RATE_NAME: Final = "rebuild beside the old version, rate"
ASK_EVERY_SECONDS: Final = 0.2
QUESTION: Final = "SELECT count(*) FROM cases WHERE case_id < $1"
SOME_CASES: Final = "1"
"""Case ids below this: a question that answers at once when nothing holds it up."""


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """A first rebuild fills the old version; those that are measured are compared with it."""
    seconds: list[float] = []
    waits: list[float] = []
    events = 0
    async with pool_of(arena.postgres_dsn("whistle")) as pool:
        await drop_generations(pool)
        await prepare(pool, MODEL)
        tell("rebuild: filling the old version")
        await asyncio.to_thread(_rebuilt, arena)
        for repetition in range(plan.repetitions):
            tell(f"rebuild, repetition {repetition + 1} of {plan.repetitions}")
            async with _asked(pool, waits):
                started = time.perf_counter()
                report = await asyncio.to_thread(_rebuilt, arena)
                seconds.append(time.perf_counter() - started)
            assert report["switched"], "nothing differs"
            events = report["events"]
    return [
        Figure("rebuild", NAME, "s", tuple(seconds), note=f"{events:,} events"),
        Figure("rebuild", RATE_NAME, "events/s", tuple(events / each for each in seconds)),
        Figure("rebuild", "the old version's slowest answer meanwhile", "ms", (max(waits) * 1000,)),
    ]


def _rebuilt(arena: Arena) -> dict[str, Any]:
    """The process that `./whistle rebuild` starts, to its end; what it reports."""
    stack = arena.stack
    own = {
        "WHISTLE_LOG_LEVEL": "error",
        "WHISTLE_NATS_URL": stack.nats_url,
        "WHISTLE_NATS_USER": SERVICE,
        "WHISTLE_NATS_PASSWORD": stack.secret(SERVICE),
        "WHISTLE_POSTGRES_DSN": arena.postgres_dsn("whistle"),
    }
    command = [*PYTHON, f"services.{SERVICE}.rebuild"]
    environment = {**os.environ, "PYTHONPATH": str(repository()), **own}
    out = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    report: dict[str, Any] = json.loads(out.splitlines()[-1])["report"]
    return report


@asynccontextmanager
async def _asked(pool: Pool, waits: list[float]) -> AsyncGenerator[None]:
    """Ask the old version over and over; how long each answer took."""

    async def ask() -> None:
        while True:
            asked_at = datetime.now(UTC)
            async with asking(pool, SERVICE) as connection:
                await connection.fetchval(QUESTION, SOME_CASES)
            waits.append((datetime.now(UTC) - asked_at).total_seconds())
            await asyncio.sleep(ASK_EVERY_SECONDS)

    task = asyncio.create_task(ask())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
