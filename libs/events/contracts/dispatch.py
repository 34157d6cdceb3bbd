"""Facts that dispatch states, for itself, for the command centre and, checked, on behalf of departments."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict

from libs.events.contracts.base import Event, Place
from libs.events.contracts.intake import Answer


class Brief(BaseModel):
    """All that a department needs to start work, without personal data."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    category: str
    description: str
    place: Place
    reported_at: AwareDatetime
    photos: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    """What the reporter answered to the questions of the category."""


class Deadline(BaseModel):
    """By when a step must be done, as worked out by the rule book that was in force."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    due_at: AwareDatetime
    warn_at: AwareDatetime | None = None
    """When those who must act are reminded; None when nobody is."""


class Step(StrEnum):
    """A step with a clock of its own."""

    ACKNOWLEDGE = "acknowledge"
    """Fast lane: the duty desk has seen it."""
    SIGN = "sign"
    REPORT_IN = "report_in"
    HANDLE = "handle"
    VERIFY = "verify"


class EscalationReason(StrEnum):
    """Why a case went up."""

    NOT_ACKNOWLEDGED = "not_acknowledged"
    NO_UNIT = "no_unit"
    NOT_SIGNED = "not_signed"
    NOT_REPORTED_IN = "not_reported_in"
    NOT_HANDLED = "not_handled"
    NOT_VERIFIED = "not_verified"
    LONG_OVERDUE = "long_overdue"
    RETURNED_TWICE = "returned_twice"
    FAILED_VERIFICATION_TWICE = "failed_verification_twice"
    REOPENED = "reopened"
    BY_HAND = "by_hand"


class Assigned(Event):
    """A department was made responsible for the case, with a time limit where there is one."""

    TYPE: ClassVar[str] = "whistle.case.assigned.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    due_at: AwareDatetime | None = None
    """By when it must be handled; None when the source or the rule book sets no limit."""
    rule: str | None = None
    """The rule that named the department; None for imported history and for hand-made assignments."""
    brief: Brief | None = None
    """What the department needs to work; None for imported history, which starts no work."""
    reason: str = "rule"
    """`rule`, `returned` (the department before it returned the case), `hand`, `whistle`, `adopted`, `reopened`."""
    note: str = ""
    supporting: tuple[str, ...] = ()
    """Departments that the rule book names beside it; they come when the whistle is blown."""
    limits: str | None = None
    """The rule book's set of limits that holds for the case."""
    warn_at: AwareDatetime | None = None
    """When the department is reminded that the time to handle runs out."""
    sign: Deadline | None = None
    """By when the department must sign for it."""
    overdue_at: tuple[AwareDatetime, ...] = ()
    """When the case, still not handled, goes further up; one moment for each step of the rule book."""
    lane: str | None = None
    """The kind of unit that the fast lane sends; None outside of it."""

    def addressee(self) -> str | None:
        return self.department


class Recalled(Event):
    """The case was taken from a department, which has nothing more to do with it."""

    TYPE: ClassVar[str] = "whistle.case.recalled.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    reason: str

    def addressee(self) -> str | None:
        return self.department


class WhistleBlown(Event):
    """A community or street called several departments to one case (吹哨)."""

    TYPE: ClassVar[str] = "whistle.case.blown.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    whistle: int
    """The number of this whistle within the case, from 1."""
    by: str
    """The post that blew it, such as `community:liuyuan`."""
    departments: tuple[str, ...]
    lead: str
    """The department among them that answers for the case."""
    reason: str


class Summoned(Event):
    """One department was called by a whistle, with a clock of its own for reporting in."""

    TYPE: ClassVar[str] = "whistle.case.summoned.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    whistle: int
    lead: bool
    officer: str | None = None
    """The liaison officer (实名制专员) who answers for the department there; None when the rule book names none."""
    report_in: Deadline
    brief: Brief

    def addressee(self) -> str | None:
        return self.department


class ReportedIn(Event):
    """A department that was called has come (报到)."""

    TYPE: ClassVar[str] = "whistle.case.reported-in.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    whistle: int
    officer: str
    note: str = ""

    def addressee(self) -> str | None:
        return self.department


class Accepted(Event):
    """The department signed for the case (签收)."""

    TYPE: ClassVar[str] = "whistle.case.accepted.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str

    def addressee(self) -> str | None:
        return self.department


class Declined(Event):
    """The department returned the case: it is not its own (退回)."""

    TYPE: ClassVar[str] = "whistle.case.declined.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    reason: str
    count: int
    """How often the case has been returned now, from 1."""

    def addressee(self) -> str | None:
        return self.department


class ProgressNoted(Event):
    """The department tells how far it is."""

    TYPE: ClassVar[str] = "whistle.case.progress.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    note: str
    photos: tuple[str, ...] = ()

    def addressee(self) -> str | None:
        return self.department


class ExtensionRequested(Event):
    """The department asks for more time (延期)."""

    TYPE: ClassVar[str] = "whistle.case.extension-requested.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    until: AwareDatetime
    reason: str

    def addressee(self) -> str | None:
        return self.department


class ExtensionGranted(Event):
    """The centre gave more time."""

    TYPE: ClassVar[str] = "whistle.case.extension-granted.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    due_at: AwareDatetime
    warn_at: AwareDatetime | None = None
    overdue_at: tuple[AwareDatetime, ...] = ()
    note: str = ""

    def addressee(self) -> str | None:
        return self.department


class ExtensionRefused(Event):
    """The centre gave no more time; the clock runs on as it did."""

    TYPE: ClassVar[str] = "whistle.case.extension-refused.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    reason: str

    def addressee(self) -> str | None:
        return self.department


class ClockPaused(Event):
    """The time to handle stands still, for a reason that the rule book names."""

    TYPE: ClassVar[str] = "whistle.case.paused.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    reason: str
    """Code of the rule book's pause, such as `waiting-for-reporter`."""
    note: str = ""

    def addressee(self) -> str | None:
        return self.department


class ClockResumed(Event):
    """The time to handle runs again; the stretch between does not count."""

    TYPE: ClassVar[str] = "whistle.case.resumed.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    due_at: AwareDatetime | None = None
    warn_at: AwareDatetime | None = None
    overdue_at: tuple[AwareDatetime, ...] = ()
    sign: Deadline | None = None

    def addressee(self) -> str | None:
        return self.department


class Handled(Event):
    """The department reports the case as handled."""

    TYPE: ClassVar[str] = "whistle.case.handled.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    note: str
    photos: tuple[str, ...] = ()
    """Evidence after the work."""
    verify: Deadline | None = None
    """By when somebody else must have looked at it; None for imported history."""

    def addressee(self) -> str | None:
        return self.department


class DueSoon(Event):
    """A step is not done and its time runs out."""

    TYPE: ClassVar[str] = "whistle.case.due-soon.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    step: Step
    due_at: AwareDatetime
    department: str | None = None
    """Who must act; None when the centre must."""

    def addressee(self) -> str | None:
        return self.department


class Escalated(Event):
    """The case went up, and somebody else must act now."""

    TYPE: ClassVar[str] = "whistle.case.escalated.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    reason: EscalationReason
    level: str
    """The level that it stands at now, such as `street`."""
    acts: str
    """The post that must act now, such as `street:hebin`."""
    department: str | None = None
    """The department that the case is with, if it is with one."""
    due_at: AwareDatetime | None = None
    """The deadline that was missed, where one was."""
    step: int | None = None
    """For what is long overdue: which of the rule book's steps, from 1."""
    note: str = ""

    def addressee(self) -> str | None:
        return self.department


class Acknowledged(Event):
    """Fast lane: the duty desk has seen it."""

    TYPE: ClassVar[str] = "whistle.case.acknowledged.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    by: str

    def addressee(self) -> str | None:
        return self.department


class UnitSent(Event):
    """Fast lane: the nearest free unit of the right kind was sent."""

    TYPE: ClassVar[str] = "whistle.case.unit-sent.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    unit: str
    kind: str
    distance_metres: float
    position_age_seconds: float
    """How old the position was by which it was chosen."""
    considered: int
    """How many free units of this kind were known."""

    def addressee(self) -> str | None:
        return self.department
