"""Hot spots: what is one, what colour it has, and what must not change it."""

import random
from datetime import UTC, datetime, timedelta
from itertools import combinations
from math import cos, radians, sin
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.distance import metres_between
from libs.events.policy import Alerts
from services.evaluation.alerts import (
    METRES_PER_DEGREE,
    Alert,
    Colour,
    Settings,
    Sighting,
    find_alerts,
    settings_of,
)

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)
CENTRE = (114.05, 30.6)
SETTINGS = Settings(
    metres=100,
    window=timedelta(hours=24),
    baseline=timedelta(days=30),
    colours=(
        Colour("green", 3, 2),
        Colour("blue", 4, 3),
        Colour("yellow", 5, 4),
        Colour("orange", 8, 6),
        Colour("red", 12, 10),
    ),
)
SPEED_SECONDS_MAX = 60.0


def place(east: float, north: float) -> tuple[float, float]:
    """Metres from the centre as degrees."""
    longitude, latitude = CENTRE
    return (
        longitude + east / (METRES_PER_DEGREE * cos(radians(latitude))),
        latitude + north / METRES_PER_DEGREE,
    )


def sighting(
    name: object, east: float = 0, north: float = 0, *, category: str = "litter", hours: float = 1
) -> Sighting:
    return Sighting(f"case{name}", category, *place(east, north), NOON - timedelta(hours=hours))


def some(count: int, east: float = 0, **fields: Any) -> list[Sighting]:
    return [
        sighting(f"{east}-{fields.get('hours', 1)}-{n}", east + n % 5 * 10, **fields) for n in range(count)
    ]


def found(*sightings: Sighting) -> list[Alert]:
    return find_alerts(sightings, SETTINGS, NOON)


def test_many_near_one_another_are_a_hot_spot_with_its_cases() -> None:
    cases = [sighting(1, 0, hours=3), sighting(2, 80, hours=2), sighting(3, 160, hours=1)]
    (alert,) = found(*cases)
    assert metres_between((alert.longitude, alert.latitude), place(80, 0)) < 0.2
    assert (alert.colour, alert.category, alert.radius_metres) == ("green", "litter", 100)
    assert (alert.count, alert.usual, alert.ratio) == (3, 0.0, 90.0)
    assert alert.since == NOON - timedelta(hours=3)
    assert alert.case_ids == ("case1", "case2", "case3")


@pytest.mark.parametrize(
    ("cases", "why"),
    [
        (some(2), "too few"),
        ([*some(2), *some(1, category="noise", hours=2)], "of two categories"),
        ([*some(2), *some(1, 300)], "too far apart"),
        ([*some(2), *some(1, hours=25)], "one before the window"),
        ([*some(2), *some(1, hours=24)], "one at the very end of the day before"),
        ([*some(2), *some(1, hours=-1)], "one after its end"),
        ([*some(2), some(2)[0]], "one of them twice"),
    ],
)
def test_no_hot_spot(cases: list[Sighting], why: str) -> None:
    assert found(*cases) == [], why


@pytest.mark.parametrize(
    ("count", "before", "colour", "ratio"),
    [
        (3, 30, "green", 3.0),  # usual: 1 a day
        (3, 45, "green", 2.0),
        (3, 46, None, None),
        (4, 40, "blue", 3.0),
        (5, 37, "yellow", 4.05),
        (8, 40, "orange", 6.0),
        (12, 36, "red", 10.0),
        (12, 37, "orange", 9.73),  # the ratio of red is missed
        (11, 1, "orange", 330.0),  # the count of red is missed
        (12, 0, "red", 360.0),
    ],
)
def test_the_highest_colour_whose_count_and_ratio_are_met(
    count: int, before: int, colour: str | None, ratio: float | None
) -> None:
    past = [sighting(f"p{n}", n % 50, hours=30 + n) for n in range(before)]
    alerts = found(*some(count), *past)
    assert [(alert.colour, alert.ratio) for alert in alerts] == ([] if colour is None else [(colour, ratio)])


def test_what_is_usual_elsewhere_or_of_another_category_is_not_usual_here() -> None:
    past = [sighting(f"p{n}", 500, hours=30 + n) for n in range(90)]
    other = [sighting(f"o{n}", category="noise", hours=30 + n) for n in range(90)]
    old = [sighting(f"q{n}", hours=24 * 31 + 1 + n) for n in range(90)]
    (alert,) = found(*some(3), *past, *other, *old)
    assert alert.usual == 0.0


def test_cases_that_follow_one_another_closely_are_one_cluster() -> None:
    street = [sighting(n, 90 * n) for n in range(12)]
    (alert,) = found(*street)
    assert (alert.count, alert.radius_metres) == (12, 495)


def test_a_city_that_began_yesterday_has_no_usual_number() -> None:
    def since(hours: float) -> list[float]:
        known_from = NOON - timedelta(hours=hours)
        past = [sighting("p", hours=30)]
        return [alert.ratio for alert in find_alerts([*some(3), *past], SETTINGS, NOON, known_from)]

    assert since(24) == []
    assert since(24 + 48) == [6.0]  # one in two days
    assert since(24 * 400) == [90.0]


def test_the_highest_comes_first() -> None:
    alerts = found(*some(3, 900), *some(12, category="noise"), *some(5, 5000), *some(4, 2000))
    assert [alert.colour for alert in alerts] == ["red", "yellow", "blue", "green"]


spots = st.lists(
    st.tuples(
        st.integers(-400, 400),
        st.integers(-400, 400),
        st.sampled_from(["litter", "noise"]),
        st.integers(0, 90),
    ),
    max_size=40,
)


def town(cases: list[tuple[int, int, str, int]]) -> list[Sighting]:
    return [
        sighting(n, east, north, category=category, hours=hours)
        for n, (east, north, category, hours) in enumerate(cases)
    ]


@given(spots, st.randoms())
def test_the_order_of_the_cases_changes_nothing(cases: list[tuple[int, int, str, int]], shuffle: Any) -> None:
    sightings = town(cases)
    first = found(*sightings)
    shuffle.shuffle(sightings)
    assert found(*sightings) == first


@given(spots, st.floats(-180, 180), st.floats(-89, 20))
def test_a_case_far_away_changes_nothing(
    cases: list[tuple[int, int, str, int]], longitude: float, latitude: float
) -> None:
    far = Sighting("far", "litter", longitude, latitude, NOON)
    assert found(*town(cases), far) == found(*town(cases))


@given(spots, st.sampled_from([(0.0, 0.0), (-71.06, 42.36), (114.05, 30.6), (0.0, -0.0001), (25.5, 65.0)]))
def test_the_clusters_are_those_of_comparing_every_pair(
    cases: list[tuple[int, int, str, int]], centre: tuple[float, float]
) -> None:
    longitude, latitude = centre
    sightings = [
        Sighting(
            f"{n}",
            "litter",
            longitude + east / (METRES_PER_DEGREE * cos(radians(latitude))),
            latitude + north / METRES_PER_DEGREE,
            NOON,
        )
        for n, (east, north, _, _) in enumerate(cases)
    ]
    every = Settings(100, timedelta(hours=1), timedelta(days=1), (Colour("blue", 1, 0.0),))
    alerts = find_alerts(sightings, every, NOON)
    assert {frozenset(alert.case_ids) for alert in alerts} == plainly_clustered(sightings, every.metres)


def plainly_clustered(sightings: list[Sighting], metres: float) -> set[frozenset[str]]:
    groups = [{each.case_id} for each in sightings]
    for one, other in combinations(sightings, 2):
        if metres_between((one.longitude, one.latitude), (other.longitude, other.latitude)) <= metres:
            touched = [group for group in groups if {one.case_id, other.case_id} & group]
            groups = [group for group in groups if group not in touched] + [set[str]().union(*touched)]
    return {frozenset(group) for group in groups}


@pytest.mark.parametrize("latitude", [-65.0, -0.0005, 0.0, 30.6, 42.36, 65.0])
@pytest.mark.parametrize(("metres", "together"), [(99.5, True), (100.5, False)])
def test_nearness_is_measured_in_every_direction(latitude: float, metres: float, together: bool) -> None:
    every = Settings(100, timedelta(hours=1), timedelta(days=1), (Colour("blue", 2, 0.0),))
    stretch = METRES_PER_DEGREE * cos(radians(latitude))
    for bearing in range(0, 360, 15):
        for shift in range(0, 120, 20):  # so that cells are cut at other places
            east, north = 10 + shift / stretch, latitude + shift / METRES_PER_DEGREE
            far = (
                east + metres * sin(radians(bearing)) / stretch,
                north + metres * cos(radians(bearing)) / METRES_PER_DEGREE,
            )
            pair = [Sighting("a", "litter", east, north, NOON), Sighting("b", "litter", *far, NOON)]
            assert bool(find_alerts(pair, every, NOON)) is together, (bearing, shift)


@pytest.mark.parametrize(
    ("window", "lapse", "hours"),
    [("1 natural day", 1, 24), ("90 minutes", 1, 1.5), ("2 working days", 24, 2)],
)
def test_the_rule_book_s_settings(window: str, lapse: int, hours: float) -> None:
    colours = [{"colour": f"c{n}", "at_least": n, "ratio": n} for n in range(1, 6)]
    alerts = {"metres": 300, "window": window, "baseline_days": 28, "colours": colours}
    settings = settings_of(Alerts.model_validate(alerts), lapse)
    assert (settings.metres, settings.window) == (300, timedelta(hours=hours))
    assert settings.baseline == timedelta(days=28) / lapse
    assert settings.colours[-1] == Colour("c5", 5, 5)


def test_every_case_more_at_the_spot_raises_the_ratio() -> None:
    past = some(10, hours=40)
    ratios = [found(*some(count), *past)[0].ratio for count in range(3, 12)]
    assert ratios == sorted(ratios)


def test_sixty_thousand_cases_take_seconds_at_most() -> None:
    """A guard against comparing every pair: that would take minutes."""
    chance = random.Random(1)
    cases = [
        Sighting(
            f"{n}",
            f"{chance.randrange(20)}",
            *place(chance.uniform(-9000, 9000), chance.uniform(-9000, 9000)),
            NOON - timedelta(hours=chance.uniform(0, 24 * 31)),
        )
        for n in range(60_000)
    ]
    storm = [sighting(f"s{n}", chance.uniform(-300, 300), chance.uniform(-300, 300)) for n in range(5_000)]
    began = process_time()
    alerts = found(*cases, *storm)
    assert process_time() - began < SPEED_SECONDS_MAX
    assert alerts[0].count == 5_000
