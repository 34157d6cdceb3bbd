"""Bounds of what is uploaded: how many at once, how long one may take, and work on a stranger's bytes."""

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import pytest
from fastapi import Request

from services.intake.attachments import child, reading
from services.intake.attachments.keeping import Gallery
from services.intake.attachments.pictures import Pictures
from services.intake.attachments.reasons import BUSY, EMPTY, SLOW, refused
from services.intake.attachments.routes import UPLOADS_AT_ONCE_MAX, Door
from services.intake.attachments.scanning import NoScan
from services.intake.open311.forms import FORM, Unreadable, sent

JPEG: Final = "image/jpeg"
PARTS: Final = "multipart/form-data; boundary=x"
GONE: Final = {"type": "http.disconnect"}


def request_of(content_type: str, *arriving: dict[str, Any]) -> Request:
    """A request whose body arrives in these parts, and then no more."""
    parts = iter(arriving)

    async def receive() -> Any:
        for part in parts:
            return {"type": "http.request"} | part
        return await asyncio.Event().wait()

    headers = [(b"content-type", content_type.encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    return Request(scope, receive)


async def test_so_many_uploads_are_read_at_once_and_the_next_one_is_to_come_again() -> None:
    door = Door(cast("Gallery", None), Pictures(NoScan()), lambda: ZoneInfo("UTC"))
    with ExitStack() as inside:
        assert all(inside.enter_context(door.room()) for _ in range(UPLOADS_AT_ONCE_MAX))
        assert await door.take(request_of(JPEG, {"body": b""})) is BUSY
        assert refused(BUSY).headers["retry-after"]
    assert await door.take(request_of(JPEG, {"body": b""})) is EMPTY, "there is room again"


@pytest.mark.parametrize("content_type", [JPEG, PARTS])
async def test_an_upload_that_does_not_come_or_breaks_off_is_given_up(
    monkeypatch: pytest.MonkeyPatch, content_type: str
) -> None:
    begun = {"body": b"--x\r\n", "more_body": True}
    assert await reading.read(request_of(content_type, begun, GONE)) is SLOW
    monkeypatch.setattr(reading, "UPLOAD_SECONDS_MAX", 0.01)
    assert await reading.read(request_of(content_type, begun)) is SLOW


@pytest.mark.parametrize("content_type", [FORM, PARTS])
async def test_a_form_of_open311_that_breaks_off_is_refused_and_no_fault_of_ours(content_type: str) -> None:
    with pytest.raises(Unreadable):
        await sent(request_of(content_type, {"body": b"--x\r\n", "more_body": True}, GONE))


async def test_pictures_are_read_into_memory_since_the_folder_for_files_is_small(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no such folder"))
    picture = bytes(2 * 1024 * 1024)
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    whole = {"body": head + picture + b"\r\n--x--\r\n"}
    assert (await sent(request_of(PARTS, whole))).pictures == (picture,)
    read = await reading.read(request_of(PARTS, whole))
    assert isinstance(read, reading.Upload)
    assert read.content == picture


async def test_a_program_that_does_not_end_is_ended() -> None:
    sleeps = (sys.executable, "-c", "import time; time.sleep(600)")
    assert await child.run(sleeps, b"", 0.2) == child.Ended(None, b"")
