"""The ledger: how fast it seals a log that is there, with what memory, and what the proof of one event takes."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.arena import Arena
from bench.figures import Comparison, Figure, Target, figure_named, percentile
from bench.machine import resident_mb
from bench.plan import Plan
from bench.work import Tell
from cli.embedded.process import Child, Program, start
from cli.stack.ledger_key import new_ledger_key
from cli.stack.state import repository
from libs.events.ledger.archive import Archive, opened
from libs.events.ledger.merkle import HASH_BYTES, check_inclusion
from libs.events.ledger.notes import Signer, checked
from libs.events.log import opened as log_opened
from libs.events.storage import FolderStore
from libs.events.subjects import CASES

SEALED_NAME: Final = "sealed and signed, folder"
PROOF_NAME: Final = "proof of one event, p99"
PROOF_BYTES_NAME: Final = "proof of one event, largest"
SEALED_PER_SECOND_TARGET: Final = 10_000
PROOF_MILLISECONDS_TARGET: Final = 10
PROOF_BYTES_TARGET: Final = 2_048
PROOFS: Final = 30
LOOK_SECONDS: Final = 0.05
SEAL_SECONDS_MAX: Final = 600.0
STOP_SECONDS_MAX: Final = 20.0


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """The service seals all that was filled in, from nothing, as often as the plan says."""
    rates: list[float] = []
    memory, folder, signer = 0.0, arena.stack.home, Signer.of(new_ledger_key())
    store = folder / "sealed"
    async with arena.connection("auditor") as client, log_opened(client) as log:
        events = await log.last_position()
    for repetition in range(plan.repetitions):
        tell(f"sealing {events:,} events, repetition {repetition + 1} of {plan.repetitions}")
        store = folder / f"sealed-{repetition}"
        started = time.perf_counter()
        async with _service(arena, signer, store, first=not repetition) as child:
            await _sealed(store, signer, events)
            rates.append(events / (time.perf_counter() - started))
            memory = max(memory, resident_mb(child.pid, peak=True))
    tell(f"proving {PROOFS} events")
    seconds, largest = await _proofs(store, signer, events)
    return [
        Figure(
            "ledger",
            SEALED_NAME,
            "events/s",
            tuple(rates),
            f"{events:,} events, start of the process included",
        ),
        Figure("ledger", "the service at most, resident", "MB", (memory,)),
        Figure(
            "ledger",
            PROOF_NAME,
            "ms",
            (percentile(seconds, 0.99) * 1_000,),
            "read from the folder, and checked",
        ),
        Figure("ledger", PROOF_BYTES_NAME, "bytes", (float(largest),), "hashes of the path"),
    ]


def targets(figures: list[Figure]) -> list[Target]:
    """What was to be reached."""
    wanted: tuple[tuple[str, Comparison, float, str], ...] = (
        (SEALED_NAME, "at least", SEALED_PER_SECOND_TARGET, "events/s"),
        (PROOF_NAME, "at most", PROOF_MILLISECONDS_TARGET, "ms"),
        (PROOF_BYTES_NAME, "at most", PROOF_BYTES_TARGET, "bytes"),
    )
    return [
        Target(name, figure.median, comparison, bound, unit)
        for name, comparison, bound, unit in wanted
        if (figure := figure_named(figures, name))
    ]


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


async def _archive(store: Path, signer: Signer) -> Archive:
    return await opened(FolderStore(store), CASES, f"{signer.name}/{CASES}")


async def _sealed(store: Path, signer: Signer, events: int) -> None:
    """Wait until all of them are under a checkpoint."""
    async with asyncio.timeout(SEAL_SECONDS_MAX):
        while True:
            note = await Archive(FolderStore(store), CASES, "").checkpoint()
            if note and checked(note, signer.verifier).checkpoint.size >= events:
                return
            await asyncio.sleep(LOOK_SECONDS)


async def _proofs(store: Path, signer: Signer, events: int) -> tuple[list[float], int]:
    """Seconds that whoever has the files takes for each proof, checking included, and the longest one's bytes."""
    archive, chance = await _archive(store, signer), random.Random(1)
    note = await archive.checkpoint()
    assert note is not None, "it was waited for"
    checkpoint = checked(note, signer.verifier).checkpoint
    taken: list[float] = []
    largest = 0
    for _ in range(PROOFS):
        sequence = chance.randint(1, events)
        [[event]] = [part async for part in archive.events(sequence, sequence)]
        fresh = await _archive(store, signer)  # nothing is remembered of the one before
        started = time.perf_counter()
        proof = await fresh.inclusion(sequence, checkpoint.size)
        check_inclusion(event.leaf.hash(), sequence - 1, checkpoint.size, proof, checkpoint.root)
        taken.append(time.perf_counter() - started)
        largest = max(largest, HASH_BYTES * len(proof))
    return taken, largest
