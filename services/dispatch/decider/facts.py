"""The facts that several decisions state, worked out by the rule book."""

from datetime import datetime

from libs.events.calendar import Limit
from libs.events.contracts.dispatch import Assigned, Brief, Escalated, EscalationReason
from libs.events.policy import Limits, RuleBook, Ruling
from services.dispatch.decider.states import Case, InHands, Open


def assigned(  # noqa: PLR0913 - an assignment has many sides
    case: Case,
    ruling: Ruling,
    rules: RuleBook,
    now: datetime,
    *,
    reason: str,
    department: str | None = None,
    since: datetime | None = None,
    note: str = "",
) -> Assigned:
    """*department*, or else the ruling's, is responsible from *now* on; its clocks run from *since*, or from now."""
    category = rules.category(case.category)
    lane = category.fast_lane if category else None
    sign_limit, handle_limit = _limits(ruling.limits, lane, rules)
    start = since if lane and since else now
    handle = rules.deadline(handle_limit, start)
    who = department or ruling.lead
    return Assigned(
        department=who,
        due_at=handle.due_at,
        warn_at=handle.warn_at,
        sign=rules.deadline(sign_limit, start),
        overdue_at=rules.overdue_at(handle.due_at),
        rule=ruling.rule if department is None else None,
        brief=brief(case, now),
        reason=reason,
        note=note,
        supporting=tuple(each for each in (ruling.lead, *ruling.supporting) if each != who),
        limits=ruling.limits.name,
        lane=lane,
    )


def brief(case: Case, now: datetime) -> Brief:
    """What a department needs to work."""
    return Brief(
        category=case.category,
        description=case.description,
        place=case.place,
        reported_at=case.reported_at or now,
        photos=case.photos,
        answers=case.answers,
    )


def escalated(
    state: Open,
    reason: EscalationReason,
    rules: RuleBook,
    *,
    department: str | None = None,
    due_at: datetime | None = None,
    step: int | None = None,
    note: str = "",
) -> Escalated:
    """The case goes where the ladder says for *reason*: never down, and up from where it stands."""
    known = {rung.level for rung in rules.ladder.ladder}
    stands = state.past.level if state.past.level in known else None  # newer rules may have other levels
    level = rules.ladder.goes_to(reason, stands)
    return Escalated(
        reason=reason,
        level=level.value,
        acts=rules.acts(level, state.case.place),
        department=department,
        due_at=due_at,
        step=step,
        note=note,
    )


def limits_in(state: InHands, rules: RuleBook) -> Limits | None:
    """The set of limits that holds for the case; None when the rule book knows neither it nor the category."""
    if state.limits in rules.time_limits.sets:
        return rules.limits(state.limits)
    ruling = rules.ruling(state.case.category, state.case.place)
    return ruling.limits if ruling else None


def clock_limits(state: InHands, rules: RuleBook) -> tuple[Limit, Limit] | None:
    """The limits to sign and to handle that its clocks were set by."""
    limits = limits_in(state, rules)
    return _limits(limits, state.lane.kind if state.lane else None, rules) if limits else None


def _limits(limits: Limits, lane: str | None, rules: RuleBook) -> tuple[Limit, Limit]:
    if lane:
        return rules.fast_lane.acknowledge, rules.fast_lane.settle
    return limits.sign, limits.handle
