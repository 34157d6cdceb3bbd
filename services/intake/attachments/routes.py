"""HTTP of pictures: send one, and get it back by what it shows."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import aclosing, contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import structlog
from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from libs.events.access.web import may
from libs.events.photos import DIGEST_CHARACTERS, address_of, reference_to
from services.intake.attachments.bucket import PictureAway
from services.intake.attachments.cleaning import Facts, Refusal
from services.intake.attachments.keeping import Gallery, Took
from services.intake.attachments.pictures import Picture, Pictures
from services.intake.attachments.reading import FORM_TYPE, KEEP_PLACE, KEEP_TIME, Upload, read
from services.intake.attachments.reasons import (
    AWAY,
    BUSY,
    FILE,
    FULL,
    HARMFUL,
    NOT_SCANNED,
    REASONS,
    UNKNOWN,
    Reason,
    refused,
)
from services.intake.attachments.scanning import Harmful, NotScanned

log = structlog.get_logger(__name__)

UPLOADS_AT_ONCE_MAX: Final = 12
"""In one process, each with its bytes in memory; the next one is asked to come again."""
CACHE_SECONDS: Final = 365 * 86_400
PATH: Final = "/attachments"
ENDINGS: Final = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}

Digest = Annotated[str, Path(pattern=rf"^[0-9a-f]{{{DIGEST_CHARACTERS}}}$")]


class Origin(BaseModel):
    """When and where a picture was taken, where the camera noted it and its sender agreed that it be kept."""

    taken_at: datetime | None = None
    longitude: float | None = None
    latitude: float | None = None
    """WGS84 degrees."""


class Attachment(Origin):
    """A picture that was taken, cleaned: what the sender's camera wrote into it is gone."""

    reference: str
    """How a report or an act names it: `sha256:...`."""
    sha256: str
    """Of the bytes as they are stored."""
    url: str
    """Where everybody finds it who knows the address."""
    media_type: str
    bytes: int
    width: int
    height: int


class Door:
    """Takes uploads, a bounded number at once."""

    def __init__(self, gallery: Gallery, pictures: Pictures, zone: Callable[[], ZoneInfo]) -> None:
        self.gallery = gallery
        self._pictures = pictures
        self._zone = zone
        self._inside = 0

    async def take(self, request: Request) -> tuple[Attachment, bool] | Reason:
        """What was made of an upload and whether it is new, or why it was not taken.

        Raises LogUnavailable or LogRefused.
        """
        with self.room() as has_room:
            if not has_room:
                return BUSY
            upload = await read(request)
            return upload if isinstance(upload, Reason) else await self.keep(upload)

    @contextmanager
    def room(self) -> Generator[bool]:
        """Whether there is room for one more request with pictures; while it is inside, there is less for others."""
        has_room = self._inside < UPLOADS_AT_ONCE_MAX
        self._inside += has_room
        try:
            yield has_room
        finally:
            self._inside -= has_room

    async def keep(self, upload: Upload) -> tuple[Attachment, bool] | Reason:
        """The same for what was read already, by whoever has entered the room."""
        try:
            picture = await self._pictures.of(upload.content)
        except Harmful:
            log.warning("upload_harmful", sha256=sha256(upload.content).hexdigest())
            return HARMFUL
        except NotScanned as error:
            log.error("upload_not_scanned", reason=str(error))  # noqa: TRY400 - it says what is wrong
            return NOT_SCANNED
        if isinstance(picture, Refusal):
            return REASONS[picture]
        return await self._store(picture, upload)

    async def _store(self, picture: Picture, upload: Upload) -> tuple[Attachment, bool] | Reason:
        digest = sha256(picture.content).hexdigest()
        said = attachment(digest, picture, upload, self._zone())
        agreed = {"taken_at": said.taken_at and said.taken_at.isoformat()}
        agreed |= {"longitude": _text(said.longitude), "latitude": _text(said.latitude)}
        took = await self.gallery.take(digest, picture, {key: text for key, text in agreed.items() if text})
        return FULL if took is Took.FULL else (said, took is Took.NEW)


def attachment(digest: str, picture: Picture, upload: Upload, zone: ZoneInfo) -> Attachment:
    """What is told of a picture: of when and where it was taken only what its sender agreed to."""
    facts, reference = picture.facts, reference_to(digest)
    return Attachment(
        reference=reference,
        sha256=digest,
        url=address_of(reference) or "",
        media_type=facts.media_type,
        bytes=len(picture.content),
        width=facts.width,
        height=facts.height,
        taken_at=_moment(facts, zone) if upload.keep_time else None,
        longitude=facts.longitude if upload.keep_place else None,
        latitude=facts.latitude if upload.keep_place else None,
    )


def _moment(facts: Facts, zone: ZoneInfo) -> datetime | None:
    """When it was taken; a camera that names no zone was read here."""
    if facts.taken_at is None:
        return None
    taken = datetime.fromisoformat(facts.taken_at)
    return taken if taken.tzinfo else taken.replace(tzinfo=zone)


def _text(number: float | None) -> str | None:
    return None if number is None else f"{number}"


_BINARY: Final = {"type": "string", "format": "binary"}
_TICKED: Final = {
    "type": "string",
    "default": "",
    "description": "`true`, `1`, `yes` or `on` agrees; whatever else does not",
}
_FORM: Final = {
    "type": "object",
    "required": [FILE],
    "properties": {FILE: _BINARY, KEEP_TIME: _TICKED, KEEP_PLACE: _TICKED},
}
_SENT: Final[dict[str, Any]] = {
    "parameters": [
        {"name": name, "in": "query", "schema": _TICKED, "description": "for a picture sent as the body"}
        for name in (KEEP_TIME, KEEP_PLACE)
    ],
    "requestBody": {
        "required": True,
        "content": {FORM_TYPE: {"schema": _FORM}} | {"application/octet-stream": {"schema": _BINARY}},
    },
}
_GIVEN: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {media_type: {"schema": _BINARY} for media_type in ENDINGS}},
    304: {"description": "It has not changed, and never does"},
}


def attachment_routes(door: Door) -> APIRouter:
    """`POST /attachments` and `GET /attachments/{sha256}`."""
    router = APIRouter(tags=["attachments"])

    @router.post(
        PATH,
        dependencies=[Depends(may("attach"))],
        status_code=201,
        response_model=Attachment,
        responses={200: {"model": Attachment}},
        openapi_extra=_SENT,
    )
    async def upload(request: Request, response: Response) -> Attachment | Response:
        """Send a picture before the report or act that names it.  It is cleaned, and stored once whoever sends it.

        A form, or the picture itself as application/octet-stream or image/*; what it is, its bytes decide.

        Unless a report or an act names it within two days, it is gone a few days later.
        """
        taken = await door.take(request)
        if isinstance(taken, Reason):
            return refused(taken)
        said, is_new = taken
        response.status_code = 201 if is_new else 200
        response.headers["Location"] = said.url
        return said

    @router.get(
        f"{PATH}/{{sha256}}",
        dependencies=[Depends(may("see-photo"))],
        response_class=Response,
        responses=_GIVEN,
    )
    async def picture(request: Request, sha256: Digest) -> Response:
        """The picture.  Its address is the right to see it: who knows it was given it, or has the picture."""
        etag = f'"{sha256}"'
        found = await door.gallery.find(sha256)
        if found is None:
            return refused(UNKNOWN)
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers={"ETag": etag, "Cache-Control": _CACHE})
        parts = door.gallery.read(sha256)
        try:
            first = await anext(parts)  # what cannot be read is told before anything is promised
        except PictureAway as error:
            log.warning("photo_unavailable", sha256=sha256, reason=str(error))
            return refused(AWAY)
        headers = _headers(sha256, found.media_type, found.size_bytes)
        return StreamingResponse(_all(first, parts), headers=headers, media_type=found.media_type)

    @router.get(
        f"{PATH}/{{sha256}}/origin",
        dependencies=[Depends(may("see-photo-origin"))],
        response_model=Origin,
    )
    async def origin(sha256: Digest) -> Origin | Response:
        """When and where it was taken, as far as its sender agreed that it be kept."""
        found = await door.gallery.find(sha256)
        return Origin.model_validate(found.metadata, strict=False) if found else refused(UNKNOWN)

    return router


_CACHE: Final = f"private, max-age={CACHE_SECONDS}, immutable"


def _headers(digest: str, media_type: str, size_bytes: int) -> dict[str, str]:
    """A browser shows it as the picture that it is, and runs nothing in it, whatever it holds."""
    return {
        "Content-Length": str(size_bytes),
        "Content-Disposition": f'inline; filename="{digest[:12]}.{ENDINGS.get(media_type, "bin")}"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Cache-Control": _CACHE,
        "ETag": f'"{digest}"',
    }


async def _all(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(rest):  # whoever goes away in the middle of it leaves nothing behind
        yield first
        async for part in rest:
            yield part
