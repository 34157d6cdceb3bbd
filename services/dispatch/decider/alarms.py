"""Which deadlines stand: each by its name, with what is to be said when it is here."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from libs.events.contracts.dispatch import EscalationReason, Step
from libs.events.subjects import token
from services.dispatch.decider.states import (
    Clock,
    Done,
    InHands,
    Past,
    Paused,
    Signed,
    State,
    Unsigned,
    Waiting,
)

SOON: Final = "-soon"


@dataclass(frozen=True, slots=True)
class Late:
    """A deadline: when it is here, the case goes up."""

    at: datetime
    reason: EscalationReason
    due_at: datetime
    """The deadline that was missed: for what is long overdue, the time to handle."""
    department: str | None
    step: int | None = None
    """Which of the rule book's steps for what is long overdue, from 1."""


@dataclass(frozen=True, slots=True)
class Soon:
    """The time to remind somebody of a deadline."""

    at: datetime
    step: Step
    due_at: datetime
    department: str | None
    """Who must act; None when the centre must."""


Alarm = Late | Soon

_REASONS: Final = {
    Step.ACKNOWLEDGE: EscalationReason.NOT_ACKNOWLEDGED,
    Step.SIGN: EscalationReason.NOT_SIGNED,
    Step.REPORT_IN: EscalationReason.NOT_REPORTED_IN,
    Step.HANDLE: EscalationReason.NOT_HANDLED,
    Step.VERIFY: EscalationReason.NOT_VERIFIED,
}
_CENTRE_ACTS: Final = frozenset({Step.ACKNOWLEDGE, Step.VERIFY})


def alarms(state: State) -> dict[str, Alarm]:
    """All that stand, by name; what was used, moved or done stands no more.

    `sign`, `handle`, `verify`, `acknowledge`, `report-in-<department's token>`, `overdue-1` and so on; and
    `<name>-soon` for the reminders.
    """
    match state:
        case Waiting(past=past):
            return dict(_of_summons(past))
        case InHands(stage=Done(verify=verify), department=department):
            return dict(_of_clock("verify", Step.VERIFY, verify, department))
        case InHands(pause=Paused(), past=past):
            return dict(_of_summons(past))
        case InHands(past=past):
            return dict([*_of_summons(past), *_of_signing(state), *_of_handling(state)])
        case _:
            return {}


def _of_summons(past: Past) -> Iterator[tuple[str, Alarm]]:
    for each in past.summons:
        if not each.reported_in:
            name = f"report-in-{token(each.department)}"
            yield from _of_clock(name, Step.REPORT_IN, each.clock, each.department)


def _of_signing(state: InHands) -> Iterator[tuple[str, Alarm]]:
    match state.stage:
        case Unsigned(sign=sign):
            # In the fast lane the desk answers in the department's stead, against its own minutes.
            if state.lane is None:
                yield from _of_clock("sign", Step.SIGN, sign, state.department)
            elif not state.lane.acknowledged:
                yield from _of_clock("acknowledge", Step.ACKNOWLEDGE, sign, state.department)
        case Signed() | Done():
            pass


def _of_handling(state: InHands) -> Iterator[tuple[str, Alarm]]:
    handle = state.clocks.handle
    yield from _of_clock("handle", Step.HANDLE, handle, state.department)
    if handle is None:
        return
    for step, clock in enumerate(state.clocks.overdue, 1):
        if not clock.missed:
            reason = EscalationReason.LONG_OVERDUE
            yield f"overdue-{step}", Late(clock.due_at, reason, handle.due_at, state.department, step)


def _of_clock(name: str, step: Step, clock: Clock | None, department: str) -> Iterator[tuple[str, Alarm]]:
    if clock is None or clock.missed:
        return
    yield name, Late(clock.due_at, _REASONS[step], clock.due_at, department)
    if clock.warn_at and not clock.warned:
        who = None if step in _CENTRE_ACTS else department
        yield f"{name}{SOON}", Soon(clock.warn_at, step, clock.due_at, who)
