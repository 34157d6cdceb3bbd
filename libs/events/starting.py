"""Where in the log to begin to read, and where to end: at a position, a time or a case.

A time is that of `recordedtime`: the log is in that order, so what comes from a time on is one stretch of it, and
nothing in it is passed over. The event's own time jumps to and fro there, with imports and with what is told late.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from libs.events.jetstream import JetStream, NotNow, Refused, Stored, Unknown, as_library_error
from libs.events.jetstream.reader import Credentials, RawEvent, read
from libs.events.subjects import CASES, case_filter

CLOCKS_APART: Final = timedelta(seconds=60)
"""So far the clocks of those who record facts may be apart from one another, and from the server's."""
_ALL: Final = "case.>"


class NothingThere(ValueError):
    """The log holds nothing to begin with; the text says what was looked for."""


@dataclass(frozen=True, slots=True)
class OfCase:
    """The first event of a case."""

    case_id: str


Start = int | datetime | OfCase


def recorded_at(event: RawEvent) -> datetime:
    """When the appender wrote it.  Raises ValueError for what is no event."""
    return datetime.fromisoformat(orjson.loads(event.payload)["recordedtime"])


async def first_position(jetstream: JetStream, credentials: Credentials, start: Start, last: int) -> int:
    """The position to begin with, where the log ends at *last*.

    A position may be the one that comes next.  Raises NothingThere for one beyond, for a case that the log does not
    have, and for a time after all that it has; LogUnavailable, LogRefused.
    """
    if isinstance(start, int):
        if not 1 <= start <= last + 1:
            raise NothingThere(f"the log ends at position {last:,}; {start:,} lies in the future")
        return start
    if isinstance(start, OfCase):
        stored = await _first(jetstream, case_filter(start.case_id), None)
        if stored is None:
            raise NothingThere(f"the log has no case {start.case_id}")
        return stored.sequence
    begin = await _look_from(jetstream, start, last)
    async for event in _events(jetstream, credentials, begin, last):
        if recorded_at(event) >= start:
            return event.sequence
    raise NothingThere(f"nothing was recorded at {start.isoformat()} or later")


async def last_position(
    jetstream: JetStream, credentials: Credentials, end: int | datetime, last: int
) -> int:
    """The position to end with, included; where the log ends at *last*.

    Raises NothingThere for a position beyond, and for a time before all that the log has.
    """
    if isinstance(end, int):
        if not 1 <= end <= last:
            raise NothingThere(f"the log ends at position {last:,}; {end:,} lies in the future")
        return end
    begin = await _look_from(jetstream, end, last)
    found = begin - 1
    async for event in _events(jetstream, credentials, begin, last):
        recorded = recorded_at(event)
        if recorded <= end:
            found = event.sequence
        elif recorded > end + CLOCKS_APART:
            break
    if found < 1:
        raise NothingThere(f"nothing was recorded until {end.isoformat()}")
    return found


async def _look_from(jetstream: JetStream, moment: datetime, last: int) -> int:
    # The server's own time only says where to begin to look: an event is never stored before it is recorded, and in
    # a log that was restored all were stored late.
    stored = await _first(jetstream, _ALL, moment - CLOCKS_APART)
    return stored.sequence if stored else last + 1


async def _first(jetstream: JetStream, subject: str, since: datetime | None) -> Stored | None:
    try:
        if since is None:
            return await jetstream.next_on_leader(CASES, subject, 1)
        return await jetstream.next_since_on_leader(CASES, subject, since)
    except (NotNow, Unknown, Refused) as error:
        raise as_library_error(error) from error


async def _events(
    jetstream: JetStream, credentials: Credentials, start: int, last: int
) -> AsyncGenerator[RawEvent]:
    if start > last:
        return
    async with aclosing(read(jetstream, credentials, start=start, stop=last)) as batches:
        async for events in batches:
            for event in events:
                yield event


async def recorded_at_position(jetstream: JetStream, position: int) -> datetime:
    """When the event at a position was recorded.  Raises LogUnavailable, LogRefused."""
    try:
        stored = await jetstream.next_on_leader(CASES, _ALL, position)
    except (NotNow, Unknown, Refused) as error:
        raise as_library_error(error) from error
    assert stored is not None, "the log has this position"
    return datetime.fromisoformat(orjson.loads(stored.payload)["recordedtime"])
