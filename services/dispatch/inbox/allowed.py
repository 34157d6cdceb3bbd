"""Which verbs a department could use in a case now.  Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from libs.events.bodies import NUL
from libs.events.policy import RuleBook
from services.dispatch.decider import (
    Accept,
    Command,
    Decline,
    Handle,
    InHands,
    NoteProgress,
    ReportIn,
    RequestExtension,
    State,
    decide,
)

_NEW: Final = NUL
"""A text that nobody can have said before, and that never leaves here."""
_A_LITTLE: Final = timedelta(minutes=1)


def allowed(department: str, state: State, rules: RuleBook, now: datetime) -> tuple[str, ...]:
    """The verbs that would add something, in the order of a case's life.

    Each is put to the decider, which alone knows: a list of rules of its own would one day say something else.
    """
    return tuple(verb for verb, command in _trials(department, state, rules, now) if _adds(command, state))


def _adds(command: Command, state: State) -> bool:
    outcome = decide(command, state)
    return isinstance(outcome, tuple) and bool(outcome)


def _trials(department: str, state: State, rules: RuleBook, now: datetime) -> Iterable[tuple[str, Command]]:
    due_at = state.clocks.handle.due_at if isinstance(state, InHands) and state.clocks.handle else now
    yield "accept", Accept(department)
    yield "decline", Decline(department, _NEW, rules, now)
    yield "report-in", ReportIn(department, _NEW)
    yield "progress", NoteProgress(department, _NEW)
    yield "extend", RequestExtension(department, due_at + _A_LITTLE, _NEW, rules, now)
    yield "handle", Handle(department, _NEW, rules, now, (_NEW,))
