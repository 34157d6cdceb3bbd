"""The grid tree: each point falls under exactly one named rule; distances are metres; broken shapes are named."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.grid import OUTSIDE, GridTree, Location, Ring, shape

STREETS = {"liuyuan": "hebin", "zhonglou": "gulou"}
STEP = (
    1 / 1024
)  # of a degree, some 100 m; a power of two, so that tests and tree mean exactly the same points
METRES_MAX = 50.0
GROWTH_MAX = 20
"""Times as long, a hundred times as many grids may take; asking each of them would take a hundred."""

Closed = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Ground:
    code: str
    community: str
    polygons: tuple[tuple[Closed, ...], ...]


def ring(west: float, south: float, east: float, north: float) -> Closed:
    return ((west, south), (east, south), (east, north), (west, north), (west, south))


def square(code: str, x: float, y: float, size: float = 1, community: str = "liuyuan") -> Ground:
    """So many steps east and north of the point 0, 0."""
    return Ground(code, community, ((ring(x * STEP, y * STEP, (x + size) * STEP, (y + size) * STEP),),))


def tree(*grids: Ground, metres: float = METRES_MAX) -> GridTree:
    return GridTree(grids, STREETS, outside_metres_max=metres)


def at(grids: GridTree, x: float, y: float) -> Location:
    return grids.locate(x * STEP, y * STEP)


CITY = tree(
    square("b", 0, 0),
    square("a", 1, 0, community="zhonglou"),
    square("d", 0, 1),
    square("c", 1, 1),
    square("e", 8, 8),
)


def test_a_point_strictly_inside_one_grid_is_in_it() -> None:
    assert at(CITY, 0.5, 0.5) == Location("b", "liuyuan", "hebin", "inside")
    assert at(CITY, 1.5, 0.5) == Location("a", "zhonglou", "gulou", "inside")


@pytest.mark.parametrize(
    ("x", "y", "code"),
    [(1, 0.5, "a"), (0.5, 1, "b"), (1, 1, "a"), (0, 0.5, "b"), (2, 2, "c"), (0, 2, "d")],
    ids=["shared side", "another", "where four meet", "outer side", "outer corner", "another corner"],
)
def test_a_point_on_a_border_is_in_the_grid_of_the_lowest_code(x: float, y: float, code: str) -> None:
    found = at(CITY, x, y)
    assert (found.grid, found.by) == (code, "border")


def test_a_point_in_several_grids_is_in_that_of_the_lowest_code() -> None:
    over = tree(square("b", 0, 0, 2), square("a", 1, 1, 2), square("c", 0, 0, 3))
    assert at(over, 1.5, 1.5) == Location("a", "liuyuan", "hebin", "border")
    assert at(over, 0.5, 0.5) == Location("b", "liuyuan", "hebin", "border")


def test_a_point_near_the_city_is_in_the_nearest_grid() -> None:
    assert at(CITY, -0.1, 0.5) == Location("b", "liuyuan", "hebin", "nearest")
    assert at(CITY, 2.1, 0.5) == Location("a", "zhonglou", "gulou", "nearest")


def test_of_grids_that_are_as_near_the_lowest_code_counts() -> None:
    assert at(CITY, 1, -0.1) == Location("a", "zhonglou", "gulou", "nearest")
    assert at(CITY, 1, 2.1) == Location("c", "liuyuan", "hebin", "nearest")


@pytest.mark.parametrize(("towards_b_metres", "code"), [(0.002, "b"), (-0.002, "a"), (0.0002, "a")])
def test_two_millimetres_make_the_nearer_grid_less_do_not(towards_b_metres: float, code: str) -> None:
    between = tree(square("a", 0, 0), square("b", 1.5, 0))
    found = at(between, 1.25 + towards_b_metres / 111_320 / STEP, 0.5)
    assert (found.grid, found.by) == (code, "nearest")


def test_a_point_far_from_every_grid_is_outside() -> None:
    assert at(CITY, 5, 5) == OUTSIDE == Location(None, None, None, "outside")
    assert tree().locate(0, 0) == OUTSIDE


def test_a_hole_is_outside_of_its_grid() -> None:
    holed = tree(Ground("a", "liuyuan", ((ring(0, 0, 1, 1), ring(0.4, 0.4, 0.6, 0.6)),)))
    assert holed.locate(0.5, 0.5) == OUTSIDE
    assert holed.locate(0.4, 0.5).by == "border"
    assert holed.locate(0.4001, 0.5).by == "nearest"
    assert holed.locate(0.3, 0.5).by == "inside"


def test_a_grid_may_have_several_parts() -> None:
    parts = tree(Ground("a", "liuyuan", ((ring(0, 0, 1, 1),), (ring(2, 0, 3, 1),))))
    assert [parts.locate(x, 0.5).by for x in (0.5, 1.5, 2.5)] == ["inside", "outside", "inside"]


@pytest.mark.parametrize(
    ("latitude", "east_metres", "north_metres"),
    [
        (0, 111_320, 110_574),
        (30, 96_486, 110_852),
        (45, 78_847, 111_132),
        (60, 55_800, 111_412),
        (75, 28_902, 111_618),
    ],
)
@pytest.mark.parametrize("share", [0.998, 1.002])
def test_distances_are_metres_on_the_ellipsoid(
    latitude: float, east_metres: float, north_metres: float, share: float
) -> None:
    """The lengths of a degree are those that the tables of WGS84 print."""
    side = tree(Ground("a", "liuyuan", ((ring(10, latitude - 0.1, 10.1, latitude + 0.1),),)))
    top = tree(Ground("a", "liuyuan", ((ring(10, latitude - 0.1, 10.1, latitude),),)))
    by = "nearest" if share < 1 else "outside"
    assert side.locate(10.1 + share * METRES_MAX / east_metres, latitude).by == by
    assert top.locate(10.05, latitude + share * METRES_MAX / north_metres).by == by


def test_a_corner_is_as_far_as_the_straight_line() -> None:
    away = METRES_MAX / 111_000
    assert tree(square("a", 0, 0)).locate(-0.7 * away, -0.7 * away).by == "nearest"
    assert tree(square("a", 0, 0)).locate(-0.75 * away, -0.75 * away).by == "outside"


EIGHTHS = st.integers(-16, 48).map(lambda eighths: eighths / 8)
SQUARES = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 2))
)


@given(SQUARES, EIGHTHS, EIGHTHS)
def test_every_point_falls_under_the_rule_that_plain_arithmetic_gives(
    squares: dict[str, tuple[int, int, int]], x: float, y: float
) -> None:
    grids = tree(*(square(code, *where) for code, where in squares.items()))
    inside = [c for c, (w, s, size) in squares.items() if w < x < w + size and s < y < s + size]
    touched = [c for c, (w, s, size) in squares.items() if w <= x <= w + size and s <= y <= s + size]
    found = at(grids, x, y)
    if touched:
        assert (found.grid, found.by) == (
            min(touched),
            "inside" if inside == touched[:1] == touched else "border",
        )
        return
    away = {
        code: math.hypot(max(w - x, 0, x - w - size) * 111_320, max(s - y, 0, y - s - size) * 110_574) * STEP
        for code, (w, s, size) in squares.items()
    }
    near = {
        code for code, metres in away.items() if metres <= METRES_MAX
    }  # no eighth of a step lies near the bound
    if near:
        nearest = min(near, key=lambda code: (round(away[code], 2), code))
        assert (found.grid, found.by) == (nearest, "nearest")
    else:
        assert found == OUTSIDE


@given(SQUARES, EIGHTHS, EIGHTHS, st.randoms())
def test_the_order_of_the_grids_decides_nothing(
    squares: dict[str, tuple[int, int, int]], x: float, y: float, random: Random
) -> None:
    grids = [square(code, *where) for code, where in squares.items()]
    shuffled = random.sample(grids, len(grids))
    assert at(tree(*grids), x, y) == at(tree(*shuffled), x, y)
    assert tree(*grids).overlaps() == tree(*shuffled).overlaps()


def test_grids_that_only_share_a_border_do_not_overlap() -> None:
    assert CITY.overlaps() == ()


def test_overlapping_grids_are_named_with_the_ground_that_both_claim() -> None:
    (only,) = tree(square("b", 0, 0, 2), square("a", 1, 1, 2), square("c", 8, 8)).overlaps()
    assert (only.grid, only.other) == ("a", "b")
    assert only.square_metres == pytest.approx(111_320 * STEP * 110_574 * STEP, rel=1e-4)


@pytest.mark.parametrize(("metres", "found"), [(0.08, 0), (0.1, 1)], ids=["a sliver", "more than a sliver"])
def test_a_sliver_is_no_overlap(metres: float, found: int) -> None:
    """A side of 108 m: 0.08 m of it are 8.6 square metres, 0.1 m are 10.8."""
    over = tree(square("a", 0, 0), square("b", 1 - metres / 111_320 / STEP, 0))
    assert len(over.overlaps()) == found


LINE = ((0.0, 0.0), (1.0, 0.0), (0.0, 0.0))
BOW_TIE = ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))
FLAT = ((0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (0.0, 0.0))
OPEN = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
NAN = ((0.0, 0.0), (math.nan, 0.0), (1.0, 1.0), (0.0, 0.0))


@pytest.mark.parametrize(
    ("polygons", "reason"),
    [
        ((), "has no shape"),
        (((),), "has no shape"),
        (((LINE,),), "needs 4 points.* has 3"),
        (((BOW_TIE,),), "is no area: Self-intersection"),
        (((FLAT,),), "is no area"),
        (((OPEN,),), r"not closed: it begins at \(0.0, 0.0\) and ends at \(0.0, 1.0\)"),
        (((NAN,),), "longitude nan is not within -180 and 180"),
        (((ring(179, 0, 181, 1),),), "longitude 181 is not within -180 and 180"),
        (((ring(0, 89, 1, 91),),), "latitude 91 is not within -90 and 90"),
        (((((0.0, 0.0, 5.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)),),), "is no point"),
        (((ring(0, 0, 1, 1), ring(2, 2, 3, 3)),), "is no area: Hole lies outside shell"),
        (((ring(0, 0, 2, 2),), (ring(1, 1, 3, 3),)), "is no area: Self-intersection"),
    ],
)
def test_a_broken_shape_is_refused_with_the_grid_and_the_reason(
    polygons: tuple[tuple[Ring, ...], ...], reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^grid liuyuan-07.*{reason}"):
        shape("liuyuan-07", polygons)


def test_a_broken_shape_a_doubled_code_and_an_unknown_community_make_no_tree() -> None:
    for grids, reason in (
        ([Ground("x", "liuyuan", ((BOW_TIE,),))], "grid x is no area"),
        ([square("x", 0, 0), square("x", 1, 1)], "grid x stands twice"),
        ([square("x", 0, 0, community="moon")], "grid x lies in an unknown community: moon"),
    ):
        with pytest.raises(ValueError, match=reason):
            tree(*grids)


@pytest.mark.parametrize(("longitude", "latitude"), [(181, 0), (0, -91), (math.nan, 0), (0, math.inf)])
def test_what_are_no_degrees_is_refused(longitude: float, latitude: float) -> None:
    with pytest.raises(ValueError, match="is not within"):
        CITY.locate(longitude, latitude)


def test_the_poles_are_places_too() -> None:
    cap = tree(Ground("a", "liuyuan", ((ring(-180, 89.99, 180, 89.9999),),)))
    assert cap.locate(0, 90).by == "nearest"
    assert cap.locate(77, -90) == OUTSIDE


def seconds_each(ask: Callable[[float, float], object], points: list[tuple[float, float]]) -> float:
    begin = time.process_time()
    for longitude, latitude in points:
        ask(longitude, latitude)
    return (time.process_time() - begin) / len(points)


@pytest.mark.parametrize("share", [0.5, 1, 1.3], ids=["inside", "on a border", "between"])
def test_a_city_of_1_200_grids_is_not_searched_through(share: float) -> None:
    def seconds(columns: int, rows: int) -> float:
        places = list(product(range(columns), range(rows)))
        grids = tree(*(square(f"{x:02}-{y:02}", 2 * x, 2 * y) for x, y in places))
        points = [((2 * x + share) * STEP, (2 * y + share) * STEP) for x, y in places]
        return seconds_each(grids.locate, points * (1_200 // len(places)))

    assert seconds(40, 30) < GROWTH_MAX * seconds(4, 3)
