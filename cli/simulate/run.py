"""`whistle simulate`: a stack of its own or the one that runs, a town on it, and what became of the promises."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from rich.console import Console

from cli.demo.doors import Doors, http_client
from cli.demo.exercise import provision_example, rule_book
from cli.demo.figures import quantile
from cli.demo.run import first_of, log_to
from cli.embedded.process import rotate
from cli.simulate.book import write_book
from cli.simulate.checking import (
    Figures,
    Truth,
    disagreements,
    figures_of,
    scoreboard_differences,
    truth_of,
)
from cli.simulate.memory import Memory
from cli.simulate.patrol import patrol_differences
from cli.simulate.town import Progress, Town, live
from cli.stack.plan import StackPlan
from cli.stack.state import Stack
from cli.stack.supervisor import running_stack
from cli.tokens import Tokens
from libs.events.jetstream import connected
from libs.events.log import opened
from libs.events.policy import RuleBook

READER: Final = "auditor"
SETTLE_SECONDS_MAX: Final = 120.0
LOOK_SECONDS: Final = 0.2
TELL_SECONDS: Final = 5.0
NOT_SAID_WELL: Final = frozenset(
    {"not_valid", "unknown_post", "unknown_verb", "unknown_department", "photo_needed"}
)
"""Refusals of what nobody may say; all others only mean that somebody was faster, or that time was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateRequest:
    """What to simulate, and where."""

    home: Path
    town: Town
    scale: int
    """Seconds of a time limit that pass in one real second, on a stack of its own."""
    slack_seconds: float
    """How late a clock may fire."""
    ports: dict[str, int]


@dataclass(slots=True)
class Report:
    """What was seen."""

    memory: Memory
    truth: Truth
    seconds: float
    unanswered: int
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        truth, memory = self.truth, self.memory
        late = sorted(truth.escalations_late)
        facts = {kind.name(): counter.total() for kind, counter in truth.facts.items()}
        return {
            "reports": len(memory.tracking),
            "events": truth.events,
            "seconds": round(self.seconds, 1),
            "reports_per_second": round(len(memory.tracking) / self.seconds, 1),
            "events_per_second": round(truth.events / self.seconds, 1),
            "unanswered": self.unanswered,
            "ends": dict(truth.ends),
            "facts": dict(sorted(facts.items())),
            "escalations": dict(sorted(truth.escalations.items())),
            "escalation_late_seconds": {
                "p50": quantile(late, 0.5),
                "p99": quantile(late, 0.99),
                "max": quantile(late, 1.0),
            },
            "patrols": len(memory.points_passed),
            "points_passed": sum(map(len, memory.points_passed.values())),
            "finds": sum(map(len, memory.finds.values())),
            "refused": {f"{verb}: {code}": n for (verb, code), n in sorted(memory.deeds.refused.items())},
            "problems": self.problems,
        }


async def simulate(request: SimulateRequest, console: Console) -> Report:
    """Run it.  Raises StackError or WhistleError with what is in the way."""
    log = request.home / "log" / "simulate.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    with log.open("a", encoding="utf-8") as file:
        log_to(file)
        try:
            return await _on_a_stack(request, console)
        except BaseExceptionGroup as group:
            structlog.get_logger(__name__).exception("simulation_failed")
            raise first_of(group) from group


async def _on_a_stack(request: SimulateRequest, console: Console) -> Report:
    running = Stack.read(request.home)
    if running is not None and running.supervisor.alive:
        stack = Stack.load(request.home)  # raises NotRunning while it starts or stops
        console.print("beside what runs here already · 使用正在运行的系统", style="dim")
        return await _on(stack, request, console)
    policy = write_book(request.home / "simulate-policy", request.scale)
    plan = StackPlan.from_environment(
        home=request.home,
        policy_dir=policy,
        provision=provision_example,
        asked_ports=request.ports,
    )
    async with running_stack(plan, lambda step: console.print(f"  {step}", style="dim")) as stack:
        return await _on(stack, request, console)


async def _on(stack: Stack, request: SimulateRequest, console: Console) -> Report:
    book: RuleBook = await rule_book(stack.nats_url, stack.secret)
    before = await _figures(stack)
    memory, began = Memory(), time.monotonic()
    unanswered = await live(request.town, stack, book, memory, _telling(console, memory))
    seconds = time.monotonic() - began
    slack = timedelta(seconds=request.slack_seconds)
    async with (
        connected(stack.nats_url, user=READER, password=stack.secret(READER)) as client,
        opened(client) as log,
    ):
        truth = await truth_of(log, memory.tracking, slack)
    report = Report(memory, truth, seconds, unanswered)
    report.problems = await _problems(stack, book.city.code, report, before)
    structlog.get_logger(__name__).info("simulation_ended", **report.as_json())
    return report


def _telling(console: Console, memory: Memory) -> Callable[[Progress], None]:
    began, due = time.monotonic(), 0.0

    def tell(progress: Progress) -> None:
        nonlocal due
        elapsed = time.monotonic() - began
        if elapsed < due:
            return
        due = elapsed + TELL_SECONDS
        console.print(
            f"{elapsed:5.0f} s  reports 上报 {progress.reports:,}  open 未结 {progress.left:,}"
            f"  escalated 升级 {memory.escalations_heard.total():,}  closed 结案 {memory.closings_heard:,}",
            soft_wrap=True,
        )

    return tell


async def _problems(stack: Stack, city: str, report: Report, before: Figures) -> list[str]:
    memory, truth = report.memory, report.truth
    found = list(truth.broken)
    if report.unanswered:
        found.append(f"{report.unanswered} reports have no answer yet")
    if memory.deeds.unanswered:
        found.append(f"{memory.deeds.unanswered} acts got no answer")
    found += [
        f"to {verb} was refused {count} times: {code}"
        for (verb, code), count in sorted(memory.deeds.refused.items())
        if code in NOT_SAID_WELL
    ]
    return [*found, *disagreements(truth, memory), *await _settled_differences(stack, city, report, before)]


async def _settled_differences(stack: Stack, city: str, report: Report, before: Figures) -> list[str]:
    """What evaluation and dispatch still say differently after they had time to catch up."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    async with http_client() as http:
        dispatch = Doors(http, stack.service_urls("dispatch"), Tokens(stack))
        while True:
            differences = [
                *scoreboard_differences(report.truth, before, await _figures(stack)),
                *await patrol_differences(dispatch, city, report.memory),
            ]
            if not differences or time.monotonic() > deadline:
                return differences
            await asyncio.sleep(LOOK_SECONDS)


async def _figures(stack: Stack) -> Figures:
    async with http_client() as http:
        evaluation = Doors(http, stack.service_urls("evaluation"))
        return figures_of(await evaluation.get("/measures", by="department"))
