"""Restore: sealed files become a log again on an empty machine, by the command that people use."""

import asyncio
import os
import shutil
import sys
from typing import Any, Final

import orjson

from bench import ledger
from bench.arena import Arena
from bench.figures import Figure, Target, figure_named
from bench.plan import Plan
from bench.work import Tell
from cli.stack.state import repository
from libs.events.subjects import CASES

RESTORED_NAME: Final = "sealed files into an empty log"
RESTORED_PER_SECOND_TARGET: Final = 1_000_000 / 180


class RestoreFailed(Exception):
    """The command ended otherwise than well; the text is what it said."""


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """`./whistle restore` with a server of its own, from its start until all is synced under the signed roots."""
    home, key, rates = arena.stack.home, ledger.signer_of(arena).verifier, list[float]()
    store = home / "sealed-to-restore"
    tell("sealing what is restored then")
    events = await ledger.seal_all(arena, store)
    for repetition in range(plan.repetitions):
        tell(f"restoring {events:,} events, repetition {repetition + 1} of {plan.repetitions}")
        empty = home / f"restored-{repetition}"
        report = await _restored({"WHISTLE_HOME": str(empty)}, str(store), "--key", str(key), "--json")
        if report["streams"][CASES]["events"] != events:
            raise RestoreFailed(f"{events} events were sealed, and not as many restored: {report}")
        rates.append(events / report["seconds"])
        shutil.rmtree(empty, ignore_errors=True)
    return [Figure("restore", RESTORED_NAME, "events/s", tuple(rates), f"{events:,} events")]


def targets(figures: list[Figure]) -> list[Target]:
    """What was to be reached."""
    restored = figure_named(figures, RESTORED_NAME)
    if restored is None:
        return []
    text = "restore, a million events in 3 minutes"
    return [Target(text, restored.median, "at least", RESTORED_PER_SECOND_TARGET, "events/s")]


async def _restored(settings: dict[str, str], *arguments: str) -> dict[str, Any]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WHISTLE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cli", "restore", *arguments),
        cwd=repository(),
        env={**inherited, "PYTHONPATH": str(repository()), **settings},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:  # the bench is being stopped
            process.terminate()
            await process.wait()
    if process.returncode:
        raise RestoreFailed(err.decode(errors="replace").strip())
    report: dict[str, Any] = orjson.loads(out)
    return report
