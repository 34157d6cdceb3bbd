"""What is decided of patrol orders: who was where, when, and what came of it.  Pure.

An order is an aggregate of its own: it stands in the log beside the cases, and has no fact in common with one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import reduce
from typing import Final, assert_never

from libs.events.contracts.base import Event
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered, PatrolPoint
from libs.events.distance import metres_between

TIMER: Final = "patrol-end"
"""The name of the only timer that an order has: its hours are over."""
BY_WORKER: Final = "worker"
BY_TIME: Final = "time"


@dataclass(frozen=True, slots=True)
class Order:
    """Send a grid worker round a grid on one day."""

    grid: str
    worker: str
    day: str
    from_at: datetime
    until: datetime
    points: tuple[PatrolPoint, ...]


@dataclass(frozen=True, slots=True)
class CheckIn:
    """The worker says: I am at this point."""

    point: str
    longitude: float
    latitude: float
    at: datetime
    metres_max: float
    """Farther away is not there."""


@dataclass(frozen=True, slots=True)
class Find:
    """What the worker found, and has reported as this case."""

    case_id: str
    category: str


@dataclass(frozen=True, slots=True)
class End:
    """The worker is done."""

    at: datetime


@dataclass(frozen=True, slots=True)
class TimeUp:
    """The timer fired that stood at *due_at*."""

    due_at: datetime


Command = Order | CheckIn | Find | End | TimeUp


@dataclass(frozen=True, slots=True)
class NotOrdered:
    """Nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Out:
    """Ordered, and not over."""

    order: PatrolOrdered
    passed: frozenset[str] = frozenset()
    """Codes of the points where the worker has been."""
    found: frozenset[str] = frozenset()
    """Ids of the cases."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Over."""

    order: PatrolOrdered
    passed: frozenset[str]
    found: frozenset[str]


State = NotOrdered | Out | Ended
INITIAL: State = NotOrdered()


class Refusal(StrEnum):
    """Why it is refused."""

    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_POINT = "unknown_point"
    NOT_BEGUN = "not_begun"
    HOURS_OVER = "hours_over"
    TOO_FAR = "too_far"
    PATROL_ENDED = "patrol_ended"
    NOT_YOUR_PLACE = "not_your_place"


Outcome = tuple[Event, ...] | Refusal


def decide(command: Command, state: State) -> Outcome:
    """New facts; an empty tuple when there is nothing to do; or why not."""
    match command:
        case Order():
            return _order(command, state)
        case CheckIn():
            return _check_in(command, state)
        case Find():
            return _find(command, state)
        case End():
            return _end(command, state)
        case TimeUp():
            return _time_up(command, state)
        case _:
            assert_never(command)


def _order(command: Order, state: State) -> Outcome:
    match state:
        case NotOrdered():
            return (
                PatrolOrdered(
                    grid=command.grid,
                    worker=command.worker,
                    day=command.day,
                    from_at=command.from_at,
                    until=command.until,
                    points=command.points,
                ),
            )
        case Out() | Ended():
            return ()  # what was ordered stands, also under newer rules
        case _:
            assert_never(state)


def _check_in(command: CheckIn, state: State) -> Outcome:
    if isinstance(state, NotOrdered):
        return Refusal.UNKNOWN_ORDER
    point = point_of(state, command.point)
    if point is None:
        return Refusal.UNKNOWN_POINT
    if command.point in state.passed:
        return ()
    metres = distance(point, command)
    if refusal := _not_there(state, command, metres):
        return refusal
    return (
        CheckedIn(
            point=command.point,
            longitude=command.longitude,
            latitude=command.latitude,
            distance_metres=metres,
        ),
    )


def _find(command: Find, state: State) -> Outcome:
    match state:
        case NotOrdered():
            return Refusal.UNKNOWN_ORDER
        case Out(found=found) | Ended(found=found) if command.case_id in found:
            return ()
        case Out():
            return (PatrolFound(case_id=command.case_id, category=command.category),)
        case Ended():
            return Refusal.PATROL_ENDED
        case _:
            assert_never(state)


def _end(command: End, state: State) -> Outcome:
    match state:
        case NotOrdered():
            return Refusal.UNKNOWN_ORDER
        case Out(order=order):
            return Refusal.NOT_BEGUN if command.at < order.from_at else (_ended(state, BY_WORKER),)
        case Ended():
            return ()
        case _:
            assert_never(state)


def _time_up(command: TimeUp, state: State) -> Outcome:
    match state:
        case Out(order=order):
            return (_ended(state, BY_TIME),) if command.due_at == order.until else ()
        case NotOrdered() | Ended():
            return ()
        case _:
            assert_never(state)


def _not_there(state: Out | Ended, command: CheckIn, metres: float) -> Refusal | None:
    if isinstance(state, Ended):
        return Refusal.PATROL_ENDED
    if command.at < state.order.from_at:
        return Refusal.NOT_BEGUN
    if command.at >= state.order.until:
        return Refusal.HOURS_OVER
    return Refusal.TOO_FAR if metres > command.metres_max else None


def _ended(state: Out, by: str) -> PatrolEnded:
    codes = [point.code for point in state.order.points]
    return PatrolEnded(
        passed=tuple(code for code in codes if code in state.passed),
        missed=tuple(code for code in codes if code not in state.passed),
        by=by,
    )


def point_of(state: State, code: str) -> PatrolPoint | None:
    """The order's point with this code, if it has one."""
    if isinstance(state, NotOrdered):
        return None
    return next((point for point in state.order.points if point.code == code), None)


def distance(point: PatrolPoint, command: CheckIn) -> float:
    """How many metres from the point the worker is, to the decimetre."""
    there = (point.longitude, point.latitude)
    return round(metres_between(there, (command.longitude, command.latitude)), 1)


def deadlines(state: State) -> Mapping[str, datetime]:
    """Which timers must stand."""
    return {TIMER: state.order.until} if isinstance(state, Out) else {}


def evolve(state: State, event: Event) -> State:
    """The state after a fact.  Never refuses: a fact has already happened; facts of cases change nothing here."""
    match event, state:
        case PatrolOrdered(), NotOrdered():
            return Out(event)
        case CheckedIn(point=point), Out():
            return replace(state, passed=state.passed | {point})
        case PatrolFound(case_id=case_id), Out():
            return replace(state, found=state.found | {case_id})
        case PatrolEnded(), Out():
            return Ended(state.order, state.passed, state.found)
        case _:
            return state


def fold(events: Iterable[Event]) -> State:
    """The state after all of *events*."""
    return reduce(evolve, events, INITIAL)
