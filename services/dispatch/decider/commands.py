"""What dispatch can be asked to decide.  Time and the rules in force come with the command."""

from dataclasses import dataclass
from datetime import datetime

from libs.events.policy import RuleBook

# By dispatch itself, about facts and about time.


@dataclass(frozen=True, slots=True)
class Assign:
    """Make the department responsible that the rule book names."""

    rules: RuleBook
    now: datetime


@dataclass(frozen=True, slots=True)
class RaiseFailed:
    """The handling failed verification for the second time: take it up."""

    rules: RuleBook


@dataclass(frozen=True, slots=True)
class TimeUp:
    """A timer fired: the deadline called *name*, which stood at *due_at*, is here."""

    name: str
    due_at: datetime
    rules: RuleBook
    now: datetime


@dataclass(frozen=True, slots=True)
class SendUnit:
    """Fast lane: send this unit, the nearest free one of the right kind."""

    department: str
    """The department that the unit belongs to, which need not be the responsible one."""
    unit: str
    kind: str
    distance_metres: float
    position_age_seconds: float
    considered: int


@dataclass(frozen=True, slots=True)
class MissUnit:
    """Fast lane: there is no free unit of the right kind."""

    rules: RuleBook
    note: str = ""
    """Why there is none."""


# By departments.


@dataclass(frozen=True, slots=True)
class Accept:
    """The department signs for the case (签收)."""

    department: str


@dataclass(frozen=True, slots=True)
class Decline:
    """The department returns the case: it is not its own (退回)."""

    department: str
    reason: str
    rules: RuleBook
    now: datetime


@dataclass(frozen=True, slots=True)
class ReportIn:
    """A department that was called has come (报到)."""

    department: str
    officer: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class NoteProgress:
    """The department tells how far it is."""

    department: str
    note: str
    photos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestExtension:
    """The department asks for more time (延期)."""

    department: str
    until: datetime
    reason: str
    rules: RuleBook
    now: datetime


@dataclass(frozen=True, slots=True)
class Handle:
    """The department reports the case as handled."""

    department: str
    note: str
    rules: RuleBook
    now: datetime
    photos: tuple[str, ...] = ()


# By the command centre and the posts above and below it.


@dataclass(frozen=True, slots=True)
class AssignByHand:
    """Make this department responsible, whoever is now (改派)."""

    department: str
    reason: str
    rules: RuleBook
    now: datetime


@dataclass(frozen=True, slots=True)
class Recall:
    """Take the case from the department that has it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Escalate:
    """Hand the case to the level above."""

    reason: str
    rules: RuleBook


@dataclass(frozen=True, slots=True)
class Grant:
    """Give the time that was asked for, or another."""

    until: datetime | None
    """None: as long as was asked for."""
    rules: RuleBook
    now: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Give no more time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Let the clock stand still, for a reason of the rule book."""

    reason: str
    """The code of the rule book's pause."""
    rules: RuleBook
    note: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    """Let the clock run again."""

    rules: RuleBook
    now: datetime


@dataclass(frozen=True, slots=True)
class BlowWhistle:
    """Call several departments to the case (吹哨)."""

    by: str
    departments: tuple[str, ...]
    lead: str
    reason: str
    rules: RuleBook
    now: datetime


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Fast lane: the duty desk has seen it."""

    by: str


# By other systems, of what happened there.


@dataclass(frozen=True, slots=True)
class RecordAssigned:
    """Another system states which department was responsible, and by when."""

    department: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class RecordHandled:
    """Another system states that the responsible department handled it."""

    note: str


DepartmentCommand = Accept | Decline | ReportIn | NoteProgress | RequestExtension | Handle
CentreCommand = AssignByHand | Recall | Escalate | Grant | Refuse | Pause | Resume | BlowWhistle | Acknowledge
ReactiveCommand = Assign | RaiseFailed | TimeUp | SendUnit | MissUnit
Command = DepartmentCommand | CentreCommand | ReactiveCommand | RecordAssigned | RecordHandled
