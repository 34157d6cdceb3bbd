"""What intake is asked to do."""

from dataclasses import dataclass
from datetime import datetime

from libs.events.contracts.base import ExternalReference, Place
from libs.events.contracts.intake import Answer
from libs.events.policy import RuleBook
from services.intake.decider.likeness import Candidate
from services.intake.decider.states import State


@dataclass(frozen=True, slots=True)
class Report:
    """Somebody reports a problem."""

    rules: RuleBook
    now: datetime
    category: str
    channel: str
    description: str
    place: Place
    """As the rule book has located it."""
    reporter: str | None = None
    photos: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Sort:
    """What becomes of a report by the rule book alone: joined, filed, or left to a specialist."""

    rules: RuleBook
    now: datetime
    near: tuple[Candidate, ...] = ()
    """Open live cases around it, of which it may be a near-duplicate."""


@dataclass(frozen=True, slots=True)
class File:
    """A specialist confirms that it is a case, of this category or of another one."""

    rules: RuleBook
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A specialist says that it is no case."""

    reason: str


@dataclass(frozen=True, slots=True)
class Merge:
    """A specialist says that it tells of a case that is open already."""

    case_id: str
    """Of the report."""
    into: str
    target: State
    """How far intake sees the case *into*."""


@dataclass(frozen=True, slots=True)
class Join:
    """Another report was merged into this case."""

    report: str
    reported_at: datetime
    channel: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take an imported case that is still open into live work."""

    rules: RuleBook
    category: str
    place: Place
    """As the rule book knows it."""
    system: str | None = None
    """Where it must have been imported from; None: from anywhere."""


@dataclass(frozen=True, slots=True)
class RecordReported:
    """Another system states that this was reported to it."""

    category: str
    channel: str
    description: str
    place: Place
    external: ExternalReference


@dataclass(frozen=True, slots=True)
class RecordFiled:
    """Another system states that it accepted the report as a case."""


Command = Report | Sort | File | Reject | Merge | Join | Adopt | RecordReported | RecordFiled
