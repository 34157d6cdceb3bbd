"""Where a patrol must pass: points inside the grid, others on each day, the same whenever they are asked for.  Pure."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from libs.events.contracts.patrol import PatrolPoint
from libs.events.distance import metres_between
from libs.events.grid import Polygons, shape

DECIMALS: Final = 6
"""Of a degree: a decimetre, finer than a phone knows its place."""
DRAWS_MAX: Final = 10_000
"""A shape that fills less of its box than one in so many has one point in its middle."""
CANDIDATES: Final = 8
"""Of so many the one farthest from the others is taken, so that the points cover the grid."""

_Position = tuple[float, float]


def points_of(grid: str, polygons: Polygons, day: str, count: int) -> tuple[PatrolPoint, ...]:
    """*count* points inside the grid on *day*, numbered; fewer when no more fit into it."""
    whole = shape(grid, polygons)
    inside = _inside(whole, grid, day)
    chosen: list[_Position] = []
    for _ in range(count):
        candidates = list(islice(inside, CANDIDATES))
        if not candidates:
            break
        chosen.append(max(candidates, key=lambda each: _away(each, chosen)))
    if not chosen:
        middle = whole.representative_point()
        chosen.append((middle.x, middle.y))
    return tuple(
        PatrolPoint(code=f"{grid}/{number}", longitude=longitude, latitude=latitude)
        for number, (longitude, latitude) in enumerate(chosen, 1)
    )


def _inside(whole: BaseGeometry, grid: str, day: str) -> Iterator[_Position]:
    """Positions inside, as the name of grid and day scatters them: no clock and no random generator decides."""
    west, south, east, north = whole.bounds
    shapely.prepare(whole)
    for draw in range(DRAWS_MAX):
        across, along = _scattered(f"{grid}/{day}/{draw}")
        longitude = round(west + (east - west) * across, DECIMALS)
        latitude = round(south + (north - south) * along, DECIMALS)
        if shapely.contains_xy(whole, longitude, latitude):
            yield longitude, latitude


def _scattered(name: str) -> _Position:
    """Two numbers from 0 to 1 that follow from *name* alone."""
    digest = blake2b(name.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8]) / 2**64, int.from_bytes(digest[8:]) / 2**64


def _away(position: _Position, others: Sequence[_Position]) -> float:
    return min((metres_between(position, other) for other in others), default=0.0)
