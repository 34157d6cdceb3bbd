"""The grid tree: which grid, community and street a point lies in, by named rules and never by a guess.

Grids are polygons in degrees of WGS84, in the rule book's document.  Ground that crosses the 180th meridian is cut
there, as GeoJSON asks for; a point is not looked for across it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import cos, inf, isfinite, radians, sin, sqrt
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon, STRtree
from shapely.geometry.base import BaseGeometry

Ring = Sequence[Sequence[float]]
"""Points as longitude and latitude; the last is the first again."""
Polygons = Sequence[Sequence[Ring]]
"""Each polygon is its outer ring, then its holes."""
By = Literal["inside", "border", "nearest", "outside"]

SLIVER_SQUARE_METRES_MAX: Final = 10.0
"""Neighbours drawn by hand overlap by slivers; what is larger is ground that two grids claim."""
NEAREST_METRES_STEP: Final = 0.001
"""Distances closer to one another than this are the same: floating point must not choose between grids."""
RING_POINTS_MIN: Final = 4
LONGITUDE_DEGREES_MAX: Final = 180.0
LATITUDE_DEGREES_MAX: Final = 90.0

_EQUATOR_METRES: Final = 6_378_137.0  # WGS84: the ellipsoid's long half-axis
_ECCENTRICITY_SQUARED: Final = 6.694_379_990_14e-3


class Located(Protocol):
    """What the tree must know of a grid."""

    @property
    def code(self) -> str: ...
    @property
    def community(self) -> str: ...
    @property
    def polygons(self) -> Polygons: ...


class Location(NamedTuple):
    """Where a point is, and the rule that said so; the codes are None outside of the city."""

    grid: str | None
    community: str | None
    street: str | None
    by: By


OUTSIDE: Final = Location(None, None, None, "outside")


class Overlap(NamedTuple):
    """Ground that two grids claim."""

    grid: str
    other: str
    square_metres: float


class GridTree:
    """The grids of a city, to be asked where a point lies.

    Raises ValueError, which names the grid, for a shape that is none, a code that stands twice and a community
    without a street.
    """

    def __init__(
        self, grids: Iterable[Located], streets: Mapping[str, str], *, outside_metres_max: float
    ) -> None:
        """*streets* gives the street of each community; a point farther from every grid is outside."""
        ordered = sorted(grids, key=lambda grid: grid.code)  # the first of several has the lowest code
        for grid, following in pairwise(ordered):
            if grid.code == following.code:
                raise ValueError(f"grid {grid.code} stands twice")
        self._outside_metres_max = outside_metres_max
        self._places = [_place(grid, streets) for grid in ordered]
        shapes = [shape(grid.code, grid.polygons) for grid in ordered]
        shapely.prepare(shapes)
        self._shapes: Any = np.array(shapes, dtype=object)  # to pick several at once
        self._tree = STRtree(shapes)

    def locate(self, longitude: float, latitude: float) -> Location:
        """Where the point is, by the first rule that fits.

        Strictly inside one grid; on a border or in several: that of the lowest code; outside of all: the nearest that
        is near enough; else outside.  Raises ValueError for what are no degrees.
        """
        _check_degrees(longitude, latitude)
        boxes = self._tree.query(shapely.points(longitude, latitude))
        hits = boxes[shapely.intersects_xy(self._shapes[boxes], longitude, latitude)]
        if hits.size == 0:
            return self._nearest(longitude, latitude)
        first = int(hits.min())
        if hits.size == 1 and shapely.contains_xy(self._shapes[first], longitude, latitude):
            return self._places[first]
        return self._places[first]._replace(by="border")

    def overlaps(self) -> tuple[Overlap, ...]:
        """The pairs of grids that claim the same ground, by more than a sliver, in order of their codes."""
        found = [
            Overlap(str(self._places[one].grid), str(self._places[other].grid), square_metres)
            for one, other in zip(*self._tree.query(self._shapes, predicate="intersects"), strict=True)
            if one < other
            and (square_metres := _area(shapely.intersection(self._shapes[one], self._shapes[other])))
            > SLIVER_SQUARE_METRES_MAX
        ]
        return tuple(sorted(found))

    def _nearest(self, longitude: float, latitude: float) -> Location:
        scale = _metres_per_degree(latitude)
        here = np.array([longitude, latitude])
        reach = self._outside_metres_max / scale
        near = self._tree.query(shapely.box(*(here - reach), *(here + reach)))
        origin = shapely.points(0, 0)
        away = {int(i): shapely.distance(_projected(self._shapes[i], here, scale), origin) for i in near}
        least = min(away.values(), default=inf)
        if least > self._outside_metres_max:
            return OUTSIDE
        nearest = min(index for index, metres in away.items() if metres - least < NEAREST_METRES_STEP)
        return self._places[nearest]._replace(by="nearest")


def shape(code: str, polygons: Polygons) -> BaseGeometry:
    """The shape that the coordinates draw.  Raises ValueError, which names the grid, when they draw none."""
    if not polygons or not all(polygons):
        raise ValueError(f"grid {code} has no shape")
    problems = (problem for polygon in polygons for ring in polygon for problem in _ring_problems(ring))
    if problem := next(problems, None):
        raise ValueError(f"grid {code}: {problem}")
    drawn = [Polygon(polygon[0], polygon[1:]) for polygon in polygons]
    whole = drawn[0] if len(drawn) == 1 else MultiPolygon(drawn)
    if not whole.is_valid:
        raise ValueError(f"grid {code} is no area: {shapely.is_valid_reason(whole)}")
    return whole


def _ring_problems(ring: Ring) -> Iterator[str]:
    if len(ring) < RING_POINTS_MIN:
        yield f"a ring needs {RING_POINTS_MIN} points, the last being the first again; this one has {len(ring)}"
    for point in ring:
        try:
            _check_degrees(*point)
        except (TypeError, ValueError) as error:
            yield f"{point!r} is no point: {error}"
    if ring and tuple(ring[0]) != tuple(ring[-1]):
        yield f"a ring is not closed: it begins at {ring[0]!r} and ends at {ring[-1]!r}"


def _check_degrees(longitude: float, latitude: float) -> None:
    for name, value, most in (
        ("longitude", longitude, LONGITUDE_DEGREES_MAX),
        ("latitude", latitude, LATITUDE_DEGREES_MAX),
    ):
        if not isfinite(value) or abs(value) > most:
            raise ValueError(f"{name} {value} is not within {-most:g} and {most:g} degrees")


def _place(grid: Located, streets: Mapping[str, str]) -> Location:
    if grid.community not in streets:
        raise ValueError(f"grid {grid.code} lies in an unknown community: {grid.community}")
    return Location(grid.code, grid.community, streets[grid.community], "inside")


def _metres_per_degree(latitude: float) -> Any:
    """How long a degree of longitude and one of latitude are there, on the ellipsoid of WGS84."""
    turn = radians(latitude)
    bulge = 1 - _ECCENTRICITY_SQUARED * sin(turn) ** 2
    across = _EQUATOR_METRES / sqrt(bulge)
    along = _EQUATOR_METRES * (1 - _ECCENTRICITY_SQUARED) / bulge**1.5
    return np.array([across * cos(turn), along]) * radians(1)


def _projected(whole: BaseGeometry, origin: Any, scale: Any) -> BaseGeometry:
    """The shape in metres east and north of a point: true to millimetres in its neighbourhood, where it is used."""
    return shapely.transform(whole, lambda points: (points - origin) * scale)


def _area(whole: BaseGeometry) -> float:
    """Square metres."""
    if whole.is_empty:
        return 0.0
    centre = whole.centroid
    return float(_projected(whole, np.array([centre.x, centre.y]), _metres_per_degree(centre.y)).area)
