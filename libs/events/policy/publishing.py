"""The rule book in the stream `POLICY`: published as one document, and read again, the newest or any earlier one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ValidationError

from libs.events.errors import NotProvisioned, RuleBookInvalid
from libs.events.jetstream import (
    JetStream,
    Message,
    NotNow,
    Refused,
    Stored,
    Unknown,
    as_library_error,
    expectation,
)
from libs.events.policy.book import RuleBook
from libs.events.subjects import POLICY

SUBJECT: Final = "policy.rulebook"
TYPE: Final = "whistle.policy.published.v1"


async def publish(jetstream: JetStream, book: RuleBook) -> bool:
    """Make *book* the one that decides; False when it is that already.  Raises LogUnavailable or LogRefused."""
    try:
        newest = await jetstream.last_on_leader(POLICY, SUBJECT)
        if newest is not None and version_in(newest.payload) == book.version:
            return False
        headers = expectation(book.version, SUBJECT, newest.sequence if newest else 0)
        # The id alone would make going back to earlier rules within the duplicate window a silent nothing.
        headers["Nats-Msg-Id"] = f"{book.version}/{newest.sequence if newest else 0}"
        await jetstream.publish(Message(SUBJECT, _document(book), headers))
    except (NotNow, Unknown, Refused) as error:
        raise as_library_error(error) from error
    return True


async def current(jetstream: JetStream) -> RuleBook:
    """The rule book that decides now.

    Raises NotProvisioned when none was published, RuleBookInvalid when this code cannot read it, LogUnavailable.
    """
    return _read((await _newest(jetstream)).payload)


async def current_version(jetstream: JetStream) -> str | None:
    """The version that decides now; None when what was published last names none.  Raises like `current`."""
    return version_in((await _newest(jetstream)).payload)


async def at_version(jetstream: JetStream, version: str) -> RuleBook:
    """The rule book that decided under *version*, as it was published then.

    Raises NotProvisioned when there was none, RuleBookInvalid when this code cannot read it, LogUnavailable.
    """
    async for stored in _all(jetstream):
        if version_in(stored.payload) == version:
            return _read(stored.payload)
    raise NotProvisioned(f"no rule book was published as version {version}")


async def in_force(jetstream: JetStream, moment: datetime) -> RuleBook:
    """The rule book that decided at *moment*; where none was published by then, the first that was.

    Raises NotProvisioned when none was ever published, RuleBookInvalid when this code cannot read it, LogUnavailable.
    """
    found: Stored | None = None
    async for stored in _all(jetstream):
        try:
            began = _Named.model_validate_json(stored.payload).time
        except ValidationError:
            continue
        if found is None or (began is not None and began <= moment):
            found = stored
    if found is None:
        raise NotProvisioned("no rule book was published: run the provisioning (whistle up) first")
    return _read(found.payload)


class _Named(BaseModel):
    """What of a published document can be read whatever its rules are."""

    id: str
    time: datetime | None = None


class _Published(BaseModel):
    """The CloudEvent that publishes a rule book."""

    specversion: str = "1.0"
    id: str
    source: str = "/policy"
    type: str = TYPE
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    data: RuleBook


def version_in(payload: bytes) -> str | None:
    """The version of a published document; None of what is no such document."""
    try:
        return _Named.model_validate_json(payload).id
    except ValidationError:
        return None


async def _newest(jetstream: JetStream) -> Stored:
    try:
        newest = await jetstream.last_on_leader(POLICY, SUBJECT)
    except (NotNow, Unknown, Refused) as error:
        raise as_library_error(error) from error
    if newest is None:
        raise NotProvisioned("no rule book was published: run the provisioning (whistle up) first")
    return newest


async def _all(jetstream: JetStream) -> AsyncIterator[Stored]:
    position = 0
    while True:
        try:
            stored = await jetstream.next_on_leader(POLICY, SUBJECT, position + 1)
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
        if stored is None:
            return
        yield stored
        position = stored.sequence


def _read(payload: bytes) -> RuleBook:
    try:
        published = _Published.model_validate_json(payload)
    except ValidationError as error:
        raise RuleBookInvalid(
            f"the published rule book is not one that this version reads: {error}"
        ) from error
    return published.data.published_as(published.id, published.time)


def _document(book: RuleBook) -> bytes:
    published = _Published(id=book.version, subject=book.city.code, time=datetime.now(UTC), data=book)
    return published.model_dump_json().encode()
