"""What an appraisal says: scores, and how each of them came about, down to the cases.

As JSON every number is a text with its exact digits ("93.72"): a score is an official figure, and no reader's
floating point should change it.
"""

from decimal import Decimal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from libs.events.appraisal import Bilingual, Period, Subject


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Span(_Model):
    """The time appraised: from *since*, up to but without *until*."""

    since: AwareDatetime
    until: AwareDatetime


class CaseQuery(_Model):
    """Asks evaluation for the cases that a measure counted."""

    measure: str
    by: Subject
    key: str
    since: AwareDatetime
    until: AwareDatetime


class MeasureUsed(_Model):
    """One measure that went into an item."""

    name: str
    part: str
    """`numerator`, `denominator`, `count` or `value`."""
    value: Decimal
    times: Decimal
    """With what it was multiplied; negative where it was taken away."""
    query: CaseQuery


class Step(_Model):
    """One value on the way from the measures to the score."""

    name: str
    value: Decimal
    """To six digits; the reckoning itself is exact."""


class ItemScore(_Model):
    """What one item gave."""

    code: str
    name: Bilingual
    form: str
    points: Decimal | None
    """Full marks; None of a bonus or penalty."""
    score: Decimal | None
    """None where the item was left out; of a penalty negative."""
    applied: tuple[str, ...]
    """The rules that decided: the form, then `floor`, `cap`, `at_most`, `full`, `none` or `left_out`."""
    told: Bilingual
    """The same as a sentence."""
    measures: tuple[MeasureUsed, ...]
    steps: tuple[Step, ...]


class Score(_Model):
    """The result of one subject."""

    key: str
    total: Decimal | None
    """None where there was nothing to judge: every item was left out, or what the scheme needs was missing."""
    points: Decimal
    """Full marks, without bonuses."""
    rank: int | None
    grade: Bilingual | None
    steps: tuple[Step, ...]
    applied: tuple[str, ...]
    """`renormalised` where left-out items' marks went to the others, `floor`, `cap`; `needs` or `left_out` where
    there is no total."""
    items: tuple[ItemScore, ...]


class AppraisalResult(_Model):
    """An appraisal of all subjects, the best first; those without a total last."""

    scheme: str
    name: Bilingual
    note: str
    by: Subject
    period: Period
    span: Span
    points: Decimal
    policy_version: str | None
    scores: tuple[Score, ...]
