"""Photos in facts: how a fact names one, and whether it is there.

A fact names a picture by what it shows, `sha256:<64 hexadecimal digits>` of the stored bytes, or by a public address
`https://...` where another system keeps it.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Handled
from libs.events.contracts.evaluation import CaseReopened, HandlingReturned
from libs.events.contracts.intake import CaseReported
from libs.events.jetstream import JetStream
from libs.events.objects import Object, Objects
from libs.events.subjects import PHOTOS, UPLOADS, object_stream

STORES: Final = (object_stream(UPLOADS), object_stream(PHOTOS))
"""The streams that whoever has to do with photos needs."""
PREFIX: Final = "sha256:"
DIGEST_CHARACTERS: Final = 64
PHOTO_PATTERN: Final = (
    rf"^({PREFIX}[0-9a-f]{{{DIGEST_CHARACTERS}}}|https://[^\s/?#@\\\x00]+([/?#][^\s\x00]*)?)$"
)
REFERABLE_FOR: Final = timedelta(days=2)
"""So long after it was sent a picture may be spoken of in a fact.  It runs out only later, with its bucket: the days
between are for intake, which keeps it for good when it hears the fact."""
UNKNOWN_PHOTO: Final = "No such picture is here, or it was sent too long ago: send it to /attachments first."
UNKNOWN_PHOTO_ZH: Final = "没有此图片，或上传已过期，请先上传图片。"
UPLOADED_AT: Final = "uploaded_at"
KNOWN_MAX: Final = 10_000


def digest_in(reference: str) -> str | None:
    """The digest of a stored picture; None for what is kept elsewhere."""
    return reference.removeprefix(PREFIX) if reference.startswith(PREFIX) else None


def reference_to(digest: str) -> str:
    """How a fact names the stored picture with this digest."""
    return PREFIX + digest


def address_of(reference: str) -> str | None:
    """Where a browser finds it: a path of intake, or the public address; None where nobody can."""
    digest = digest_in(reference)
    if digest is not None:
        return f"/attachments/{digest}"
    return reference if reference.startswith("https://") else None


class Seen(NamedTuple):
    """The pictures of a case side by side, as its facts name them."""

    before: tuple[str, ...] = ()
    """Of the report."""
    after: tuple[str, ...] = ()
    """Of the newest handling, as long as nobody has found it wanting."""


def seen_in(events: Iterable[Event]) -> Seen:
    """How it was and how it is, after the *events* of a case in their order."""
    seen = Seen()
    for event in events:
        match event:
            case CaseReported():
                seen = Seen(before=seen.before or event.photos, after=seen.after)
            case Handled():
                seen = Seen(seen.before, event.photos)
            case HandlingReturned() | CaseReopened():
                seen = Seen(seen.before)
            case _:
                pass
    return seen


def addresses_of(references: Iterable[str]) -> list[str]:
    """Where a browser finds them; those that nobody can find are left out."""
    return [address for reference in references if (address := address_of(reference))]


def uploaded_at(upload: Object) -> datetime:
    """When a picture was sent, by the clock of who took it."""
    return datetime.fromisoformat(upload.metadata[UPLOADED_AT])


class Album:
    """The stored pictures, as whoever states facts sees them."""

    def __init__(self, jetstream: JetStream, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.photos = Objects(jetstream, PHOTOS)
        self.uploads = Objects(jetstream, UPLOADS)
        self._now = now
        self._kept: dict[str, None] = {}

    async def missing(self, references: Sequence[str]) -> int | None:
        """The place in *references* of the first picture that no fact may speak of, since it is not there (any more).

        Raises LogUnavailable or LogRefused.
        """
        for place, reference in enumerate(references):
            digest = digest_in(reference)
            if digest is not None and not await self._is_there(digest):
                return place
        return None

    async def is_kept(self, digest: str) -> bool:
        """Whether it is kept for good.  Raises LogUnavailable or LogRefused."""
        if digest in self._kept:
            return True
        if await self.photos.info(digest) is None:
            return False
        self.note_kept(digest)
        return True

    def note_kept(self, digest: str) -> None:
        """It is kept for good now: that does not change, so that nobody need ask the log again."""
        self._kept[digest] = None
        if len(self._kept) > KNOWN_MAX:
            self._kept.pop(next(iter(self._kept)))

    async def _is_there(self, digest: str) -> bool:
        if await self.is_kept(digest):
            return True
        upload = await self.uploads.info(digest)
        if upload is not None:
            return self._now() < uploaded_at(upload) + REFERABLE_FOR
        return await self.is_kept(digest)  # it may have come over between the two questions
