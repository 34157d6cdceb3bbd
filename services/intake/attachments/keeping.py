"""Pictures in the two stores: a new one is an upload that runs out, one that a fact speaks of is kept for good.

The store of those that are kept says of each what it is; the picture itself stands there too, or in a bucket.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from enum import Enum, auto
from hashlib import sha256
from typing import Final

import structlog

from libs.events.envelope import Entry
from libs.events.errors import LogUnavailable
from libs.events.objects import Object, Objects, PartMissing, Put
from libs.events.photos import UPLOADED_AT, Album, digest_in, uploaded_at
from services.intake.attachments.bucket import PhotoBucket, PictureAway
from services.intake.attachments.pictures import Picture

log = structlog.get_logger(__name__)

RENEWED_AFTER: Final = timedelta(days=1)
"""The same picture sent again is stored again only when the upload is as old: it may then be spoken of long enough."""
STORES_TRIED_MAX: Final = 3


class Took(Enum):
    """What became of an upload."""

    NEW = auto()
    KNOWN = auto()
    FULL = auto()
    """There are too many uploads of which no fact speaks."""


class Gallery:
    """Takes pictures, gives them out, and keeps those of which a fact speaks."""

    def __init__(self, album: Album, now: Callable[[], datetime], bucket: PhotoBucket | None = None) -> None:
        """With a *bucket*, pictures are kept there."""
        self._album = album
        self._now = now
        self._bucket = bucket

    async def take(self, digest: str, picture: Picture, agreed: Mapping[str, str]) -> Took:
        """Store a picture under the digest of its content, once.

        *agreed* is what its sender wants kept of when and where it was taken.  Raises LogUnavailable or LogRefused.
        """
        if await self._album.is_kept(digest):
            return Took.KNOWN
        uploads, now = self._album.uploads, self._now()
        before = await uploads.info(digest)
        metadata = {**agreed, UPLOADED_AT: now.isoformat()}
        if before is not None and _stays(before, metadata, now):
            return Took.KNOWN
        media_type = picture.facts.media_type
        replaced = before.position if before else 0
        match await uploads.put(digest, picture.content, media_type, metadata, replaces=replaced):
            case Put.STORED:
                return Took.NEW if before is None else Took.KNOWN
            case Put.OVERTAKEN:
                return Took.KNOWN  # somebody sent the very same at the same moment
            case Put.FULL:
                return Took.FULL

    async def find(self, digest: str) -> Object | None:
        """What is said of a picture.  Raises LogUnavailable or LogRefused."""
        found = await self._find(digest)
        return found[1] if found else None

    async def read(self, digest: str) -> AsyncGenerator[bytes]:
        """A picture in parts.  Raises LogUnavailable or LogRefused."""
        given = 0
        for _ in range(STORES_TRIED_MAX):
            found = await self._find(digest)
            if found is None:
                break
            store, said = found
            try:
                async with aclosing(self._parts(store, said)) as parts:
                    async for part in _after(given, parts):
                        given += len(part)
                        yield part
            except PartMissing:
                continue  # it came over to the photos meanwhile, and goes on there
            return
        raise LogUnavailable(f"the picture {digest} cannot be read to its end")

    def _parts(self, store: Objects, said: Object) -> AsyncGenerator[bytes]:
        if not said.is_elsewhere:
            return store.read(said)
        if self._bucket is None:
            raise PictureAway(f"the picture {said.name} stands in a bucket: WHISTLE_PHOTOS_AT is not set")
        return self._bucket.parts(said.name)

    async def _find(self, digest: str) -> tuple[Objects, Object] | None:
        # The last of them again: it may have come over between the two questions.
        for store in (self._album.photos, self._album.uploads, self._album.photos):
            found = await store.info(digest)
            if found is not None:
                return store, found
        return None

    async def keep(self, digest: str) -> None:
        """A fact speaks of it: keep it for good.  Raises LogUnavailable or LogRefused; may be repeated."""
        album = self._album
        if await album.is_kept(digest):
            return
        upload = await album.uploads.info(digest)
        if upload is None:
            if await album.is_kept(digest):
                return  # another replica was quicker
            # It was erased, or the fact came from a log that was restored without its pictures.
            log.warning("photo_missing", sha256=digest)
            return
        content = await album.uploads.content(upload)
        if sha256(content).hexdigest() != digest:
            log.error("photo_differs", sha256=digest)
            return
        # What cannot go to the bucket now is kept here, for good: the case must not wait, and the upload runs out.
        outside = self._bucket is not None and await self._bucket.keep(digest, content)
        store = album.photos.mention if outside else album.photos.put
        if await store(digest, content, upload.media_type, upload.metadata) is Put.FULL:
            raise LogUnavailable("the store of photos has no room")
        album.note_kept(digest)
        await album.uploads.empty(upload)
        log.info("photo_kept", sha256=digest, size_bytes=upload.size_bytes, in_bucket=outside)

    async def keep_those_of(self, entry: Entry) -> None:
        """Keep the pictures that a fact speaks of.  Raises LogUnavailable or LogRefused."""
        for digest in spoken_of(entry):
            await self.keep(digest)


def spoken_of(entry: Entry) -> Sequence[str]:
    """The digests of the stored pictures that a fact speaks of."""
    references: Sequence[str] = getattr(entry.event, "photos", ())
    return tuple(digest for reference in references if (digest := digest_in(reference)))


async def _after(given: int, parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """What comes after the first *given* bytes."""
    async for part in parts:
        if len(part) > given:
            yield part[given:]
        given = max(0, given - len(part))


def _stays(upload: Object, wanted: Mapping[str, str], now: datetime) -> bool:
    """Whether the upload that is there will do for the one that came."""
    same = {**upload.metadata, UPLOADED_AT: ""} == {**wanted, UPLOADED_AT: ""}
    return same and now < uploaded_at(upload) + RENEWED_AFTER
