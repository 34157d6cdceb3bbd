"""What dispatch knows of a case, as a union of frozen shapes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from libs.events.contracts.base import Place
from libs.events.contracts.intake import Answer, CaseReported


@dataclass(frozen=True, slots=True)
class Case:
    """What it is about, as it was filed or adopted."""

    category: str
    description: str
    place: Place
    photos: tuple[str, ...]
    reported_at: datetime | None
    """None when the fold was not told when the facts happened."""
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Clock:
    """One deadline."""

    due_at: datetime
    warn_at: datetime | None = None
    warned: bool = False
    """Who must act was reminded."""
    missed: bool = False
    """It passed, and that was escalated."""


@dataclass(frozen=True, slots=True)
class Summons:
    """One department that was called by a whistle, and not called again since."""

    department: str
    whistle: int
    officer: str | None
    clock: Clock
    reported_in: bool = False


@dataclass(frozen=True, slots=True)
class Whistle:
    """Departments were called."""

    number: int
    by: str
    departments: tuple[str, ...]
    lead: str
    reason: str


@dataclass(frozen=True, slots=True)
class Past:
    """What the case has been through: it outlives who has it, and bounds what could go round."""

    level: str | None = None
    """Where the last escalation brought it."""
    assignments: int = 0
    returns: int = 0
    returned_by: frozenset[str] = frozenset()
    reworks: int = 0
    failure_raised: bool = False
    """Somebody above was told that it failed verification twice."""
    pauses: int = 0
    notes: int = 0
    raises: int = 0
    """How often it went up by hand."""
    raised_because: str | None = None
    whistles: int = 0
    whistle: Whistle | None = None
    """The newest since the case was filed or reopened."""
    summons: tuple[Summons, ...] = ()
    """At most one for each department."""

    def summons_of(self, department: str) -> Summons | None:
        """How the department was called, if it was."""
        return next((each for each in self.summons if each.department == department), None)


# How far the responsible department is.


@dataclass(frozen=True, slots=True)
class Unsigned:
    """It has not signed."""

    sign: Clock | None


@dataclass(frozen=True, slots=True)
class Signed:
    """It works."""


@dataclass(frozen=True, slots=True)
class Done:
    """It reported the case as handled; somebody else must look."""

    verify: Clock | None


Stage = Unsigned | Signed | Done


# Whether the time to handle runs.


@dataclass(frozen=True, slots=True)
class Running:
    """It runs."""


@dataclass(frozen=True, slots=True)
class Paused:
    """It stands still."""

    reason: str
    at: datetime | None
    """None when the fold was not told when the facts happened."""


# What became of the department's last wish for more time.


@dataclass(frozen=True, slots=True)
class NotAsked:
    """It has not asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The centre has not decided."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Granted:
    """It got more time."""

    asked: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Denied:
    """It got no more time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Extensions:
    """More time for this assignment."""

    wish: NotAsked | Asked | Granted | Denied = NotAsked()
    asked: int = 0
    granted: int = 0


@dataclass(frozen=True, slots=True)
class Clocks:
    """The time to handle, and what comes of passing it."""

    handle: Clock | None = None
    """None for imported history, which has no clocks."""
    overdue: tuple[Clock, ...] = ()
    """One for each of the rule book's steps."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The fast lane: a unit is sent at once."""

    kind: str
    acknowledged: bool = False
    unit: str | None = None
    """The unit that was sent."""
    none_free: bool = False
    """Somebody above was told that no unit was free."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What the department told last."""

    note: str
    photos: tuple[str, ...]


# The case as a whole.


@dataclass(frozen=True, slots=True)
class Unreported:
    """Nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Unfiled:
    """Reported, and not yet a case."""

    report: CaseReported
    reported_at: datetime | None


class Cause(StrEnum):
    """Why the rule book is to name a department; also the reason that the assignment gives."""

    FILED = "rule"
    ADOPTED = "adopted"
    REOPENED = "reopened"


@dataclass(frozen=True, slots=True)
class Filed:
    """A case that the rule book is to give to a department."""

    case: Case
    past: Past
    cause: Cause
    before: str | None = None
    """Who had it before it was adopted or reopened."""


class Why(StrEnum):
    """Why nobody is responsible."""

    RETURNED = "returned"
    RECALLED = "recalled"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nobody is responsible, and the centre must say who is."""

    case: Case
    past: Past
    why: Why


@dataclass(frozen=True, slots=True)
class InHands:
    """One department is responsible."""

    case: Case
    past: Past
    department: str
    stage: Stage
    clocks: Clocks = Clocks()
    limits: str | None = None
    """The rule book's set of limits that holds."""
    lane: Lane | None = None
    extensions: Extensions = Extensions()
    pause: Running | Paused = Running()
    noted: Noted | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """Closed, rejected or joined to another case."""

    case: Case | None
    past: Past
    department: str | None
    joined: bool = False
    """Joined to another case, where all work is done: reopened, that one is taken up again, not this."""


Open = Filed | Waiting | InHands
State = Unreported | Unfiled | Open | Over
INITIAL: State = Unreported()
