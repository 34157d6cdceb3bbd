"""Contracts that go, announced long before: `docs/contracts.md` says what each date means."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

ANNOUNCED_DAYS_MIN: Final = 180


@dataclass(frozen=True, slots=True)
class Deprecation:
    """The end of one contract."""

    contract: str
    """The type that goes, such as `whistle.case.assigned.v1`."""
    instead: str
    """The type that takes its place; it is described from the announcement on."""
    announced: date
    until: date
    """To this day it is written, or taken; what stands in the log stays readable for ever."""

    def __post_init__(self) -> None:
        days = (self.until - self.announced).days
        assert days >= ANNOUNCED_DAYS_MIN, f"{self.contract} is announced only {days} days before it goes"

    def words(self) -> dict[str, Any]:
        """What its schema says of it."""
        return {
            "deprecated": True,
            "x-deprecation": {
                "instead": self.instead,
                "announced": self.announced.isoformat(),
                "until": self.until.isoformat(),
            },
        }


DEPRECATIONS: Final[tuple[Deprecation, ...]] = ()
"""None yet."""
