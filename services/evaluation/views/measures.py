"""Measures: everything that is counted, for each key, as it was at a moment; and the cases behind each figure.

A measure is a condition: on the cases of a span as they stood (`_OF_CASES`), or on what happened to them until then
(`_OF_ACTS`).  What happened counts for the department that it happened to, not for the one that has the case.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, NamedTuple

from libs.events.readmodel import Connection
from services.evaluation.views.seen import By, Span, seen

_DUE: Final = "due_at <= coalesce(paused_at, $1)"
_OF_CASES: Final[Mapping[str, str]] = {
    "reported": "true",
    "filed": "is_filed",
    "rejected": "is_rejected",
    "merged": "is_merged",
    "due": _DUE,
    "closed": f"{_DUE} AND closed_at IS NOT NULL",
    "closed_in_time": f"{_DUE} AND closed_at IS NOT NULL AND stopped_at <= due_at",
    "overdue": "closed_at IS NULL AND coalesce(stopped_at, $1) > due_at",
    "ended": "closed_at IS NOT NULL",
    "to_verify": "handled_at IS NOT NULL AND closed_at IS NULL",
}
_OF_ACTS: Final[Mapping[str, str]] = {
    **{kind: f"kind = '{kind}'" for kind in ("assigned", "signed", "handled", "reworked", "returned")},
    **{kind: f"kind = '{kind}'" for kind in ("extension_asked", "extended", "reopened", "escalated")},
    **{
        kind: f"kind = '{kind}'" for kind in ("rated", "reached", "solved", "satisfied", "summoned", "scored")
    },
    "signed_in_time": "kind = 'signed' AND at <= due_at",
    "whistles": "kind = 'whistle'",
    "reported_in": "kind = 'came'",
    "reported_in_time": "kind = 'came' AND at <= due_at",
    "cards": "kind = 'card'",
    "yellow_cards": "kind = 'card' AND detail = 'yellow'",
    "red_cards": "kind = 'card' AND detail = 'red'",
}
COUNTED: Final = (*_OF_CASES, *_OF_ACTS)
"""What the database counts; `judging.py` adds what takes the rule book."""

RATES: Final[Mapping[str, tuple[str, str]]] = {
    "closure": ("closed", "due"),
    "in_time": ("closed_in_time", "due"),
    "response": ("responded", "responses_due"),
    "contact": ("reached", "rated"),
    "resolution": ("solved", "rated"),
    "satisfaction": ("satisfied", "rated"),
    "signing_in_time": ("signed_in_time", "signed"),
    "rework": ("reworked", "handled"),
    "return": ("returned", "assigned"),
    "report_in": ("reported_in", "summoned"),
    "report_in_in_time": ("reported_in_time", "summoned"),
    "upward": ("upward_earned", "upward_possible"),
}
"""In per cent, to two decimals, half up: numerator and denominator."""

_ACTS: Final = """
, acts AS (
    SELECT case_id, kind, department, at, due_at, number, detail, NULL::float8 AS minutes
    FROM marks WHERE at <= $1
    UNION ALL
    SELECT case_id, 'assigned', department, valid_from, NULL, NULL, NULL, NULL
    FROM assignments WHERE assigned AND valid_from <= $1
    UNION ALL
    SELECT case_id, 'handled', department, handled_at, NULL, NULL, NULL, NULL
    FROM undone WHERE handled_at <= $1
    UNION ALL
    SELECT case_id, 'handled', department, handled_at, NULL, NULL, NULL, NULL
    FROM cases WHERE handled_at <= $1
    UNION ALL
    SELECT case_id, 'came', department, came.at, called.due_at, number, NULL,
        extract(epoch FROM came.at - called.at)::float8 / 60
    FROM marks AS came JOIN marks AS called USING (case_id, department, number)
    WHERE came.kind = 'reported_in' AND called.kind = 'summoned' AND came.at <= $1
),
done AS (
    SELECT {key} AS key, acts.*, seen.reported_at FROM acts JOIN seen USING (case_id)
)
"""
_COUNT: Final = "SELECT key, {counts} FROM {source} GROUP BY key"
_MEDIAN: Final = (
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY minutes) FILTER (WHERE minutes IS NOT NULL) AS minutes"
)
_BEHIND: Final = """
SELECT case_id, count(*) AS times FROM {source} WHERE {condition} AND case_id > $4
    AND ($5::boolean OR key IS NOT DISTINCT FROM $6::text)
GROUP BY case_id ORDER BY case_id LIMIT $7
"""


class Measured(NamedTuple):
    """What was counted for one key."""

    counts: dict[str, int | Decimal]
    report_in_minutes_median: float | None = None


class Key(NamedTuple):
    """Which line of a breakdown is meant: all of them, or that of *value* (None: where the case names none)."""

    every: bool
    value: str | None = None


class Page(NamedTuple):
    """A part of a list that is ordered by case id."""

    limit: int
    after: str = ""
    """The last case id of the part before."""


def _acts(by: By) -> str:
    return seen(by) + _ACTS.format(key="acts.department" if by is By.DEPARTMENT else "seen.key")


def _counts(conditions: Mapping[str, str]) -> str:
    return ", ".join(
        f'count(*) FILTER (WHERE {condition}) AS "{name}"' for name, condition in conditions.items()
    )


async def counted(connection: Connection, by: By, span: Span) -> dict[str | None, Measured]:
    """All counts of COUNTED, by key."""
    counts: defaultdict[str | None, dict[str, int | Decimal]] = defaultdict(lambda: dict.fromkeys(COUNTED, 0))
    medians: dict[str | None, float | None] = {}
    of_cases = _COUNT.format(counts=_counts(_OF_CASES), source="seen")
    for record in await connection.fetch(seen(by) + of_cases, *span):
        counts[record["key"]].update({name: record[name] for name in _OF_CASES})
    of_acts = _COUNT.format(counts=f"{_counts(_OF_ACTS)}, {_MEDIAN}", source="done")
    for record in await connection.fetch(_acts(by) + of_acts, *span):
        counts[record["key"]].update({name: record[name] for name in _OF_ACTS})
        medians[record["key"]] = _minutes(record["minutes"])
    return {key: Measured(found, medians.get(key)) for key, found in counts.items()}


def _minutes(value: float | None) -> float | None:
    return None if value is None else float(Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_UP))


async def behind(
    connection: Connection, measure: str, by: By, span: Span, key: Key, page: Page
) -> list[dict[str, Any]]:
    """The cases that one of COUNTED counts, each with how often."""
    if measure in _OF_CASES:
        query = seen(by) + _BEHIND.format(source="seen", condition=_OF_CASES[measure])
    else:
        query = _acts(by) + _BEHIND.format(source="done", condition=_OF_ACTS[measure])
    records = await connection.fetch(query, *span, page.after, key.every, key.value, page.limit)
    return [dict(record) for record in records]


SCORED: Final = "SELECT key, case_id, number, detail FROM done WHERE kind = 'scored'"
"""Every score that a community gave."""
ASSIGNED: Final = """
, held AS (
    SELECT case_id, version, assignments.department, valid_from,
        lead(valid_from) OVER (PARTITION BY case_id ORDER BY version) AS ended_at
    FROM assignments JOIN named USING (case_id)
    WHERE assigned AND valid_from <= $1 AND origin <> 'import'
)
SELECT {key} AS key, held.case_id, valid_from, min(marks.at) AS signed_at
FROM held JOIN seen USING (case_id) LEFT JOIN marks ON marks.case_id = held.case_id AND marks.kind = 'signed'
    AND marks.department = held.department AND marks.at BETWEEN valid_from AND coalesce(ended_at, $1)
    AND marks.at <= $1
GROUP BY 1, held.case_id, held.version, valid_from
"""


async def scores_given(connection: Connection, by: By, span: Span) -> list[Any]:
    """Key, case_id, number (stars) and detail (community) of every score."""
    return await connection.fetch(_acts(by) + SCORED, *span)


async def assignments_held(connection: Connection, by: By, span: Span) -> list[Any]:
    """Key, case_id, valid_from and signed_at of every assignment of live cases."""
    key = "held.department" if by is By.DEPARTMENT else "seen.key"
    return await connection.fetch(seen(by) + ASSIGNED.format(key=key), *span)


def percent(part: int | Decimal, whole: int | Decimal) -> float | None:
    """So many per cent, to two decimals, half up as published figures are; None of nothing."""
    if not whole:
        return None
    return float((Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.01"), ROUND_HALF_UP))
