"""Which unit is sent: the nearest free one of the right kind, of those who answer first; and laws."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.distance import metres_between
from services.dispatch.fastlane import position_age_max
from services.dispatch.units import (
    Status,
    Unit,
    after_report,
    nearest_free,
)
from tests.unit.specs import rule_book

NOW = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
AGE_MAX = timedelta(minutes=10)
HERE = (118.714, 36.408)
CASE, OTHER = "0" * 20, "1" * 20


def unit(code: str, east: float = 0.001, **changes: object) -> Unit:
    return Unit(
        department="police", unit=code, kind="car", longitude=HERE[0] + east, latitude=HERE[1],
        status=Status.FREE, reported_at=NOW,
    ).model_copy(update=changes)  # fmt: skip


def chosen(*units: Unit, departments: tuple[str, ...] = ("police",)) -> str | None:
    choice = nearest_free(units, "car", HERE, NOW, AGE_MAX, departments)
    return choice.unit if choice else None


def test_the_nearest_is_sent_and_what_it_was_chosen_by_is_told() -> None:
    near = unit("near", 0.001, reported_at=NOW - timedelta(seconds=12))
    choice = nearest_free(
        [unit("far", 0.01), near, unit("rider", 0, kind="rider")], "car", HERE, NOW, AGE_MAX
    )
    assert choice is not None
    assert (choice.unit, choice.department, choice.considered) == ("near", "police", 2)
    assert choice.position_age_seconds == 12.0
    assert choice.distance_metres == pytest.approx(89.5, abs=0.1)


@pytest.mark.parametrize(
    "not_to_send",
    [
        unit("busy", 0, status=Status.BUSY),
        unit("sent", 0, mission=CASE),
        unit("other-kind", 0, kind="rider"),
        unit("silent", 0, reported_at=NOW - AGE_MAX - timedelta(seconds=1)),
    ],
    ids=lambda unit: unit.unit,
)
def test_who_is_not_free_or_of_another_kind_or_silent_is_not_sent(not_to_send: Unit) -> None:
    assert chosen(not_to_send) is None
    assert chosen(not_to_send, unit("free")) == "free"


def test_a_position_that_is_just_fresh_counts() -> None:
    assert chosen(unit("just", reported_at=NOW - AGE_MAX)) == "just"


def test_a_unit_of_those_who_answer_goes_before_a_nearer_one_of_others() -> None:
    own, nearer = unit("own", 0.01), unit("nearer", 0.001, department="roads")
    assert chosen(nearer, own) == "own"
    assert chosen(nearer, own, departments=("roads", "police")) == "nearer"
    assert chosen(nearer) == "nearer"


def test_of_units_equally_near_the_lowest_code_goes() -> None:
    assert chosen(unit("b"), unit("a"), unit("c")) == "a"


def test_a_mission_ends_only_when_the_report_names_it() -> None:
    on_mission = unit("u", mission=CASE)
    report = unit("u", 0.002)
    assert after_report(on_mission, report, None).mission == CASE
    assert after_report(on_mission, report, OTHER).mission == CASE
    assert after_report(on_mission, report, CASE).free
    assert after_report(None, report, None) == report
    assert after_report(on_mission, report, None).longitude == report.longitude


POSITIONS = st.tuples(st.floats(-180, 180), st.floats(-90, 90))
UNITS = st.builds(
    Unit,
    department=st.sampled_from(["police", "roads"]),
    unit=st.text("abc", min_size=1, max_size=3),
    kind=st.sampled_from(["car", "rider"]),
    longitude=st.floats(-180, 180),
    latitude=st.floats(-90, 90),
    status=st.sampled_from(Status),
    reported_at=st.integers(-60, 1200).map(lambda seconds: NOW - timedelta(seconds=seconds)),
    mission=st.sampled_from([None, None, CASE]),
)


@given(
    st.lists(UNITS, max_size=8, unique_by=lambda each: (each.department, each.unit)), POSITIONS, st.randoms()
)
def test_law_nobody_nearer_who_may_be_sent_is_passed_over_in_whatever_order_they_come(
    units: list[Unit], place: tuple[float, float], random: object
) -> None:
    choice = nearest_free(units, "car", place, NOW, AGE_MAX, {"police"})
    assert choice == nearest_free(units[::-1], "car", place, NOW, AGE_MAX, {"police"})
    may_go = [u for u in units if u.free and u.kind == "car" and NOW - u.reported_at <= AGE_MAX]
    assert (choice is None) == (not may_go)
    if choice is None:
        return
    assert choice.considered == len(may_go)
    own = [u for u in may_go if u.department == "police"] or may_go
    nearest = min(metres_between(place, (u.longitude, u.latitude)) for u in own)
    assert choice.distance_metres == round(nearest, 1)
    assert choice.department in {u.department for u in own}


def test_an_exercise_does_not_make_positions_stale_faster() -> None:
    assert position_age_max(rule_book(), NOW) == position_age_max(rule_book(time_lapse=600), NOW) == AGE_MAX
