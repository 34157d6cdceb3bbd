"""Audit: an export of everything made and verified, the sealed files verified, and the proof of one event."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from bench.cases import imported, rows
from bench.figures import Figure, Target, figure_named
from bench.plan import Plan
from bench.work import Tell
from cli.stack.state import repository
from libs.events.auditing.asking import Everything
from libs.events.auditing.exporting import Source, export
from libs.events.auditing.proving import entry_of, proof_of, prove, verify_proof
from libs.events.auditing.sealed import verify_files
from libs.events.auditing.trusting import Keys
from libs.events.auditing.verifying import silent, verify
from libs.events.envelope import encode, seal
from libs.events.ledger.archive import Archive, opened
from libs.events.ledger.growing import growing
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.notes import Checkpoint, Signer
from libs.events.ledger.stretches import EVENTS_MAX, Sealed
from libs.events.storage import FolderStore
from libs.events.subjects import CASES, case_subject

VERIFY_NAME: Final = "verify an export, recomputed as a whole"
PROOF_BYTES_NAME: Final = "proof of one event"
PROOF_MADE_NAME: Final = "proof of one event, made"
PROOFS: Final = 50
VERIFIED_PER_SECOND_TARGET: Final = 200_000
PROOF_BYTES_TARGET: Final = 2_000
PROOF_MILLISECONDS_TARGET: Final = 10
SIGNER: Final = Signer("bench.example", bytes(32))


async def measure(folder: Path, plan: Plan, tell: Tell) -> list[Figure]:
    """On files alone, as many events as the log has in the other measurements."""
    tell(f"sealing {plan.events:,} events")
    archive = await _sealed(folder / "ledger", plan)
    note = await archive.checkpoint()
    assert note is not None, "it was just signed"
    keys, cores = Keys(SIGNER.verifier), len(os.sched_getaffinity(0))
    exported, verified, files, scripted = list[float](), list[float](), list[float](), list[float]()
    for repetition in range(plan.repetitions):
        tell(f"audit, repetition {repetition + 1} of {plan.repetitions}")
        to = folder / f"export-{repetition}"
        began = time.perf_counter()
        await export([Source(archive, note)], Everything(), to, silent)
        exported.append(archive.size / (time.perf_counter() - began))
        began = time.perf_counter()
        await asyncio.to_thread(verify, to, keys, workers=cores)
        verified.append(archive.size / (time.perf_counter() - began))
        began = time.perf_counter()
        await verify_files(archive, keys, None, workers=cores, on_progress=silent)
        files.append(archive.size / (time.perf_counter() - began))
        scripted.append(archive.size / await asyncio.to_thread(_by_script, to))
    tell("proofs of single events")
    return [
        Figure("audit", "export of everything", "events/s", tuple(exported)),
        Figure(
            "audit",
            VERIFY_NAME,
            "events/s",
            tuple(verified),
            f"up to {cores} processes, their start included",
        ),
        Figure("audit", "verify the sealed files", "events/s", tuple(files), f"up to {cores} processes"),
        Figure("audit", "verify an export by the auditor's script", "events/s", tuple(scripted), "1 process"),
        *await _proofs(archive, keys),
    ]


def targets(figures: Sequence[Figure]) -> list[Target]:
    """What was to be reached, for what was measured."""
    verified, made = figure_named(figures, VERIFY_NAME), figure_named(figures, PROOF_MADE_NAME)
    if not (verified and made and (proof := figure_named(figures, PROOF_BYTES_NAME))):
        return []
    return [
        Target(VERIFY_NAME, verified.median, "at least", VERIFIED_PER_SECOND_TARGET, "events/s"),
        Target(PROOF_BYTES_NAME, max(proof.values), "at most", PROOF_BYTES_TARGET, "bytes"),
        Target(PROOF_MADE_NAME, made.median, "at most", PROOF_MILLISECONDS_TARGET, "ms"),
    ]


async def _sealed(folder: Path, plan: Plan) -> Archive:
    archive = await opened(FolderStore(folder), CASES, f"{SIGNER.name}/{CASES}")
    writer, waiting = await growing(archive), list[Sealed]()
    for row in rows(plan.cases, seed=1):
        for version, fact in enumerate(imported(row), 1):
            envelope = seal(
                fact.event, event_id=fact.event_id, case_id=row.case_id, context=fact.context,
                recorded_at=fact.context.time,
            )  # fmt: skip
            subject = case_subject(row.case_id, fact.event.TYPE.split(".")[2], version, None)
            sequence = writer.size + len(waiting) + 1
            waiting.append(Sealed(Leaf(CASES, sequence, subject, fact.event_id, encode(envelope)), sequence))
        if len(waiting) >= EVENTS_MAX:
            await writer.seal(waiting)
            waiting = []
    if waiting:
        await writer.seal(waiting)
    size, root = writer.size, writer.root()
    await writer.keep(SIGNER.sign(Checkpoint(archive.origin, size, root)), size)
    return archive


def _by_script(folder: Path) -> float:
    script = repository() / "examples" / "auditor" / "whistle_verify.py"
    began = time.perf_counter()
    command = [sys.executable, "-I", str(script), str(folder), "--key", str(SIGNER.verifier)]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


async def _proofs(archive: Archive, keys: Keys) -> list[Figure]:
    note = await archive.checkpoint()
    assert note is not None, "it was signed"
    choose, sizes = Random(1), list[float]()
    made, read, checked = list[float](), list[float](), list[float]()
    for _ in range(PROOFS):
        sequence = choose.randint(1, archive.size)
        fresh = await opened(archive.store, CASES, archive.origin)  # so that no tile is in memory
        began = time.perf_counter()
        content = (await prove(fresh, note, sequence)).encode()
        made.append((time.perf_counter() - began) * 1_000)
        began = time.perf_counter()
        entry = (await entry_of(fresh, sequence)).entry()
        read.append((time.perf_counter() - began) * 1_000)
        began = time.perf_counter()
        verify_proof(proof_of(content), entry, keys)
        checked.append((time.perf_counter() - began) * 1_000)
        sizes.append(len(content))
    return [
        Figure("audit", PROOF_BYTES_NAME, "bytes", (min(sizes), median(sizes), max(sizes))),
        Figure("audit", PROOF_MADE_NAME, "ms", tuple(made), "out of tiles on disk"),
        Figure("audit", "proof of one event, checked", "ms", tuple(checked)),
        Figure("audit", "one event read out of its sealed file", "ms", tuple(read)),
    ]
