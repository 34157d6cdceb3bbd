"""The ledger: how fast it seals a log that is there, and with what memory.  What a proof takes, `auditing` measures."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.arena import Arena
from bench.figures import Figure, Target, figure_named
from bench.machine import resident_mb
from bench.plan import Plan
from bench.work import Tell
from cli.embedded.process import Child, Program, start
from cli.stack.ledger_key import LEDGER_KEY
from cli.stack.state import repository
from libs.events.ledger.archive import Archive
from libs.events.ledger.notes import Signer, checked
from libs.events.log import opened as log_opened
from libs.events.storage import FolderStore
from libs.events.subjects import CASES

SEALED_NAME: Final = "sealed and signed, folder"
SEALED_PER_SECOND_TARGET: Final = 10_000
LOOK_SECONDS: Final = 0.05
SEAL_SECONDS_MAX: Final = 600.0
STOP_SECONDS_MAX: Final = 20.0


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """The service seals all that was filled in, from nothing, as often as the plan says."""
    rates: list[float] = []
    memory, folder, signer = 0.0, arena.stack.home, signer_of(arena)
    events = await _last_position(arena)
    for repetition in range(plan.repetitions):
        tell(f"sealing {events:,} events, repetition {repetition + 1} of {plan.repetitions}")
        store = folder / f"sealed-{repetition}"
        async with _service(arena, signer, store, first=not repetition) as child:
            await _reached(store, signer, 0)
            started = time.perf_counter()
            await _reached(store, signer, events)
            rates.append(events / (time.perf_counter() - started))
            memory = max(memory, resident_mb(child.pid, peak=True))
    return [
        Figure("ledger", SEALED_NAME, "events/s", tuple(rates), f"{events:,} events"),
        Figure("ledger", "the service at most, resident", "MB", (memory,)),
    ]


def signer_of(arena: Arena) -> Signer:
    """What signs on these servers: a log has one ledger key for ever."""
    return Signer.of(arena.stack.secret(LEDGER_KEY))


async def seal_all(arena: Arena, store: Path) -> int:
    """Have everything in the log sealed into *store*; how many events of cases that is."""
    events = await _last_position(arena)
    # Not the first ledger of this log, perhaps; another one may have signed more than these files hold.
    async with _service(arena, signer_of(arena), store, first=False):
        await _reached(store, signer_of(arena), events)
    return events


def targets(figures: list[Figure]) -> list[Target]:
    """What was to be reached."""
    sealed = figure_named(figures, SEALED_NAME)
    return (
        [Target(SEALED_NAME, sealed.median, "at least", SEALED_PER_SECOND_TARGET, "events/s")]
        if sealed
        else []
    )


@asynccontextmanager
async def _service(arena: Arena, signer: Signer, store: Path, *, first: bool) -> AsyncGenerator[Child]:
    """The ledger as a process of its own, which makes files again that are gone if it is not the *first*."""
    settings = {
        "WHISTLE_NATS_URL": arena.stack.nats_url,
        "WHISTLE_NATS_USER": "ledger",
        "WHISTLE_NATS_PASSWORD": arena.stack.secret("ledger"),
        "WHISTLE_HTTP_PORT": "0",
        "WHISTLE_LOG_LEVEL": "error",
        "WHISTLE_LEDGER_KEY": signer.secret(),
        "WHISTLE_LEDGER_STORE": str(store),
        "WHISTLE_LEDGER_CHECKPOINT_SECONDS": "1",
        "WHISTLE_LEDGER_RESEAL": "false" if first else "true",
        "PYTHONPATH": str(repository()),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WHISTLE_")}
    child = await start(
        Program(
            name=store.name,
            argv=(sys.executable, "-P", "-m", "services.ledger.main"),
            log=store.with_suffix(".log"),
            environment={**inherited, **settings},
            folder=repository(),
            death_signal=signal.SIGKILL,
        )
    )
    try:
        yield child
    finally:
        await child.stop(STOP_SECONDS_MAX)


async def _last_position(arena: Arena) -> int:
    async with arena.connection("auditor") as client, log_opened(client) as log:
        return await log.last_position()


async def _reached(store: Path, signer: Signer, events: int) -> None:
    """Wait until so many are under a checkpoint; with none, until the tree is opened."""
    archive = Archive(FolderStore(store), CASES, f"{signer.name}/{CASES}")
    async with asyncio.timeout(SEAL_SECONDS_MAX):
        while await archive.created() is None:  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(LOOK_SECONDS)
        while events:
            note = await archive.checkpoint()
            if note and checked(note, signer.verifier).checkpoint.size >= events:
                return
            await asyncio.sleep(LOOK_SECONDS)
