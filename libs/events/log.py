"""The log of record: load a case, append to it.  There is no other way to write a fact."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Final

from nats.aio.client import Client

from libs.events import telemetry
from libs.events.carrying import Bare, whole
from libs.events.commit import DEADLINE_SECONDS, GroupCommit
from libs.events.contracts.base import Event
from libs.events.envelope import Context, Entry, Envelope, decode, encode, events_of, seal
from libs.events.errors import CaseUnreadable, LogUnavailable
from libs.events.ids import derived_event_id, new_event_id
from libs.events.jetstream import (
    MULTI_LAST_SUBJECTS_MAX,
    JetStream,
    Message,
    NotNow,
    Page,
    Refused,
    Stored,
    Unknown,
    as_library_error,
    expectation,
)
from libs.events.jetstream.reader import RawEvent
from libs.events.subjects import (
    AFTER_HEADER,
    AFTER_NOTHING,
    CASES,
    case_filter,
    case_id_in,
    case_subject,
    case_version_filters,
    parse_case_subject,
)

READ_ATTEMPTS_MAX: Final = 20
READ_AGAIN_SECONDS: Final = 0.05
VERSIONS_PER_PAGE: Final = (
    MULTI_LAST_SUBJECTS_MAX // 2
)  # each version has two filters: with a department and without
CASES_PER_PAGE_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class History:
    """All that has happened to one case, oldest first."""

    case_id: str
    entries: tuple[Entry, ...] = ()
    gone: bool = False
    """Whether the log has none of them any more, but the sealed files."""

    @property
    def version(self) -> int:
        """The number of the newest event; 0 when there is none."""
        return self.entries[-1].version if self.entries else 0

    @property
    def sequence(self) -> int:
        """The position of the newest event in the log; 0 when there is none."""
        return self.entries[-1].sequence if self.entries and not self.gone else 0

    @property
    def events(self) -> tuple[Event, ...]:
        """The bare facts, in order."""
        return events_of(self.entries)

    def as_of(self, moment: datetime) -> "History":
        """The case as it was: the events whose own time is not after *moment*."""
        return History(self.case_id, tuple(entry for entry in self.entries if entry.envelope.time <= moment))


@dataclass(frozen=True, slots=True)
class Fact:
    """An event about to be written, with its context and an id that a repetition gets again."""

    event: Event
    context: Context
    event_id: str


def facts_of(events: Iterable[Event], context: Context, *, cause: str | None = None) -> tuple[Fact, ...]:
    """The facts of one decision; *cause* makes their ids derive from it, so that a repetition adds nothing."""
    return tuple(
        Fact(event, context, derived_event_id(cause, event.TYPE, str(number)) if cause else new_event_id())
        for number, event in enumerate(events)
    )


class Log:
    """Reads and writes cases.  Open it with `opened`."""

    def __init__(self, jetstream: JetStream, commit: GroupCommit) -> None:
        self._jetstream = jetstream
        self._commit = commit

    @property
    def is_connected(self) -> bool:
        """Whether the log can be reached at this moment."""
        return self._jetstream.is_connected

    async def append(self, history: History, facts: Sequence[Fact]) -> tuple[Entry, ...]:
        """Write *facts* after *history*, all or none; they come back as they stand in the log.

        Raises VersionConflict when the case has moved on, LogUnavailable when it is not known whether they
        got in (sending the same facts again is safe), LogRefused when the server refuses for good.
        """
        with telemetry.appending(history.case_id, facts[-1].event.name(), facts[-1].event_id) as span:
            envelopes = _sealed(history.case_id, facts, span.traceparent)
            messages = _messages(history, envelopes)
            ids = [envelope.id for envelope in envelopes]
            last = await self._commit.append(history.case_id, messages, ids, history.sequence)
        first_sequence = last - len(messages) + 1
        return tuple(
            Entry(
                first_sequence + offset,
                history.case_id,
                envelope.data.name(),
                history.version + 1 + offset,
                envelope,
            )
            for offset, envelope in enumerate(envelopes)
        )

    async def load(
        self,
        case_id: str,
        *,
        up_to: int | None = None,
        at_least: int = 0,
        without: Collection[int] = (),
    ) -> History:
        """The case's history, up to position *up_to*; it reaches position *at_least* if the log does.

        Events with the numbers *without* are left out, and need not be readable.
        Raises LogUnavailable, or CaseUnreadable for an event that cannot be decoded.
        """
        if up_to is not None and up_to < 1:
            return History(case_id)  # to the server, 0 means no bound
        for attempt in range(READ_ATTEMPTS_MAX):
            if attempt:
                await asyncio.sleep(READ_AGAIN_SECONDS)  # a replica that lags; the leader has it
            events = await self.events(case_id, up_to=up_to)
            if events and events[-1].sequence < at_least:
                continue
            wanted = [each for each in events if not without or each.version not in without]
            history = History(case_id, tuple(_entry(each) for each in wanted))
            if events or not at_least:
                return _contiguous(history, without)
        raise LogUnavailable(f"no replica has case {case_id} up to position {at_least} yet")

    async def load_many(self, case_ids: Sequence[str]) -> dict[str, History]:
        """The histories of several cases, by case id; one without events is an empty history."""
        found: dict[str, list[Bare]] = {case_id: [] for case_id in case_ids}
        for start in range(0, len(case_ids), CASES_PER_PAGE_MAX):
            part = case_ids[start : start + CASES_PER_PAGE_MAX]
            page = await self._page([case_filter(case_id) for case_id in part], None)
            if page.complete:
                for message in page.messages:
                    found[case_id_in(message.subject)].append(_bare(message))
            else:
                for case_id in part:
                    found[case_id] = await self.events(case_id)
        return {
            case_id: _contiguous(History(case_id, tuple(_entry(each) for each in whole(events))))
            for case_id, events in found.items()
        }

    async def events(self, case_id: str, *, up_to: int | None = None) -> list[Bare]:
        """The case's events as they are stored, up to position *up_to*, oldest first.

        Those before the books were closed come out of the event that carried the case forward.
        Raises LogUnavailable, or CaseUnreadable when that event does not hold what it says.
        """
        page = await self._page([case_filter(case_id)], up_to)
        stored = [_bare(each) for each in page.messages]
        if not page.complete:
            stored = await self._all_pages(case_id, up_to)
        if up_to is not None and (not stored or stored[0].version > 1):
            # What stood there may be in the sealed files alone by now, and in what carried the case forward later.
            return [each for each in await self.events(case_id) if each.sequence <= up_to]
        return whole(stored)

    async def newest(self, case_id: str) -> int:
        """The position of the case's newest event on the leader; 0 when there is none."""
        try:
            found = await self._jetstream.last_on_leader(CASES, case_filter(case_id))
        except (Refused, NotNow, Unknown) as error:
            raise as_library_error(error) from error
        return found.sequence if found else 0

    async def newest_named(self, case_id: str, event: str) -> Entry | None:
        """The case's newest event of this name on the leader, if it has one.

        Raises LogUnavailable, or CaseUnreadable when it cannot be decoded.
        """
        try:
            found = await self._jetstream.last_on_leader(CASES, f"case.{case_id}.{event}.>")
        except (Refused, NotNow, Unknown) as error:
            raise as_library_error(error) from error
        return _entry(_bare(found)) if found else None

    async def stored(self, case_id: str, version: int) -> Bare | None:
        """The case's event with this number as it stands, readable or not.  Raises LogUnavailable."""
        page = await self._page(list(case_version_filters(case_id, version)), None)
        if page.messages:
            return _bare(page.messages[0])
        return next((each for each in await self.events(case_id) if each.version == version), None)

    async def unreadable(self, case_id: str, without: Collection[int] = ()) -> int | None:
        """The number of the case's first event that cannot be read, but for those *without*; None when all can."""
        for each in await self.events(case_id):
            try:
                _entry(each)
            except CaseUnreadable:
                if each.version not in without:
                    return each.version
        return None

    async def last_position(self) -> int:
        """The position of the newest event of the whole log; 0 when it is empty."""
        return (await self.bounds())[1]

    async def first_position(self) -> int:
        """The position of the oldest event that the log still has; what was before it is in the sealed files alone."""
        return (await self.bounds())[0]

    async def bounds(self) -> tuple[int, int]:
        """The positions of the oldest event that the log still has, and of the newest; 0 when it is empty."""
        try:
            state = (await self._jetstream.api(f"STREAM.INFO.{CASES}"))["state"]
        except (Refused, NotNow, Unknown) as error:
            raise as_library_error(error) from error
        return int(state["first_seq"]), int(state["last_seq"])

    async def _all_pages(self, case_id: str, up_to: int | None) -> list[Bare]:
        # Past 1,024 subjects the server answers 413 whatever the lower bound; versions are contiguous, so asking for
        # them by number, from the newest down, always ends: at the first, or where the books are closed.
        found: list[Bare] = []
        top = await self._newest_version(case_id)
        while top > 0:
            versions = range(max(1, top - VERSIONS_PER_PAGE + 1), top + 1)
            filters = [each for version in versions for each in case_version_filters(case_id, version)]
            page = [_bare(each) for each in (await self._page(filters, up_to)).messages]
            if found and (not page or page[0].version != versions.start):
                return [*page, *found]
            found = [*page, *found]
            top = versions.start - 1
        return found

    async def _newest_version(self, case_id: str) -> int:
        try:
            found = await self._jetstream.last_on_leader(CASES, case_filter(case_id))
        except (Refused, NotNow, Unknown) as error:
            raise as_library_error(error) from error
        return _bare(found).version if found else 0

    async def _page(self, filters: list[str], up_to: int | None) -> Page:
        reason = ""
        for attempt in range(READ_ATTEMPTS_MAX):
            if attempt:
                await asyncio.sleep(READ_AGAIN_SECONDS)
            try:
                return await self._jetstream.multi_last(CASES, filters, up_to)
            except Unknown as error:
                reason = str(error)
                if not self.is_connected:
                    break
        raise LogUnavailable(reason)


@asynccontextmanager
async def opened(client: Client, *, deadline_seconds: float = DEADLINE_SECONDS) -> AsyncGenerator[Log]:
    """The log over a connection; what is being appended when it closes ends with LogUnavailable."""
    jetstream = JetStream(client)
    async with GroupCommit(jetstream, deadline_seconds=deadline_seconds) as commit:
        yield Log(jetstream, commit)


def _sealed(case_id: str, facts: Sequence[Fact], traceparent: str | None) -> list[Envelope]:
    recorded_at = datetime.now(UTC)
    return [
        seal(
            fact.event,
            event_id=fact.event_id,
            case_id=case_id,
            context=fact.context,
            recorded_at=recorded_at,
            traceparent=traceparent,
        )
        for fact in facts
    ]


def _messages(history: History, envelopes: Sequence[Envelope]) -> list[Message]:
    messages = []
    told = _told_last(history)
    for offset, envelope in enumerate(envelopes):
        event = envelope.data
        department = _addressee(envelope)
        # The server checks an expectation against the state before the batch, so only the first carries one.
        guard = None if offset else case_filter(history.case_id)
        headers = expectation(envelope.id, guard, history.sequence)
        if envelope.traceparent:
            headers["traceparent"] = envelope.traceparent
        if department:
            headers[AFTER_HEADER] = told.get(department, AFTER_NOTHING)
            told[department] = envelope.id
        subject = case_subject(history.case_id, event.name(), history.version + 1 + offset, department)
        messages.append(Message(subject, encode(envelope), headers))
    return messages


def _addressee(envelope: Envelope) -> str | None:
    """The department that is told of it: of what happens here and now."""
    return envelope.data.addressee() if envelope.origin == "live" else None


def _told_last(history: History) -> dict[str, str]:
    """The id of the fact that each department was told last."""
    return {
        department: entry.envelope.id
        for entry in history.entries
        if (department := _addressee(entry.envelope))
    }


def typed(raw: RawEvent) -> Entry:
    """The event of a fast reading with its envelope.  Raises CaseUnreadable."""
    return entry_of(raw.subject.decode(), raw.sequence, raw.payload)


def entry_of(subject: str, sequence: int, payload: bytes) -> Entry:
    """The typed event behind stored bytes.  Raises CaseUnreadable."""
    try:
        parts = parse_case_subject(subject)
        envelope = decode(payload)
    except ValueError as error:  # pydantic's errors are some
        raise CaseUnreadable(case_id_in(subject), sequence, str(error)) from error
    return Entry(sequence, parts.case_id, parts.event, parts.version, envelope)


def _entry(event: Bare) -> Entry:
    return entry_of(event.subject, event.sequence, event.payload)


def _bare(stored: Stored) -> Bare:
    return Bare(stored.sequence, stored.subject, stored.payload)


def _contiguous(history: History, without: Collection[int] = ()) -> History:
    numbers = (number for number in count(1) if number not in without)
    for expected, entry in zip(numbers, history.entries, strict=False):
        if entry.version != expected:
            raise CaseUnreadable(
                history.case_id, entry.sequence, f"event {expected} is missing before event {entry.version}"
            )
    return history
