"""What dispatch decides: who handles a case, by when, and what departments and the centre may say of it.  Pure."""

from typing import assert_never

from libs.events.contracts.base import Event
from services.dispatch.decider import assigning, centre, departments, lane, recording, timeup, whistle
from services.dispatch.decider.commands import (
    Accept,
    Acknowledge,
    Assign,
    AssignByHand,
    BlowWhistle,
    CentreCommand,
    Command,
    Decline,
    DepartmentCommand,
    Escalate,
    Grant,
    Handle,
    MissUnit,
    NoteProgress,
    Pause,
    RaiseFailed,
    Recall,
    RecordAssigned,
    RecordHandled,
    Refuse,
    ReportIn,
    RequestExtension,
    Resume,
    SendUnit,
    TimeUp,
)
from services.dispatch.decider.evolve import evolve, fold, fold_entries
from services.dispatch.decider.refusals import Refusal
from services.dispatch.decider.states import (
    INITIAL,
    Filed,
    InHands,
    Over,
    State,
    Unfiled,
    Unreported,
    Waiting,
)

__all__ = [
    "INITIAL",
    "Accept",
    "Acknowledge",
    "Assign",
    "AssignByHand",
    "BlowWhistle",
    "Command",
    "Decline",
    "Escalate",
    "Filed",
    "Grant",
    "Handle",
    "InHands",
    "MissUnit",
    "NoteProgress",
    "Over",
    "Pause",
    "RaiseFailed",
    "Recall",
    "RecordAssigned",
    "RecordHandled",
    "Refusal",
    "Refuse",
    "ReportIn",
    "RequestExtension",
    "Resume",
    "SendUnit",
    "State",
    "TimeUp",
    "Unfiled",
    "Unreported",
    "Waiting",
    "decide",
    "evolve",
    "fold",
    "fold_entries",
]


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:  # noqa: PLR0911 - one for each command
    """New facts; an empty tuple when there is nothing to do; or why not."""
    match command:
        case Assign():
            return assigning.assign(command, state)
        case RaiseFailed():
            return assigning.raise_failed(command, state)
        case TimeUp():
            return timeup.time_up(command, state)
        case SendUnit():
            return lane.send_unit(command, state)
        case MissUnit():
            return lane.miss_unit(command, state)
        case RecordAssigned():
            return recording.record_assigned(command, state)
        case RecordHandled():
            return recording.record_handled(command, state)
        case Accept() | Decline() | ReportIn() | NoteProgress() | RequestExtension() | Handle():
            return _by_department(command, state)
        case (
            AssignByHand()
            | Recall()
            | Escalate()
            | Grant()
            | Refuse()
            | Pause()
            | Resume()
            | BlowWhistle()
            | Acknowledge()
        ):
            return _by_centre(command, state)
        case _:
            assert_never(command)


def _by_department(command: DepartmentCommand, state: State) -> tuple[Event, ...] | Refusal:
    match command:
        case Accept():
            return departments.accept(command, state)
        case Decline():
            return assigning.decline(command, state)
        case ReportIn():
            return whistle.report_in(command, state)
        case NoteProgress():
            return departments.note_progress(command, state)
        case RequestExtension():
            return departments.request_extension(command, state)
        case Handle():
            return departments.handle(command, state)
        case _:
            assert_never(command)


def _by_centre(command: CentreCommand, state: State) -> tuple[Event, ...] | Refusal:  # noqa: PLR0911 - one for each
    match command:
        case AssignByHand():
            return assigning.assign_by_hand(command, state)
        case Recall():
            return assigning.recall(command, state)
        case Escalate():
            return centre.escalate(command, state)
        case Grant():
            return centre.grant(command, state)
        case Refuse():
            return centre.refuse(command, state)
        case Pause():
            return centre.pause(command, state)
        case Resume():
            return centre.resume(command, state)
        case BlowWhistle():
            return whistle.blow_whistle(command, state)
        case Acknowledge():
            return lane.acknowledge(command, state)
        case _:
            assert_never(command)
