"""The whistle (吹哨) and who comes (报到)."""

from typing import Final, assert_never

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import ReportedIn, Summoned, WhistleBlown
from services.dispatch.decider.assigning import reassigned
from services.dispatch.decider.commands import AssignByHand, BlowWhistle, ReportIn
from services.dispatch.decider.facts import brief
from services.dispatch.decider.refusals import Refusal
from services.dispatch.decider.states import (
    Case,
    Done,
    Filed,
    InHands,
    Over,
    State,
    Unfiled,
    Unreported,
    Waiting,
    Whistle,
)

WHISTLE_DEPARTMENTS_MIN: Final = 2
WHISTLE_DEPARTMENTS_MAX: Final = 20
"""Called by one whistle."""
WHISTLES_MAX: Final = 10
"""In one case."""
WHISTLING_POSTS: Final = frozenset({"centre", "street", "community"})

Outcome = tuple[Event, ...] | Refusal


def blow_whistle(command: BlowWhistle, state: State) -> Outcome:
    """A community, a street or the centre calls departments to a case; one of them answers for it."""
    match state:
        case Unreported():
            return Refusal.UNKNOWN_CASE
        case Unfiled():
            return Refusal.NOT_FILED
        case Over():
            return Refusal.CASE_CLOSED
        case Filed() | Waiting() | InHands():
            return _blow(command, state)
        case _:
            assert_never(state)


def _blow(command: BlowWhistle, state: Filed | Waiting | InHands) -> Outcome:
    departments = tuple(dict.fromkeys(command.departments))  # each once, in the order given
    number = state.past.whistles + 1
    if state.past.whistle == Whistle(number - 1, command.by, departments, command.lead, command.reason):
        return ()
    refusal = _no_whistle(command, departments, number, state)
    if refusal:
        return refusal
    to_lead = _to_lead(command, state)
    if isinstance(to_lead, Refusal):
        return to_lead
    whistle = WhistleBlown(
        whistle=number,
        by=command.by,
        departments=departments,
        lead=command.lead,
        reason=command.reason,
    )
    summoned = (_summoned(each, number, command, state.case) for each in departments)
    return (whistle, *to_lead, *summoned)


def _no_whistle(  # noqa: PLR0911 - one for each reason
    command: BlowWhistle, departments: tuple[str, ...], number: int, state: Filed | Waiting | InHands
) -> Refusal | None:
    if command.by.partition(":")[0] not in WHISTLING_POSTS:
        return Refusal.POST_MAY_NOT_WHISTLE
    if len(departments) < WHISTLE_DEPARTMENTS_MIN:
        return Refusal.TOO_FEW_DEPARTMENTS
    if len(departments) > WHISTLE_DEPARTMENTS_MAX:
        return Refusal.TOO_MANY_DEPARTMENTS
    if any(command.rules.department(each) is None for each in departments):
        return Refusal.UNKNOWN_SUMMONED
    if command.lead not in departments:
        return Refusal.LEAD_NOT_SUMMONED
    if isinstance(state, InHands) and isinstance(state.stage, Done):
        return Refusal.ALREADY_HANDLED
    if number > WHISTLES_MAX:
        return Refusal.WHISTLED_TOO_OFTEN
    return None


def _to_lead(command: BlowWhistle, state: Filed | Waiting | InHands) -> Outcome:
    if isinstance(state, InHands) and state.department == command.lead:
        return ()  # it has the case, and its clocks run on
    by_hand = AssignByHand(command.lead, command.reason, command.rules, command.now)
    return reassigned(by_hand, state, reason="whistle")


def _summoned(department: str, number: int, command: BlowWhistle, case: Case) -> Summoned:
    rules, now = command.rules, command.now
    return Summoned(
        department=department,
        whistle=number,
        lead=department == command.lead,
        officer=_officer(department, case, command),
        report_in=rules.deadline(rules.report_in, now),
        brief=brief(case, now),
    )


def _officer(department: str, case: Case, command: BlowWhistle) -> str | None:
    known = command.rules.department(department)
    return known.liaisons.get(case.place.community) if known and case.place.community else None


def report_in(command: ReportIn, state: State) -> Outcome:
    """A department that was called is there, once for each whistle."""
    match state:
        case Unreported():
            return Refusal.UNKNOWN_CASE
        case Unfiled():
            return Refusal.NOT_SUMMONED
        case Filed(past=past) | Waiting(past=past) | InHands(past=past) | Over(past=past):
            summons = past.summons_of(command.department)
            if summons is None:
                return Refusal.NOT_SUMMONED
            if summons.reported_in:
                return ()
            if isinstance(state, Over):
                return Refusal.CASE_CLOSED
            return (
                ReportedIn(
                    department=command.department,
                    whistle=summons.whistle,
                    officer=command.officer,
                    note=command.note,
                ),
            )
        case _:
            assert_never(state)
