"""Facts about patrols, stated by dispatch.

A patrol order stands in the log beside the cases, under an id of its own.
"""

from typing import ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict

from libs.events.contracts.base import Event


class PatrolPoint(BaseModel):
    """A place that the patrol must pass.  WGS84 degrees."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    code: str
    longitude: float
    latitude: float


class PatrolOrdered(Event):
    """A grid worker was sent round a grid on one day."""

    TYPE: ClassVar[str] = "whistle.patrol.ordered.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    grid: str
    worker: str
    day: str
    """The day by the city's clocks: `2026-03-02`."""
    from_at: AwareDatetime
    until: AwareDatetime
    points: tuple[PatrolPoint, ...]


class CheckedIn(Event):
    """The grid worker was at a point, by place and time."""

    TYPE: ClassVar[str] = "whistle.patrol.checked-in.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    point: str
    longitude: float
    latitude: float
    distance_metres: float


class PatrolFound(Event):
    """The grid worker found something, which is a case now."""

    TYPE: ClassVar[str] = "whistle.patrol.found.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    case_id: str
    category: str


class PatrolEnded(Event):
    """The patrol is over: what it passed and what it did not."""

    TYPE: ClassVar[str] = "whistle.patrol.ended.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    passed: tuple[str, ...]
    missed: tuple[str, ...]
    by: str
    """`worker`, or `time` when the day's hours ended first."""
