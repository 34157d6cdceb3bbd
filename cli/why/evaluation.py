"""Decisions of evaluation: the command made anew, and the rules that it went by."""

from collections.abc import Iterator
from datetime import datetime

from cli.output import shown_time
from cli.why.decisions import Decision
from cli.why.rules import ByRule, NotAgain, Rule
from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import (
    CardIssued,
    CaseClosed,
    CaseReopened,
    HandlingReturned,
    Rated,
    ServiceScored,
    Verified,
)
from libs.events.policy import RuleBook
from libs.events.wording import Text
from services.evaluation import decider
from services.evaluation.decider import (
    Close,
    CloseHandled,
    CloseJoined,
    Command,
    IssueCard,
    Rate,
    Refusal,
    Reopen,
    ReopenForReport,
    Score,
    SendBack,
    Verify,
    states,
)
from services.evaluation.decider.rating import REPORT
from services.evaluation.terms import card_of, windows


def command_of(decision: Decision, book: RuleBook, now: datetime) -> Command | NotAgain:  # noqa: PLR0911 - each fact
    """What evaluation was asked."""
    event = decision.facts[0]
    match event:
        case Verified(by=by, note=note, photos=photos):
            return Verify(by, windows(book, now), note, photos)
        case HandlingReturned(by=by, reason=reason, photos=photos):
            return SendBack(by, reason, photos)
        case CaseClosed():
            return _close(event, book, now)
        case Rated():
            return _rate(event, decision, book, now)
        case CaseReopened(by=by, reason=reason) if by.startswith(REPORT):
            return ReopenForReport(by.removeprefix(REPORT), reason)
        case CaseReopened(by=states.BY_REPORTER):
            rated = [each for each in decision.before.events if isinstance(each, Rated)]
            return _rate(rated[-1], decision, book, now) if rated else NotAgain.unknown()
        case CaseReopened(by=by, reason=reason):
            return Reopen(by, reason)
        case CardIssued(department=department, step=step):
            return IssueCard(department, step, card_of(book, step) or "")
        case ServiceScored(by=by, department=department, stars=stars, note=note):
            return Score(by, department, stars, book.rating.stars_max, note)
        case _:
            return NotAgain.unknown()


def _close(event: CaseClosed, book: RuleBook, now: datetime) -> Command:
    if event.joined_to:
        return CloseJoined(event.joined_to, event.outcome, event.note, windows(book, now))
    if event.by:
        return Close(event.by, event.outcome, event.note, windows(book, now))
    return CloseHandled(windows(book, now))


def _rate(event: Rated, decision: Decision, book: RuleBook, now: datetime) -> Rate:
    return Rate(
        now=now,
        reached=event.reached,
        solved=event.solved,
        stars=event.stars,
        stars_max=book.rating.stars_max,
        satisfied_from=book.rating.satisfied_from,
        text=event.text,
        reopen=isinstance(decision.facts[-1], CaseReopened),
        reopenings_max=book.reopen.by_reporter_max,
    )


def outcome_of(command: Command, decision: Decision) -> tuple[Event, ...] | Refusal:
    """What evaluation decides about it."""
    return decider.decide(command, decider.fold(decision.before.events))


def rules_of(decision: Decision, book: RuleBook) -> Iterator[Rule]:
    """The rules that it went by."""
    for event in decision.facts:
        yield from _of(event, book)


def _of(event: Event, book: RuleBook) -> Iterator[Rule]:
    rating, reopen = book.rating, book.reopen
    match event:
        case CaseClosed():
            yield from _closed(event, book)
        case Rated():
            yield Rule(
                "evaluation/rating",
                Text(
                    f"{event.stars} of {rating.stars_max} stars; satisfied from {rating.satisfied_from} on",
                    f"{event.stars} 星（满分 {rating.stars_max}），{rating.satisfied_from} 星起为满意",
                ),
            )
        case CaseReopened(by=states.BY_REPORTER):
            yield Rule(
                "evaluation/reopen",
                Text(
                    f"a dissatisfied reporter may, {reopen.by_reporter_max} time(s), within {reopen.within} of the end",
                    f"诉求人不满意时可在结案后 {reopen.within} 内要求重新立案 {reopen.by_reporter_max} 次",
                ),
            )
        case CardIssued(step=step):
            yield Rule(
                f"escalation/overdue/{step}/card",
                Text(
                    f"step {step} of what is long overdue shows a {event.colour} card",
                    f"超期第 {step} 步亮 {event.colour} 牌",
                ),
            )
        case Verified() | HandlingReturned() | CaseReopened() | ServiceScored():
            yield ByRule.HAND
        case _:
            pass


def _closed(event: CaseClosed, book: RuleBook) -> Iterator[Rule]:
    if event.joined_to:
        told = f"its end is that of case {event.joined_to}, which it was joined to"
        yield Rule("joined", Text(told, f"随所并入的案件 {event.joined_to} 一并结案"))
    if event.by:
        yield ByRule.HAND
    if event.rate_until and event.reopen_until:
        rate, again = (shown_time(each, book.zone) for each in (event.rate_until, event.reopen_until))
        yield Rule(
            "evaluation/rating, evaluation/reopen",
            Text(
                f"may be rated within {book.rating.within} (until {rate}) and reopened within {book.reopen.within}"
                f" (until {again})",
                f"{book.rating.within} 内可评价（至 {rate}），{book.reopen.within} 内可要求重新立案（至 {again}）",
            ),
        )
