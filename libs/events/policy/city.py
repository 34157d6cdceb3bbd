"""Where the rules hold: the city with its streets, communities and grids, and the departments in it."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from libs.events.calendar import known_zone
from libs.events.policy.base import Code, Name, Part


class Community(Part):
    """A community (社区)."""

    code: Code
    name: Name


class Street(Part):
    """A street (街道) with its communities (社区)."""

    code: Code
    name: Name
    communities: tuple[Community, ...]


class Locating(Part):
    """What holds of a point on a border, and of one outside every grid."""

    border: Literal["lowest_code"] = "lowest_code"
    """Of several grids that of the lowest code."""
    outside: Literal["nearest"] = "nearest"
    """The nearest grid, when it is near enough."""
    outside_metres_max: float = Field(default=50, ge=0, allow_inf_nan=False)
    """What is farther from every grid is outside of the city."""


class City(Part):
    """Where the rules hold."""

    code: Code
    name: Name
    time_zone: Annotated[str, AfterValidator(known_zone)]
    time_lapse: int = Field(default=1, ge=1)
    """How many seconds of a time limit pass in one real second: 1 in a city, more in an exercise."""
    streets: tuple[Street, ...]
    locating: Locating = Locating()

    def street_of(self) -> dict[str, str]:
        """The street of each community, by their codes."""
        return {community.code: street.code for street in self.streets for community in street.communities}


Point = tuple[float, float]
"""Longitude and latitude, WGS84."""


class Grid(Part):
    """A grid (网格): the smallest area of responsibility."""

    code: Code
    name: Name
    community: str
    polygons: tuple[tuple[tuple[Point, ...], ...], ...]
    """Each polygon is its outer ring, then its holes; a ring ends where it begins."""

    @model_validator(mode="before")
    @classmethod
    def _from_geojson(cls, value: Any) -> Any:
        """A feature of a GeoJSON FeatureCollection is taken as well."""
        if not isinstance(value, dict) or value.get("type") != "Feature":
            return value
        properties, geometry = dict(value.get("properties") or {}), dict(value.get("geometry") or {})
        drawn = geometry.get("coordinates")
        polygons: Any
        match geometry.get("type"):
            case "Polygon":
                polygons = [drawn]
            case "MultiPolygon":
                polygons = drawn
            case other:
                raise ValueError(f"geometry: a grid is a Polygon or a MultiPolygon, not {other}")
        name = {"zh": properties.pop("name_zh", None), "en": properties.pop("name_en", None)}
        return {**properties, "name": name, "polygons": polygons}


class Department(Part):
    """Who handles (职能部门).  Codes are never reused."""

    code: Code
    name: Name
    liaisons: dict[str, Code] = Field(default_factory=dict)
    """The liaison officer (实名制专员) of each community: its code, and the officer's."""
    unit_kinds: tuple[Code, ...] = ()
    """The kinds of units that it sends out, such as patrol cars."""
