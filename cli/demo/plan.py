"""The plan of a day: who reports what, where and when; how fast each department works.  Pure: a seed, a plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from random import Random
from statistics import fmean
from typing import Final

from cli.demo.texts import DESCRIPTIONS, NOTES, WEIGHTS
from libs.events.policy import Category, Community, Grid, RuleBook, Street

DAY_BEGINS_HOUR: Final = 6
REPORTS_BY_HOUR: Final = (1, 1, 1, 1, 1, 1, 4, 8, 12, 11, 7, 6, 5, 5, 6, 6, 7, 9, 12, 11, 7, 4, 3, 1)
"""How many people report in each hour from midnight, compared to the other hours: two peaks."""
CHANNELS: Final = {"app": 40, "wechat": 25, "hotline": 20, "web": 10, "patrol": 5}
CHINESE_SHARE: Final = 0.75
LOOKUP_SHARE: Final = 0.05
LOOKUP_AFTER_SHARE_MAX: Final = 0.3
TO_THE_BORDER_MAX: Final = 0.97
"""How far from the middle of a grid to its border people report."""

ACCEPT_SHARE_MAX: Final = 0.15  # a department signs within so much of the time limit
DONE_SHARES: Final = (0.2, 0.85)  # ... and handles within so much of it,
LATE_SHARES: Final = (1.08, 1.6)  # or so late,
LATE_CASES_SHARES: Final = (0.04, 0.25)  # which happens to so many of its cases
OPEN_CASES_SHARE: Final = 0.02  # and so many it leaves lying


@dataclass(frozen=True, slots=True)
class PlannedReport:
    """One report of a resident."""

    number: int
    at_seconds: float
    """After the beginning of the day."""
    category: str
    description: str
    channel: str
    street: str
    community: str
    address: str
    longitude: float | None
    latitude: float | None
    looks_up_after_seconds: float | None
    """When the resident asks where the case stands; None: never."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a department deals with its next case, in shares of the time limit after the assignment."""

    accept_share: float
    handle_share: float | None
    """Above 1 is late; None: the case is left lying."""
    note: str


def plan_day(book: RuleBook, *, cases: int, seconds: float, seed: int) -> tuple[PlannedReport, ...]:
    """The reports of a day that lasts so many real seconds, in order of time."""
    random = Random(f"reports/{seed}")
    moments = sorted(_moment(random) for _ in range(cases))
    places = [(street, community) for street in book.city.streets for community in street.communities]
    # Matters of the day only: an illegal building takes weeks, and nobody waits for that in an exercise.
    common = [each for each in book.categories if each.code in DESCRIPTIONS] or list(book.categories)
    weights = [WEIGHTS.get(category.code, 1) for category in common]
    categories = random.choices(common, weights, k=cases)
    return tuple(
        _report(random, number, moment * seconds, category, places, seconds, book.grids)
        for number, (moment, category) in enumerate(zip(moments, categories, strict=True), 1)
    )


def paces(department: str, seed: int) -> Iterator[Pace]:
    """How the department deals with its first case, its second, and so on without end."""
    random = Random(f"paces/{seed}/{department}")
    late_share = random.uniform(*LATE_CASES_SHARES)
    while True:
        fate, accept_share = random.random(), random.uniform(0.01, ACCEPT_SHARE_MAX)
        done, late, note = random.uniform(*DONE_SHARES), random.uniform(*LATE_SHARES), random.choice(NOTES)
        if fate < OPEN_CASES_SHARE:
            yield Pace(accept_share, None, note)
        else:
            yield Pace(accept_share, late if fate < OPEN_CASES_SHARE + late_share else done, note)


def clock_at(share: float) -> str:
    """What the clocks of the example city show when so much of the day has passed, such as `18:05`."""
    minutes = int(share * 24 * 60) + DAY_BEGINS_HOUR * 60
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"


def _moment(random: Random) -> float:
    """When a report comes, as a share of the day, which begins at DAY_BEGINS_HOUR."""
    hour = random.choices(range(24), REPORTS_BY_HOUR)[0]
    return ((hour - DAY_BEGINS_HOUR) % 24 + random.random()) / 24


def _report(
    random: Random,
    number: int,
    at_seconds: float,
    category: Category,
    places: list[tuple[Street, Community]],
    seconds: float,
    grids: tuple[Grid, ...],
) -> PlannedReport:
    street, community = random.choice(places)
    chinese = random.random() < CHINESE_SHARE
    texts = DESCRIPTIONS.get(category.code, ((category.name.zh, category.name.en),))
    house = random.randint(1, 40)
    name = community.name.zh if chinese else community.name.en
    looks_up = random.random() < LOOKUP_SHARE
    looks_up_after_seconds = random.uniform(0, LOOKUP_AFTER_SHARE_MAX) * seconds
    longitude, latitude = _point(random, [grid for grid in grids if grid.community == community.code])
    return PlannedReport(
        number=number,
        at_seconds=at_seconds,
        category=category.code,
        description=random.choice(texts)[0 if chinese else 1],
        channel=random.choices(list(CHANNELS), list(CHANNELS.values()))[0],
        street=street.code,
        community=community.code,
        address=f"{name}{house}号楼" if chinese else f"{name}, building {house}",
        longitude=longitude,
        latitude=latitude,
        looks_up_after_seconds=looks_up_after_seconds if looks_up else None,
    )


def _point(random: Random, grids: list[Grid]) -> tuple[float, float] | tuple[None, None]:
    """Somewhere in one of the grids: on the way from its middle to its border; nowhere where there is none."""
    if not grids:
        return None, None
    border = random.choice(grids).polygons[0][0]
    (x, y), (x_next, y_next) = random.choice(list(pairwise(border)))
    along, out = random.random(), TO_THE_BORDER_MAX * sqrt(random.random())
    middle_x, middle_y = (fmean(degrees) for degrees in zip(*border[1:], strict=True))
    longitude = middle_x + out * (x + along * (x_next - x) - middle_x)
    latitude = middle_y + out * (y + along * (y_next - y) - middle_y)
    return round(longitude, 6), round(latitude, 6)
