"""One item: measures in, marks out, with every step on the way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import assert_never

from libs.events.appraisal import (
    AnyItem,
    Bands,
    Bonus,
    Given,
    Penalty,
    PerCase,
    Rated,
    Rounding,
    Scored,
    Share,
    Steps,
    Term,
    WhenNothing,
)
from services.evaluation.scoring.arithmetic import counted, rounded, step
from services.evaluation.scoring.results import Step

NOTHING = Fraction(0)
Value = Callable[[str], Fraction]
"""The value of a measure by its name."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What an item is worth, before it is rounded; None where it is left out."""

    marks: Fraction | None
    applied: tuple[str, ...]
    steps: tuple[Step, ...]


def marks_of(item: AnyItem, value: Value, rounding: Rounding) -> Marks:
    """What *item* is worth with these measures; of a penalty, a negative number."""
    match item:
        case Share() | Steps() | Bands():
            return _of_rate(item, value, rounding)
        case PerCase():
            count = added(item.count, value)
            lost = count * Fraction(item.each)
            steps = (step("count", count), step("lost", lost))
            return _bounded(item, Marks(Fraction(item.points) - lost, (item.form,), steps))
        case Given():
            given = added(item.value, value)
            return _bounded(item, Marks(given, (item.form,), (step("value", given),)))
        case Bonus() | Penalty():
            return _extra(item, added(item.count, value))
        case _:
            assert_never(item)


def added(terms: tuple[Term, ...], value: Value) -> Fraction:
    """The sum of *terms*."""
    return sum(
        (Fraction(term.times) * (value(term.measure) if term.measure else 1) for term in terms), Fraction(0)
    )


def _of_rate(item: Share | Steps | Bands, value: Value, rounding: Rounding) -> Marks:
    numerator, denominator = added(item.numerator, value), added(item.denominator, value)
    steps = (step("numerator", numerator), step("denominator", denominator))
    if denominator <= 0:
        return _of_nothing(item, steps)
    percent = numerator / denominator * 100
    if item.rate_digits is not None:
        percent = Fraction(rounded(percent, item.rate_digits, rounding))
    judged = _judged(item, percent)
    return _bounded(item, replace(judged, steps=(*steps, step("rate_percent", percent), *judged.steps)))


def _of_nothing(item: Rated, steps: tuple[Step, ...]) -> Marks:
    worth: Mapping[WhenNothing, Fraction | None] = {
        WhenNothing.FULL: Fraction(item.points),
        WhenNothing.NONE: Fraction(0),
        WhenNothing.LEFT_OUT: None,
    }
    # Not bounded: a floor is for bad work, and here was none to do.
    return Marks(worth[item.when_nothing], (item.when_nothing.value,), steps)


def _judged(item: Share | Steps | Bands, percent: Fraction) -> Marks:
    points = Fraction(item.points)
    match item:
        case Share():
            good = 100 - percent if item.lower_is_better else percent
            return Marks(points * good / 100, (item.form,), ())
        case Steps():
            full_at = Fraction(item.full_at)
            missing = max(percent - full_at if item.lower_is_better else full_at - percent, NOTHING)
            lost = counted(missing, item.counting) * Fraction(item.each_point)
            return Marks(points - lost, (item.form,), (step("points_missing", missing), step("lost", lost)))
        case Bands():
            reached = [band for band in item.bands if _reaches(item, percent, band.limit)]
            if not reached:
                return Marks(NOTHING, (item.form, "no_band"), ())
            best = reached[0]
            return Marks(Fraction(best.score), (item.form,), (step("band", Fraction(best.limit)),))
        case _:
            assert_never(item)


def _reaches(item: Bands, percent: Fraction, limit: Decimal) -> bool:
    return percent <= limit if item.lower_is_better else percent >= limit


def _bounded(item: Scored, found: Marks) -> Marks:
    assert found.marks is not None, "only what was judged is bounded"
    low, high = Fraction(item.floor), Fraction(item.highest)
    steps = (*found.steps, step("before_bounds", found.marks))
    if found.marks < low:
        return Marks(low, (*found.applied, "floor"), steps)
    if found.marks > high:
        return Marks(high, (*found.applied, "cap"), steps)
    return replace(found, steps=steps)


def _extra(item: Bonus | Penalty, count: Fraction) -> Marks:
    applied: tuple[str, ...] = (item.form,)
    marks = max(count * Fraction(item.each), NOTHING)
    steps = (step("count", count), step("before_bounds", marks))
    if item.at_most is not None and marks > item.at_most:
        marks, applied = Fraction(item.at_most), (*applied, "at_most")
    return Marks(-marks if isinstance(item, Penalty) else marks, applied, steps)
