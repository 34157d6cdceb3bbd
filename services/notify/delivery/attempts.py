"""One attempt, from looking whether it is still called for to knowing what came of it.  See decision 28."""

import asyncio
import random
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog

from libs.events import faults, telemetry
from libs.events.errors import LogUnavailable
from services.notify.channels.base import (
    Channel,
    Dropped,
    Due,
    Failed,
    Hopeless,
    Medium,
    Outcome,
    Sent,
    message_id_of,
)
from services.notify.deciding.schedule import again_at, expired
from services.notify.delivery.records import Known, Record, Records
from services.notify.delivery.table import Settlement, Table

log = structlog.get_logger(__name__)

EXPIRED: Final = "too old to be tried again"


class Attempts:
    """Makes attempts and keeps what came of them."""

    def __init__(
        self,
        table: Table,
        records: Records,
        channels: Mapping[Medium, Channel],
        now: Callable[[], datetime],
        attempt_seconds_max: float,
    ) -> None:
        self._table = table
        self._records = records
        self._channels = channels
        self._now = now
        self._attempt_seconds_max = attempt_seconds_max

    async def make(self, bundle: Sequence[Due], *, over: str = "") -> Outcome | None:
        """Try to bring notices of one bundle to their receiver; None when nothing had to be sent.

        With *over* nothing is sent, since there is no such receiver any more. Raises LogUnavailable when the log
        cannot be asked, and what says that the database is away.
        """
        open_ones = [(notice, known) for notice in bundle if (known := await self._still_open(notice))]
        if not open_ones:
            return None
        notices = [notice for notice, _ in open_ones]
        outcome: Outcome = Dropped(over) if over else await self._send(notices)
        await faults.reach("notify.sent")
        at = self._now()
        for notice, known in open_ones:
            record = await self._records.keep(notice, self._record(notice, known, outcome, at), known)
            await faults.reach("notify.recorded")
            await self._table.settle(notice, _settlement(record))
            telemetry.count_notice_attempt(notice.channel, record.state)
            if record.state == "dead":
                log.error(
                    "notice_given_up", notice_id=notice.notice_id, lane=notice.lane, reason=record.reason
                )
        return outcome

    async def _still_open(self, notice: Due) -> Known | None:
        """The newest record of a notice that is to be sent now; None when it says that this is not so."""
        known = await self._records.newest(notice)
        record = known.record
        if record is None or record.replay < notice.replay or record.attempt <= notice.attempts:
            return known
        # Whoever made that attempt died before the table knew, or the table was lost.
        log.info(
            "notice_was_attempted", notice_id=notice.notice_id, attempt=record.attempt, state=record.state
        )
        await self._table.settle(notice, _settlement(record))
        return None

    async def _send(self, notices: Sequence[Due]) -> Outcome:
        now = self._now()
        if all(notice.planned_at and expired(notice.planned_at, now) for notice in notices):
            return Hopeless(EXPIRED)
        await faults.reach("notify.before_send")
        try:
            async with asyncio.timeout(self._attempt_seconds_max):
                return await self._channels[notices[0].channel].send(notices)
        except LogUnavailable:
            raise  # nothing was sent
        except TimeoutError:
            return Failed(f"no answer in {self._attempt_seconds_max:g} s")
        except Exception as error:  # a receiver may answer anything
            # Its type and its place, never its text, in which an address may stand.
            kind, at = type(error).__name__, traceback.format_tb(error.__traceback__)
            log.warning("notice_attempt_failed", notice_id=notices[0].notice_id, error=kind, at="".join(at))
            return Failed(kind, lane_down=False)

    def _record(self, notice: Due, known: Known, outcome: Outcome, at: datetime) -> Record:
        before = known.record
        tries = before.tries + 1 if before and before.replay >= notice.replay else 1
        record = Record(
            attempt=before.attempt + 1 if before else 1,
            tries=tries,
            state="sent",
            at=at,
            replay=notice.replay,
            message_id=message_id_of(notice),
        )
        match outcome:
            case Sent(status):
                return record._replace(status=status)
            case Dropped(reason):
                return record._replace(state="dropped", reason=reason)
            case Hopeless(reason, status):
                return record._replace(state="dead", reason=reason, status=status)
            case Failed(reason, status):
                again = again_at(at, tries, random.random(), outcome.again_seconds)
                state = "due" if again else "dead"
                return record._replace(state=state, reason=reason, status=status, again_at=again)


def _settlement(record: Record) -> Settlement:
    return Settlement(
        state=record.state,
        attempts=record.attempt,
        tries=record.tries,
        tried_at=record.at,
        due_at=record.again_at,
        status=record.status,
        reason=record.reason,
    )


def bundles_of(notices: Sequence[Due]) -> list[list[Due]]:
    """Notices that go together, in the order of their first ones."""
    found: dict[str, list[Due]] = {}
    for notice in notices:
        found.setdefault(notice.bundle or notice.notice_id, []).append(notice)
    return list(found.values())
