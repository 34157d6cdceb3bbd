"""How much is measured: a full run takes some minutes, a quick one less than one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EVENTS_PER_CASE: Final = (
    5  # reported, filed, assigned, handled, closed: what a closed row of an import proves
)


class Measure(StrEnum):
    """What can be measured by itself."""

    MEMORY = "memory"
    REPLAY = "replay"
    LEDGER = "ledger"
    RESTORE = "restore"
    PROJECTION = "projection"
    REBUILD = "rebuild"
    APPEND = "append"
    RACE = "race"
    IMPORT = "import"
    DISPATCH = "dispatch"
    TIMERS = "timers"
    DEPARTMENTS = "departments"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of each measurement."""

    measures: frozenset[Measure] = frozenset(Measure)
    repetitions: int = 3
    events: int = 200_000
    """In the log that is replayed and projected, and in the peer's."""
    appends: int = 60_000
    """One event each, at 1,000 in flight."""
    single_appends: int = 1_000
    """One after another."""
    contests: int = 5
    """Cases for which writers race, one case after another."""
    peer_saves: int = 4_000
    """One event each, for each number of threads."""
    import_cases: int = 20_000
    """Rows of one import."""
    reports: int = 4_000
    """Over HTTP, at a steady rate."""
    escalations: int = 1_000
    """Due at the same moment."""
    deliveries: int = 5_000
    """To departments, at a steady rate."""
    acts: int = 20_000
    """Of departments, as fast as they are taken."""

    @property
    def cases(self) -> int:
        """In the log that is replayed and projected."""
        return max(1, self.events // EVENTS_PER_CASE)

    def has(self, *measures: Measure) -> bool:
        """Whether one of *measures* is asked for."""
        return not self.measures.isdisjoint(measures)


QUICK: Final = Plan(
    repetitions=1, events=20_000, appends=5_000, single_appends=200, contests=1, peer_saves=300, import_cases=1_000,
    reports=200, escalations=200, deliveries=200, acts=1_000,
)  # fmt: skip
"""Enough to see that all of it works; its figures say little."""
