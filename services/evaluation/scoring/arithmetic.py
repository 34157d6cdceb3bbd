"""Exact numbers: fractions while reckoning, decimals when shown."""

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor, trunc
from typing import assert_never

from libs.events.appraisal import Counting, Rounding
from services.evaluation.scoring.results import Step

STEP_DIGITS = 6


def rounded(value: Fraction, digits: int, how: Rounding) -> Decimal:
    """*value* with so many digits after the point."""
    scaled = value * 10**digits
    match how:
        case Rounding.HALF_UP:  # away from zero, for penalties as for marks
            whole = floor(abs(scaled) + Fraction(1, 2)) * (-1 if scaled < 0 else 1)
        case Rounding.HALF_EVEN:
            whole = round(scaled)
        case Rounding.DOWN:
            whole = trunc(scaled)
        case _:
            assert_never(how)
    return Decimal(f"{whole}e-{digits}")  # read, not scaled: that would round to 28 digits


def counted(points: Fraction, counting: Counting) -> Fraction:
    """The part of some percentage points that counts."""
    match counting:
        case Counting.EXACT:
            return points
        case Counting.STARTED:
            return Fraction(ceil(points))
        case Counting.WHOLE:
            return Fraction(floor(points))
        case _:
            assert_never(counting)


def step(name: str, value: Fraction) -> Step:
    """A step, with no more digits than it needs."""
    return Step(name=name, value=plain(rounded(value, STEP_DIGITS, Rounding.HALF_UP)))


def plain(value: Decimal) -> Decimal:
    """*value* without zeros at its end, and never as 1E+2."""
    text = f"{value:f}"
    return Decimal(text.rstrip("0").rstrip(".")) if "." in text else Decimal(text)
