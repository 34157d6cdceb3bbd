"""The items of a scheme: how measures become marks."""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, WrapValidator, model_validator

from libs.events.appraisal.measures import Bilingual, Model, Sum, Term
from libs.events.appraisal.naming import naming, wrong

DIGITS_MAX: Final = 6
Points = Annotated[Decimal, Field(gt=0)]
Percent = Annotated[Decimal, Field(ge=0, le=100)]
Digits = Annotated[int, Field(ge=0, le=DIGITS_MAX)]


class WhenNothing(StrEnum):
    """What an item is worth where there was nothing to count: its denominator is 0."""

    FULL = "full"
    NONE = "none"
    LEFT_OUT = "left_out"
    """It does not count, and the other items make up the full marks in their proportions."""


class Counting(StrEnum):
    """Which part of a percentage point counts."""

    EXACT = "exact"
    """Half a point costs half."""
    STARTED = "started"
    """A point that was begun costs all of it."""
    WHOLE = "whole"
    """Only a whole point costs anything."""


class _Item(Model):
    code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    name: Bilingual
    note: str = ""
    digits: Digits = 2
    """Of the item's score, which is rounded before it is added up."""


class Scored(_Item):
    """An item with full marks."""

    points: Points
    """Full marks."""
    floor: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    """The item is never worth less, however bad."""
    cap: Decimal | None = None
    """The item is never worth more; without it, its full marks."""

    @model_validator(mode="after")
    def _in_order(self) -> "Scored":
        if self.floor > self.highest:
            raise wrong(
                f"the floor {self.floor} lies above the cap {self.highest}",
                f"保底分 {self.floor} 高于封顶分 {self.highest}",
            )
        return self

    @property
    def highest(self) -> Decimal:
        """The most that the item can be worth."""
        return self.points if self.cap is None else self.cap


class Rated(Scored):
    """An item that judges a rate: numerator / denominator, in percent."""

    numerator: Sum
    denominator: Sum
    lower_is_better: bool = False
    when_nothing: WhenNothing = WhenNothing.LEFT_OUT
    rate_digits: Digits | None = None
    """Digits to which the rate in percent is rounded before it is judged; without it, it is exact."""


class Share(Rated):
    """Full marks times the rate; if lower is better, times what is missing to 100 %."""

    form: Literal["share"]


class Steps(Rated):
    """Full marks from a rate on, and for each percentage point that is missing some marks less."""

    form: Literal["steps"]
    full_at: Percent
    """From this rate on (if lower is better, up to it) full marks."""
    each_point: Points
    """Marks lost for each percentage point beyond that."""
    counting: Counting = Counting.EXACT


class Band(Model):
    """A rate that is at least the limit (if lower is better, at most) is worth so much."""

    limit: Percent
    score: Annotated[Decimal, Field(ge=0)]


class Bands(Rated):
    """What the best band that the rate reaches is worth; nothing if it reaches none."""

    form: Literal["bands"]
    bands: Annotated[tuple[Band, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _fall(self) -> "Bands":
        limits = [-band.limit if self.lower_is_better else band.limit for band in self.bands]
        scores = [band.score for band in self.bands]
        if limits != sorted(set(limits), reverse=True) or scores != sorted(scores, reverse=True):
            raise wrong(
                "the bands must stand from the best to the worst, each limit once",
                "档次须从好到差排列，且界限不得重复",
            )
        return self


class PerCase(Scored):
    """Full marks less some for each case."""

    form: Literal["per_case"]
    count: Sum
    each: Points


class Given(Scored):
    """Marks that a measure already is."""

    form: Literal["given"]
    value: Sum


class _Extra(_Item):
    count: Sum
    each: Points
    at_most: Points | None = None
    """More than this is never given or taken."""


class Bonus(_Extra):
    """Marks on top for each case."""

    form: Literal["bonus"]


class Penalty(_Extra):
    """Marks taken from the total for each case."""

    form: Literal["penalty"]


AnyItem = Share | Steps | Bands | PerCase | Given | Bonus | Penalty
Item = Annotated[AnyItem, Field(discriminator="form"), WrapValidator(naming("item", "考核项"))]


def sums_of(item: AnyItem) -> dict[str, tuple[Term, ...]]:
    """What an item adds up, by the name of the part: numerator and denominator, or the one count or value."""
    match item:
        case Share() | Steps() | Bands():
            return {"numerator": item.numerator, "denominator": item.denominator}
        case PerCase() | Bonus() | Penalty():
            return {"count": item.count}
        case Given():
            return {"value": item.value}


def measures_of(item: AnyItem) -> tuple[str, ...]:
    """The names of the measures that an item uses, each once, in the order of the file."""
    return names_in(term for terms in sums_of(item).values() for term in terms)


def names_in(terms: Iterable[Term]) -> tuple[str, ...]:
    """The names of the measures in *terms*, each once."""
    return tuple(dict.fromkeys(term.measure for term in terms if term.measure))
