"""The clocks of one case as its facts set, stop and move them.  Pure; knows nothing of how dispatch keeps its own."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """What a clock asks for."""

    SIGN = "sign"
    HANDLE = "handle"
    OVERDUE = "overdue"
    VERIFY = "verify"
    REPORT_IN = "report_in"


@dataclass(slots=True)
class Clock:
    """One deadline."""

    kind: Kind
    department: str
    due_at: datetime
    stands_since: datetime
    stands: bool = True
    """False while the clock is paused, or the work is said to be done."""
    missed: bool = False
    """Whether the case went up for it."""

    @property
    def expected_at(self) -> datetime:
        """When the case goes up: a clock that began to stand after its deadline fires at once."""
        return max(self.due_at, self.stands_since)


class Clocks:
    """All of one case.  Whoever stops a clock that ought to have fired adds a sentence to *broken*."""

    def __init__(self, slack: timedelta, broken: list[str]) -> None:
        self._slack = slack
        self._broken = broken
        self._all: dict[tuple[Kind, str, int], Clock] = {}

    def get(self, kind: Kind, department: str | None, step: int = 0) -> Clock | None:
        """The clock of *department*, or of whoever has one where none is named."""
        for (of_kind, of_department, of_step), clock in self._all.items():
            if (of_kind, of_step) == (kind, step) and department in {None, of_department}:
                return clock
        return None

    def start(self, kind: Kind, department: str, due_at: datetime, at: datetime, step: int = 0) -> None:
        """A new clock."""
        self._all[kind, department, step] = Clock(kind, department, due_at, at)

    def move(self, kind: Kind, due_at: datetime, step: int = 0) -> None:
        """The same clock, later: what was missed stays so."""
        clock = self.get(kind, None, step)
        if clock:
            clock.due_at = due_at

    def rest(self, at: datetime, *kinds: Kind) -> None:
        """Clocks that do not run for a while."""
        for clock in self._all.values():
            if clock.kind in kinds:
                self._check(clock, at)
                clock.stands = False

    def stand(self, at: datetime, *kinds: Kind) -> None:
        """They run again."""
        for clock in self._all.values():
            if clock.kind in kinds and not clock.stands:
                clock.stands, clock.stands_since = True, at

    def drop(self, at: datetime, *kinds: Kind, of: str | None = None) -> None:
        """Clocks that have run; all of them without *kinds*."""
        for key, clock in list(self._all.items()):
            if clock.kind in (kinds or tuple(Kind)) and of in {None, clock.department}:
                self._check(clock, at)
                del self._all[key]

    def _check(self, clock: Clock, at: datetime) -> None:
        if clock.stands and not clock.missed and at > clock.expected_at + self._slack:
            self._broken.append(f"ran past its time to {clock.kind} ({clock.due_at}) and did not go up")
