"""What can be seen of deliveries: those of a subscription, those of a case, those that were given up."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from libs.events.readmodel import Pool
from services.notify.channels.base import Due
from services.notify.delivery.records import Records
from services.notify.delivery.replays import milliseconds
from services.notify.delivery.table import FIELDS, Planned, Table, due_of

SHOWN_MAX: Final = 200

_SHOWN: Final = """
SELECT notice_id::text AS id, channel, receiver, case_id, fact, happened_at, state, attempts,
    CASE WHEN state = 'due' THEN due_at END AS due_at, tried_at, status, reason FROM notify.deliveries
"""
OF_RECEIVER: Final = f"""
{_SHOWN} WHERE receiver = $1 AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR position < (
    SELECT position FROM notify.deliveries WHERE notice_id = $3
)) ORDER BY position DESC LIMIT $4
"""
OF_STATE: Final = f"{_SHOWN} WHERE state = $1 ORDER BY planned_at DESC LIMIT $2"
ONE: Final = f"""
SELECT {FIELDS}, notice_id, attempts, tries, planned_at, state, due_at, tried_at, status, reason
FROM notify.deliveries WHERE notice_id = $1
"""


class Looking:
    """Looks deliveries up, and has them sent again."""

    def __init__(self, pool: Pool, table: Table, records: Records) -> None:
        self._pool = pool
        self._table = table
        self._records = records

    async def of_receiver(
        self, receiver: str, state: str | None, after: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """The deliveries of a subscription, the newest fact first; *after* is the last id of the page before."""
        return _plain(await self._pool.fetch(OF_RECEIVER, receiver, state, after, limit))

    async def of_state(self, state: str, limit: int) -> list[dict[str, Any]]:
        """Deliveries of everybody that stand so, the newest first."""
        return _plain(await self._pool.fetch(OF_STATE, state, limit))

    async def one(self, notice_id: str) -> tuple[Due, dict[str, Any]] | None:
        """One delivery: what it is, and how it stands with all that was tried."""
        row = await self._pool.fetchrow(ONE, notice_id)
        if row is None:
            return None
        notice = due_of(row)
        tried = [record._asdict() for record in await self._records.all(notice)]
        shown = {key: row[key] for key in ("state", "attempts", "tried_at", "status", "reason")}
        due_at = row["due_at"] if row["state"] == "due" else None
        named = {"id": notice.notice_id, "channel": notice.channel, "receiver": notice.receiver}
        fact = {"case_id": notice.case_id, "fact": notice.fact, "happened_at": notice.happened_at}
        return notice, {**named, **fact, **shown, "due_at": due_at, "tried": tried}

    async def again(self, notice: Due, now: datetime) -> None:
        """Have a notice sent again, with the same id."""
        asked = replace(notice, replay=max(milliseconds(now), notice.replay + 1))
        await self._table.plan([Planned(asked, now)], again=True)


def _plain(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]
