"""The scoreboard: who is on time, and who is late."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from libs.events.readmodel import Connection
from services.evaluation.views.seen import By, Span, seen

SCOREBOARD: Final = """
SELECT key, count(*) AS cases, count(closed_at) AS closed, count(due_at) AS due,
    count(*) FILTER (WHERE coalesce(stopped_at, $1) > due_at) AS overdue,
    count(*) FILTER (WHERE closed_at IS NOT NULL AND stopped_at <= due_at) AS met,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM closed_at - reported_at)::float8)
        AS median_seconds
FROM seen GROUP BY key ORDER BY key COLLATE "C" NULLS FIRST
"""


@dataclass(frozen=True, slots=True)
class Score:
    """One line of the scoreboard."""

    key: str | None
    """None where the case names none."""
    cases: int
    closed: int
    due: int
    """Cases that have a target."""
    overdue: int
    """Handled after their target, or still not handled and past it; of what nobody handled the closing counts."""
    met: int
    """Closed, and handled (or, where nobody handled them, closed) not after their target."""
    median_hours_to_close: float | None
    """To two decimals; None where none is closed."""


async def scoreboard(connection: Connection, by: By, span: Span) -> list[Score]:
    """The scoreboard of a span, ordered by key."""
    records = await connection.fetch(seen(by) + SCOREBOARD, *span)
    return [
        Score(
            key=record["key"],
            cases=record["cases"],
            closed=record["closed"],
            due=record["due"],
            overdue=record["overdue"],
            met=record["met"],
            median_hours_to_close=_hours(record["median_seconds"]),
        )
        for record in records
    ]


def _hours(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    # Exactly: a median of whole or half seconds often lies between two hundredths, where floats round by chance.
    hours = Decimal(seconds) / 3600
    return float(hours.quantize(Decimal("0.01"), ROUND_HALF_UP))
