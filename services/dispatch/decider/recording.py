"""What other systems state: the order of facts is checked, not what the rule book permits."""

from typing import assert_never

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Assigned, Handled
from services.dispatch.decider.commands import RecordAssigned, RecordHandled
from services.dispatch.decider.refusals import Refusal
from services.dispatch.decider.states import (
    Done,
    Filed,
    InHands,
    Over,
    State,
    Unfiled,
    Unreported,
    Waiting,
)

Outcome = tuple[Event, ...] | Refusal


def record_assigned(command: RecordAssigned, state: State) -> Outcome:
    """The source says who was responsible."""
    match state:
        case Unreported() | Unfiled():
            return Refusal.NOT_FILED
        case Filed():
            return (Assigned(department=command.department, due_at=command.due_at),)
        case Waiting():
            return Refusal.ASSIGNED_TO_ANOTHER
        case InHands(department=department) | Over(department=department):
            return () if department == command.department else Refusal.ASSIGNED_TO_ANOTHER
        case _:
            assert_never(state)


def record_handled(command: RecordHandled, state: State) -> Outcome:
    """The source says that the responsible department handled it."""
    match state:
        case Unreported() | Unfiled() | Filed() | Waiting():
            return Refusal.NOT_ASSIGNED
        case InHands(stage=Done()) | Over():
            return ()
        case InHands(department=department):
            return (Handled(department=department, note=command.note),)
        case _:
            assert_never(state)
