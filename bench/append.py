"""Durable appends with an expectation each: one after another, and 1,000 in flight over distinct cases."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from bench.arena import Arena
from bench.cases import reported, rows
from bench.figures import Figure, percentile
from bench.peer import Peer
from bench.plan import Plan
from bench.work import Tell, shared
from cli.importing.rows import Row
from libs.events.log import History, Log, opened

IN_FLIGHT: Final = 1_000
IN_FLIGHT_NAME: Final = f"appends, {IN_FLIGHT:,} in flight"
PEER_THREADS: Final = (1, 8, 16)
PEER_BATCH_EVENTS: Final = 100
PEER_BATCHED_TIMES: Final = 5  # so many times more events than saves, to take about as long


@dataclass(slots=True)
class PeerSaves:
    """The peer's saves with and without its functions in the database; the better setting is what counts."""

    singles: dict[tuple[int, bool], list[float]] = field(default_factory=lambda: defaultdict(list))
    batches: dict[bool, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def measure(self, peer: Peer, plan: Plan, seed: int) -> None:
        """One repetition; uses 10 seeds from *seed* on."""
        for by_function in (False, True):
            for threads in PEER_THREADS:
                singles = list(rows(plan.peer_saves, seed := seed + 1))
                seconds = await peer.save_singles(singles, threads, by_function=by_function)
                self.singles[threads, by_function].append(len(singles) / seconds)
            many = list(rows(plan.peer_saves * PEER_BATCHED_TIMES, seed := seed + 1))
            seconds = await peer.save_batches(many, PEER_BATCH_EVENTS, by_function=by_function)
            self.batches[by_function].append(len(many) / seconds)

    def figures(self) -> list[Figure]:
        """One for each number of threads, and one for batches."""
        found: list[Figure] = []
        for threads in PEER_THREADS:
            rates, setting = _better(self.singles[threads, False], self.singles[threads, True])
            name = f"eventsourcing: saves, {threads} {'thread' if threads == 1 else 'threads'}"
            found.append(Figure("append", name, "saves/s", rates, setting))
        rates, setting = _better(self.batches[False], self.batches[True])
        name = f"eventsourcing: batches of {PEER_BATCH_EVENTS}"
        return [*found, Figure("append", name, "events/s", rates, setting)]


def _better(plain: list[float], by_function: list[float]) -> tuple[tuple[float, ...], str]:
    if median(by_function) > median(plain):
        return tuple(by_function), "with its functions in the database"
    return tuple(plain), ""


async def measure(arena: Arena, plan: Plan, peer: Peer, tell: Tell) -> list[Figure]:
    """Ours and the peer's, in turn."""
    p50: list[float] = []
    p99: list[float] = []
    many: list[float] = []
    saves = PeerSaves()
    for repetition in range(plan.repetitions):
        seed = 1_000 * (repetition + 1)
        tell(f"appends, repetition {repetition + 1} of {plan.repetitions}")
        async with arena.connection("intake") as client, opened(client) as log:
            latencies = await _one_after_another(log, list(rows(plan.single_appends, seed)))
            p50.append(percentile(latencies, 0.5) * 1000)
            p99.append(percentile(latencies, 0.99) * 1000)
            many.append(await _in_flight(log, list(rows(plan.appends, seed + 1))))
        tell(f"eventsourcing saves, repetition {repetition + 1} of {plan.repetitions}")
        await saves.measure(peer, plan, seed + 10)
    return [
        Figure("append", "single append, p50", "ms", tuple(p50)),
        Figure("append", "single append, p99", "ms", tuple(p99)),
        Figure("append", IN_FLIGHT_NAME, "appends/s", tuple(many)),
        *saves.figures(),
    ]


async def _one_after_another(log: Log, cases: list[Row]) -> list[float]:
    latencies: list[float] = []
    for row in cases:
        started = time.perf_counter()
        await log.append(History(row.case_id), reported(row))
        latencies.append(time.perf_counter() - started)
    return latencies


async def _in_flight(log: Log, cases: list[Row]) -> float:
    async def append(row: Row) -> None:
        await log.append(History(row.case_id), reported(row))

    return len(cases) / await shared(IN_FLIGHT, cases, append)
