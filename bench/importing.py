"""Import: a file of our own making through the real command, with all services running, until they caught up."""

import asyncio
import csv
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from bench.arena import Arena
from bench.figures import Figure
from bench.machine import resident_mb
from bench.plan import Plan
from bench.work import Tell
from cli.embedded.process import Child, Program, start, tail
from cli.importing.sample import HEADER, rows
from cli.stack.state import repository

RATE_NAME: Final = "import until the read models caught up"
MAPPING: Final = "mappings/boston311.yaml"
MEMORY_LOOK_SECONDS: Final = 0.2
STOP_SECONDS_MAX: Final = 5.0


class ImportFailed(Exception):
    """The import command ended with an error; its last lines are the text."""


async def measure(arena: Arena, plan: Plan, folder: Path, tell: Tell) -> list[Figure]:
    """Every repetition brings other rows; the log grows from one to the next."""
    rates: list[float] = []
    importer_peaks: list[float] = []
    made = rows(plan.import_cases * plan.repetitions)
    for repetition in range(plan.repetitions):
        tell(f"importing {plan.import_cases:,} rows, repetition {repetition + 1} of {plan.repetitions}")
        file = folder / f"rows-{repetition}.csv"
        _write(file, islice(made, plan.import_cases))
        started = time.perf_counter()
        importer_peaks.append(await _import(folder, file))
        rates.append(plan.import_cases / (time.perf_counter() - started))
    memory = [
        Figure("import", memory_name(process.name), "MB", (resident_mb(process.pid),))
        for process in arena.stack.processes
        if process.name != "postgres"
    ]
    return [
        Figure("import", RATE_NAME, "cases/s", tuple(rates)),
        Figure("import", "importer, resident at most", "MB", tuple(importer_peaks)),
        *memory,
    ]


def memory_name(process: str) -> str:
    """The name of the figure for the memory of a process."""
    return f"{process}, resident after all imports"


def _write(file: Path, lines: Iterator[Sequence[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(lines)


async def _import(folder: Path, file: Path) -> float:
    """Run the command to its end; how much memory it had at most."""
    program = Program(
        name="import",
        argv=(
            *(sys.executable, "-P", "-m", "cli", "import", str(file)),
            *("--mapping", str(repository() / MAPPING), "--json"),
        ),
        log=folder / "log" / "import.log",
        environment=os.environ | {"WHISTLE_HOME": str(folder), "PYTHONPATH": str(repository())},
        folder=folder,
    )
    importer = await start(program)
    try:
        peak = await _peak_until_ended(importer)
    finally:
        await importer.stop(STOP_SECONDS_MAX)
    if importer.code != 0:
        raise ImportFailed(tail(program.log))
    return peak


async def _peak_until_ended(importer: Child) -> float:
    peak = 0.0
    ended = asyncio.ensure_future(importer.wait())
    while not ended.done():
        with suppress(OSError, ValueError):  # it may end while we look
            peak = max(peak, resident_mb(importer.pid, peak=True))
        await asyncio.wait({ended}, timeout=MEMORY_LOOK_SECONDS)
    return peak
