"""Pictures kept outside of the log's own store: in a bucket of S3 or a folder, each under its digest."""

import asyncio
from collections.abc import AsyncGenerator
from hashlib import sha256
from typing import Final

import structlog

from libs.events.errors import LogUnavailable, StoreUnavailable
from libs.events.objects import CHUNK_BYTES
from libs.events.storage import FileStore

log = structlog.get_logger(__name__)

STORE_SECONDS_MAX: Final = 10.0
"""For one picture to be written or read."""
AWAY_SECONDS: Final = 30.0
"""So long nothing is written there after it did not answer: else every fact with a picture would wait for it."""
IN_HAND_MAX: Final = 32
"""Pictures in one process that were read whole, to be compared with their digest, and are being sent out."""


class PictureAway(LogUnavailable):
    """The picture's store does not answer, or has not the picture that the log says it has."""


class PhotoBucket:
    """Where pictures are kept for good."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._away_until = 0.0
        self._in_hand = 0

    async def keep(self, digest: str, content: bytes) -> bool:
        """Store it; False when the store does not take it now, which the log's own store has to do then."""
        clock = asyncio.get_running_loop().time
        if clock() < self._away_until:
            return False
        try:
            await self._store.put(digest, content)
        except StoreUnavailable as error:
            self._away_until = clock() + AWAY_SECONDS
            log.warning("photo_bucket_away", reason=str(error))
            return False
        return True

    async def parts(self, digest: str) -> AsyncGenerator[bytes]:
        """The picture that has this digest, in parts of at most CHUNK_BYTES.  Raises PictureAway before the first."""
        if self._in_hand >= IN_HAND_MAX:
            raise PictureAway(f"{IN_HAND_MAX} pictures are being sent out")
        self._in_hand += 1
        try:
            content = await self._whole(digest)
            for start in range(0, len(content), CHUNK_BYTES):
                yield content[start : start + CHUNK_BYTES]
        finally:
            self._in_hand -= 1

    async def _whole(self, digest: str) -> bytes:
        try:
            content = await self._store.get(digest)
        except StoreUnavailable as error:
            raise PictureAway(str(error)) from error
        if content is None or sha256(content).hexdigest() != digest:
            log.error("photo_missing" if content is None else "photo_differs", sha256=digest)
            raise PictureAway(f"the picture {digest} is not in its store as it was")
        return content
