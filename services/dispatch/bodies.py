"""What is said with each verb: a body model that refuses what it does not know, and the command that it means."""

from abc import abstractmethod
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import Field

from libs.events import moments
from libs.events.bodies import Body, Code, Note, Photos, Reason
from libs.events.policy import RuleBook
from services.dispatch.decider import (
    Accept,
    Acknowledge,
    AssignByHand,
    BlowWhistle,
    Command,
    Decline,
    Escalate,
    Grant,
    Handle,
    NoteProgress,
    Pause,
    Recall,
    Refuse,
    ReportIn,
    RequestExtension,
    Resume,
)

NAMED_MAX: Final = 100
"""Departments in one request; the decider allows fewer."""

Post = Annotated[str, Field(pattern=r"^(centre|street|community|district|city|specialist):[^\s]{1,100}$")]
Moment = Annotated[
    moments.Moment, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))
]
"""A moment that every zone has a calendar for."""


class DepartmentBody(Body):
    """What a department says with an act."""

    @abstractmethod
    def command(self, department: str, rules: RuleBook, now: datetime) -> Command:
        """What is asked."""


class AcceptBody(DepartmentBody):
    """It signs for the case."""

    def command(self, department: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return Accept(department)


class DeclineBody(DepartmentBody):
    """It returns the case."""

    reason: Reason

    def command(self, department: str, rules: RuleBook, now: datetime) -> Command:
        return Decline(department, self.reason, rules, now)


class ReportInBody(DepartmentBody):
    """It has come, by this officer."""

    officer: Code
    note: Note = ""

    def command(self, department: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return ReportIn(department, self.officer, self.note)


class ProgressBody(DepartmentBody):
    """It tells how far it is."""

    note: Reason
    photos: Photos = Field(default_factory=list)

    def command(self, department: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return NoteProgress(department, self.note, tuple(self.photos))


class ExtendBody(DepartmentBody):
    """It asks for more time."""

    until: Moment
    reason: Reason

    def command(self, department: str, rules: RuleBook, now: datetime) -> Command:
        return RequestExtension(department, rules.local(self.until), self.reason, rules, now)


class HandleBody(DepartmentBody):
    """It has handled the case."""

    note: Note = ""
    photos: Photos = Field(default_factory=list)

    def command(self, department: str, rules: RuleBook, now: datetime) -> Command:
        return Handle(department, self.note, rules, now, tuple(self.photos))


class CentreBody(Body):
    """What a post such as `centre:hebin` says with an act."""

    by: Post | None = None
    """Which post it is, of whoever holds several that may do this."""

    @abstractmethod
    def command(self, by: str, rules: RuleBook, now: datetime) -> Command:
        """What is asked."""


class AssignBody(CentreBody):
    """Another department is to have the case."""

    department: Code
    reason: Reason

    def command(self, by: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return AssignByHand(self.department, self.reason, rules, now)


class RecallBody(CentreBody):
    """The department that has the case is not to have it."""

    reason: Reason

    def command(self, by: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return Recall(self.reason)


class EscalateBody(CentreBody):
    """The case goes one level up."""

    reason: Reason

    def command(self, by: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return Escalate(self.reason, rules)


class GrantBody(CentreBody):
    """More time; without `until` as much as was asked for."""

    until: Moment | None = None
    note: Note = ""

    def command(self, by: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return Grant(rules.local(self.until) if self.until else None, rules, now, self.note)


class RefuseBody(CentreBody):
    """No more time."""

    reason: Reason

    def command(self, by: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return Refuse(self.reason)


class PauseBody(CentreBody):
    """The clock stands still, for a reason of the rule book, by its code."""

    reason: Code
    note: Note = ""

    def command(self, by: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return Pause(self.reason, rules, self.note)


class ResumeBody(CentreBody):
    """The clock runs again."""

    def command(self, by: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return Resume(rules, now)


class WhistleBody(CentreBody):
    """These departments are to come; the lead answers for the case."""

    departments: Annotated[list[Code], Field(min_length=1, max_length=NAMED_MAX)]
    lead: Code
    reason: Reason

    def command(self, by: str, rules: RuleBook, now: datetime) -> Command:
        return BlowWhistle(by, tuple(self.departments), self.lead, self.reason, rules, now)


class AcknowledgeBody(CentreBody):
    """Fast lane: the duty desk has seen it."""

    def command(self, by: str, rules: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all have it
        return Acknowledge(by)


DEPARTMENT_VERBS: Final[dict[str, type[DepartmentBody]]] = {
    "accept": AcceptBody,
    "decline": DeclineBody,
    "report-in": ReportInBody,
    "progress": ProgressBody,
    "extend": ExtendBody,
    "handle": HandleBody,
}
CENTRE_VERBS: Final[dict[str, type[CentreBody]]] = {
    "assign": AssignBody,
    "recall": RecallBody,
    "escalate": EscalateBody,
    "grant": GrantBody,
    "refuse": RefuseBody,
    "pause": PauseBody,
    "resume": ResumeBody,
    "whistle": WhistleBody,
    "acknowledge": AcknowledgeBody,
}
