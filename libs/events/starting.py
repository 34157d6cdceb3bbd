"""Where in the log to begin to read, and where to end: at a position, a time or a case.

A time is that of `recordedtime`: the log is in that order, so what comes from a time on is one stretch of it, and
nothing in it is passed over. The event's own time jumps to and fro there, with imports and with what is told late.
Where the books were closed, what lies behind is looked for in the sealed files.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from libs.events.errors import BooksClosed
from libs.events.history import WholeLog
from libs.events.jetstream import JetStream, NotNow, Refused, Stored, Unknown, as_library_error
from libs.events.jetstream.reader import RawEvent
from libs.events.ledger.archive import Archive
from libs.events.subjects import CASES, case_filter, parse_case_subject

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


async def first_position(history: WholeLog, start: Start, last: int) -> int:
    """The position to begin with, where the log ends at *last*.

    A position may be the one that comes next.  Raises NothingThere for one beyond, for a case that the log does not
    have, and for a time after all that it has; LogUnavailable, LogRefused; and what reading sealed files raises.
    """
    if isinstance(start, int):
        if not 1 <= start <= last + 1:
            raise NothingThere(f"the log ends at position {last:,}; {start:,} lies in the future")
        return start
    if isinstance(start, OfCase):
        return await _first_of_case(history, start.case_id)
    begin = await _look_from(history, start, last)
    async for event in _events(history, begin, last):
        if recorded_at(event) >= start:
            return event.sequence
    raise NothingThere(f"nothing was recorded at {start.isoformat()} or later")


async def last_position(history: WholeLog, end: int | datetime, last: int) -> int:
    """The position to end with, included; where the log ends at *last*.

    Raises NothingThere for a position beyond, and for a time before all that the log has.
    """
    if isinstance(end, int):
        if not 1 <= end <= last:
            raise NothingThere(f"the log ends at position {last:,}; {end:,} lies in the future")
        return end
    begin = await _look_from(history, end, last)
    found = begin - 1
    async for event in _events(history, begin, last):
        recorded = recorded_at(event)
        if recorded <= end:
            found = event.sequence
        elif recorded > end + CLOCKS_APART:
            break
    if found < 1:
        raise NothingThere(f"nothing was recorded until {end.isoformat()}")
    return found


async def _look_from(history: WholeLog, moment: datetime, last: int) -> int:
    # The server's own time only says where to begin to look: an event is never stored before it is recorded, and in
    # a log that was restored all were stored late.
    stored = await _first(history.jetstream, _ALL, moment - CLOCKS_APART)
    begin, first = stored.sequence if stored else last + 1, await _first_there(history.jetstream)
    if begin > first or first == 1:
        return begin
    return await _look_in_books(await _archive(history, first), moment, first - 1)


async def _look_in_books(archive: Archive, moment: datetime, last: int) -> int:
    """The first event of the sealed file to begin with: what lies before it was recorded before *moment*."""
    files = [each for each in archive.stretches if each.first <= last]
    low, high = 0, len(files)
    while low < high:
        middle = (low + high) // 2
        first = files[middle].first
        [[sealed]] = [part async for part in archive.events(first, first)]
        event = RawEvent(first, sealed.leaf.subject.encode(), sealed.leaf.payload)
        # Twice: that one's clock, and those of the ones before it.
        if recorded_at(event) < moment - 2 * CLOCKS_APART:
            low = middle + 1
        else:
            high = middle
    return files[max(0, low - 1)].first


async def _first_of_case(history: WholeLog, case_id: str) -> int:
    stored = await _first(history.jetstream, case_filter(case_id), None)
    first = await _first_there(history.jetstream)
    if first > 1 and (stored is None or parse_case_subject(stored.subject).version > 1):
        # A case that went on was carried forward, one that was over is in the files alone.
        begins = case_filter(case_id).removesuffix(">").encode()
        async for event in _events(history, 1, first - 1):
            if event.subject.startswith(begins):
                return event.sequence
    if stored is None:
        raise NothingThere(f"the log has no case {case_id}")
    return stored.sequence


async def _archive(history: WholeLog, first: int) -> Archive:
    if history.sealed is None:
        raise BooksClosed(first)
    return await history.sealed()


async def _first_there(jetstream: JetStream) -> int:
    """The first position that the log still has; 1 when it has none."""
    stored = await _first(jetstream, _ALL, None)
    return stored.sequence if stored else 1


async def _first(jetstream: JetStream, subject: str, since: datetime | None) -> Stored | None:
    try:
        if since is None:
            return await jetstream.next_on_leader(CASES, subject, 1)
        return await jetstream.next_since_on_leader(CASES, subject, since)
    except (NotNow, Unknown, Refused) as error:
        raise as_library_error(error) from error


async def _events(history: WholeLog, start: int, last: int) -> AsyncGenerator[RawEvent]:
    if start > last:
        return
    async with aclosing(history.replayed(start=start, stop=last)) as batches:
        async for events in batches:
            for event in events:
                yield event


async def recorded_at_position(history: WholeLog, position: int) -> datetime:
    """When the event at a position, which is there, was recorded.  Raises like `first_position`."""
    [event] = [event async for event in _events(history, position, position)]
    return recorded_at(event)
