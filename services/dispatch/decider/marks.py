"""How a case remembers which deadlines were used: a clock that fires late, or twice, says nothing more."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from libs.events.contracts.dispatch import DueSoon, Escalated, EscalationReason, Step
from services.dispatch.decider.states import Clock, Done, Filed, InHands, Past, State, Unsigned, Waiting

Mark = Callable[[Clock], Clock]


def warned(state: State, event: DueSoon) -> State:
    """The state after somebody was reminded of a deadline."""
    if not isinstance(state, Filed | Waiting | InHands):
        return state
    if event.step is Step.REPORT_IN:
        return replace(state, past=_called(state.past, event.department, event.due_at, _as_warned))
    return _step(state, event.step, event.due_at, _as_warned) if isinstance(state, InHands) else state


def escalated(state: State, event: Escalated) -> State:
    """The state after the case went up."""
    if not isinstance(state, Filed | Waiting | InHands):
        return state
    past = _raised(replace(state.past, level=event.level), event)
    if isinstance(state, InHands):
        return _missed(replace(state, past=past), event)
    return replace(state, past=past)


def _raised(past: Past, event: Escalated) -> Past:
    match event.reason:
        case EscalationReason.NOT_REPORTED_IN if event.due_at:
            return _called(past, event.department, event.due_at, _as_missed)
        case EscalationReason.FAILED_VERIFICATION_TWICE:
            return replace(past, failure_raised=True)
        case EscalationReason.BY_HAND:
            return replace(past, raises=past.raises + 1, raised_because=event.note)
        case _:
            return past


def _missed(state: InHands, event: Escalated) -> InHands:
    match event.reason:
        case EscalationReason.NO_UNIT if state.lane:
            return replace(state, lane=replace(state.lane, none_free=True))
        case EscalationReason.NOT_SIGNED | EscalationReason.NOT_ACKNOWLEDGED if event.due_at:
            return _step(state, Step.SIGN, event.due_at, _as_missed)
        case EscalationReason.NOT_HANDLED if event.due_at:
            return _step(state, Step.HANDLE, event.due_at, _as_missed)
        case EscalationReason.NOT_VERIFIED if event.due_at:
            return _step(state, Step.VERIFY, event.due_at, _as_missed)
        case EscalationReason.LONG_OVERDUE if event.step:
            return _overdue(state, event.step)
        case _:
            return state


def _step(state: InHands, step: Step, due_at: datetime, mark: Mark) -> InHands:
    match step, state.stage:
        case ((Step.SIGN | Step.ACKNOWLEDGE), Unsigned(sign=Clock() as sign)):
            return replace(state, stage=Unsigned(_marked(sign, due_at, mark)))
        case Step.VERIFY, Done(verify=Clock() as verify):
            return replace(state, stage=Done(_marked(verify, due_at, mark)))
        case Step.HANDLE, _ if state.clocks.handle:
            handle = _marked(state.clocks.handle, due_at, mark)
            return replace(state, clocks=replace(state.clocks, handle=handle))
        case _:
            return state


def _overdue(state: InHands, step: int) -> InHands:
    overdue = tuple(
        _as_missed(clock) if number == step else clock for number, clock in enumerate(state.clocks.overdue, 1)
    )
    return replace(state, clocks=replace(state.clocks, overdue=overdue))


def _called(past: Past, department: str | None, due_at: datetime, mark: Mark) -> Past:
    summons = tuple(
        replace(each, clock=_marked(each.clock, due_at, mark)) if each.department == department else each
        for each in past.summons
    )
    return replace(past, summons=summons)


def _marked(clock: Clock, due_at: datetime, mark: Mark) -> Clock:
    """Only the very deadline that was meant: it may have been moved since."""
    return mark(clock) if clock.due_at == due_at else clock


def _as_warned(clock: Clock) -> Clock:
    return replace(clock, warned=True)


def _as_missed(clock: Clock) -> Clock:
    return replace(clock, missed=True)
