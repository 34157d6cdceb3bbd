"""Decisions of intake: the command made anew, and the rules that it went by."""

from collections.abc import Iterator
from datetime import datetime

from cli.why.decisions import Decision
from cli.why.rules import ByRule, NotAgain, Rule
from libs.events.contracts.base import Event, Place
from libs.events.contracts.intake import (
    CaseAdopted,
    CaseFiled,
    CaseMerged,
    CaseRejected,
    CaseReported,
    ReportJoined,
)
from libs.events.log import History
from libs.events.policy import RuleBook
from libs.events.wording import Text
from services.intake import decider
from services.intake.decider import Adopt, Candidate, Command, File, Join, Merge, Reject, Report, Sort

NEAR_UNKNOWN = Text(
    "which open cases were near then is not in the log; it was decided again as if none had been alike",
    "当时附近有哪些未结案件未记入日志；重算时视为没有重复",
)


def command_of(decision: Decision, book: RuleBook, now: datetime) -> Command | NotAgain:  # noqa: PLR0911 - each fact
    """What intake was asked."""
    match decision.facts[0]:
        case CaseReported() as event:
            return _report(event, book, now)
        case CaseFiled(reason="specialist", category=category):
            return File(book, category)
        case CaseFiled():
            return Sort(book, now)
        case CaseRejected(reason=reason):
            return Reject(reason)
        case CaseMerged(into=into, reason="specialist"):
            target = decision.elsewhere.get(into, History(into))
            return Merge(decision.before.case_id, into, decider.fold(target.events))
        case CaseMerged(into=into):
            return Sort(book, now, _candidates(decision.elsewhere.get(into)))
        case ReportJoined(report=report, reported_at=reported_at, channel=channel):
            return Join(report, reported_at, channel)
        case CaseAdopted(category=category, place=place):
            return Adopt(book, category, place)
        case _:
            return NotAgain.unknown()


def outcome_of(command: Command, decision: Decision) -> decider.Outcome:
    """What intake decides about it."""
    return decider.decide(command, decider.fold(decision.before.events))


def _report(event: CaseReported, book: RuleBook, now: datetime) -> Report:
    return Report(
        rules=book,
        now=now,
        category=event.category,
        channel=event.channel,
        description=event.description,
        place=event.place,
        reporter=event.reporter,
        photos=event.photos,
        answers=event.answers,
    )


def _candidates(history: History | None) -> tuple[Candidate, ...]:
    """The case that a report was joined to, as it stood then."""
    state = decider.fold(history.events) if history else decider.INITIAL
    if history is None or not isinstance(state, decider.Filed):
        return ()
    place = _place(history)
    if place.longitude is None or place.latitude is None:
        return ()
    reported_at, report = history.entries[0].envelope.time, state.report
    place_of = (place.longitude, place.latitude)
    return (Candidate(history.case_id, state.category, report.description, *place_of, reported_at),)


def _place(history: History) -> Place:
    placed = (
        event.place for event in reversed(history.events) if isinstance(event, CaseReported | CaseAdopted)
    )
    return next(placed)


def rules_of(decision: Decision, book: RuleBook) -> Iterator[Rule]:
    """The rules that it went by."""
    report = next((each for each in decision.before.events if isinstance(each, CaseReported)), None)
    for event in decision.facts:
        yield from _of(event, report, book)


def _of(event: Event, report: CaseReported | None, book: RuleBook) -> Iterator[Rule]:
    match event:
        case CaseReported():
            yield from _located(event, book)
        case CaseFiled(reason="rule"):
            yield Rule(
                f"categories/{event.category}/files_at_once",
                Text("a report of this category is filed at once", "该类别上报后直接立案"),
            )
        case CaseFiled(reason="trusted"):
            channel = report.channel if report else "?"
            channels = ", ".join(book.filing.trusted_channels)
            yield Rule(
                "filing/trusted_channels",
                Text(
                    f"the channel {channel} is one of those trusted: {channels}",
                    f"渠道 {channel} 属于可信来源：{channels}",
                ),
            )
        case CaseMerged(reason="rule"):
            yield _duplicate(event, report, book)
        case CaseFiled(reason="specialist") | CaseMerged() | CaseRejected() | CaseAdopted():
            yield ByRule.HAND
        case _:
            pass


def _located(event: CaseReported, book: RuleBook) -> Iterator[Rule]:
    place = event.place
    if place.longitude is None or place.latitude is None or place.located_by is None:
        yield Rule("grids", Text("the place was named, not looked up by a point", "地点为填报，未按坐标定位"))
        return
    found = book.locate(place.longitude, place.latitude)
    again = (found.grid, found.community, found.street) == (place.grid, place.community, place.street)
    same = Text("comes out again", "重算一致") if again else Text("comes out as another", "重算不一致")
    where = place.grid or "no grid"
    yield Rule(
        "grids",
        Text(
            f"its point lies in {where} by the rule {place.located_by!r}, which {same.en}",
            f"坐标按规则“{place.located_by}”落在 {place.grid or '网格之外'}，{same.zh}",
        ),
    )


def _duplicate(event: CaseMerged, report: CaseReported | None, book: RuleBook) -> Rule:
    rule = book.duplicates_of(report.category if report else "")
    metres, alike = event.distance_metres or 0.0, event.similarity or 0.0
    return Rule(
        "evaluation/duplicates",
        Text(
            f"{metres:g} m away (at most {rule.metres:g} m), {alike:.1%} alike (at least {rule.similarity:.0%}),"
            f" reported within {rule.within}",
            f"相距 {metres:g} 米（上限 {rule.metres:g} 米），相似度 {alike:.1%}（下限 {rule.similarity:.0%}），"
            f"时间窗口 {rule.within}",
        ),
    )
