"""The stream `PERSONS`: read by person or case, written under the expectation that nobody wrote meanwhile.

Whoever decides looks at several people and cases, so a fact is only written while the *whole* stream stands where it
stood when they looked.  It is written seldom, and whoever lost the race looks again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from libs.events.contracts.base import Event
from libs.events.contracts.persons import PERSON_EVENTS, ErasureOrdered, HoldLifted, HoldPlaced
from libs.events.contracts.upcasting import UPCASTERS
from libs.events.envelope import Context, Entry, Envelope, decoder, encode, envelope_class
from libs.events.errors import CaseUnreadable, LogUnavailable, VersionConflict
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
from libs.events.personal.deciding import Hold, Standing, standing_of
from libs.events.subjects import PERSONS, parse_person_subject, person_filter, person_subject

ATTEMPTS_MAX: Final = 20
AGAIN_SECONDS: Final = 0.1
_ALL: Final = "person.>"
_CLASSES: Final = {event: envelope_class(event) for event in PERSON_EVENTS}

decode: Final = decoder(_CLASSES, UPCASTERS)
"""The typed envelope of a stored fact about a person.  Raises pydantic.ValidationError for anything else."""


class PersonRecords:
    """All that was done about people's data."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream

    async def is_erased(self, person: str) -> bool:
        """Whether an erasure of this person stands on record, carried out or not.

        Asked of the stream's leader.  Raises LogUnavailable or LogRefused.
        """
        return await self._newest(f"person.{person}.{ErasureOrdered.name()}.*") is not None

    async def standing(self, target: str) -> Standing:
        """What was done about a person or a case.  Raises LogUnavailable, LogRefused or CaseUnreadable."""
        return standing_of(target, [entry async for entry in self.about(person_filter(target))])

    async def holds(self) -> dict[str, tuple[Hold, ...]]:
        """All holds that stand, by person or case; raises like `standing`."""
        targets = {
            entry.case_id: None
            for event in (HoldPlaced, HoldLifted)
            async for entry in self.about(f"person.*.{event.name()}.*")
        }
        found = {target: (await self.standing(target)).holds for target in targets}
        return {target: holds for target, holds in found.items() if holds}

    async def about(self, subject: str, start: int = 1) -> AsyncGenerator[Entry]:
        """The facts on *subject* (wildcards allowed) from position *start* on, as the stream's leader has them."""
        while True:
            try:
                stored = await self._jetstream.next_on_leader(PERSONS, subject, start)
            except (NotNow, Unknown, Refused) as error:
                raise as_library_error(error) from error
            if stored is None:
                return
            yield _entry(stored)
            start = stored.sequence + 1

    async def last_position(self) -> int:
        """Where the stream ends; 0 when nothing stands there."""
        newest = await self._newest(_ALL)
        return newest.sequence if newest else 0

    async def record(
        self,
        target: str,
        decide: Callable[[Standing], Awaitable[Event | None]],
        context: Context,
    ) -> Entry | None:
        """Write what *decide* makes of what stands; None when it makes nothing of it.

        *decide* is asked again when somebody else was faster, and may raise.  Written once, whatever answer was lost.
        Raises LogUnavailable (it may be written or not), LogRefused or CaseUnreadable.
        """
        event_id, trouble = new_event_id(), ""
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                await asyncio.sleep(AGAIN_SECONDS)
            last = await self.last_position()
            known = [entry async for entry in self.about(person_filter(target))]
            if known and known[-1].envelope.id == event_id:
                return known[-1]
            standing = standing_of(target, known)
            event = await decide(standing)
            if event is None:
                return None
            envelope = _sealed(event, target, event_id, context)
            try:
                return await self._append(envelope, standing.version + 1, last)
            except (VersionConflict, LogUnavailable) as error:
                trouble = str(error)
        raise LogUnavailable(f"nothing could be recorded about {target}: {trouble}")

    async def _append(self, envelope: Envelope, version: int, last: int) -> Entry:
        target, name = envelope.subject, envelope.data.name()
        message = Message(
            person_subject(target, name, version), encode(envelope), expectation(envelope.id, _ALL, last)
        )
        try:
            sequence = await self._jetstream.publish(message)
        except Refused as refused:
            if refused.code == Code.WRONG_LAST_SEQUENCE:
                raise VersionConflict(target, last) from refused
            raise as_library_error(refused) from refused
        except (NotNow, Unknown) as error:
            raise as_library_error(error) from error
        return Entry(sequence, target, name, version, envelope)

    async def _newest(self, subject: str) -> Stored | None:
        try:
            return await self._jetstream.last_on_leader(PERSONS, subject)
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error


def _sealed(event: Event, target: str, event_id: str, context: Context) -> Envelope:
    return _CLASSES[type(event)](
        id=event_id,
        source=event.SOURCE,
        type=event.TYPE,
        subject=target,
        time=context.time,
        recordedtime=datetime.now(UTC),
        origin=context.origin,
        actor=context.actor,
        principal=context.principal,
        correlationid=context.correlation_id or event_id,
        causationid=context.causation_id,
        policyversion=context.policy_version,
        data=event,
    )


def _entry(stored: Stored) -> Entry:
    try:
        parts = parse_person_subject(stored.subject)
        envelope = decode(stored.payload)
    except ValueError as error:
        raise CaseUnreadable(stored.subject, stored.sequence, str(error)) from error
    return Entry(stored.sequence, parts.target, parts.event, parts.version, envelope)
