"""What a measurement gives: values of several repetitions, never only the best one."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Comparison = Literal["at least", "at most", "more than"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, once in each repetition."""

    measure: str
    name: str
    unit: str
    values: tuple[float, ...]
    note: str = ""

    @property
    def median(self) -> float:
        return median(self.values)

    def as_json(self) -> dict[str, Any]:
        """For programs: the summary beside every single value."""
        return {
            "measure": self.measure,
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Target:
    """What was to be reached, and whether the median reached it."""

    text: str
    measured: float
    comparison: Comparison
    bound: float
    unit: str

    @property
    def reached(self) -> bool:
        match self.comparison:
            case "at least":
                return self.measured >= self.bound
            case "at most":
                return self.measured <= self.bound
            case "more than":
                return self.measured > self.bound

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "target": self.text,
            "measured": self.measured,
            "comparison": self.comparison,
            "bound": self.bound,
            "unit": self.unit,
            "reached": self.reached,
        }


def figure_named(figures: Sequence[Figure], name: str) -> Figure | None:
    """The figure with this name; None when it was not measured."""
    return next((figure for figure in figures if figure.name == name), None)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that *share* (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
