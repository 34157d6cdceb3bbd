"""Fifty writers race for one case: what conflicts cost, and whether everybody gets a turn."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Final

from bench.arena import Arena
from bench.cases import reported, rows
from bench.figures import Figure
from bench.plan import Plan
from bench.work import Tell
from libs.events.contracts.base import Event
from libs.events.contracts.intake import CaseFiled
from libs.events.envelope import Context
from libs.events.errors import LogUnavailable
from libs.events.handle import Handler
from libs.events.log import History, opened

WRITERS: Final = 50
CONNECTIONS: Final = 10
FACTS_PER_CASE: Final = 100  # two for each writer, so that an even share can be seen


@dataclass(slots=True)
class Contest:
    """What happened in all contests of one repetition."""

    wins: list[int] = field(default_factory=lambda: [0] * WRITERS)
    attempts: int = 0
    gave_up: int = 0
    seconds: float = 0.0

    @property
    def conflicts_per_win(self) -> float:
        return (self.attempts - sum(self.wins)) / sum(self.wins)

    def shares(self) -> tuple[float, float, float]:
        """The smallest, median and largest share of a writer in all wins, in percent; fair is 2."""
        total = sum(self.wins)
        return (
            100 * min(self.wins) / total,
            100 * median(self.wins) / total,
            100 * max(self.wins) / total,
        )


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """Once with writers that know nothing of each other, once with writers that share one `Handler`."""
    apart: list[Contest] = []
    within: list[Contest] = []
    for repetition in range(plan.repetitions):
        tell(f"{WRITERS} writers race, repetition {repetition + 1} of {plan.repetitions}")
        async with AsyncExitStack() as stack:
            handlers: list[Handler] = []
            for _ in range(CONNECTIONS):
                client = await stack.enter_async_context(arena.connection("intake"))
                handlers += [
                    Handler(await stack.enter_async_context(opened(client)))
                    for _ in range(WRITERS // CONNECTIONS)
                ]
            apart.append(await _contests(handlers, plan.contests, seed=100_000 + repetition))
            within.append(await _contests(handlers[:1] * WRITERS, plan.contests, seed=200_000 + repetition))
    return [
        *_figures(f"{WRITERS} writers", apart),
        *_figures(f"{WRITERS} in one Handler", within),
    ]


def _figures(who: str, contests: Sequence[Contest]) -> list[Figure]:
    wins = sum(contests[0].wins)
    fewest, middle, most = zip(*(contest.shares() for contest in contests), strict=True)
    gave_up = sum(contest.gave_up for contest in contests)
    note = f"{gave_up} times a writer gave up" if gave_up else ""
    return [
        Figure("race", f"{who}: time for {wins} facts", "s", tuple(c.seconds for c in contests)),
        Figure("race", f"{who}: conflicts", "per fact", tuple(c.conflicts_per_win for c in contests), note),
        Figure("race", f"{who}: smallest share", "%", fewest, f"{100 / WRITERS:g} % each would be even"),
        Figure("race", f"{who}: median share", "%", middle),
        Figure("race", f"{who}: largest share", "%", most),
    ]


async def _contests(handlers: Sequence[Handler], count: int, seed: int) -> Contest:
    contest = Contest()
    started = time.perf_counter()
    for row in rows(count, seed):
        first = reported(row)[0].event
        await asyncio.gather(
            *(_write(contest, writer, handler, row.case_id, first) for writer, handler in enumerate(handlers))
        )
    contest.seconds = time.perf_counter() - started
    return contest


async def _write(contest: Contest, writer: int, handler: Handler, case_id: str, first: Event) -> None:
    def decide(history: History) -> tuple[Event, ...]:
        if history.version >= FACTS_PER_CASE:
            return ()
        contest.attempts += 1
        return (CaseFiled(category="race", reason=f"writer {writer}"),) if history.version else (first,)

    context = Context(actor="resident", time=datetime.now(UTC))
    while True:
        try:
            outcome = await handler.handle(case_id, decide, context)
        except LogUnavailable:
            contest.gave_up += 1
            continue
        if not outcome:
            return
        contest.wins[writer] += 1
