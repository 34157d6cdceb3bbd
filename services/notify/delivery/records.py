"""What was done: one record on `NOTICES` for each attempt, the newest of which decides about a notice."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson
import structlog

from libs.events.ids import new_event_id
from libs.events.jetstream import (
    Code,
    JetStream,
    Message,
    NotNow,
    Refused,
    Stored,
    Unknown,
    as_library_error,
    expectation,
)
from libs.events.subjects import NOTICES, token
from services.notify.channels.base import Due

log = structlog.get_logger(__name__)

TYPE: Final = "whistle.notice.attempted.v1"
AGAIN_FIRST_SECONDS: Final = 0.1
AGAIN_SECONDS_MAX: Final = 5.0


class Record(NamedTuple):
    """One attempt, as it stands on `NOTICES`."""

    attempt: int
    """Its number, from 1."""
    tries: int
    """Its number since the notice was last asked for."""
    state: str
    """`sent`, `dead`, `dropped`; `due` when it failed and is tried again."""
    at: datetime
    again_at: datetime | None = None
    status: int | None = None
    reason: str = ""
    replay: int = 0
    message_id: str = ""
    """Under which id the receiver has it; that of the notice, or of the message that it went in."""


class Known(NamedTuple):
    """The newest record of a notice, if there is one, and where it stands."""

    record: Record | None
    position: int


def subject_of(notice: Due) -> str:
    """Where the attempts of a notice stand."""
    return f"notice.{notice.case_id}.{notice.channel}.{notice.version}.{token(notice.receiver)}"


class Records:
    """The attempts on `NOTICES`."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream

    async def newest(self, notice: Due) -> Known:
        """The newest attempt, as the stream's leader knows it.  Raises LogUnavailable or LogRefused."""
        try:
            found = await self._jetstream.last_on_leader(NOTICES, subject_of(notice))
        except (Refused, NotNow, Unknown) as error:
            raise as_library_error(error) from error
        return _known(found)

    async def all(self, notice: Due) -> list[Record]:
        """Every attempt of a notice, the first one first.  Raises LogUnavailable or LogRefused."""
        found: list[Record] = []
        position = 1
        while True:
            try:
                stored = await self._jetstream.next_on_leader(NOTICES, subject_of(notice), position)
            except (Refused, NotNow, Unknown) as error:
                raise as_library_error(error) from error
            if stored is None:
                return found
            record = _known(stored).record
            assert record is not None, "what was stored is a record"
            found.append(record)
            position = stored.sequence + 1

    async def keep(self, notice: Due, record: Record, known: Known) -> Record:
        """Record an attempt that was made after *known*; what stands there then.

        That is another record when another replica was faster. Until the stream has said which, it is asked again:
        the attempt was made, and nobody else may have to make it again. Raises LogRefused for what it never takes.
        """
        subject = subject_of(notice)
        # An id of its own: had it one that derives from the notice, the server would take the record of another
        # replica for a repetition of this one, and say nothing.
        headers = expectation(new_event_id(), subject, known.position)
        message = Message(subject, _document(notice, record, headers["Nats-Msg-Id"]), headers)
        delay = AGAIN_FIRST_SECONDS
        while True:
            try:
                await self._jetstream.publish(message)
            except (NotNow, Unknown) as error:
                log.warning("notice_record_again_later", delay_seconds=delay, reason=str(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, AGAIN_SECONDS_MAX)
            except Refused as refused:
                if refused.code != Code.WRONG_LAST_SEQUENCE:
                    raise as_library_error(refused) from refused
                return await self._others(notice, record)
            else:
                return record

    async def _others(self, notice: Due, mine: Record) -> Record:
        newest = (await self.newest(notice)).record
        assert newest is not None, "the stream refused because of it"
        if newest != mine:  # it is the same when the first answer was lost and this is the second
            log.warning("notice_recorded_elsewhere", notice_id=notice.notice_id, attempt=newest.attempt)
        return newest


def _document(notice: Due, record: Record, event_id: str) -> bytes:
    data: dict[str, Any] = {
        "notice_id": notice.notice_id,
        "channel": notice.channel,
        "receiver": notice.receiver,
        "fact": notice.fact,
        "attempt": record.attempt,
        "tries": record.tries,
        "state": record.state,
        "again_at": record.again_at,
        "status": record.status,
        "reason": record.reason,
        "replay": record.replay,
        "message_id": record.message_id,
    }
    document = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/notify",
        "type": TYPE,
        "subject": notice.case_id,
        "time": record.at,
        "datacontenttype": "application/json",
        "data": data,
    }
    return orjson.dumps(document)


def _known(stored: Stored | None) -> Known:
    if stored is None:
        return Known(None, 0)
    document = orjson.loads(stored.payload)
    data = document["data"]
    again_at = data["again_at"]
    record = Record(
        attempt=data["attempt"],
        tries=data["tries"],
        state=data["state"],
        at=_time(document["time"]),
        again_at=_time(again_at) if again_at else None,
        status=data["status"],
        reason=data["reason"],
        replay=data["replay"],
        message_id=data["message_id"],
    )
    return Known(record, stored.sequence)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
