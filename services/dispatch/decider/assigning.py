"""Who is responsible: by the rule book, by hand, and no more."""

from typing import Final, assert_never

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Declined, EscalationReason, Recalled
from services.dispatch.decider.commands import Assign, AssignByHand, Decline, RaiseFailed, Recall
from services.dispatch.decider.facts import assigned, escalated
from services.dispatch.decider.holding import held_by
from services.dispatch.decider.refusals import Refusal
from services.dispatch.decider.states import (
    Cause,
    Done,
    Filed,
    InHands,
    Over,
    State,
    Unfiled,
    Unreported,
    Waiting,
    Why,
)

RETURNS_BY_RULE: Final = 1
"""So many returns are answered by the rule book with another department; the next one goes up."""
RETURNS_MAX: Final = 6
"""Of one case by all departments; who has it then keeps it until the centre takes it away."""
ASSIGNMENTS_MAX: Final = 20
"""Of one case.  At this bound nobody gives it back or takes it away, since nobody else could get it."""
REWORKS_UNTIL_RAISED: Final = 2

Outcome = tuple[Event, ...] | Refusal


def assign(command: Assign, state: State) -> Outcome:
    """A case that was filed, adopted or reopened goes to a department."""
    match state:
        case Unreported() | Unfiled():
            return Refusal.NOT_FILED
        case Filed():
            return _by_rule(command, state)
        case Waiting() | InHands() | Over():
            return ()
        case _:
            assert_never(state)


def _by_rule(command: Assign, state: Filed) -> Outcome:
    rules, case = command.rules, state.case
    ruling = rules.ruling(case.category, case.place)
    if ruling is None:
        return Refusal.UNKNOWN_CATEGORY
    # A case that is adopted or comes back stays with who had it, if the rule book knows that department.
    before = state.before if state.before and rules.department(state.before) else None
    since = case.reported_at if state.cause is Cause.FILED else None
    fact = assigned(
        case,
        ruling,
        rules,
        command.now,
        reason=state.cause.value,
        department=None if before == ruling.lead else before,
        since=since,
    )
    if state.cause is not Cause.REOPENED:
        return (fact,)
    return fact, escalated(state, EscalationReason.REOPENED, rules, department=fact.department)


def decline(command: Decline, state: State) -> Outcome:
    """The first return goes by rule to another department, if there is one; every other one goes up."""
    if isinstance(state, Filed | Waiting | InHands) and _has_returned(command.department, state):
        return ()
    held = held_by(command.department, state)
    if isinstance(held, Refusal):
        return held
    past = held.past
    if isinstance(held.stage, Done):
        return Refusal.ALREADY_HANDLED
    if past.returns >= RETURNS_MAX or past.assignments >= ASSIGNMENTS_MAX:
        return Refusal.RETURNED_TOO_OFTEN
    count = past.returns + 1
    fact = Declined(department=command.department, reason=command.reason, count=count)
    if count <= RETURNS_BY_RULE:
        passed_over = past.returned_by | {command.department}
        other = command.rules.ruling(held.case.category, held.case.place, without=passed_over)
        if other:
            return fact, assigned(held.case, other, command.rules, command.now, reason="returned")
    reason = EscalationReason.RETURNED_TWICE
    return fact, escalated(held, reason, command.rules, note=command.reason)


def _has_returned(department: str, state: Filed | Waiting | InHands) -> bool:
    has_it = isinstance(state, InHands) and state.department == department
    return department in state.past.returned_by and not has_it


def assign_by_hand(command: AssignByHand, state: State) -> Outcome:
    """The centre names the department; who had the case hears that it is taken away."""
    match state:
        case Unreported():
            return Refusal.UNKNOWN_CASE
        case Unfiled():
            return Refusal.NOT_FILED
        case Over():
            return Refusal.CASE_CLOSED
        case Filed() | Waiting() | InHands():
            return _by_hand(command, state)
        case _:
            assert_never(state)


def _by_hand(command: AssignByHand, state: Filed | Waiting | InHands) -> Outcome:
    if command.rules.department(command.department) is None:
        return Refusal.UNKNOWN_DEPARTMENT
    if isinstance(state, InHands):
        if state.department == command.department:
            return ()
        if isinstance(state.stage, Done):
            return Refusal.ALREADY_HANDLED
    return reassigned(command, state, reason="hand")


def reassigned(
    command: AssignByHand, state: Filed | Waiting | InHands, *, reason: str
) -> tuple[Event, ...] | Refusal:
    """The case is another department's from now on."""
    if state.past.assignments >= ASSIGNMENTS_MAX:
        return Refusal.ASSIGNED_TOO_OFTEN
    ruling = command.rules.ruling(state.case.category, state.case.place)
    if ruling is None:
        return Refusal.UNKNOWN_CATEGORY
    fact = assigned(
        state.case,
        ruling,
        command.rules,
        command.now,
        reason=reason,
        department=command.department,
        note=command.reason,
    )
    if isinstance(state, InHands):
        return Recalled(department=state.department, reason=command.reason), fact
    return (fact,)


def recall(command: Recall, state: State) -> Outcome:  # noqa: PLR0911 - one for each shape
    """The centre takes the case away, and says later who gets it."""
    match state:
        case Unreported():
            return Refusal.UNKNOWN_CASE
        case Unfiled() | Filed():
            return Refusal.NOT_ASSIGNED
        case Waiting(why=why):
            return () if why is Why.RECALLED else Refusal.NOT_ASSIGNED
        case InHands(stage=Done()):
            return Refusal.ALREADY_HANDLED
        case InHands(past=past, department=department):
            if past.assignments >= ASSIGNMENTS_MAX:
                return Refusal.ASSIGNED_TOO_OFTEN
            return (Recalled(department=department, reason=command.reason),)
        case Over():
            return Refusal.CASE_CLOSED
        case _:
            assert_never(state)


def raise_failed(command: RaiseFailed, state: State) -> Outcome:
    """What failed verification twice goes up, once."""
    if not isinstance(state, InHands) or state.past.failure_raised:
        return ()
    if state.past.reworks < REWORKS_UNTIL_RAISED:
        return ()
    reason = EscalationReason.FAILED_VERIFICATION_TWICE
    return (escalated(state, reason, command.rules, department=state.department),)
