"""What somebody uploads: the picture itself as the body, or a form with it and what its sender agrees to."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from services.intake.attachments.reasons import EMPTY, FILE, FORM, SLOW, TYPE, Reason

UPLOAD_BYTES_MAX: Final = 10 * 1024 * 1024
FORM_BYTES_MAX: Final = UPLOAD_BYTES_MAX + 64 * 1024
"""Of the whole body: a form adds some."""
UPLOAD_SECONDS_MAX: Final = 60.0
FIELDS_MAX: Final = 10
FIELD_BYTES_MAX: Final = 1_024
FORM_TYPE: Final = "multipart/form-data"
KEEP_TIME: Final = "keep_time"
KEEP_PLACE: Final = "keep_place"
YES: Final = frozenset({"1", "true", "yes", "on"})
"""What a form's ticked box says."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What was sent."""

    content: bytes
    keep_time: bool
    keep_place: bool


async def read(request: Request) -> Upload | Reason:
    """The upload in a request, or what is wrong with it."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS_MAX):
            if media_type == FORM_TYPE:
                return await _of_form(request)
            if media_type.startswith("image/") or media_type == "application/octet-stream":
                return await _of_body(request)
    except (TimeoutError, ClientDisconnect):
        return SLOW
    return TYPE


async def _of_body(request: Request) -> Upload | Reason:
    content = await request.body()
    if not content:
        return EMPTY
    asked = request.query_params
    return Upload(content, _ticked(asked.get(KEEP_TIME)), _ticked(asked.get(KEEP_PLACE)))


class _InMemory(MultiPartParser):
    """Not in files, whose folder is small: how many there are at once, and how large, is bounded already."""

    spool_max_size = FORM_BYTES_MAX


@asynccontextmanager
async def form_of(
    request: Request, *, files_max: int, fields_max: int, field_bytes_max: int
) -> AsyncGenerator[FormData]:
    """What a form with pictures says.  Raises MultiPartException when it cannot be read, or ClientDisconnect."""
    parser = _InMemory(
        request.headers,
        request.stream(),
        max_files=files_max,
        max_fields=fields_max,
        max_part_size=field_bytes_max,
    )
    form = await parser.parse()
    try:
        yield form
    finally:
        await form.close()


async def _of_form(request: Request) -> Upload | Reason:
    bounds = {"files_max": 1, "fields_max": FIELDS_MAX, "field_bytes_max": FIELD_BYTES_MAX}
    try:
        async with form_of(request, **bounds) as form:
            return await _in_form(form)
    except MultiPartException:
        return FORM


async def _in_form(form: FormData) -> Upload | Reason:
    file = form.get(FILE)
    content = await file.read() if isinstance(file, UploadFile) else b""
    if not content:
        return EMPTY
    return Upload(content, _ticked(form.get(KEEP_TIME)), _ticked(form.get(KEEP_PLACE)))


def _ticked(said: object) -> bool:
    return isinstance(said, str) and said.strip().lower() in YES
