"""Decisions about patrol orders: the command made anew, and the rules that it went by."""

from collections.abc import Iterator
from datetime import date, datetime

from cli.why.decisions import Decision
from cli.why.rules import ByRule, NotAgain, Rule
from libs.events.calendar import opening_times
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered
from libs.events.policy import RuleBook
from libs.events.wording import Text
from services.dispatch.patrol import decider
from services.dispatch.patrol.decider import CheckIn, Command, End, Find, Order, Outcome, TimeUp
from services.dispatch.patrol.points import points_of


def command_of(decision: Decision, book: RuleBook, now: datetime) -> Command | NotAgain:
    """What was asked."""
    match decision.facts[0]:
        case PatrolOrdered() as ordered:
            return _order(ordered, book)
        case CheckedIn(point=point, longitude=longitude, latitude=latitude):
            return CheckIn(point, longitude, latitude, now, book.patrol.check_in_metres_max)
        case PatrolFound(case_id=case_id, category=category):
            return Find(case_id, category)
        case PatrolEnded(by=decider.BY_TIME):
            due = decider.deadlines(decider.fold(decision.before.events))
            return TimeUp(due[decider.TIMER]) if decider.TIMER in due else NotAgain.unknown()
        case PatrolEnded():
            return End(now)
        case _:
            return NotAgain.unknown()


def _order(ordered: PatrolOrdered, book: RuleBook) -> Order | NotAgain:
    grid = next((each for each in book.grids if each.code == ordered.grid), None)
    if grid is None:
        return NotAgain(Text(f"this version has no grid {ordered.grid}", f"此版本没有网格 {ordered.grid}"))
    from_at, until = opening_times(book.patrol.hours, date.fromisoformat(ordered.day), book.zone)
    points = points_of(grid.code, grid.polygons, ordered.day, book.patrol.points_per_order)
    return Order(grid.code, f"grid-worker:{grid.code}", ordered.day, from_at, until, points)


def outcome_of(command: Command, decision: Decision) -> Outcome:
    """What is decided about it."""
    return decider.decide(command, decider.fold(decision.before.events))


def rules_of(decision: Decision, book: RuleBook) -> Iterator[Rule]:
    """The rules that it went by."""
    match decision.facts[0]:
        case PatrolOrdered():
            hours, points = ", ".join(book.patrol.hours), book.patrol.points_per_order
            yield Rule(
                "patrol",
                Text(
                    f"hours {hours}, {points} points, chosen by grid and day",
                    f"时段 {hours}，每次 {points} 个点位",
                ),
            )
        case CheckedIn(distance_metres=metres):
            most = book.patrol.check_in_metres_max
            yield Rule(
                "patrol/check_in_metres_max",
                Text(
                    f"{metres:g} m from the point (at most {most:g} m)",
                    f"距点位 {metres:g} 米（上限 {most:g} 米）",
                ),
            )
        case PatrolEnded(by=decider.BY_TIME):
            yield Rule("patrol/hours", Text("the hours of the patrol were over", "巡查时段结束"))
        case _:
            yield ByRule.HAND
