"""What evaluation does about a fact: an event in, commands for cases out.  Pure."""

from datetime import datetime
from typing import NamedTuple, assert_never

from libs.events.contracts.dispatch import Escalated, EscalationReason, Handled
from libs.events.contracts.evaluation import CaseClosed, CaseReopened
from libs.events.contracts.intake import ReportJoined
from libs.events.envelope import Entry, Origin
from libs.events.policy import RuleBook
from services.evaluation.decider import (
    Closed,
    CloseHandled,
    CloseJoined,
    Command,
    IssueCard,
    ReopenForReport,
    State,
    Unknown,
)
from services.evaluation.terms import card_of, windows

_Heard = Handled | Escalated | CaseClosed | ReportJoined | CaseReopened


class Reaction(NamedTuple):
    """A command for a case, which need not be the one that the fact is of."""

    case_id: str
    command: Command


def is_heard(entry: Entry) -> bool:
    """Whether evaluation may react to it.  Imported and replayed history starts no work."""
    return entry.envelope.origin is Origin.LIVE and isinstance(entry.event, _Heard)


def react(entry: Entry, state: State, book: RuleBook, now: datetime) -> tuple[Reaction, ...]:  # noqa: PLR0911 - a list of facts
    """What a fact causes; *state* is that of its case, in which the fact stands already."""
    event = entry.event
    if not is_heard(entry) or not isinstance(event, _Heard) or isinstance(state, Unknown):
        return ()
    case_id = entry.case_id
    match event:
        case Handled():
            # With a time to verify it waits for somebody else to look.
            return () if event.verify else (Reaction(case_id, CloseHandled(windows(book, now))),)
        case Escalated():
            return _card(case_id, event, book)
        case CaseClosed():
            return tuple(_end_of(case_id, report, event, book, now) for report in state.case.joined)
        case ReportJoined():
            if not isinstance(state, Closed):
                return ()  # the report will be closed with the case
            return (_end_of(case_id, event.report, state.closing, book, now),)
        case CaseReopened():
            into = state.case.into
            return (Reaction(into, ReopenForReport(case_id, event.reason)),) if into else ()
        case _:
            assert_never(event)


def _card(case_id: str, event: Escalated, book: RuleBook) -> tuple[Reaction, ...]:
    if event.reason is not EscalationReason.LONG_OVERDUE or event.department is None or event.step is None:
        return ()
    colour = card_of(book, event.step)
    return (Reaction(case_id, IssueCard(event.department, event.step, colour)),) if colour else ()


def _end_of(case_id: str, report: str, closing: CaseClosed, book: RuleBook, now: datetime) -> Reaction:
    command = CloseJoined(case_id, closing.outcome, closing.note, windows(book, now))
    return Reaction(report, command)
