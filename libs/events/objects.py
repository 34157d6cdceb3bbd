"""An object store: what is too large for a message, kept in parts.

It is the convention of JetStream (ADR-20), so any NATS client reads it: bucket `PHOTOS` is the stream `OBJ_PHOTOS`, the
parts of an object stand under `$O.PHOTOS.C.<its parts>`, and what it is under `$O.PHOTOS.M.<its name, base64url>`.
Writing is stricter than the convention: all of an object goes in as one atomic batch (ADR-50).  There is never half
of one, and nobody needs the right to purge, which would be the right to empty the store.
"""

from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import sha256
from typing import Any, Final
from uuid import uuid4

import orjson

from libs.events.errors import LogUnavailable
from libs.events.jetstream import (
    BATCH_MESSAGES_MAX,
    Code,
    JetStream,
    Message,
    NotNow,
    Refused,
    Stored,
    Unknown,
    as_library_error,
    emptied,
)
from libs.events.subjects import chunk_subject, object_stream, object_subject

CHUNK_BYTES: Final = 128 * 1024
OBJECT_BYTES_MAX: Final = (BATCH_MESSAGES_MAX - 1) * CHUNK_BYTES
ELSEWHERE: Final = "elsewhere"
"""Among the options of an object, which are free: that there are no parts of it here."""
PAGE_OBJECTS: Final = 1_000
_FULL: Final = frozenset({Code.STREAM_FULL, Code.STORAGE_FULL})


class PartMissing(LogUnavailable):
    """An object was emptied while it was read, or a replica does not show it yet."""


class Put(Enum):
    """What became of an object that was to be stored."""

    STORED = auto()
    OVERTAKEN = auto()
    """Somebody else wrote under this name meanwhile."""
    FULL = auto()
    """The store has no room."""


@dataclass(frozen=True, slots=True)
class Object:
    """What is said of an object."""

    name: str
    media_type: str
    size_bytes: int
    metadata: Mapping[str, str]
    parts: str
    """Under which its parts stand."""
    position: int
    """Of this saying, in the store: whoever writes anew says which one is replaced."""
    is_elsewhere: bool = False
    """It is only spoken of here: its content stands in another store, under its name."""


class Objects:
    """One bucket."""

    def __init__(self, jetstream: JetStream, bucket: str) -> None:
        self._jetstream = jetstream
        self._bucket = bucket
        self._stream = object_stream(bucket)

    async def info(self, name: str) -> Object | None:
        """What the bucket's leader knows of it.  Raises LogUnavailable or LogRefused."""
        try:
            found = await self._jetstream.last_on_leader(self._stream, object_subject(self._bucket, name))
        except (Refused, NotNow, Unknown) as error:
            raise as_library_error(error) from error
        return _read(found) if found else None

    async def put(
        self, name: str, content: bytes, media_type: str, metadata: Mapping[str, str], *, replaces: int = 0
    ) -> Put:
        """Store all of it, or nothing, in place of what stood at position *replaces*; 0: of nothing.

        Raises LogUnavailable (it may be stored or not) or LogRefused.
        """
        assert 0 < len(content) <= OBJECT_BYTES_MAX, "an object fits into one batch"
        parts = uuid4().hex
        chunks = [
            Message(chunk_subject(self._bucket, parts), content[start : start + CHUNK_BYTES], {})
            for start in range(0, len(content), CHUNK_BYTES)
        ]
        said = self._said(name, content, media_type, metadata)
        said |= {"nuid": parts, "chunks": len(chunks), "options": {"max_chunk_size": CHUNK_BYTES}}
        return await self._write([*chunks, self._saying(said, replaces)])

    async def mention(self, name: str, content: bytes, media_type: str, metadata: Mapping[str, str]) -> Put:
        """Say what it is where nothing stands yet, and that its *content* stands elsewhere; otherwise like `put`."""
        said = self._said(name, content, media_type, metadata)
        said |= {"nuid": uuid4().hex, "chunks": 0, "options": {ELSEWHERE: True}}
        return await self._write([self._saying(said, 0)])

    async def mention_again(self, known: Object) -> Put:
        """Say anew of an object whose name is its digest that it stands elsewhere; otherwise like `put`."""
        said = {
            "name": known.name,
            "bucket": self._bucket,
            "size": known.size_bytes,
            "digest": f"SHA-256={urlsafe_b64encode(bytes.fromhex(known.name)).decode()}",
            "headers": {"Content-Type": [known.media_type]},
            "metadata": dict(known.metadata),
            "nuid": uuid4().hex,
            "chunks": 0,
            "options": {ELSEWHERE: True},
        }
        return await self._write([self._saying(said, 0)])

    async def all(self) -> list[Object]:
        """All there are, by their names; what a replica does not show yet is missing.  Raises LogUnavailable."""
        found: dict[str, Object | None] = {}
        position, said = 0, f"$O.{self._bucket}.M.>"
        try:
            while messages := (
                await self._jetstream.stretch(self._stream, said, position + 1, PAGE_OBJECTS)
            ).messages:
                found.update({each.subject: _read(each) for each in messages})
                position = messages[-1].sequence
        except Unknown as error:
            raise as_library_error(error) from error
        return sorted((each for each in found.values() if each), key=lambda each: each.name)

    def _said(
        self, name: str, content: bytes, media_type: str, metadata: Mapping[str, str]
    ) -> dict[str, Any]:
        return {
            "name": name,
            "bucket": self._bucket,
            "size": len(content),
            "digest": _digest(content),
            "headers": {"Content-Type": [media_type]},
            "metadata": dict(metadata),
        }

    def _saying(self, said: Mapping[str, Any], replaces: int) -> Message:
        expected = {"Nats-Expected-Last-Subject-Sequence": str(replaces)}
        return Message(object_subject(self._bucket, said["name"]), orjson.dumps(said), expected)

    async def _write(self, messages: Sequence[Message]) -> Put:
        try:
            if len(messages) == 1:
                await self._jetstream.publish(messages[0])
            else:
                await self._jetstream.publish_batch(messages)
        except Refused as refused:
            if refused.code == Code.WRONG_LAST_SEQUENCE:
                return Put.OVERTAKEN
            if refused.code in _FULL:
                return Put.FULL
            raise as_library_error(refused) from refused
        except (NotNow, Unknown) as error:
            raise as_library_error(error) from error
        return Put.STORED

    async def empty(self, found: Object) -> bool:
        """Give its room back; False when it was written anew meanwhile, which stays.  The bucket must allow it.

        Should it end halfway, the object is gone and its parts are not.  Raises LogUnavailable or LogRefused.
        """
        gone = orjson.dumps({"name": found.name, "bucket": self._bucket, "deleted": True})
        where = object_subject(self._bucket, found.name)
        try:
            await self._jetstream.publish(emptied(where, gone, found.position))
            await self._jetstream.publish(emptied(chunk_subject(self._bucket, found.parts)))
        except Refused as refused:
            if refused.code == Code.WRONG_LAST_SEQUENCE:
                return False
            raise as_library_error(refused) from refused
        except (NotNow, Unknown) as error:
            raise as_library_error(error) from error
        return True

    async def read(self, found: Object) -> AsyncGenerator[bytes]:
        """The content in parts of at most CHUNK_BYTES, each asked for when the one before was taken.

        Raises PartMissing when it was emptied meanwhile, and LogUnavailable: what was given out is not the whole then.
        """
        assert not found.is_elsewhere, "its content is not here"
        subject = chunk_subject(self._bucket, found.parts)
        position, left = 0, found.size_bytes
        while left > 0:
            try:
                chunk = await self._jetstream.next_on_leader(self._stream, subject, position + 1)
            except (Refused, NotNow, Unknown) as error:
                raise as_library_error(error) from error
            if chunk is None or not chunk.payload:
                raise PartMissing(f"{left} bytes of {self._bucket}/{found.name} are missing")
            position, left = chunk.sequence, left - len(chunk.payload)
            yield chunk.payload

    async def content(self, found: Object) -> bytes:
        """All of it, as `read` gives it."""
        return b"".join([part async for part in self.read(found)])


def _read(found: Stored) -> Object | None:
    said: dict[str, Any] = orjson.loads(found.payload)
    if said.get("deleted"):
        return None
    media_types = (said.get("headers") or {}).get("Content-Type") or ["application/octet-stream"]
    return Object(
        name=str(said["name"]),
        media_type=str(media_types[0]),
        size_bytes=int(said["size"]),
        metadata=said.get("metadata") or {},
        parts=str(said["nuid"]),
        position=found.sequence,
        is_elsewhere=bool((said.get("options") or {}).get(ELSEWHERE)),
    )


def _digest(content: bytes) -> str:
    return f"SHA-256={urlsafe_b64encode(sha256(content).digest()).decode()}"
