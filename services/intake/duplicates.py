"""The open cases around a report, looked up in the read model: fast, and never in the way of a report.

A report must not be refused, nor wait, because a near-duplicate cannot be looked for. So whatever goes wrong here
is logged and counted, the report goes on without candidates, and for a while nobody asks again.
"""

import asyncio
from collections.abc import Callable
from math import cos, radians
from time import monotonic
from typing import Final

import asyncpg
import structlog

from libs.events import telemetry
from libs.events.away import DATABASE_AWAY
from libs.events.contracts.base import Place
from libs.events.readmodel import Pool
from services.intake.decider import Candidate
from services.intake.views import MODEL

log = structlog.get_logger(__name__)

CANDIDATES_MAX: Final = 50
"""The newest ones: what is older than these is hardly the same problem."""
JOINED_REPORTS_MAX: Final = 500
"""A case with so many reports takes no more by itself: its history would grow without end."""
ANSWER_SECONDS_MAX: Final = 2.0
"""It takes milliseconds; this is for a machine that is busy, which must not stop looking."""
PAUSE_SECONDS: Final = 5.0
"""After a failure, so that not every report waits for a database that is away."""
GENERATION_SECONDS: Final = 2.0
"""How long the generation of the read model is remembered: a rebuild keeps the one before it."""
METRES_PER_DEGREE: Final = 110_574.0
"""Of latitude, where it is least: the box is a little too large, never too small."""
SLACK: Final = 1.01

ACTIVE: Final = f"SELECT generation FROM {MODEL.service}.generations WHERE active"
NEAR: Final = """
SELECT case_id, category, description, longitude, latitude, reported_at FROM {schema}.reports
WHERE state = 'open' AND category = $1 AND latitude BETWEEN $2 AND $3 AND longitude BETWEEN $4 AND $5
    AND joined < $6 ORDER BY reported_at DESC LIMIT $7
"""
FAILURES: Final = (OSError, asyncpg.PostgresError, *DATABASE_AWAY)


class Duplicates:
    """Looks for open cases around a point."""

    def __init__(
        self,
        pool: Callable[[], "Pool | None"],
        clock: Callable[[], float] = monotonic,
        *,
        answer_seconds_max: float = ANSWER_SECONDS_MAX,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._answer_seconds_max = answer_seconds_max
        self._resting_until = 0.0
        self._schema = ""
        self._schema_until = 0.0

    async def near(self, category: str, place: Place, metres: float, but: str) -> tuple[Candidate, ...]:
        """Open live cases of *category* in a box around *place* but for one; none when nobody can be asked."""
        if place.longitude is None or place.latitude is None:
            return ()
        pool = self._pool()
        if pool is None or self._clock() < self._resting_until:
            telemetry.count_lookup_skipped()
            return ()
        try:
            async with asyncio.timeout(self._answer_seconds_max):
                found = await self._ask(pool, category, box_around(place.longitude, place.latitude, metres))
        except FAILURES as error:
            self._resting_until = self._clock() + PAUSE_SECONDS
            self._schema_until = 0.0
            telemetry.count_lookup_skipped()
            log.warning("duplicates_not_looked_for", reason=str(error) or type(error).__name__)
            return ()
        return tuple(each for each in found if each.case_id != but)

    async def _ask(self, pool: Pool, category: str, box: tuple[float, ...]) -> list[Candidate]:
        async with pool.acquire() as connection:
            if self._clock() >= self._schema_until:
                generation = int(await connection.fetchval(ACTIVE))
                self._schema = MODEL.schema_name(generation)
                self._schema_until = self._clock() + GENERATION_SECONDS
            near = NEAR.format(schema=self._schema)
            records = await connection.fetch(near, category, *box, JOINED_REPORTS_MAX, CANDIDATES_MAX)
        return [Candidate(*record) for record in records]


def box_around(longitude: float, latitude: float, metres: float) -> tuple[float, float, float, float]:
    """South, north, west and east of a box that holds every point within *metres*, in degrees."""
    along = SLACK * metres / METRES_PER_DEGREE
    across = along / max(cos(radians(latitude)), 1e-6)
    return latitude - along, latitude + along, longitude - across, longitude + across
