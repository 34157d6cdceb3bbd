"""How a case comes to its end, other than by a verification."""

from typing import assert_never

from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CaseClosed, Outcome
from services.evaluation.decider.commands import (
    Close,
    CloseHandled,
    CloseJoined,
    RecordClosed,
    Refusal,
)
from services.evaluation.decider.states import (
    Case,
    Closed,
    Done,
    Merged,
    Open,
    Rejected,
    State,
    Unknown,
    is_department,
)


def close(command: Close, state: State) -> tuple[Event, ...] | Refusal:
    """By hand, at any moment after the filing; 'closed without being fixed' stays an outcome of its own."""
    match state:
        case Unknown():
            return Refusal.UNKNOWN_CASE
        case Rejected():
            return Refusal.CASE_REJECTED
        case Merged():
            return Refusal.CASE_MERGED
        case Closed(closing=closing):
            same = (closing.by, closing.outcome, closing.note) == (command.by, command.outcome, command.note)
            return () if same else Refusal.CASE_CLOSED
        case Open(case) | Done(case):
            return _close_by_hand(command, case)
        case _:
            assert_never(state)


def _close_by_hand(command: Close, case: Case) -> tuple[Event, ...] | Refusal:
    if is_department(command.by):
        return Refusal.NOT_FOR_DEPARTMENTS
    if not case.filed:
        return Refusal.NOT_FILED
    if case.recorded:
        return Refusal.NOT_ADOPTED
    closed = CaseClosed(
        department=case.department,
        outcome=command.outcome,
        note=command.note,
        by=command.by,
        rate_until=command.windows.rate_until,
        reopen_until=command.windows.reopen_until,
    )
    return (closed,)


def close_handled(command: CloseHandled, state: State) -> tuple[Event, ...] | Refusal:
    """Where the rule book asks nobody to look, what was handled is closed."""
    match state:
        case Unknown():
            return Refusal.UNKNOWN_CASE
        case Open():
            return Refusal.NOT_HANDLED
        case Done(case):
            closed = CaseClosed(
                department=case.department,
                outcome=Outcome.RESOLVED,
                note="",
                rate_until=command.windows.rate_until,
                reopen_until=command.windows.reopen_until,
            )
            return (closed,)
        case Closed() | Rejected() | Merged():
            return ()
        case _:
            assert_never(state)


def close_joined(command: CloseJoined, state: State) -> tuple[Event, ...] | Refusal:
    """The end of the case is the end of every report that was joined to it; each reporter may rate it."""
    match state:
        case Unknown():
            return Refusal.UNKNOWN_CASE
        case Closed() | Rejected():
            return ()
        case Open(case) | Done(case) | Merged(case):
            if case.into != command.into:
                return Refusal.NOT_JOINED_THERE
            closed = CaseClosed(
                department=case.department,
                outcome=command.outcome,
                note=command.note,
                joined_to=command.into,
                rate_until=command.windows.rate_until,
                reopen_until=command.windows.reopen_until,
            )
            return (closed,)
        case _:
            assert_never(state)


def record_closed(command: RecordClosed, state: State) -> tuple[Event, ...] | Refusal:
    """What another system states of an end; what it first said stands."""
    match state:
        case Unknown():
            return Refusal.UNKNOWN_CASE
        case Open(case) | Done(case):
            if command.at < command.reported_at:
                return Refusal.CLOSED_BEFORE_REPORTED
            return (CaseClosed(department=case.department, outcome=Outcome.UNKNOWN, note=command.note),)
        case Closed() | Rejected() | Merged():
            return ()
        case _:
            assert_never(state)
