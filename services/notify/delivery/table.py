"""The queue of deliveries: what is due, in whose lane, and which replica works there.

Leases are kept by the database's own clock: replicas need none that agree.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from libs.events.readmodel import Connection, Pool
from services.notify.channels.base import Due, Medium

SCHEMA: Final = (Path(__file__).parent.parent / "schema" / "deliveries.sql").read_text(encoding="utf-8")
SCHEMA_LOCK: Final = (
    0x6E6F_7469_6679  # "notify": replicas that start together make the tables one after the other
)
IS_MISSING: Final = "SELECT to_regclass('notify.deliveries') IS NULL"
LOCK: Final = "SELECT pg_advisory_xact_lock($1)"

REASON_CHARACTERS_MAX: Final = 500
KEPT_DAYS: Final = 90
"""How long a notice that is settled can be looked at and asked for again by its id."""
SWEPT_ROWS_MAX: Final = 5_000

FIELDS: Final = "lane, channel, receiver, case_id, version, position, fact, happened_at, bundle, replay"
_NEW: Final = """
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::bigint[],
    $8::text[], $9::timestamptz[], $10::text[], $11::bigint[], $12::timestamptz[])
AS t (notice_id, lane, channel, receiver, case_id, version, position, fact, happened_at, bundle, replay, due_at)
"""
PLAN: Final = f"""
INSERT INTO notify.deliveries (notice_id, {FIELDS}, due_at) {_NEW} ORDER BY notice_id
ON CONFLICT (notice_id) DO NOTHING
"""
PLAN_AGAIN: Final = f"""
INSERT INTO notify.deliveries AS old (notice_id, {FIELDS}, due_at) {_NEW} ORDER BY notice_id
ON CONFLICT (notice_id) DO UPDATE SET
    state = 'due', due_at = excluded.due_at, planned_at = now(), tries = 0, replay = excluded.replay
WHERE old.replay < excluded.replay
"""
CALL_LANES: Final = """
INSERT INTO notify.lanes AS old (lane, due_at)
SELECT lane, min(due_at) FROM unnest($1::text[], $2::timestamptz[]) AS t (lane, due_at) GROUP BY lane ORDER BY lane
ON CONFLICT (lane) DO UPDATE SET due_at = least(old.due_at, excluded.due_at)
"""
TAKE_LANES: Final = """
UPDATE notify.lanes SET leased_until = now() + $1, holder = $2 WHERE lane IN (
    SELECT lane FROM notify.lanes WHERE due_at <= now() AND closed_until <= now() AND leased_until <= now()
    ORDER BY leased_until, lane LIMIT $3 FOR UPDATE SKIP LOCKED
) RETURNING lane, failures, due_at
"""
RENEW_LANE: Final = """
UPDATE notify.lanes SET leased_until = now() + $3
WHERE lane = $1 AND holder = $2 AND leased_until > now() RETURNING true
"""
LOCK_LANE: Final = "SELECT true FROM notify.lanes WHERE lane = $1 AND holder = $2 FOR UPDATE"
LEAVE_LANE: Final = """
UPDATE notify.lanes SET holder = NULL, leased_until = now(), failures = $2,
    closed_until = coalesce($3::timestamptz, '-infinity'), due_at = CASE
    WHEN due_at = $4 THEN 'infinity' ELSE coalesce(
        (SELECT min(due_at) FROM notify.deliveries AS d WHERE d.lane = $1 AND state = 'due'), 'infinity')
END WHERE lane = $1
"""
OPEN_LANE: Final = """
INSERT INTO notify.lanes (lane, due_at) VALUES ($1, now())
ON CONFLICT (lane) DO UPDATE SET due_at = now(), closed_until = '-infinity', failures = 0
"""
NEXT_DUE: Final = f"""
SELECT notice_id, {FIELDS}, attempts, tries, planned_at, due_at FROM notify.deliveries
WHERE lane = $1 AND state = 'due' AND due_at <= now() ORDER BY due_at, position LIMIT $2
"""
SETTLE: Final = """
UPDATE notify.deliveries SET state = $2, attempts = $3, tries = $4, tried_at = $5, due_at = coalesce($6, due_at),
    status = $7, reason = left($8, $9)
WHERE notice_id = $1 AND replay = $10
"""
SWEEP: Final = """
DELETE FROM notify.deliveries WHERE notice_id IN (
    SELECT notice_id FROM notify.deliveries
    WHERE state <> 'due' AND planned_at < now() - make_interval(days => $1) LIMIT $2
)
"""


class Planned(NamedTuple):
    """A notice, and when it is due for the first time."""

    notice: Due
    due_at: datetime


class TakenLane(NamedTuple):
    """A lane that this replica works in now."""

    lane: str
    failures: int
    """Attempts that failed in a row; 0 while it goes well."""
    due_at: datetime
    """Another one when it is left: somebody has opened the lane meanwhile."""


class Settlement(NamedTuple):
    """What is known of a notice after an attempt."""

    state: str
    attempts: int
    tries: int
    tried_at: datetime
    due_at: datetime | None = None
    status: int | None = None
    reason: str = ""


class Table:
    """The rows of `notify.deliveries` and `notify.lanes`."""

    def __init__(self, pool: Pool, holder: UUID, lease: timedelta) -> None:
        self._pool = pool
        self._holder = holder
        self._lease = lease

    async def prepare(self) -> bool:
        """Make the tables if they are missing; whether they were."""
        async with self._transaction() as connection:
            await connection.execute(LOCK, SCHEMA_LOCK)
            missing = await connection.fetchval(IS_MISSING)
            await connection.execute(SCHEMA)
            return bool(missing)

    async def plan(self, planned: Sequence[Planned], *, again: bool = False) -> None:
        """Keep notices that are due; what is known already is not touched, unless it is asked for *again*."""
        if not planned:
            return
        async with self._transaction() as connection:
            await connection.execute(PLAN_AGAIN if again else PLAN, *_columns(planned))
            lanes, dues = [each.notice.lane for each in planned], [each.due_at for each in planned]
            await connection.execute(CALL_LANES, lanes, dues)

    async def take(self, lanes_max: int) -> list[TakenLane]:
        """Lanes with something due that nobody works in; they are ours until the lease ends."""
        rows = await self._pool.fetch(TAKE_LANES, self._lease, self._holder, lanes_max)
        return [TakenLane(*row) for row in rows]

    async def renew(self, lane: str) -> bool:
        """Whether the lane is still ours, from now for a whole lease."""
        return bool(await self._pool.fetchval(RENEW_LANE, lane, self._holder, self._lease))

    async def leave(
        self, lane: TakenLane, failures: int, closed_until: datetime | None, *, held: bool
    ) -> None:
        """Give the lane back; *held* until somebody opens it, or has opened it since it was taken."""
        held_at = lane.due_at if held else None
        async with self._transaction() as connection:
            # Locked by a statement of its own, so that the next one sees what was planned until then.
            if await connection.fetchval(LOCK_LANE, lane.lane, self._holder):
                await connection.execute(LEAVE_LANE, lane.lane, failures, closed_until, held_at)

    async def open(self, lane: str) -> None:
        """Have the lane looked at at once, whatever held it up."""
        await self._pool.execute(OPEN_LANE, lane)

    async def due(self, lane: str, notices_max: int) -> list[Due]:
        """What is due there, the longest due first."""
        return [due_of(row) for row in await self._pool.fetch(NEXT_DUE, lane, notices_max)]

    async def settle(self, notice: Due, settlement: Settlement) -> None:
        """Keep what became of an attempt; nothing when the notice was asked for again meanwhile."""
        await self._pool.execute(
            SETTLE,
            notice.notice_id,
            *settlement,
            REASON_CHARACTERS_MAX,
            notice.replay,
        )

    async def sweep(self) -> int:
        """Forget notices that were settled long ago; how many."""
        answer = await self._pool.execute(SWEEP, KEPT_DAYS, SWEPT_ROWS_MAX)
        return int(answer.rpartition(" ")[2])

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[Connection]:
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection


def _columns(planned: Iterable[Planned]) -> Iterable[list[Any]]:
    rows = [
        (
            *(notice.notice_id, notice.lane, notice.channel, notice.receiver, notice.case_id),
            *(notice.version, notice.position, notice.fact, notice.happened_at, notice.bundle, notice.replay),
            due_at,
        )
        for notice, due_at in planned
    ]
    return (list(column) for column in zip(*rows, strict=True))


def due_of(row: asyncpg.Record) -> Due:
    """The notice of a row that has at least FIELDS and what was tried."""
    return Due(
        notice_id=str(row["notice_id"]),
        lane=row["lane"],
        channel=Medium(row["channel"]),
        receiver=row["receiver"],
        case_id=row["case_id"],
        version=row["version"],
        position=row["position"],
        fact=row["fact"],
        happened_at=row["happened_at"],
        bundle=row["bundle"],
        replay=row["replay"],
        attempts=row["attempts"],
        tries=row["tries"],
        planned_at=row["planned_at"],
    )
