"""The cases as they were at a moment: the part that all questions share."""

from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

ROLLING_DAYS: Final = 30
ROLLING_KEYS_MAX: Final = 92
"""So many days have a rolling figure: the last ones until the newest report."""


class By(StrEnum):
    """What figures are broken down by."""

    DEPARTMENT = "department"
    STREET = "street"
    COMMUNITY = "community"
    GRID = "grid"
    CATEGORY = "category"
    CHANNEL = "channel"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ROLLING = "rolling"
    """Each day: the cases reported in the 30 days that end with it."""


class Span(NamedTuple):
    """The cases that are asked about: reported from *since*, before *until*; as it was at *as_of*."""

    as_of: datetime
    since: datetime | None = None
    until: datetime | None = None


_KEYS: Final = {
    By.DEPARTMENT: "assigned.department",
    By.DAY: "to_char(day, 'YYYY-MM-DD')",
    By.WEEK: """to_char(day, 'IYYY-"W"IW')""",
    By.MONTH: "to_char(day, 'YYYY-MM')",
    By.ROLLING: "to_char(last_day, 'YYYY-MM-DD')",
}
_EACH_DAY: Final = f"""
    CROSS JOIN LATERAL generate_series(day::timestamp, day + {ROLLING_DAYS - 1}, interval '1 day') AS last_day
"""
_NEWEST: Final = "(SELECT max(day) FROM cases WHERE reported_at <= $1)"
_LAST_DAYS: Final = f"AND last_day <= {_NEWEST} AND last_day > {_NEWEST} - {ROLLING_KEYS_MAX}"


NAMED: Final = """
earlier AS (
    SELECT DISTINCT ON (case_id) *, true AS was_other FROM renamed WHERE valid_until > $1 ORDER BY case_id, version
),
named AS (
    SELECT cases.case_id, channel, day, reported_at, filed_at, rejected_at, merged_at, handled_at, closed_at,
        CASE WHEN was_other THEN earlier.origin ELSE cases.origin END AS origin,
        CASE WHEN was_other THEN earlier.category ELSE cases.category END AS category,
        CASE WHEN was_other THEN earlier.street ELSE cases.street END AS street,
        CASE WHEN was_other THEN earlier.community ELSE cases.community END AS community,
        CASE WHEN was_other THEN earlier.grid ELSE cases.grid END AS grid,
        CASE WHEN was_other THEN earlier.longitude ELSE cases.longitude END AS longitude,
        CASE WHEN was_other THEN earlier.latitude ELSE cases.latitude END AS latitude
    FROM cases LEFT JOIN earlier USING (case_id) WHERE reported_at <= $1
)
"""
"""SQL that defines `named`: the cases that were reported by $1, called and placed as they were then."""


def seen(by: By) -> str:
    """SQL that begins a query: `seen`, the cases of a Span ($1, $2, $3) as they were then, each with its key.

    A time stands only if it was not after the moment asked for, and a handling or closing that was undone later
    stands as it did.  `stopped_at` is when the time to handle stopped running, None while it runs.
    """
    key = _KEYS.get(by, by.value)
    each_day, last_days = (_EACH_DAY, _LAST_DAYS) if by is By.ROLLING else ("", "")
    return f"""
WITH {NAMED},
assigned AS (
    SELECT DISTINCT ON (case_id) case_id, department, due_at, paused_at
    FROM assignments WHERE valid_from <= $1 ORDER BY case_id, version DESC
),
ended AS (
    SELECT case_id, handled_at, closed_at, true AS was_undone
    FROM undone WHERE coalesce(handled_at, closed_at) <= $1 AND ended_at > $1
),
standing AS (
    SELECT {key} AS key, named.case_id, day, reported_at, filed_at, rejected_at, merged_at,
        assigned.department, assigned.due_at, assigned.paused_at,
        CASE WHEN was_undone THEN ended.handled_at ELSE named.handled_at END AS handled_at,
        CASE WHEN was_undone THEN ended.closed_at ELSE named.closed_at END AS closed_at
    FROM named LEFT JOIN assigned USING (case_id) LEFT JOIN ended USING (case_id){each_day}
    WHERE ($2::timestamptz IS NULL OR reported_at >= $2)
        AND ($3::timestamptz IS NULL OR reported_at < $3){last_days}
),
known AS (
    SELECT key, case_id, day, reported_at, department, due_at,
        filed_at <= $1 AS is_filed, rejected_at <= $1 AS is_rejected, merged_at <= $1 AS is_merged,
        CASE WHEN paused_at <= $1 THEN paused_at END AS paused_at,
        CASE WHEN handled_at <= $1 THEN handled_at END AS handled_at,
        CASE WHEN closed_at <= $1 THEN closed_at END AS closed_at
    FROM standing
),
seen AS (SELECT *, coalesce(paused_at, handled_at, closed_at) AS stopped_at FROM known)
"""
