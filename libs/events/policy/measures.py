"""The rest of the rule book: rating, reopening, filing, duplicates, fast lane, patrol, alerts."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from libs.events.calendar import Limit, Unit, windows_in_order
from libs.events.policy.base import Code, Part

STARS_MAX: Final = 10
COLOURS: Final = 5


class Rating(Part):
    """The reporter's rating (评价)."""

    stars_max: int = Field(default=5, ge=2, le=STARS_MAX)
    satisfied_from: int = Field(default=4, ge=1)
    """So many stars and more are a satisfied reporter."""
    within: Limit
    """After closing."""


class Reopen(Part):
    """Reopening of a closed case."""

    within: Limit
    """After closing."""
    by_reporter_max: int = Field(default=1, ge=0, le=1)
    """How often a dissatisfied reporter may have a case reopened."""


class Filing(Part):
    """Which reports become cases at once (立案)."""

    trusted_channels: tuple[Code, ...] = ()


class Duplicates(Part):
    """When a report is a near-duplicate of an open case of its category."""

    metres: float = Field(gt=0, allow_inf_nan=False)
    within: Limit
    similarity: float = Field(ge=0, le=1)
    """Of the texts, from 0 to 1."""


class Evaluation(Part):
    """How cases are rated, reopened and joined."""

    rating: Rating
    reopen: Reopen
    filing: Filing = Filing()
    duplicates: Duplicates
    response_within: Limit
    """The time in which a department must have signed for a case to count as having responded."""


def _in_days(limit: Limit) -> Limit:
    if limit.unit is not Unit.NATURAL_DAYS:
        raise ValueError(f"{limit}: write natural days, such as 1095 natural days")
    return limit


Days = Annotated[Limit, AfterValidator(_in_days)]


class Retention(Part):
    """How long it is known who reported (保存期限), after the last of their cases has ended."""

    contact: Days | None = None
    """None: for ever."""
    categories: dict[Code, Days] = Field(default_factory=dict)
    """Categories with a time of their own."""

    def of(self, category: str) -> Limit | None:
        """The time for a case of this category."""
        return self.categories.get(category, self.contact)


class FastLane(Part):
    """The 1-3-5 of the fast lane: each limit counts from the report."""

    acknowledge: Limit
    dispatch: Limit
    settle: Limit
    position_age_max: Limit
    """A unit whose position is older is not sent."""


class Patrol(Part):
    """Patrol orders of grid workers (巡查)."""

    check_in_metres_max: float = Field(gt=0, allow_inf_nan=False)
    points_per_order: int = Field(ge=1, le=100)
    hours: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(windows_in_order)] = (
        "08:30-17:30",
    )
    """Windows such as `08:30-11:30`; an order runs from the opening of the first to the closing of the last."""


class AlertColour(Part):
    """From when on a hot spot has this colour."""

    colour: Code
    at_least: int = Field(ge=1)
    """Cases in the window."""
    ratio: float = Field(gt=0, allow_inf_nan=False)
    """Times the usual number."""


class Alerts(Part):
    """Hot spots: many cases of one category, near one another, in short time (预警)."""

    metres: float = Field(gt=0, allow_inf_nan=False)
    window: Limit
    baseline_days: int = Field(ge=1, le=366)
    colours: Annotated[tuple[AlertColour, ...], Field(min_length=COLOURS, max_length=COLOURS)]
    """From the lowest, growing."""
