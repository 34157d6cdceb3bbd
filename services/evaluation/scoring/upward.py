"""Rating upward (下考上): the stars that communities give become marks in the department's own appraisal."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from libs.events.appraisal import Averaging, Rounding, Upward
from services.evaluation.scoring.arithmetic import rounded

MARKS_FULL = 100
MARKS_DIGITS = 6


class ServiceScore(NamedTuple):
    """A community's stars for a department that served it in a case."""

    department: str
    community: str
    stars: int
    case_id: str


class UpwardScore(NamedTuple):
    """What the communities think of one department."""

    department: str
    marks: Decimal | None
    """Of 100; None where there were too few scores."""
    scores: int
    communities: Mapping[str, Decimal]
    """The marks that each community gave."""
    case_ids: tuple[str, ...]


def rate_upward(scheme: Upward, scores: Iterable[ServiceScore]) -> dict[str, UpwardScore]:
    """The upward rating of every department that was scored, by its code.

    Raises ValueError for stars that are not on the scale.
    """
    of_department: defaultdict[str, list[ServiceScore]] = defaultdict(list)
    for score in scores:
        if not 1 <= score.stars <= scheme.stars_max:
            raise ValueError(
                f"case {score.case_id}: {score.stars} stars on a scale of 1 to {scheme.stars_max}"
            )
        of_department[score.department].append(score)
    return {code: _rating(scheme, code, of_department[code]) for code in sorted(of_department)}


def upward_measures(rating: UpwardScore | None) -> dict[str, Decimal]:
    """The rating as measures; who was not scored, or too seldom, could earn nothing: 0 of 0."""
    if rating is None or rating.marks is None:
        return {"upward_earned": Decimal(0), "upward_possible": Decimal(0)}
    return {"upward_earned": rating.marks, "upward_possible": Decimal(MARKS_FULL)}


def _rating(scheme: Upward, department: str, scores: Sequence[ServiceScore]) -> UpwardScore:
    by_community: defaultdict[str, list[Fraction]] = defaultdict(list)
    for score in scores:
        by_community[score.community].append(_marks(scheme, score.stars))
    means = {code: _mean(marks) for code, marks in sorted(by_community.items())}
    if scheme.average is Averaging.COMMUNITIES:
        whole = _mean(list(means.values()))
    else:
        whole = _mean([mark for marks in by_community.values() for mark in marks])
    return UpwardScore(
        department,
        _shown(whole) if len(scores) >= scheme.scores_min else None,
        len(scores),
        {code: _shown(mean) for code, mean in means.items()},
        tuple(sorted({score.case_id for score in scores})),
    )


def _marks(scheme: Upward, stars: int) -> Fraction:
    low = 1 if scheme.lowest_is_zero else 0
    return Fraction(stars - low, scheme.stars_max - low) * MARKS_FULL


def _mean(marks: Sequence[Fraction]) -> Fraction:
    return sum(marks, Fraction(0)) / len(marks)


def _shown(marks: Fraction) -> Decimal:
    return rounded(marks, MARKS_DIGITS, Rounding.HALF_UP)
