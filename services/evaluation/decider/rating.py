"""What the reporter says of an end (评价), and how a closed case is taken up again."""

from typing import Final, assert_never

from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CaseReopened, Rated
from services.evaluation.decider.commands import REOPENINGS_MAX, Rate, Refusal, Reopen, ReopenForReport
from services.evaluation.decider.states import (
    BY_REPORTER,
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

REPORT: Final = "report:"
"""Stands before the case id of the joined report whose reporter had the case reopened."""


def rate(command: Rate, state: State) -> tuple[Event, ...] | Refusal:
    """One rating for each closing; a dissatisfied reporter may have the case reopened in the same breath."""
    if not 1 <= command.stars <= command.stars_max:
        return Refusal.STARS_OUT_OF_SCALE
    match state:
        case Closed():
            return _rate_closed(command, state)
        case Open(case) | Done(case):
            return () if _said_before(command, case.rated) else Refusal.NOT_CLOSED
        case Unknown():
            return Refusal.UNKNOWN_CASE
        case Rejected():
            return Refusal.CASE_REJECTED
        case Merged():
            return Refusal.NOT_CLOSED
        case _:
            assert_never(state)


def _rate_closed(command: Rate, state: Closed) -> tuple[Event, ...] | Refusal:
    if state.rated is not None and not _said_before(command, state.rated):
        return Refusal.RATED_ALREADY
    if state.rated is not None and not command.reopen:
        return ()
    if state.closing.rate_until is None or command.now > state.closing.rate_until:
        return Refusal.RATING_OVER
    if command.reopen and (refusal := _not_reopened_by_reporter(command, state)):
        return refusal
    facts = (_rated(command, state),) if state.rated is None else ()
    return (*facts, _reopened(command, state)) if command.reopen else facts


def _rated(command: Rate, state: Closed) -> Event:
    return Rated(
        department=state.closing.department,
        reached=command.reached,
        solved=command.solved,
        stars=command.stars,
        satisfied=command.satisfied,
        text=command.text,
    )


def _reopened(command: Rate, state: Closed) -> Event:
    return CaseReopened(
        department=state.closing.department,
        by=BY_REPORTER,
        reason=command.text,
        count=state.case.reopenings + 1,
    )


def _not_reopened_by_reporter(command: Rate, state: Closed) -> Refusal | None:
    if command.solved and command.satisfied:
        return Refusal.SATISFIED
    if state.closing.reopen_until is None or command.now > state.closing.reopen_until:
        return Refusal.REOPENING_OVER
    if state.case.reopened_by_reporter >= command.reopenings_max:
        return Refusal.REOPENED_ALREADY
    return Refusal.TOO_MANY_REOPENINGS if state.case.reopenings >= REOPENINGS_MAX else None


def _said_before(command: Rate, rated: Rated | None) -> bool:
    said = (command.reached, command.solved, command.stars, command.text)
    return rated is not None and (rated.reached, rated.solved, rated.stars, rated.text) == said


def reopen(command: Reopen, state: State) -> tuple[Event, ...] | Refusal:
    """By the centre, with a reason, at any time after the closing."""
    if is_department(command.by):
        return Refusal.NOT_FOR_DEPARTMENTS
    return _reopen(command.by, command.reason, state)


def reopen_for_report(command: ReopenForReport, state: State) -> tuple[Event, ...] | Refusal:
    """A report that was joined to it was reopened by its reporter: the work is to be done here."""
    if not isinstance(state, Unknown) and command.report not in state.case.joined:
        return Refusal.NOT_JOINED_THERE
    outcome = _reopen(f"{REPORT}{command.report}", command.reason, state)
    return () if outcome is Refusal.NOT_CLOSED else outcome


def _reopen(by: str, reason: str, state: State) -> tuple[Event, ...] | Refusal:  # noqa: PLR0911 - a list
    match state:
        case Closed(case, closing):
            if case.recorded:
                return Refusal.NOT_ADOPTED
            if case.reopenings >= REOPENINGS_MAX:
                return Refusal.TOO_MANY_REOPENINGS
            count = case.reopenings + 1
            return (CaseReopened(department=closing.department, by=by, reason=reason, count=count),)
        case Open(case) | Done(case):
            return () if _reopened_before(by, reason, case) else Refusal.NOT_CLOSED
        case Unknown():
            return Refusal.UNKNOWN_CASE
        case Rejected():
            return Refusal.CASE_REJECTED
        case Merged():
            return Refusal.NOT_CLOSED
        case _:
            assert_never(state)


def _reopened_before(by: str, reason: str, case: Case) -> bool:
    return case.reopened is not None and (case.reopened.by, case.reopened.reason) == (by, reason)
