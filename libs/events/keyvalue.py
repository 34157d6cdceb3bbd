"""A bucket of keys and their newest values: for what is true only now, and is not evidence.

It is the key-value convention of JetStream (ADR-8), so any NATS client reads it: bucket `UNITS` is the stream
`KV_UNITS`, and key `a.b` the subject `$KV.UNITS.a.b`.  What is not written again runs out by age, where there is one.
"""

from typing import Final, NamedTuple

from libs.events.errors import LogRefused
from libs.events.jetstream import (
    MULTI_LAST_SUBJECTS_MAX,
    Code,
    JetStream,
    Message,
    NotNow,
    Page,
    Refused,
    Unknown,
    as_library_error,
)
from libs.events.subjects import bucket_stream, bucket_subject

ANY_REVISION: Final = None
KEYS_MAX: Final = MULTI_LAST_SUBJECTS_MAX
"""Below one filter: the server gives no more at once."""


DELETED_SECONDS: Final = 3_600
"""How long it can be seen that a key was deleted."""


class Value(NamedTuple):
    """The newest value of a key."""

    key: str
    payload: bytes
    revision: int
    """Grows with every write to the bucket; whoever writes may ask that it has not moved."""


class KeyValue:
    """One bucket."""

    def __init__(self, jetstream: JetStream, bucket: str) -> None:
        self._jetstream = jetstream
        self._stream = bucket_stream(bucket)
        self._prefix = bucket_subject(bucket, "")

    async def put(self, key: str, payload: bytes, revision: int | None = ANY_REVISION) -> int | None:
        """Write a value; its revision.  None, and nothing is written, when the key is not at *revision* any more.

        Revision 0 asks that the key is new.  Raises LogUnavailable (it may be written or not) or LogRefused.
        """
        return await self._write(key, payload, _only_at(revision))

    async def delete(self, key: str, revision: int | None = ANY_REVISION) -> int | None:
        """Leave an empty value in its place, which goes after DELETED_SECONDS; otherwise like `put`.

        Only in a bucket that is declared with times to live.
        """
        headers = {"KV-Operation": "DEL", "Nats-TTL": f"{DELETED_SECONDS}s"}
        return await self._write(key, b"", headers | _only_at(revision))

    async def _write(self, key: str, payload: bytes, headers: dict[str, str]) -> int | None:
        try:
            return await self._jetstream.publish(Message(self._prefix + key, payload, headers))
        except Refused as refused:
            if refused.code == Code.WRONG_LAST_SEQUENCE:
                return None
            raise as_library_error(refused) from refused
        except (NotNow, Unknown) as error:
            raise as_library_error(error) from error

    async def get(self, key: str) -> Value | None:
        """The value as the bucket's leader knows it.  Raises LogUnavailable or LogRefused."""
        try:
            found = await self._jetstream.last_on_leader(self._stream, self._prefix + key)
        except (Refused, NotNow, Unknown) as error:
            raise as_library_error(error) from error
        return Value(key, found.payload, found.sequence) if found else None

    async def below(self, *prefixes: str) -> tuple[Value, ...]:
        """The values of all keys `<prefix>.*`, from any replica: what was just written may be missing.

        Raises LogUnavailable, or LogRefused when one prefix alone has more than KEYS_MAX keys.
        """
        page = await self._page(prefixes)
        if page.complete:
            return self._values(page)
        if len(prefixes) == 1:
            raise LogRefused(413, f"more than {KEYS_MAX} keys stand below {self._prefix}{prefixes[0]}")
        middle = len(prefixes) // 2
        return (*await self.below(*prefixes[:middle]), *await self.below(*prefixes[middle:]))

    async def all(self) -> tuple[Value, ...]:
        """The values of all keys that were not deleted, from any replica.  Raises LogUnavailable."""
        found: dict[str, Value] = {}
        position = 0
        try:
            while messages := (
                await self._jetstream.stretch(self._stream, ">", position + 1, KEYS_MAX)
            ).messages:
                for each in messages:
                    key = each.subject.removeprefix(self._prefix)
                    found[key] = Value(key, each.payload, each.sequence)
                position = messages[-1].sequence
        except Unknown as error:
            raise as_library_error(error) from error
        return tuple(each for each in found.values() if each.payload)

    async def _page(self, prefixes: tuple[str, ...]) -> Page:
        filters = [f"{self._prefix}{prefix}.*" for prefix in prefixes]
        try:
            return await self._jetstream.multi_last(self._stream, filters)
        except Unknown as error:
            raise as_library_error(error) from error

    def _values(self, page: Page) -> tuple[Value, ...]:
        return tuple(
            Value(each.subject.removeprefix(self._prefix), each.payload, each.sequence)
            for each in page.messages
        )


def _only_at(revision: int | None) -> dict[str, str]:
    return {} if revision is None else {"Nats-Expected-Last-Subject-Sequence": str(revision)}
