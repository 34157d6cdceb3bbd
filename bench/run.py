"""All measurements of one run, ours and the peer's side by side, on servers of their own."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import (
    append,
    auditing,
    departments,
    dispatching,
    escalating,
    fill,
    importing,
    ledger,
    machine,
    projection,
    race,
    rebuild,
    replay,
    restoring,
)
from bench.arena import Arena, arena, temporary_folder
from bench.figures import Figure, Target, figure_named
from bench.peer import Peer, peer
from bench.plan import Measure, Plan
from bench.work import Tell
from cli.stack.plan import services

SERVICES: Final = tuple(service.name for service in services())
APPENDS_PER_SECOND_TARGET: Final = 15_000
TYPED_EVENTS_PER_SECOND_TARGET: Final = 120_000
BOSTON_ROWS: Final = 58_251
BOSTON_SECONDS_TARGET: Final = 60
SERVICE_MB_TARGET: Final = 200
ASSIGNED_MILLISECONDS_TARGET: Final = 50
ESCALATED_SECONDS_TARGET: Final = 2
DELIVERED_MILLISECONDS_TARGET: Final = 20
ACTS_PER_SECOND_TARGET: Final = 2_000
REBUILT_EVENTS_PER_SECOND_TARGET: Final = 1_000_000 / 30

OF_THE_LOG: Final = (
    (Measure.LEDGER, ledger.measure),
    (Measure.RESTORE, restoring.measure),
    (Measure.PROJECTION, projection.measure),
    (Measure.REBUILD, rebuild.measure),
)
"""What is measured on the log once it is filled."""
FROM_THE_LOG: Final = (Measure.MEMORY, Measure.REPLAY, *(each for each, _ in OF_THE_LOG))
"""What needs a log that is filled."""
OF_THE_BUS: Final = (
    (Measure.RACE, race.measure),
    (Measure.TIMERS, escalating.measure),
    (Measure.DEPARTMENTS, departments.measure),
)


@dataclass(frozen=True, slots=True)
class Results:
    """What a run gave."""

    started_at: datetime
    machine: dict[str, Any]
    figures: tuple[Figure, ...]
    targets: tuple[Target, ...]
    failure: str = ""
    """What ended the run before its end; the figures are those measured before."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "machine": self.machine,
            "figures": [figure.as_json() for figure in self.figures],
            "complete": not self.failure,  # why not may name paths
            "targets": [target.as_json() for target in self.targets],
        }


async def run(plan: Plan, parent: Path, tell: Tell) -> Results:
    """Measure what *plan* asks for; data lies in a temporary folder inside *parent* meanwhile."""
    started_at = datetime.now(UTC)
    figures: list[Figure] = []
    failure = ""
    tell("starting servers")
    with temporary_folder(parent) as folder:
        async with arena(folder / "servers") as servers:
            facts = await machine.facts(servers, folder)
            try:
                await _on_servers(servers, plan, tell, figures)
            except Exception as error:  # what was measured in minutes is not thrown away
                failure = f"{type(error).__name__}: {error}"
        if plan.has(Measure.AUDIT) and not failure:  # alone: it needs no server, and every core
            figures += await auditing.measure(folder / "audit", plan, tell)
        if plan.has(Measure.IMPORT, Measure.DISPATCH) and not failure:
            tell("starting all services")
            async with arena(folder / "stack", services()) as stack:
                try:
                    await _on_services(stack, plan, folder / "stack", tell, figures)
                except (importing.ImportFailed, dispatching.ReportRefused) as error:
                    failure = f"{type(error).__name__}: {error}"
    figures.sort(key=lambda figure: tuple(Measure).index(Measure(figure.measure)))
    return Results(started_at, facts, tuple(figures), tuple(targets(figures)), failure)


async def _on_servers(servers: Arena, plan: Plan, tell: Tell, figures: list[Figure]) -> None:
    async with AsyncExitStack() as stack:
        other: Peer | None = None
        if plan.has(Measure.REPLAY, Measure.APPEND):
            other = await stack.enter_async_context(peer(servers))
        if plan.has(*FROM_THE_LOG):
            figures += await fill.measure(servers, plan, tell)
        if other and plan.has(Measure.REPLAY):
            await fill.fill_peer(plan, other, tell)
            figures += await replay.measure(servers, plan, other, tell)
        for each, measured in OF_THE_LOG:
            if plan.has(each):
                figures += await measured(servers, plan, tell)
        if other and plan.has(Measure.APPEND):
            figures += await append.measure(servers, plan, other, tell)
        for each, measured in OF_THE_BUS:
            if plan.has(each):
                figures += await measured(servers, plan, tell)


async def _on_services(stack: Arena, plan: Plan, folder: Path, tell: Tell, figures: list[Figure]) -> None:
    if plan.has(Measure.DISPATCH):  # before the import: a city's log is not filled in a minute
        figures += await dispatching.measure(stack, plan, tell)
    if plan.has(Measure.IMPORT):
        figures += await importing.measure(stack, plan, folder, tell)


def targets(figures: list[Figure]) -> list[Target]:
    """What was to be reached, for what was measured."""
    found: list[Target] = []
    if appends := figure_named(figures, append.IN_FLIGHT_NAME):
        found.append(
            Target("durable appends, each with an expectation", appends.median, "at least",
                   APPENDS_PER_SECOND_TARGET, "appends/s")
        )  # fmt: skip
    ours, theirs = figure_named(figures, replay.TYPED_NAME), figure_named(figures, replay.PEER_TYPED_NAME)
    if ours and theirs:
        text = "replay into typed events"
        found += [
            Target(text, ours.median, "at least", TYPED_EVENTS_PER_SECOND_TARGET, "events/s"),
            Target(f"{text}, beside eventsourcing", ours.median, "more than", theirs.median, "events/s"),
        ]
    if rebuilt := figure_named(figures, rebuild.RATE_NAME):
        text = "rebuild beside the old version, a million events in 30 s"
        found.append(Target(text, rebuilt.median, "at least", REBUILT_EVENTS_PER_SECOND_TARGET, "events/s"))
    found += ledger.targets(figures) + restoring.targets(figures)
    if imported := figure_named(figures, importing.RATE_NAME):
        found.append(
            Target(f"{BOSTON_ROWS:,} rows imported, at this rate", BOSTON_ROWS / imported.median, "at most",
                   BOSTON_SECONDS_TARGET, "s")
        )  # fmt: skip
        memory = [figure_named(figures, importing.memory_name(service)) for service in SERVICES]
        largest = max(figure.median for figure in memory if figure)
        found.append(Target("largest service after the import", largest, "at most", SERVICE_MB_TARGET, "MB"))
    if tail := figure_named(figures, dispatching.P99_NAME):
        found.append(
            Target(f"p99 of report to Assigned at {dispatching.REPORTS_PER_SECOND} reports/s", tail.median,
                   "at most", ASSIGNED_MILLISECONDS_TARGET, "ms")
        )  # fmt: skip
    if escalated := figure_named(figures, escalating.NAME):
        found.append(
            Target(f"{escalated.note} due in the same second, escalated", escalated.median,
                   "at most", ESCALATED_SECONDS_TARGET, "s")
        )  # fmt: skip
    found += auditing.targets(figures)
    if delivered := figure_named(figures, departments.DELIVERED_P99_NAME):
        load = f"{departments.CONNECTED} departments, {departments.EVENTS_PER_SECOND} events/s"
        text = f"p99 of append to delivery, {load}"
        found.append(Target(text, delivered.median, "at most", DELIVERED_MILLISECONDS_TARGET, "ms"))
    if taken := figure_named(figures, departments.TAKEN_NAME):
        found.append(
            Target(
                "acts of departments taken for good",
                taken.median,
                "at least",
                ACTS_PER_SECOND_TARGET,
                "acts/s",
            )
        )
    return found
