"""Verification (核查): somebody other than the handler looks at the result."""

from typing import assert_never

from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CaseClosed, HandlingReturned, Outcome, Verified
from services.evaluation.decider.commands import REWORKS_MAX, Refusal, SendBack, Verify
from services.evaluation.decider.states import (
    Closed,
    Done,
    Merged,
    Open,
    Rejected,
    State,
    Unknown,
    is_department,
)


def verify(command: Verify, state: State) -> tuple[Event, ...] | Refusal:
    """Good: the case is closed as resolved in the same moment."""
    match state:
        case Closed(verified_by=verified_by) if verified_by == command.by:
            return ()
        case Done(case):
            if is_department(command.by):
                return Refusal.VERIFIER_IS_HANDLER
            department = _handler(case.department)
            verified = Verified(
                department=department, by=command.by, note=command.note, photos=command.photos
            )
            closed = CaseClosed(
                department=department,
                outcome=Outcome.RESOLVED,
                note=command.note,
                rate_until=command.windows.rate_until,
                reopen_until=command.windows.reopen_until,
            )
            return verified, closed
        case _:
            return _not_to_be_looked_at(state)


def send_back(command: SendBack, state: State) -> tuple[Event, ...] | Refusal:
    """Not good: back to the department; its clock runs on, since it was never done."""
    match state:
        case Open(case) if case.returned and (case.returned.by, case.returned.reason) == (
            command.by,
            command.reason,
        ):
            return ()
        case Done(case):
            if is_department(command.by):
                return Refusal.VERIFIER_IS_HANDLER
            if case.reworks >= REWORKS_MAX:
                return Refusal.TOO_MANY_REWORKS
            returned = HandlingReturned(
                department=_handler(case.department),
                by=command.by,
                reason=command.reason,
                count=case.reworks + 1,
                photos=command.photos,
            )
            return (returned,)
        case _:
            return _not_to_be_looked_at(state)


def _handler(department: str | None) -> str:
    assert department is not None, "what was handled was handled by somebody"
    return department


def _not_to_be_looked_at(state: State) -> Refusal:
    match state:
        case Unknown():
            return Refusal.UNKNOWN_CASE
        case Open() | Done():
            return Refusal.NOT_HANDLED
        case Closed():
            return Refusal.CASE_CLOSED
        case Rejected():
            return Refusal.CASE_REJECTED
        case Merged():
            return Refusal.CASE_MERGED
        case _:
            assert_never(state)
