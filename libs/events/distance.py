"""How far two points lie apart.  Pure."""

from math import asin, cos, radians, sin, sqrt
from typing import Final

EARTH_RADIUS_METRES: Final = 6_371_008.8  # the mean radius of WGS84


def metres_between(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The great-circle distance of two points (longitude, latitude in degrees), by the haversine formula."""
    (east, north), (east_other, north_other) = one, other
    across = sin(radians(east_other - east) / 2)
    along = sin(radians(north_other - north) / 2)
    chord = along**2 + cos(radians(north)) * cos(radians(north_other)) * across**2
    return 2 * EARTH_RADIUS_METRES * asin(sqrt(min(chord, 1.0)))
