"""Hot spots (预警): many cases of one category, near one another, in a short time, far above what is usual there.

Cases of a category that lie within `metres` of one another, directly or from one to the next, are one cluster.  Its
circle (around the mean of its places, as wide as its farthest case, at least `metres`) is counted for the days
before: that, scaled to the window, is what is usual.  A place where nothing happened is treated as if one case had,
so that a ratio always exists; `at_least` keeps small numbers from being an alert.  Pure.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from math import cos, floor, radians, sqrt
from typing import Final, NamedTuple

from libs.events.calendar import Unit
from libs.events.distance import EARTH_RADIUS_METRES, metres_between
from libs.events.policy import Alerts

METRES_PER_DEGREE: Final = radians(EARTH_RADIUS_METRES)
COSINE_MIN: Final = 0.01
"""Cells are not made wider than at 89 degrees of latitude: there are no cities beyond."""
PLACE_DIGITS: Final = 6
"""Of a degree: a tenth of a metre."""
RATIO_DIGITS: Final = 2


class Sighting(NamedTuple):
    """One case, as far as hot spots go."""

    case_id: str
    category: str
    longitude: float
    latitude: float
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class Colour:
    """From how many cases, and how many times the usual number, an alert has this colour."""

    colour: str
    at_least: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Settings:
    """What counts as a hot spot."""

    metres: float
    window: timedelta
    baseline: timedelta
    """How long before the window is looked at for what is usual."""
    colours: tuple[Colour, ...]
    """From the lowest to the highest."""


_BY_THE_CLOCK: Final = {
    Unit.MINUTES: timedelta(minutes=1),
    Unit.URGENT_HOURS: timedelta(hours=1),
    Unit.WORKING_HOURS: timedelta(hours=1),
    Unit.WORKING_DAYS: timedelta(days=1),
    Unit.NATURAL_DAYS: timedelta(days=1),
}


def settings_of(alerts: Alerts, time_lapse: int = 1) -> Settings:
    """The rule book's settings; *time_lapse* shortens window and baseline as it does every limit.

    A window counts by the clock, whatever its unit: people report at any hour.
    """
    return Settings(
        metres=alerts.metres,
        window=alerts.window.amount * _BY_THE_CLOCK[alerts.window.unit] / time_lapse,
        baseline=timedelta(days=alerts.baseline_days) / time_lapse,
        colours=tuple(Colour(each.colour, each.at_least, each.ratio) for each in alerts.colours),
    )


@dataclass(frozen=True, slots=True)
class Alert:
    """One hot spot."""

    colour: str
    category: str
    longitude: float
    latitude: float
    radius_metres: int
    """Of the circle that holds all its cases, and in which the usual number was counted."""
    count: int
    usual: float
    """Cases that the circle had before in a time as long as the window, on average."""
    ratio: float
    since: datetime
    """When its first case was reported."""
    case_ids: tuple[str, ...]
    """Its cases, the earliest first."""


class _Circle(NamedTuple):
    longitude: float
    latitude: float
    metres: float


Cell = tuple[int, int]


def find_alerts(
    sightings: Collection[Sighting], settings: Settings, until: datetime, known_from: datetime | None = None
) -> list[Alert]:
    """The hot spots of the window that ends with *until*, the highest colour and then the highest ratio first.

    Where cases are known only from *known_from* on, the usual number is that of the days since; without any day
    before the window nothing is usual, and nothing is found.
    """
    since = until - settings.window
    start = since - settings.baseline
    begun = start if known_from is None else max(start, known_from)
    if begun >= since:
        return []
    fresh, before = _by_category(sightings, since, until), _by_category(sightings, begun, since)
    share = settings.window / (since - begun)
    least = min(colour.at_least for colour in settings.colours)
    alerts = [
        alert
        for category, found in fresh.items()
        if len(found) >= least
        for alert in _of_category(found.values(), before.get(category, {}).values(), share, settings)
    ]
    return sorted(alerts, key=lambda alert: _order(alert, settings))


def _by_category(
    sightings: Collection[Sighting], after: datetime, until: datetime
) -> dict[str, dict[str, Sighting]]:
    found: defaultdict[str, dict[str, Sighting]] = defaultdict(dict)
    for sighting in sightings:
        if after < sighting.reported_at <= until:
            found[sighting.category][sighting.case_id] = sighting
    return found


def _of_category(
    fresh: Iterable[Sighting], before: Iterable[Sighting], share: float, settings: Settings
) -> Iterator[Alert]:
    past = _Cells(settings.metres, before)
    for cluster in _Cells(settings.metres, fresh).clusters():
        alert = _judged(cluster, past, share, settings)
        if alert is not None:
            yield alert


def _order(alert: Alert, settings: Settings) -> tuple[int, float, str, str]:
    colours = [colour.colour for colour in settings.colours]
    return -colours.index(alert.colour), -alert.ratio, alert.category, alert.case_ids[0]


def _judged(cluster: Sequence[Sighting], past: "_Cells", share: float, settings: Settings) -> Alert | None:
    if len(cluster) < min(colour.at_least for colour in settings.colours):
        return None
    circle = _circle(cluster, settings.metres)
    counted = past.count(circle)
    usual = counted * share
    ratio = len(cluster) / (max(counted, 1) * share)
    met = [each for each in settings.colours if len(cluster) >= each.at_least and ratio >= each.ratio]
    if not met:
        return None
    return Alert(
        colour=met[-1].colour,
        category=cluster[0].category,
        longitude=circle.longitude,
        latitude=circle.latitude,
        radius_metres=round(circle.metres),
        count=len(cluster),
        usual=round(usual, RATIO_DIGITS),
        ratio=round(ratio, RATIO_DIGITS),
        since=cluster[0].reported_at,
        case_ids=tuple(sighting.case_id for sighting in cluster),
    )


def _circle(cluster: Sequence[Sighting], metres: float) -> _Circle:
    longitude = round(sum(each.longitude for each in cluster) / len(cluster), PLACE_DIGITS)
    latitude = round(sum(each.latitude for each in cluster) / len(cluster), PLACE_DIGITS)
    farthest = max(metres_between((longitude, latitude), (each.longitude, each.latitude)) for each in cluster)
    return _Circle(longitude, latitude, max(metres, farthest))


class _Cells:
    """Places hashed by cells so small that two in the same cell always lie within *metres* of each other.

    A row of cells is as wide in degrees as its latitude needs.  So which cell a place is in depends on nothing but
    the place: a case far away changes nothing here.
    """

    def __init__(self, metres: float, sightings: Iterable[Sighting]) -> None:
        self.metres = metres
        self.side = metres / sqrt(2) * 0.999 / METRES_PER_DEGREE
        self.cells: defaultdict[Cell, list[Sighting]] = defaultdict(list)
        for sighting in sightings:
            row = floor(sighting.latitude / self.side)
            self.cells[row, floor(sighting.longitude / self._width(row))].append(sighting)

    def clusters(self) -> list[list[Sighting]]:
        """The cases that belong together, each in the order of their reports."""
        parents = {cell: cell for cell in self.cells}
        for cell in self.cells:
            for other in self._neighbours(cell):
                first, second = _root(parents, cell), _root(parents, other)
                if first != second and self._touch(cell, other):
                    parents[max(first, second)] = min(first, second)
        joined: defaultdict[Cell, list[Sighting]] = defaultdict(list)
        for cell, members in self.cells.items():
            joined[_root(parents, cell)].extend(members)
        return [
            sorted(each, key=lambda sighting: (sighting.reported_at, sighting.case_id))
            for each in joined.values()
        ]

    def count(self, circle: _Circle) -> int:
        """How many cases lie in *circle*."""
        reach = circle.metres / METRES_PER_DEGREE
        return sum(
            metres_between((circle.longitude, circle.latitude), (each.longitude, each.latitude))
            <= circle.metres
            for cell in self._around(
                circle.longitude, circle.longitude, circle.latitude, circle.latitude, reach
            )
            for each in self.cells[cell]
        )

    def _width(self, row: int) -> float:
        """Of the row's cells, in degrees of longitude: no more than the side where the row is widest."""
        return self.side / _cosine(min(abs(row), abs(row + 1)) * self.side)

    def _neighbours(self, cell: Cell) -> Iterator[Cell]:
        row, column = cell
        width = self._width(row)
        west, south = column * width, row * self.side
        reach = self.metres / METRES_PER_DEGREE
        around = self._around(west, west + width, south, south + self.side, reach)
        return (other for other in around if other > cell)  # each pair once

    def _around(self, west: float, east: float, south: float, north: float, reach: float) -> Iterator[Cell]:
        """The cells with cases in a rectangle of degrees and *reach* (degrees of latitude) around it."""
        reach *= 1.001  # a cell too many costs a look, a cell too few a case
        low, high = south - reach, north + reach
        across = reach / _cosine(max(abs(low), abs(high)))
        for row in range(floor(low / self.side), floor(high / self.side) + 1):
            width = self._width(row)
            for column in range(floor((west - across) / width), floor((east + across) / width) + 1):
                if (row, column) in self.cells:
                    yield row, column

    def _touch(self, cell: Cell, other: Cell) -> bool:
        ours = {(each.longitude, each.latitude) for each in self.cells[cell]}
        theirs = {(each.longitude, each.latitude) for each in self.cells[other]}
        return any(metres_between(one, another) <= self.metres for one, another in product(ours, theirs))


def _cosine(latitude: float) -> float:
    return max(COSINE_MIN, cos(radians(min(latitude, 90.0))))


def _root(parents: dict[Cell, Cell], cell: Cell) -> Cell:
    while parents[cell] != cell:
        parents[cell] = parents[parents[cell]]
        cell = parents[cell]
    return cell
