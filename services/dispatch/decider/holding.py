"""Whether a department has the case."""

from typing import assert_never

from services.dispatch.decider.refusals import Refusal
from services.dispatch.decider.states import Filed, InHands, Over, State, Unfiled, Unreported, Waiting


def held_by(department: str, state: State) -> InHands | Refusal:
    """The case in the hands of *department*, or why it is not."""
    held = in_hands(state)
    if isinstance(held, InHands) and held.department != department:
        return Refusal.NOT_ASSIGNED_TO_YOU
    return held


def in_hands(state: State) -> InHands | Refusal:
    """The case in somebody's hands, or why it is not."""
    match state:
        case Unreported():
            return Refusal.UNKNOWN_CASE
        case Unfiled() | Filed() | Waiting():
            return Refusal.NOT_ASSIGNED
        case Over():
            return Refusal.CASE_CLOSED
        case InHands():
            return state
        case _:
            assert_never(state)
