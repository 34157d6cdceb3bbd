"""Holds three memories against one another: the log, what the agents remember, and what evaluation says."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cli.simulate.memory import Memory
from cli.simulate.promises import Judgement, judge
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    ClockPaused,
    Declined,
    Escalated,
    EscalationReason,
    ExtensionGranted,
    ExtensionRefused,
    ExtensionRequested,
    Handled,
    Recalled,
    ReportedIn,
    Summoned,
    WhistleBlown,
)
from libs.events.contracts.evaluation import (
    CardIssued,
    CaseReopened,
    HandlingReturned,
    Rated,
    ServiceScored,
    Verified,
)
from libs.events.contracts.intake import CaseFiled, CaseMerged, CaseRejected
from libs.events.envelope import Entry
from libs.events.log import Log

CASES_AT_ONCE_MAX: Final = 100
REMEMBERED: Final[tuple[type[Event], ...]] = (
    *(CaseRejected, Accepted, Declined, Handled, ReportedIn, Recalled),
    *(ExtensionRequested, ExtensionGranted, ExtensionRefused, ClockPaused, WhistleBlown),
    *(Verified, HandlingReturned, Rated, CaseReopened, ServiceScored),
)
"""Each of these facts is somebody's deed, who remembers it; the log has neither more nor less of them."""
WITH_DEPARTMENT: Final[tuple[type[Event], ...]] = (
    *(Accepted, Declined, Handled, ReportedIn, ExtensionRequested),
    *(Verified, HandlingReturned, Rated, CaseReopened, ServiceScored),
)
"""Those whose department who did it knows as well."""
MEASURES: Final[Mapping[type[Event], str]] = {
    Accepted: "signed",
    Declined: "returned",
    Handled: "handled",
    HandlingReturned: "reworked",
    ExtensionRequested: "extension_asked",
    ExtensionGranted: "extended",
    Summoned: "summoned",
    ReportedIn: "reported_in",
    WhistleBlown: "whistles",
    Escalated: "escalated",
    CardIssued: "cards",
    Rated: "rated",
    CaseReopened: "reopened",
    ServiceScored: "scored",
}
"""Evaluation's measure of each fact that it counts by department."""


@dataclass(slots=True)
class Truth:
    """What the log says of the whole run."""

    events: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """How many cases ended how; `open` for those that did not."""
    facts: dict[type[Event], Counter[str]] = field(default_factory=dict)
    """How many of each kind there are, by department; the empty name where none is named."""
    escalations: Counter[str] = field(default_factory=Counter)
    escalations_late: list[float] = field(default_factory=list)
    """By how many seconds each escalation came after its deadline."""
    broken: list[str] = field(default_factory=list)
    """Promises that were not kept, with the case."""

    def count(self, kind: type[Event]) -> Counter[str]:
        """How many facts of this kind, by department."""
        return self.facts.get(kind, Counter())


async def truth_of(log: Log, case_ids: Iterable[str], slack: timedelta) -> Truth:
    """Read and judge every case.  Raises LogUnavailable."""
    truth, room = Truth(), asyncio.Semaphore(CASES_AT_ONCE_MAX)

    async def one(case_id: str) -> None:
        async with room:
            history = await log.load(case_id)
        add_case(truth, case_id, history.entries, judge(history.entries, datetime.now(UTC), slack))

    await asyncio.gather(*(one(case_id) for case_id in case_ids))
    return truth


def add_case(truth: Truth, case_id: str, entries: Iterable[Entry], judgement: Judgement) -> None:
    """Count one case."""
    truth.ends[judgement.end or "open"] += 1
    truth.escalations_late += judgement.escalations_late
    truth.broken += [f"case {case_id} {promise}" for promise in judgement.broken]
    overdue = 0
    for entry in entries:
        event = entry.event
        truth.events += 1
        # A whistle counts for the department that leads.
        department = event.lead if isinstance(event, WhistleBlown) else getattr(event, "department", None)
        truth.facts.setdefault(type(event), Counter())[department or ""] += 1
        if isinstance(event, Escalated):
            truth.escalations[event.reason] += 1
            overdue += event.reason is EscalationReason.LONG_OVERDUE
        overdue -= isinstance(event, CardIssued)
    if overdue > 0:
        truth.broken.append(f"case {case_id} was long overdue, and {overdue} cards were not shown")


def disagreements(truth: Truth, memory: Memory) -> list[str]:
    """Where the log and the agents do not say the same, each in a sentence."""
    found: list[str] = []
    for kind in REMEMBERED:
        name = kind.name()
        has, mine = truth.count(kind), memory.deeds.count(name, memory.tracking)
        if kind not in WITH_DEPARTMENT:
            has, mine = Counter({"": has.total()}), Counter({"": mine.total()})
        found += [
            f"{name} of {key or 'all'}: the log has {has[key]}, the agents remember {mine[key]}"
            for key in sorted({*has, *mine})
            if has[key] != mine[key]
        ]
    filed = (
        truth.count(CaseFiled).total() + truth.count(CaseMerged).total() + truth.count(CaseRejected).total()
    )
    if filed != len(memory.tracking):
        found.append(f"{len(memory.tracking)} reports, of which {filed} were filed, joined or rejected")
    return found


Figures = Mapping[str, Mapping[str, int]]
"""By department (empty where none is named), evaluation's count of each measure."""


def figures_of(lines: Iterable[Mapping[str, Any]]) -> Figures:
    """What evaluation says now."""
    return {line["key"] or "": {name: int(line[name]) for name in MEASURES.values()} for line in lines}


def scoreboard_differences(truth: Truth, before: Figures, after: Figures) -> list[str]:
    """Where evaluation's figures grew by something else than the log has."""
    found: list[str] = []
    for kind, measure in MEASURES.items():
        has = truth.count(kind)
        for department in sorted({*has, *after}):
            says = after.get(department, {}).get(measure, 0) - before.get(department, {}).get(measure, 0)
            if says != has[department]:
                found.append(
                    f"{measure} of {department or 'nobody'}: evaluation says {says}, the log {has[department]}"
                )
    return found
