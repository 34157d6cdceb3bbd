"""The scoring engine: an appraisal scheme and measures in, explained scores out.  Pure.

result = appraise(scheme, {"water": {"due": 972, "closed": 911}}, Span(since, until))
result.scores[0].total, result.scores[0].items[0].told.en
"""

from services.evaluation.scoring.engine import Measures, appraise
from services.evaluation.scoring.results import (
    AppraisalResult,
    CaseQuery,
    ItemScore,
    MeasureUsed,
    Score,
    Span,
    Step,
)
from services.evaluation.scoring.upward import ServiceScore, UpwardScore, rate_upward, upward_measures

__all__ = [
    "AppraisalResult",
    "CaseQuery",
    "ItemScore",
    "MeasureUsed",
    "Measures",
    "Score",
    "ServiceScore",
    "Span",
    "Step",
    "UpwardScore",
    "appraise",
    "rate_upward",
    "upward_measures",
]
