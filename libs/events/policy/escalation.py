"""The way up (升级): which level a case goes to for what reason, and what becomes of one that stays late."""

from enum import StrEnum

from pydantic import Field

from libs.events.calendar import Limit
from libs.events.contracts.dispatch import EscalationReason
from libs.events.policy.base import Part


class Level(StrEnum):
    """The tree of areas, from the smallest."""

    GRID = "grid"
    COMMUNITY = "community"
    STREET = "street"
    DISTRICT = "district"
    CITY = "city"


class Rung(Part):
    """One step of the ladder."""

    level: Level
    next: Level | None = None
    """Where a case goes from here; None at the top."""


class Card(StrEnum):
    """What a department earns by a case that stays late."""

    YELLOW = "yellow"
    RED = "red"


class OverdueStep(Part):
    """What happens so long after the time to handle has run out."""

    after: Limit
    card: Card | None = None


class Escalation(Part):
    """The ladder (逐级上报).  Consistent in a rule book that was loaded: no loop, no unknown level."""

    ladder: tuple[Rung, ...]
    reasons: dict[EscalationReason, Level] = Field(default_factory=dict)
    """The lowest level that such an escalation goes to; one that is not named starts above the bottom."""
    overdue: tuple[OverdueStep, ...] = ()

    def first(self, reason: EscalationReason | str) -> Level:
        """The lowest level that an escalation for *reason* goes to."""
        named = self.reasons.get(EscalationReason(reason))
        return named or self.above(self.ladder[0].level)

    def above(self, level: Level | str) -> Level:
        """The next level up; the top stays the top."""
        rung = next(rung for rung in self.ladder if rung.level == level)
        return rung.next or rung.level

    def goes_to(self, reason: EscalationReason | str, level: Level | str | None) -> Level:
        """Where a case that stands at *level* goes: it never goes down, and always up while there is an above."""
        first = self.first(reason)
        if level is None or first in self._over(Level(level)):
            return first
        return self.above(level)

    def _over(self, level: Level) -> list[Level]:
        found: list[Level] = []
        while (above := self.above(level)) != level:
            found.append(level := above)
        return found
