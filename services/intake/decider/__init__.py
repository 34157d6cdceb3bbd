"""What intake decides: whether a report becomes a case.  Pure: no clock, no I/O, no randomness."""

from typing import assert_never

from services.intake.decider.commands import (
    Adopt,
    Command,
    File,
    Join,
    Merge,
    RecordFiled,
    RecordReported,
    Reject,
    Report,
    Sort,
)
from services.intake.decider.likeness import Candidate
from services.intake.decider.refusals import Outcome, Refusal
from services.intake.decider.reporting import join, record_reported, report, sort
from services.intake.decider.settling import settle
from services.intake.decider.states import (
    INITIAL,
    Filed,
    Merged,
    Over,
    Rejected,
    Reported,
    State,
    Unreported,
    evolve,
    fold,
)

__all__ = [
    "INITIAL",
    "Adopt",
    "Candidate",
    "Command",
    "File",
    "Filed",
    "Join",
    "Merge",
    "Merged",
    "Outcome",
    "Over",
    "RecordFiled",
    "RecordReported",
    "Refusal",
    "Reject",
    "Rejected",
    "Report",
    "Reported",
    "Sort",
    "State",
    "Unreported",
    "decide",
    "evolve",
    "fold",
]


def decide(command: Command, state: State) -> Outcome:
    """New facts; an empty tuple when there is nothing to do; or why not."""
    match command:
        case Report():
            return report(command, state)
        case Sort():
            return sort(command, state)
        case Join():
            return join(command, state)
        case RecordReported():
            return record_reported(command, state)
        case File() | Reject() | Merge() | Adopt() | RecordFiled():
            return settle(command, state)
        case _:
            assert_never(command)
