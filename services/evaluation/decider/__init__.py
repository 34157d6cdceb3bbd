"""What evaluation decides: whether a handling is good, when a case is over, and what people think of it.  Pure.

`commands.py` is what can be asked, `states.py` what is known of a case; the rules stand by idea in `verifying.py`,
`closing.py`, `rating.py` and `judging.py`.
"""

from typing import assert_never

from libs.events.contracts.base import Event
from services.evaluation.decider.closing import close, close_handled, close_joined, record_closed
from services.evaluation.decider.commands import (
    REOPENINGS_MAX,
    REWORKS_MAX,
    Close,
    CloseHandled,
    CloseJoined,
    Command,
    IssueCard,
    Rate,
    RecordClosed,
    Refusal,
    Reopen,
    ReopenForReport,
    Score,
    SendBack,
    Verify,
    Windows,
)
from services.evaluation.decider.judging import issue_card, score
from services.evaluation.decider.rating import rate, reopen, reopen_for_report
from services.evaluation.decider.states import (
    INITIAL,
    Case,
    Closed,
    Done,
    Merged,
    Open,
    Rejected,
    State,
    Unknown,
    evolve,
    fold,
)
from services.evaluation.decider.verifying import send_back, verify

__all__ = [
    "INITIAL",
    "REOPENINGS_MAX",
    "REWORKS_MAX",
    "Case",
    "Close",
    "CloseHandled",
    "CloseJoined",
    "Closed",
    "Command",
    "Done",
    "IssueCard",
    "Merged",
    "Open",
    "Rate",
    "RecordClosed",
    "Refusal",
    "Rejected",
    "Reopen",
    "ReopenForReport",
    "Score",
    "SendBack",
    "State",
    "Unknown",
    "Verify",
    "Windows",
    "decide",
    "evolve",
    "fold",
]


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:  # noqa: C901, PLR0911 - a list
    """New facts; an empty tuple when there is nothing to do; or why not."""
    match command:
        case Verify():
            return verify(command, state)
        case SendBack():
            return send_back(command, state)
        case Close():
            return close(command, state)
        case CloseHandled():
            return close_handled(command, state)
        case CloseJoined():
            return close_joined(command, state)
        case RecordClosed():
            return record_closed(command, state)
        case Rate():
            return rate(command, state)
        case Reopen():
            return reopen(command, state)
        case ReopenForReport():
            return reopen_for_report(command, state)
        case IssueCard():
            return issue_card(command, state)
        case Score():
            return score(command, state)
        case _:
            assert_never(command)
