"""What else is asked of the read models: where live cases lie, and how patrols went."""

from datetime import datetime
from typing import Any, Final

from libs.events.readmodel import Connection
from services.evaluation.alerts import Sighting
from services.evaluation.views.seen import NAMED

SIGHTINGS: Final = f"""
WITH {NAMED}
SELECT case_id, category, longitude, latitude, reported_at FROM named
WHERE longitude IS NOT NULL AND latitude IS NOT NULL
    AND (rejected_at IS NULL OR rejected_at > $1) AND (merged_at IS NULL OR merged_at > $1)
    AND reported_at > $2 AND reported_at <= $3
"""
KNOWN_FROM: Final = f"WITH {NAMED} SELECT min(reported_at) FROM named WHERE longitude IS NOT NULL"
COVERAGE: Final = """
WITH walked AS (
    SELECT grid, count(*) AS ordered, count(*) FILTER (WHERE ended_by = 'worker') AS ended_by_worker,
        sum(points) AS points, sum(passed) AS passed, sum(check_ins) AS check_ins, sum(found) AS found
    FROM patrols WHERE day >= $1 AND day <= $2 GROUP BY grid
),
missed AS (
    SELECT cases.grid, array_agg(DISTINCT cases.case_id ORDER BY cases.case_id) AS missed_finds
    FROM cases JOIN patrols ON patrols.grid = cases.grid AND patrols.day = to_char(cases.day, 'YYYY-MM-DD')
    WHERE patrols.day >= $1 AND patrols.day <= $2 AND channel <> 'patrol' AND filed_at IS NOT NULL
        AND cases.reported_at >= coalesce(ended_at, ordered_until)
    GROUP BY cases.grid
)
SELECT walked.*, coalesce(missed_finds, ARRAY[]::text[]) AS missed_finds
FROM walked LEFT JOIN missed USING (grid) ORDER BY grid
"""


async def sightings(
    connection: Connection, since: datetime, until: datetime, as_of: datetime
) -> list[Sighting]:
    """The live cases reported after *since* and until *until* that had a place as of *as_of*, none of those joined."""
    return [Sighting(*record) for record in await connection.fetch(SIGHTINGS, as_of, since, until)]


async def known_from(connection: Connection, as_of: datetime) -> datetime | None:
    """When the first live case was reported, as far as that was known as of *as_of*."""
    moment: datetime | None = await connection.fetchval(KNOWN_FROM, as_of)
    return moment


async def coverage(connection: Connection, since_day: str, until_day: str) -> list[dict[str, Any]]:
    """Each grid's patrols of those days: orders, points, points passed, finds, and what was missed.

    A missed find is a case that somebody else reported in the grid, on the same day, after its patrol was over (by
    its end, or by the end of its hours): the patrol had been there, or should have.
    """
    return [dict(record) for record in await connection.fetch(COVERAGE, since_day, until_day)]
