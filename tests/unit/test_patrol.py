"""Patrols: each command happens, is refused, is repeated, and meets an order that moved on; points, and laws."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from libs.events.contracts.base import Event
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered, PatrolPoint
from libs.events.grid import shape
from libs.events.ids import is_case_id, patrol_order_id
from libs.events.testing.examples import CASE_ID, OTHER_CASE_ID, REPORTED_AT
from libs.events.testing.spec import Spec
from services.dispatch import clocks
from services.dispatch import decider as cases
from services.dispatch.patrol.acts import order_of
from services.dispatch.patrol.decider import (
    INITIAL,
    TIMER,
    CheckIn,
    Command,
    End,
    Ended,
    Find,
    NotOrdered,
    Order,
    Out,
    Refusal,
    State,
    TimeUp,
    deadlines,
    decide,
    evolve,
    fold,
)
from services.dispatch.patrol.points import points_of
from tests.unit.specs import ANY_EVENT, GRIDS, rule_book

PATROL: Spec[Command, State] = Spec(decide, evolve, INITIAL)
FROM, UNTIL = REPORTED_AT, REPORTED_AT + timedelta(hours=8)
POINTS = tuple(
    PatrolPoint(code=f"g/{number}", longitude=118.70 + number / 1000, latitude=36.40) for number in (1, 2, 3)
)
ORDER = Order("g", "grid-worker:g", "2026-03-02", FROM, UNTIL, POINTS)
ORDERED = PatrolOrdered(
    grid="g", worker="grid-worker:g", day="2026-03-02", from_at=FROM, until=UNTIL, points=POINTS
)
THERE = CheckIn("g/2", 118.702, 36.4001, FROM + timedelta(hours=1), 30)
CHECKED_IN = CheckedIn(point="g/2", longitude=118.702, latitude=36.4001, distance_metres=11.1)
FIND = Find(OTHER_CASE_ID, "1101")
FOUND = PatrolFound(case_id=OTHER_CASE_ID, category="1101")
END = End(FROM + timedelta(hours=2))
ENDED = PatrolEnded(passed=("g/2",), missed=("g/1", "g/3"), by="worker")
WALKED: tuple[Event, ...] = (ORDERED, CHECKED_IN, FOUND, ENDED)


def test_each_step_of_a_patrol_happens_once() -> None:
    done: tuple[Event, ...] = ()
    for command, fact in ((ORDER, ORDERED), (THERE, CHECKED_IN), (FIND, FOUND), (END, ENDED)):
        outcome = PATROL.given(*done).when(command)
        outcome.then(fact)
        outcome.then_repeated_adds_nothing()
        done = (*done, fact)


@pytest.mark.parametrize("command", [ORDER, THERE, FIND, END, TimeUp(UNTIL)])
def test_after_its_end_what_was_done_before_adds_nothing(command: Command) -> None:
    PATROL.given(*WALKED).when(command).then_nothing()


def test_what_was_ordered_stands_also_under_newer_rules() -> None:
    PATROL.given(ORDERED).when(replace(ORDER, points=POINTS[:1])).then_nothing()


@pytest.mark.parametrize("command", [THERE, FIND, END])
def test_without_an_order_there_is_no_patrol(command: Command) -> None:
    PATROL.given().when(command).then_refused(Refusal.UNKNOWN_ORDER)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"point": "g/9"}, Refusal.UNKNOWN_POINT),
        ({"at": FROM - timedelta(seconds=1)}, Refusal.NOT_BEGUN),
        ({"at": UNTIL}, Refusal.HOURS_OVER),
        ({"latitude": 36.4003}, Refusal.TOO_FAR),
    ],
)
def test_a_check_in_counts_only_there_and_then(changes: dict[str, object], refusal: Refusal) -> None:
    PATROL.given(ORDERED).when(replace(THERE, **changes)).then_refused(refusal)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [FROM, UNTIL - timedelta(microseconds=1)])
def test_the_hours_include_their_first_moment_and_not_their_last(at: object) -> None:
    PATROL.given(ORDERED).when(replace(THERE, at=at)).then(CHECKED_IN)  # type: ignore[arg-type]


def test_exactly_at_the_bound_is_there() -> None:
    PATROL.given(ORDERED).when(replace(THERE, metres_max=11.1)).then(CHECKED_IN)
    PATROL.given(ORDERED).when(replace(THERE, metres_max=11.0)).then_refused(Refusal.TOO_FAR)


def test_a_second_check_in_from_elsewhere_changes_nothing() -> None:
    PATROL.given(ORDERED, CHECKED_IN).when(replace(THERE, latitude=37.0)).then_nothing()


def test_after_the_end_nothing_new_is_passed_or_found() -> None:
    PATROL.given(*WALKED).when(replace(THERE, point="g/1")).then_refused(Refusal.PATROL_ENDED)
    PATROL.given(*WALKED).when(Find(CASE_ID, "1101")).then_refused(Refusal.PATROL_ENDED)


def test_nobody_ends_a_patrol_before_it_begins() -> None:
    PATROL.given(ORDERED).when(End(FROM - timedelta(seconds=1))).then_refused(Refusal.NOT_BEGUN)


def test_time_ends_a_patrol_at_its_own_hour_only() -> None:
    PATROL.given(ORDERED).when(TimeUp(UNTIL)).then(
        PatrolEnded(passed=(), missed=("g/1", "g/2", "g/3"), by="time")
    ).when(END).then_nothing()
    PATROL.given(ORDERED).when(TimeUp(UNTIL - timedelta(hours=1))).then_nothing()
    PATROL.given().when(TimeUp(UNTIL)).then_nothing()


def test_an_order_that_is_out_has_one_timer() -> None:
    assert deadlines(fold([ORDERED])) == {TIMER: UNTIL}
    assert deadlines(fold(WALKED)) == {} == deadlines(INITIAL)
    assert clocks.deadlines_of([ORDERED]) == {TIMER: UNTIL}
    assert clocks.deadlines_of(WALKED) == {}


def test_facts_of_patrols_are_nothing_to_a_case_and_the_other_way_round() -> None:
    assert cases.fold(WALKED) == cases.INITIAL


def test_an_order_has_the_id_of_its_grid_and_day() -> None:
    ids = {patrol_order_id(grid, day) for grid in ("a", "b") for day in ("2026-03-02", "2026-03-03")}
    assert len(ids) == 4
    assert all(map(is_case_id, ids))
    assert patrol_order_id("a", "2026-03-02") in ids


def test_the_rule_book_says_how_many_points_and_which_hours() -> None:
    order = order_of(rule_book(), GRIDS[0], date(2026, 3, 2))
    assert len(order.points) == 6
    assert (order.from_at.isoformat(), order.until.isoformat()) == (
        "2026-03-02T08:30:00+08:00",
        "2026-03-02T17:30:00+08:00",
    )
    assert order == order_of(rule_book(), GRIDS[0], date(2026, 3, 2))


HOOK = ((((0.0, 0.0), (0.01, 0.0), (0.01, 0.01), (0.009, 0.01), (0.009, 0.001), (0.0, 0.001), (0.0, 0.0)),),)


@given(st.dates(), st.integers(1, 20), st.sampled_from([GRIDS[0].polygons, GRIDS[1].polygons, HOOK]))
def test_law_points_lie_inside_and_are_the_same_again(day: date, count: int, polygons: object) -> None:
    points = points_of("g", polygons, day.isoformat(), count)  # type: ignore[arg-type]
    assert [point.code for point in points] == [f"g/{number}" for number in range(1, count + 1)]
    assert points == points_of("g", polygons, day.isoformat(), count)  # type: ignore[arg-type]
    whole = shape("g", polygons)  # type: ignore[arg-type]
    assert all(shapely.contains_xy(whole, point.longitude, point.latitude) for point in points)


def test_the_points_of_two_days_and_two_grids_differ() -> None:
    monday = points_of("g", GRIDS[0].polygons, "2026-03-02", 6)
    assert monday != points_of("g", GRIDS[0].polygons, "2026-03-03", 6)
    assert len({(point.longitude, point.latitude) for point in monday}) == 6


def test_a_sliver_has_a_point_all_the_same() -> None:
    sliver = ((((0.0, 0.0), (1.0, 1.0), (1.0, 1.0000001), (0.0, 0.0)),),)
    [point] = points_of("g", sliver, "2026-03-02", 3)
    assert point.code == "g/1"


COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.sampled_from([ORDER, FIND, END, TimeUp(UNTIL), TimeUp(FROM), Find(CASE_ID, "0101")]),
    st.builds(
        CheckIn,
        point=st.sampled_from(["g/1", "g/2", "g/3", "g/9"]),
        longitude=st.sampled_from([118.701, 118.702, 118.703]),
        latitude=st.just(36.40),
        at=st.integers(-2, 10).map(lambda hours: FROM + timedelta(hours=hours)),
        metres_max=st.just(30.0),
    ),
)


@given(st.lists(COMMANDS, max_size=20))
def test_law_every_point_is_passed_once_or_missed_and_a_command_repeated_adds_nothing(
    commands: list[Command],
) -> None:
    facts: list[Event] = []
    for command in commands:
        outcome = decide(command, fold(facts))
        if isinstance(outcome, tuple):
            facts.extend(outcome)
            assert decide(command, fold(facts)) == ()
    passed = [fact.point for fact in facts if isinstance(fact, CheckedIn)]
    assert len(passed) == len(set(passed))
    ends = [fact for fact in facts if isinstance(fact, PatrolEnded)]
    assert len(ends) <= 1
    if ends:
        assert facts[-1] is ends[0]
        assert set(ends[0].passed) == set(passed)
        assert sorted((*ends[0].passed, *ends[0].missed)) == [point.code for point in POINTS]


@given(st.lists(ANY_EVENT, max_size=12))
def test_law_no_history_of_whatever_makes_a_fold_fail(events: list[Event]) -> None:
    state = fold(events)
    assert isinstance(state, NotOrdered | Out | Ended)
    assert isinstance(cases.fold([*WALKED, *events]), type(cases.fold(events)))
