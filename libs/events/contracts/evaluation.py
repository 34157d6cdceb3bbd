"""Facts that evaluation states: whether it was well done, how the case ended, and what people think of it."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from libs.events.contracts.base import Event


class Outcome(StrEnum):
    """How a case ended, kept apart from the fact that it ended."""

    RESOLVED = "resolved"
    NOT_RESOLVED = "not_resolved"
    """Closed without being fixed."""
    WITHDRAWN = "withdrawn"
    """The reporter took it back."""
    UNKNOWN = "unknown"
    """The imported source says that it was closed, not how."""


class Verified(Event):
    """Somebody other than the handler looked, and it is good (核查通过)."""

    TYPE: ClassVar[str] = "whistle.case.verified.v1"
    SOURCE: ClassVar[str] = "/evaluation"

    department: str
    by: str
    note: str = ""
    photos: tuple[str, ...] = ()

    def addressee(self) -> str | None:
        return self.department


class HandlingReturned(Event):
    """Somebody other than the handler looked, and it is not good: back to the department, the clock runs on."""

    TYPE: ClassVar[str] = "whistle.case.handling-returned.v1"
    SOURCE: ClassVar[str] = "/evaluation"

    department: str
    by: str
    reason: str
    count: int
    """How often the handling has been sent back now (返工), from 1; a reopening does not start it anew."""
    photos: tuple[str, ...] = ()

    def addressee(self) -> str | None:
        return self.department


class CaseClosed(Event):
    """The case is over."""

    TYPE: ClassVar[str] = "whistle.case.closed.v1"
    SOURCE: ClassVar[str] = "/evaluation"

    department: str | None = None
    """Who was responsible, if somebody was."""
    outcome: Outcome
    note: str
    by: str | None = None
    """Who closed it by hand; None when it follows from the verification or from the case that it was joined to."""
    joined_to: str | None = None
    """The case whose end is the end of this report."""
    rate_until: AwareDatetime | None = None
    """Until when the reporter may rate it."""
    reopen_until: AwareDatetime | None = None
    """Until when a dissatisfied reporter may have it reopened."""

    def addressee(self) -> str | None:
        return self.department


class Rated(Event):
    """The reporter says what they think of it (评价)."""

    TYPE: ClassVar[str] = "whistle.case.rated.v1"
    SOURCE: ClassVar[str] = "/evaluation"

    department: str | None = None
    reached: bool
    """Whether somebody got in touch with the reporter."""
    solved: bool
    stars: int
    satisfied: bool
    """Whether the stars count as satisfied, by the rule book's scale."""
    text: str = ""

    def addressee(self) -> str | None:
        return self.department


class CaseReopened(Event):
    """The case is not over after all."""

    TYPE: ClassVar[str] = "whistle.case.reopened.v1"
    SOURCE: ClassVar[str] = "/evaluation"

    department: str | None = None
    by: str
    """`reporter`, or the post that reopened it."""
    reason: str
    count: int
    """How often it has been reopened now, from 1."""

    def addressee(self) -> str | None:
        return self.department


class CardIssued(Event):
    """A department was shown a card because the case is long overdue."""

    TYPE: ClassVar[str] = "whistle.case.card-issued.v1"
    SOURCE: ClassVar[str] = "/evaluation"

    department: str
    colour: str
    step: int
    """Which of the rule book's overdue steps it is for, from 1."""

    def addressee(self) -> str | None:
        return self.department


class ServiceScored(Event):
    """A community scored a department that served it in this case (下考上)."""

    TYPE: ClassVar[str] = "whistle.case.scored.v1"
    SOURCE: ClassVar[str] = "/evaluation"

    department: str
    community: str
    stars: int
    by: str
    note: str = ""

    def addressee(self) -> str | None:
        return self.department
