"""When which event is played: as fast as it was recorded, times a speed, below a rate.  Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

LATE_SECONDS_MAX: Final = 1.0
"""What is later is not caught up with: the player was stopped, the room was full, or the machine slept."""
SPEED_MAX: Final = 1_000_000.0
RATE_MAX_DEFAULT: Final = 2_000.0
"""Events a second."""
RATE_MAX: Final = 100_000.0


def parse_speed(text: str) -> float | None:
    """`10x`, `0.5x` or `10`; None for `max`.  Raises ValueError."""
    if text == "max":
        return None
    speed = float(text.removesuffix("x"))
    if not 0 < speed <= SPEED_MAX:
        raise ValueError(f"{text!r} is not above 0 and up to {SPEED_MAX:,.0f}x")
    return speed


@dataclass(slots=True)
class Pace:
    """How long to wait before each event, told in their order; seconds are those of any steady clock."""

    speed: float | None
    """None: only the rate holds it back."""
    rate_max: float
    _recorded: datetime | None = None
    """The latest that was played: the log's clocks differ a little, and none runs backwards here."""
    _due: float = 0.0
    """When that one was due."""

    def wait(self, recorded: datetime, now: float) -> float:
        """Seconds to wait before the event that was recorded then."""
        if self._recorded is None:
            self._recorded, self._due = recorded, now
            return 0.0
        apart = max(0.0, (recorded - self._recorded).total_seconds())
        self._recorded = max(recorded, self._recorded)
        due = self._due + max(1 / self.rate_max, apart / self.speed if self.speed else 0.0)
        self._due = due if now - due <= LATE_SECONDS_MAX else now
        return max(0.0, self._due - now)

    def seconds_for(self, apart: float, events: float) -> float:
        """How long so many events take that were recorded over *apart* seconds; at best, the room allowing."""
        return max(events / self.rate_max, max(0.0, apart) / self.speed if self.speed else 0.0)
