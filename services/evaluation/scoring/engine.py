"""From a scheme and the measures of each subject to ranked, explained totals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from libs.events.appraisal import AnyItem, Bilingual, Scheme, Scored, SumOf, Ties, sums_of
from libs.events.errors import MeasureMissing
from services.evaluation.scoring.arithmetic import rounded, step
from services.evaluation.scoring.items import Marks, Value, added, marks_of
from services.evaluation.scoring.results import (
    AppraisalResult,
    CaseQuery,
    ItemScore,
    MeasureUsed,
    Score,
    Span,
    Step,
)
from services.evaluation.scoring.telling import told

Measures = Mapping[str, int | Decimal]
"""What was counted for one subject, by the measure's name."""


def appraise(
    scheme: Scheme, subjects: Mapping[str, Measures], span: Span, policy_version: str | None = None
) -> AppraisalResult:
    """The scores of all *subjects* (a code each), ranked, the best first.

    Raises MeasureMissing when a subject lacks a measure that the scheme uses.
    """
    scores = [_score(scheme, key, measures, span) for key, measures in subjects.items()]
    return AppraisalResult(
        scheme=scheme.code,
        name=scheme.name,
        note=scheme.note,
        by=scheme.by,
        period=scheme.period,
        span=span,
        points=scheme.points,
        policy_version=policy_version,
        scores=tuple(_ranked(scores, scheme.ties)),
    )


def _score(scheme: Scheme, key: str, measures: Measures, span: Span) -> Score:
    found = [_item(scheme, item, key, measures, span) for item in scheme.items]
    total = _total(scheme, found) if _judged(scheme, key, measures) else _Total(None, ("needs",), ())
    return Score(
        key=key,
        total=total.marks,
        points=scheme.points,
        rank=None,
        grade=_grade(scheme, total.marks),
        steps=total.steps,
        applied=total.applied,
        items=tuple(each.score for each in found),
    )


def _judged(scheme: Scheme, key: str, measures: Measures) -> bool:
    if scheme.needs is None:
        return True
    return added(scheme.needs.count, _lookup("needs", key, measures)) >= scheme.needs.at_least


@dataclass(frozen=True, slots=True)
class _Found:
    item: AnyItem
    exact: Fraction | None
    score: ItemScore


def _item(scheme: Scheme, item: AnyItem, key: str, measures: Measures, span: Span) -> _Found:
    marks = marks_of(item, _lookup(item.code, key, measures), scheme.rounding)
    score = None if marks.marks is None else rounded(marks.marks, item.digits, scheme.rounding)
    return _Found(item, marks.marks, _explained(item, marks, score, _used(scheme, item, key, measures, span)))


def _explained(
    item: AnyItem, marks: Marks, score: Decimal | None, used: tuple[MeasureUsed, ...]
) -> ItemScore:
    return ItemScore(
        code=item.code,
        name=item.name,
        form=item.form,
        points=item.points if isinstance(item, Scored) else None,
        score=score,
        applied=marks.applied,
        told=told(item, marks, score),
        measures=used,
        steps=marks.steps,
    )


def _lookup(item: str, key: str, measures: Measures) -> Value:
    def value(name: str) -> Fraction:
        if name not in measures:
            raise MeasureMissing(key, item, name)
        return Fraction(measures[name])

    return value


def _used(scheme: Scheme, item: AnyItem, key: str, measures: Measures, span: Span) -> tuple[MeasureUsed, ...]:
    return tuple(
        MeasureUsed(
            name=term.measure,
            part=part,
            value=Decimal(measures[term.measure]),
            times=term.times,
            query=CaseQuery(measure=term.measure, by=scheme.by, key=key, since=span.since, until=span.until),
        )
        for part, terms in sums_of(item).items()
        for term in terms
        if term.measure
    )


@dataclass(frozen=True, slots=True)
class _Total:
    marks: Decimal | None
    applied: tuple[str, ...]
    steps: tuple[Step, ...]


def _total(scheme: Scheme, found: Sequence[_Found]) -> _Total:
    left_out = Fraction(
        sum(each.item.points for each in found if isinstance(each.item, Scored) and each.exact is None)
    )
    full = Fraction(scheme.points)
    if left_out == full:
        return _Total(None, ("left_out",), ())
    scored = sum((_worth(scheme, each) for each in found if isinstance(each.item, Scored)), Fraction(0))
    extra = sum((_worth(scheme, each) for each in found if not isinstance(each.item, Scored)), Fraction(0))
    steps = [step("items", scored)]
    applied = []
    if left_out:
        scored = scored * full / (full - left_out)
        applied.append("renormalised")
        steps += [step("points_left_out", left_out), step("renormalised", scored)]
    total = scored + extra
    steps += [step("extra", extra), step("before_bounds", total)]
    bounded, bound = _bounded(scheme, total)
    return _Total(rounded(bounded, scheme.total.digits, scheme.rounding), (*applied, *bound), tuple(steps))


def _worth(scheme: Scheme, found: _Found) -> Fraction:
    if found.exact is None or found.score.score is None:
        return Fraction(0)
    return found.exact if scheme.total.sum_of is SumOf.EXACT else Fraction(found.score.score)


def _bounded(scheme: Scheme, total: Fraction) -> tuple[Fraction, tuple[str, ...]]:
    low, high = scheme.total.floor, scheme.total.cap
    if low is not None and total < low:
        return Fraction(low), ("floor",)
    if high is not None and total > high:
        return Fraction(high), ("cap",)
    return total, ()


def _grade(scheme: Scheme, total: Decimal | None) -> Bilingual | None:
    if total is None:
        return None
    return next((grade.name for grade in scheme.grades if total >= grade.at_least), None)


def _ranked(scores: Sequence[Score], ties: Ties) -> Iterator[Score]:
    """The best first, equals by their code; a rank for whoever has a total."""
    placed = sorted(
        ((score.total, score) for score in scores if score.total is not None),
        key=lambda each: (-each[0], each[1].key),
    )
    rank, before = 0, None
    for number, (total, score) in enumerate(placed, 1):
        if total != before:
            rank = number if ties is Ties.SKIP else rank + 1
        before = total
        yield score.model_copy(update={"rank": rank})
    yield from sorted((score for score in scores if score.total is None), key=lambda score: score.key)
