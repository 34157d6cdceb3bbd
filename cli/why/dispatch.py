"""Decisions of dispatch: the command made anew.  The rules that it went by: `dispatch_rules.py`."""

from datetime import datetime

from cli.why.decisions import Decision
from cli.why.rules import NotAgain
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Acknowledged,
    Assigned,
    ClockPaused,
    ClockResumed,
    Declined,
    DueSoon,
    Escalated,
    EscalationReason,
    ExtensionGranted,
    ExtensionRefused,
    ExtensionRequested,
    Handled,
    ProgressNoted,
    Recalled,
    ReportedIn,
    UnitSent,
    WhistleBlown,
)
from libs.events.policy import RuleBook
from services.dispatch import decider
from services.dispatch.decider import (
    Accept,
    Acknowledge,
    Assign,
    AssignByHand,
    BlowWhistle,
    Command,
    Decline,
    Escalate,
    Grant,
    Handle,
    MissUnit,
    NoteProgress,
    Pause,
    RaiseFailed,
    Recall,
    Refusal,
    Refuse,
    ReportIn,
    RequestExtension,
    Resume,
    SendUnit,
    TimeUp,
)
from services.dispatch.decider.alarms import Late, Soon, alarms

Outcome = tuple[Event, ...] | Refusal
BY_RULE = frozenset({"rule", "adopted", "reopened"})


def command_of(decision: Decision, book: RuleBook, now: datetime) -> Command | NotAgain:  # noqa: PLR0911 - each fact
    """What dispatch was asked."""
    first, last = decision.facts[0], decision.facts[-1]
    match first:
        case Assigned(reason=reason) if reason in BY_RULE:
            return Assign(book, now)
        case Assigned(department=department, note=note):
            return AssignByHand(department, note, book, now)
        case Recalled(reason=reason):
            if isinstance(last, Assigned):
                return AssignByHand(last.department, reason, book, now)
            return Recall(reason)
        case WhistleBlown():
            return BlowWhistle(first.by, first.departments, first.lead, first.reason, book, now)
        case Escalated() | DueSoon():
            return _of_time(first, decision, book, now)
        case _:
            return _of_department(first, last, book, now)


def _of_time(
    first: Escalated | DueSoon, decision: Decision, book: RuleBook, now: datetime
) -> Command | NotAgain:
    match first:
        case Escalated(reason=EscalationReason.BY_HAND, note=note):
            return Escalate(note, book)
        case Escalated(reason=EscalationReason.FAILED_VERIFICATION_TWICE):
            return RaiseFailed(book)
        case Escalated(reason=EscalationReason.NO_UNIT, note=note):
            return MissUnit(book, note)
        case _:
            return _time_up(first, decision, book, now) or NotAgain.unknown()


def _time_up(first: Escalated | DueSoon, decision: Decision, book: RuleBook, now: datetime) -> TimeUp | None:
    """The deadline that stood then and that the fact speaks of."""
    for name, alarm in alarms(decider.fold_entries(decision.before.entries)).items():
        match first, alarm:
            case Escalated(), Late():
                meant = (alarm.reason, alarm.department, alarm.step) == (
                    first.reason,
                    first.department,
                    first.step,
                )
            case DueSoon(), Soon():
                meant = (alarm.step, alarm.department) == (first.step, first.department)
            case _:
                meant = False
        if meant:
            return TimeUp(name, alarm.at, book, now)
    return None


def _of_department(  # noqa: C901, PLR0911, PLR0912 - one for each fact
    first: Event, last: Event, book: RuleBook, now: datetime
) -> Command | NotAgain:
    match first:
        case Accepted(department=department):
            return Accept(department)
        case Declined(department=department, reason=reason):
            return Decline(department, reason, book, now)
        case ReportedIn(department=department, officer=officer, note=note):
            return ReportIn(department, officer, note)
        case ProgressNoted(department=department, note=note, photos=photos):
            return NoteProgress(department, note, photos)
        case ExtensionRequested(department=department, until=until, reason=reason):
            return RequestExtension(department, until, reason, book, now)
        case ExtensionGranted(due_at=due_at, note=note):
            return Grant(due_at, book, now, note)
        case ExtensionRefused(reason=reason):
            return Refuse(reason)
        case ClockPaused(reason=reason, note=note):
            return Pause(reason, book, note)
        case ClockResumed() if isinstance(last, ClockResumed):
            return Resume(book, now)
        case ClockResumed() | Handled():
            assert isinstance(last, Handled), "who handles it ends the pause in the same breath"
            return Handle(last.department, last.note, book, now, last.photos)
        case Acknowledged(by=by):
            return Acknowledge(by)
        case UnitSent():
            return SendUnit(
                department=first.department,
                unit=first.unit,
                kind=first.kind,
                distance_metres=first.distance_metres,
                position_age_seconds=first.position_age_seconds,
                considered=first.considered,
            )
        case _:
            return NotAgain.unknown()


def outcome_of(command: Command, decision: Decision) -> Outcome:
    """What dispatch decides about it."""
    return decider.decide(command, decider.fold_entries(decision.before.entries))
