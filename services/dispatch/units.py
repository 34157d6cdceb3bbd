"""The fast lane's units: what they report, and which one is sent.  Pure.

A unit is a patrol car, a rider, a repair van.  It says where it is and whether it is free; when it is sent to a case
it has a mission, and is busy until the mission is over.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from libs.events.distance import metres_between

Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]


class Status(StrEnum):
    """What a unit says of itself."""

    FREE = "free"
    BUSY = "busy"


class Unit(BaseModel):
    """A unit as it was last heard of."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    department: str
    unit: str
    kind: str
    longitude: Longitude
    latitude: Latitude
    """WGS84 degrees."""
    status: Status
    reported_at: AwareDatetime
    mission: str | None = None
    """The case that it was sent to; None when it was sent to none."""

    @property
    def free(self) -> bool:
        """Whether it may be sent: it says so, and it has no mission."""
        return self.status is Status.FREE and self.mission is None


class Choice(NamedTuple):
    """The unit that is sent, and by what it was chosen."""

    unit: str
    department: str
    distance_metres: float
    position_age_seconds: float
    considered: int
    """How many free units of this kind, with a position that is fresh, were known."""


def after_report(known: Unit | None, report: Unit, over: str | None) -> Unit:
    """The unit after a report of its own.

    A mission ends only when the report names it as *over*: one that crossed the order on its way, and says `free`
    because it knows of none, must not have the unit sent twice.
    """
    mission = known.mission if known is not None else None
    return report.model_copy(update={"mission": None if mission == over else mission})


def nearest_free(
    units: Iterable[Unit],
    kind: str,
    place: tuple[float, float],
    now: datetime,
    age_max: timedelta,
    departments: Collection[str] = (),
) -> Choice | None:
    """The free unit of *kind* nearest to *place* (longitude, latitude) whose position is not older than *age_max*.

    One of *departments* comes first, those who answer for the case; where none of them has one, any department's.
    Of units equally near the one with the lowest code.  None when there is no such unit.
    """
    free = [each for each in units if each.free and each.kind == kind and now - each.reported_at <= age_max]
    own = [each for each in free if each.department in departments]
    ranked = [
        (metres_between(place, (each.longitude, each.latitude)), each.unit, each) for each in own or free
    ]
    if not ranked:
        return None
    _, _, best = min(ranked, key=lambda ranking: (ranking[0], ranking[1], ranking[2].department))
    return choice_of(best, place, now, len(free))


def choice_of(unit: Unit, place: tuple[float, float], now: datetime, considered: int) -> Choice:
    """What is recorded of sending *unit* to *place*."""
    return Choice(
        unit=unit.unit,
        department=unit.department,
        distance_metres=round(metres_between(place, (unit.longitude, unit.latitude)), 1),
        # The clocks of two replicas differ: nothing is younger than now.
        position_age_seconds=round(max((now - unit.reported_at).total_seconds(), 0.0), 1),
        considered=considered,
    )
