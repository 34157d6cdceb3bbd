"""Schemes: items, how they add up, ranks and grades; and all schemes of a city."""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from libs.events.appraisal.items import Digits, Item, Scored, measures_of, names_in
from libs.events.appraisal.measures import MEASURES, Bilingual, Model, Sum
from libs.events.appraisal.naming import wrong


class Rounding(StrEnum):
    """How a number is cut to its digits."""

    HALF_UP = "half_up"
    """四舍五入, as published tables do."""
    HALF_EVEN = "half_even"
    DOWN = "down"


class SumOf(StrEnum):
    """What a total adds up."""

    ROUNDED = "rounded"
    """The items as they are shown, so that whoever adds them up by hand gets the same."""
    EXACT = "exact"


class Total(Model):
    """How the items become the result."""

    floor: Decimal | None = Decimal(0)
    cap: Decimal | None = None
    digits: Digits = 2
    sum_of: SumOf = SumOf.ROUNDED


class Ties(StrEnum):
    """Which rank comes after two that are equal."""

    SKIP = "skip"
    """1, 1, 3."""
    DENSE = "dense"
    """1, 1, 2."""


class Grade(Model):
    """What a total from some marks on is called."""

    name: Bilingual
    at_least: Decimal


class Subject(StrEnum):
    """Who is appraised."""

    DEPARTMENT = "department"
    STREET = "street"
    COMMUNITY = "community"
    GRID = "grid"


class Period(StrEnum):
    """For how long."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class Needed(Model):
    """What a subject must have had to be judged at all."""

    count: Sum
    at_least: Annotated[Decimal, Field(gt=0)] = Decimal(1)


class Scheme(Model):
    """One appraisal: of whom, for how long, by which items."""

    code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    name: Bilingual
    by: Subject = Subject.DEPARTMENT
    period: Period = Period.MONTH
    note: str = ""
    """Where its weights come from."""
    rounding: Rounding = Rounding.HALF_UP
    items: tuple[Item, ...]
    needs: Needed | None = None
    """Who had less than this gets no total and no rank: one who had no cases would otherwise be the best."""
    total: Total = Total()
    ties: Ties = Ties.SKIP
    grades: tuple[Grade, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Scheme":
        problems = list(_problems_of_items(self))
        limits = [grade.at_least for grade in self.grades]
        if limits != sorted(set(limits), reverse=True):
            problems.append(
                (
                    "the grades must stand from the best to the worst, each limit once",
                    "等次须从高到低排列，且分数线不得重复",
                )
            )
        _refuse(problems)
        return self

    @property
    def points(self) -> Decimal:
        """Full marks of all items, without bonuses and penalties."""
        return sum((item.points for item in self.items if isinstance(item, Scored)), Decimal(0))

    def measures(self) -> frozenset[str]:
        """The names of all measures that the items use."""
        needed = names_in(self.needs.count) if self.needs else ()
        return frozenset(needed).union(*(measures_of(item) for item in self.items))


Problem = tuple[str, str]
"""What is wrong, in English and Chinese."""


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise wrong("; ".join(en for en, _ in problems), "；".join(zh for _, zh in problems))


def _twice(what: str, what_zh: str, values: list[str]) -> Iterator[Problem]:
    for each in sorted({value for value in values if values.count(value) > 1}):
        yield f"{what} {each} stands twice", f"{what_zh} {each} 重复"


def _problems_of_items(scheme: Scheme) -> Iterator[Problem]:
    yield from _twice("item", "考核项", [item.code for item in scheme.items])
    if not any(isinstance(item, Scored) for item in scheme.items):
        yield (
            "no item has points: bonuses and penalties alone make no full marks",
            "没有任何计分项：仅有加分和扣分无法构成满分",
        )


class Averaging(StrEnum):
    """Whose average a department's upward rating is."""

    COMMUNITIES = "communities"
    """Each community has one voice, however often it scored."""
    SCORES = "scores"
    """Each score counts the same."""


class Upward(Model):
    """Rating upward (下考上): communities score the departments that served them, in stars."""

    code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    name: Bilingual
    stars_max: Annotated[int, Field(ge=2)] = 5
    lowest_is_zero: bool = False
    """Whether one star is worth nothing (of five: 0, 25, 50, 75, 100 %), or a fifth (20, 40, 60, 80, 100 %)."""
    average: Averaging = Averaging.COMMUNITIES
    scores_min: Annotated[int, Field(ge=1)] = 1
    """With fewer scores than this a department counts as not scored."""


def _counted(scheme: Scheme) -> Scheme:
    """A rule book's scheme, whose measures evaluation must know; a scheme in itself may use any."""
    needed = names_in(scheme.needs.count) if scheme.needs else ()
    used = [("needs", "needs", needed)]
    used += [(f"item {item.code}", f"考核项 {item.code}", measures_of(item)) for item in scheme.items]
    _refuse(
        [
            (f"{where}: no measure is called {name}", f"{where_zh}：没有名为 {name} 的指标")
            for where, where_zh, names in used
            for name in names
            if name not in MEASURES
        ]
    )
    return scheme


class Appraisal(Model):
    """All schemes of a city, for the rule book: `appraisal.yaml`."""

    schemes: tuple[Annotated[Scheme, AfterValidator(_counted)], ...] = ()
    """Without one, nobody is appraised."""
    upward: Upward | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Appraisal":
        _refuse(list(_problems_of_schemes(self)))
        return self

    def scheme_for(self, by: Subject) -> Scheme | None:
        """The scheme by which such subjects are appraised, if there is one."""
        return next((scheme for scheme in self.schemes if scheme.by is by), None)


def _problems_of_schemes(appraisal: Appraisal) -> Iterator[Problem]:
    yield from _twice("scheme", "考核方案", [scheme.code for scheme in appraisal.schemes])
    yield from _twice("a scheme by", "考核对象", [scheme.by.value for scheme in appraisal.schemes])
    upward = {
        name for scheme in appraisal.schemes for name in scheme.measures() if name.startswith("upward_")
    }
    if appraisal.upward is None:
        yield from (
            (f"{name} needs the section `upward`", f"{name} 需要 `upward` 一节") for name in sorted(upward)
        )
