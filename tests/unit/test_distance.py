"""Distances: those of the globe, and laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.distance import EARTH_RADIUS_METRES, metres_between

POSITIONS = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        ((0.0, 0.0), (0.0, 0.0), 0.0),
        ((0.0, 0.0), (1.0, 0.0), 111_195.1),
        ((0.0, 0.0), (0.0, 1.0), 111_195.1),
        ((116.3975, 39.9087), (121.4737, 31.2304), 1_068_000),  # Beijing to Shanghai
        ((179.9, 0.0), (-179.9, 0.0), 22_239.0),  # across the 180th meridian
        ((0.0, 90.0), (77.0, -90.0), 20_015_114),  # from pole to pole
    ],
)
def test_distances_are_those_of_the_globe(
    one: tuple[float, float], other: tuple[float, float], metres: float
) -> None:
    assert metres_between(one, other) == pytest.approx(metres, rel=1e-3, abs=0.1)


def test_distances_are_nothing_and_a_degree() -> None:
    assert metres_between((118.7, 36.4), (118.7, 36.4)) == 0
    assert metres_between((0, 0), (0, 1)) == pytest.approx(111_195, abs=1)
    assert metres_between((0, 60), (1, 60)) == pytest.approx(111_195 / 2, rel=1e-3)


@given(POSITIONS, POSITIONS)
def test_law_a_distance_is_the_same_both_ways_and_not_round_the_globe(
    one: tuple[float, float], other: tuple[float, float]
) -> None:
    metres = metres_between(one, other)
    assert metres == pytest.approx(metres_between(other, one), abs=1e-3)
    assert 0 <= metres <= EARTH_RADIUS_METRES * 3.1416
