"""The clock of the exercise, and the doors of the departments."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from libs.events.policy import RuleBook

_DAY = timedelta(days=1)
LIMIT_DAYS_MAX: Final = 0.5


@dataclass(frozen=True, slots=True)
class Day:
    """A day that passes in so many real seconds."""

    began_at: float
    """By the clock of the event loop."""
    seconds: float
    hurry: float
    """By how much departments are faster than the time limits ask for; 1 where the day is as long as theirs."""
    limit_max: timedelta
    """What departments take longer for does not end on this day: over a weekend nobody waits for Monday."""
    doors: asyncio.Event = field(default_factory=asyncio.Event)
    """Departments act only while it is set."""

    @classmethod
    def begin(cls, seconds: float, book: RuleBook) -> "Day":
        """A day that begins now, with the doors open."""
        day_of_limits = _DAY / book.city.time_lapse
        hurry = min(1.0, seconds / day_of_limits.total_seconds())
        day = cls(asyncio.get_running_loop().time(), seconds, hurry, day_of_limits * LIMIT_DAYS_MAX)
        day.doors.set()
        return day

    @property
    def elapsed(self) -> float:
        """Real seconds since it began."""
        return asyncio.get_running_loop().time() - self.began_at

    @property
    def share(self) -> float:
        """How much of it has passed, at most 1."""
        return min(1.0, self.elapsed / self.seconds)

    def limit(self, limit: timedelta) -> timedelta:
        """How long departments think they have where a case is due in so much real time."""
        return min(limit, self.limit_max) * self.hurry

    async def until(self, elapsed: float) -> None:
        """Wait until so many real seconds of it have passed."""
        await asyncio.sleep(max(0.0, elapsed - self.elapsed))
