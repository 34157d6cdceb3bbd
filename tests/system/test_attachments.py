"""Pictures on a running stack: sent, cleaned, found again, named by reports and acts, kept or gone."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from nats.js.api import ObjectInfo
from PIL import ExifTags, Image

from cli import pictures
from cli.embedded.nats import NatsServer
from cli.stack.ports import free_port
from cli.stack.state import Stack, repository
from cli.tokens import Tokens
from libs.events.jetstream import JetStream, connected
from libs.events.objects import CHUNK_BYTES, Objects, Put
from libs.events.photos import REFERABLE_FOR, UPLOADED_AT, Album, reference_to
from libs.events.settings import variable
from libs.events.streams import UPLOAD_AGE_DAYS_MAX, UPLOADS_BYTES_MAX, log_streams
from libs.events.subjects import PHOTOS, UPLOADS, chunk_subject, object_stream, object_subject
from services.intake.attachments.cleaning import MEMORY_BYTES_MAX, PROCESSOR_SECONDS_MAX, Facts
from services.intake.attachments.keeping import RENEWED_AFTER, Gallery, Took
from services.intake.attachments.pictures import PIXELS_MAX, Picture, Pictures
from services.intake.attachments.reading import UPLOAD_BYTES_MAX, UPLOAD_SECONDS_MAX
from services.intake.attachments.routes import UPLOADS_AT_ONCE_MAX
from services.intake.attachments.scanning import AddressScan, CommandScan, Harmful, NotScanned
from services.intake.attachments.settings import AttachmentSettings
from tests.support.nodes import Servers, accounts, provision
from tests.support.people import People, done
from tests.support.stack import eventually, whistle

NOW: Final = datetime(2026, 6, 1, 8, tzinfo=UTC)
JPEG: Final = {"Content-Type": "image/jpeg"}


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.service_url("intake"), timeout=60) as client:
        yield client


@pytest_asyncio.fixture
async def jetstream(stack: Stack) -> AsyncIterator[JetStream]:
    """As intake is connected."""
    async with connected(stack.nats_url, user="intake", password=stack.secret("intake")) as client:
        yield JetStream(client)


def camera_picture(colour: str, size: tuple[int, int] = (48, 32)) -> bytes:
    """With time and place, as a telephone writes them."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Whistlecam"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2018:12:24 15:05:33"
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef], place[ExifTags.GPS.GPSLatitude] = "N", (40.0, 24.0, 36.0)
    place[ExifTags.GPS.GPSLongitudeRef], place[ExifTags.GPS.GPSLongitude] = "E", (110.0, 1.0, 48.0)
    written = BytesIO()
    Image.new("RGB", size, colour).save(written, "JPEG", exif=exif)
    return written.getvalue()


def problem_of(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert not document["title_zh"].isascii()
    code: str = document["code"]
    return code


# --- in and out over HTTP


async def test_a_picture_comes_back_clean_under_the_digest_of_its_bytes(http: httpx.AsyncClient) -> None:
    sent = await http.post("/attachments", content=camera_picture("red"), headers=JPEG)
    said = done(sent)
    got = await http.get(said["url"])
    assert (sent.status_code, sent.headers["location"]) == (201, f"/attachments/{said['sha256']}")
    assert (got.status_code, got.headers["content-type"]) == (200, "image/jpeg")
    assert sha256(got.content).hexdigest() == said["sha256"] == said["reference"].removeprefix("sha256:")
    assert (len(got.content), said["width"], said["height"]) == (said["bytes"], 48, 32)
    assert b"Whistlecam" not in got.content
    # Nobody agreed that time and place be kept.
    assert (said["taken_at"], said["longitude"], said["latitude"]) == (None, None, None)


async def test_a_browser_shows_it_and_runs_nothing_in_it(http: httpx.AsyncClient) -> None:
    said = done(await http.post("/attachments", content=camera_picture("red"), headers=JPEG))
    headers = (await http.get(said["url"])).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["cache-control"] == "private, max-age=31536000, immutable"
    assert headers["content-disposition"] == f'inline; filename="{said["sha256"][:12]}.jpg"'
    again = await http.get(said["url"], headers={"If-None-Match": headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_form_says_what_may_be_kept(http: httpx.AsyncClient) -> None:
    form = {"keep_time": "on", "keep_place": "false"}
    file = {"file": ("../../etc/passwd\n.svg", camera_picture("green"), "image/svg+xml")}
    said = done(await http.post("/attachments", data=form, files=file))
    # A camera that names no zone was read here.
    assert datetime.fromisoformat(said["taken_at"]) == datetime.fromisoformat("2018-12-24T15:05:33+08:00")
    assert (said["media_type"], said["longitude"]) == ("image/jpeg", None)
    everything = {"keep_time": "true", "keep_place": "1"}
    said = done(
        await http.post("/attachments", params=everything, content=camera_picture("blue"), headers=JPEG)
    )
    assert (said["longitude"], said["latitude"]) == (110.03, 40.41)


async def test_the_same_picture_twice_is_stored_once(http: httpx.AsyncClient, jetstream: JetStream) -> None:
    uploads = Objects(jetstream, UPLOADS)
    first = await http.post("/attachments", content=camera_picture("grey"), headers=JPEG)
    before = await uploads.info(first.json()["sha256"])
    second = await http.post("/attachments", content=camera_picture("grey"), headers=JPEG)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    # Of this picture: intake may be moving others at any time.
    assert await uploads.info(first.json()["sha256"]) == before is not None


async def test_what_is_no_picture_is_refused_with_its_reason(http: httpx.AsyncClient) -> None:
    async def refusal(content: bytes, media_type: str = "image/jpeg") -> tuple[int, str]:
        answer = await http.post("/attachments", content=content, headers={"Content-Type": media_type})
        return answer.status_code, problem_of(answer, answer.status_code)

    assert await refusal(b"") == (422, "not_valid")
    assert await refusal(b"<svg/>") == (422, "not_a_picture")
    assert await refusal(b"\0\0\0\x18ftypheic\0\0\0\0") == (422, "heic_not_supported")
    assert await refusal(camera_picture("red")[:400]) == (422, "picture_unreadable")
    assert await refusal(camera_picture("red"), "application/json") == (415, "unsupported_media_type")
    assert await refusal(b"--x--", "multipart/form-data; boundary=x") == (422, "not_valid")
    assert await refusal(b"no form", "multipart/form-data") == (422, "not_valid")
    side = int(PIXELS_MAX**0.5) + 1
    huge = BytesIO()
    Image.new("1", (side, side)).save(huge, "PNG")
    assert await refusal(huge.getvalue()) == (422, "too_many_pixels")


async def test_what_is_announced_as_too_large_is_refused_before_it_is_sent(stack: Stack) -> None:
    url = httpx.URL(stack.service_url("intake"))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        head = (
            f"POST /attachments HTTP/1.1\r\nHost: x\r\nContent-Length: {UPLOAD_BYTES_MAX + 100_000}\r\n\r\n"
        )
        writer.write(head.encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    finally:
        writer.close()
        await writer.wait_closed()


async def test_what_is_not_there_is_not_found(http: httpx.AsyncClient) -> None:
    assert problem_of(await http.get(f"/attachments/{'0' * 64}"), 404) == "unknown_attachment"
    assert problem_of(await http.get("/attachments/..%2f..%2fetc"), 404) == "not_found"
    assert problem_of(await http.get(f"/attachments/{'G' * 64}"), 422) == "not_valid"


# --- named by reports and acts


async def test_one_sees_how_it_was_and_how_it_is(stack: Stack, http: httpx.AsyncClient) -> None:
    people = People(stack, http)
    before, after = [
        done(await http.post("/attachments", content=picture, headers=JPEG))
        for picture in (pictures.before(), pictures.after())
    ]
    receipt = await people.assigned("0101", photos=[before["reference"]])
    done(await people.department("water", receipt.case_id, "accept"))
    done(await people.department("water", receipt.case_id, "handle", photos=[after["reference"]]))
    standing = await people.standing(receipt.tracking_number)
    assert standing["photos"] == {"before": [before["url"]], "after": [after["url"]]}
    shown = whistle(stack, "show", receipt.case_id).stdout
    assert f"before · 处置前  {stack.service_url('intake')}{before['url']}\n" in shown
    assert f"after · 处置后  {stack.service_url('intake')}{after['url']}\n" in shown


async def test_what_a_fact_names_is_kept_and_gives_its_room_back(
    stack: Stack, http: httpx.AsyncClient, jetstream: JetStream
) -> None:
    form = {"keep_place": "true"}
    said = done(await http.post("/attachments", data=form, files={"file": camera_picture("purple")}))
    album = Album(jetstream)
    assert await album.photos.info(said["sha256"]) is None
    await People(stack, http).report("0101", "紫色", photos=[said["reference"]])

    async def came_over() -> bool:
        return await album.uploads.info(said["sha256"]) is None

    await eventually(came_over)
    kept = await album.photos.info(said["sha256"])
    assert kept is not None
    assert (kept.media_type, kept.metadata["longitude"]) == ("image/jpeg", "110.03")
    got = await http.get(said["url"])
    assert sha256(got.content).hexdigest() == said["sha256"]


async def test_where_it_was_taken_is_for_offices_alone(stack: Stack, http: httpx.AsyncClient) -> None:
    form = {"keep_place": "true", "keep_time": "true"}
    said = done(await http.post("/attachments", data=form, files={"file": camera_picture("pink")}))
    place = f"{said['url']}/origin"
    assert problem_of(await http.get(place), 401) == "sign_in_needed"
    seen = done(await http.get(place, headers=Tokens(stack).shown("specialist:qiaotou")))
    assert (seen["longitude"], seen["latitude"]) == (110.03, 40.41)
    assert datetime.fromisoformat(seen["taken_at"]) == datetime.fromisoformat("2018-12-24T15:05:33+08:00")


async def test_a_picture_that_must_not_be_kept_is_erased_by_hand(
    stack: Stack, http: httpx.AsyncClient, jetstream: JetStream
) -> None:
    content = camera_picture("orange")
    digest = sha256(content).hexdigest()
    await Objects(jetstream, PHOTOS).put(digest, content, "image/jpeg", {})
    found = await Album(jetstream).photos.info(digest)
    assert found is not None
    assert (await http.get(f"/attachments/{digest}")).status_code == 200
    password = stack.secret("breakglass")
    async with connected(stack.nats_url, user="breakglass", password=password) as client:
        for subject in (object_subject(PHOTOS, digest), chunk_subject(PHOTOS, found.parts)):
            answer = await JetStream(client).api("STREAM.PURGE.OBJ_PHOTOS", {"filter": subject})
            assert answer["purged"] == 1
    assert problem_of(await http.get(f"/attachments/{digest}"), 404) == "unknown_attachment"


# --- the guide

GUIDE: Final = (repository() / "docs" / "attachments.md").read_text(encoding="utf-8")


async def test_the_guide_works_as_it_stands(stack: Stack, http: httpx.AsyncClient, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not here")
    (tmp_path / "photo.jpg").write_bytes(camera_picture("brown"))
    [box] = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    port, digest = stack.service_url("intake").rpartition(":")[2], "DIGEST"
    for line in box.splitlines():
        _, *arguments = shlex.split(line.replace("PORT", port).replace("DIGEST", digest))
        found = await asyncio.to_thread(
            subprocess.run,
            [curl, "-sS", "--fail-with-body", *arguments],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert found.returncode == 0, (line, found.stdout, found.stderr)
        if "/attachments" in line and found.stdout:
            digest = json.loads(found.stdout)["sha256"]
    assert sha256((tmp_path / "seen.jpg").read_bytes()).hexdigest() == digest


def test_the_guide_names_every_setting_and_bound() -> None:
    assert {name for name in AttachmentSettings.model_fields if variable(name) not in GUIDE} == set()
    bounds: tuple[tuple[float, str], ...] = (
        (UPLOAD_BYTES_MAX / 2**20, "MiB"),
        (PIXELS_MAX / 10**6, "million pixels"),
        (UPLOAD_SECONDS_MAX, "seconds to arrive"),
        (UPLOADS_AT_ONCE_MAX, "at once in one process"),
        (MEMORY_BYTES_MAX / 2**30, "GiB\nof address space"),
        (PROCESSOR_SECONDS_MAX, "seconds of processor"),
        (UPLOAD_AGE_DAYS_MAX, "days; it may be named"),
        (UPLOADS_BYTES_MAX / 2**30, "GiB by default"),
    )
    assert [bound for bound in bounds if f"{bound[0]:g} {bound[1]}" not in GUIDE.replace("\n  ", "\n")] == []
    assert f"in the first {REFERABLE_FOR.days}" in GUIDE


# --- the stores themselves, with a clock of the test's own


def noise(size_bytes: int) -> Picture:
    """Bytes that nobody else has, as if they were a picture's."""
    return Picture(os.urandom(size_bytes), Facts("image/png", 1, 1))


async def test_what_was_sent_may_be_named_for_two_days_and_sent_again_for_longer(
    jetstream: JetStream,
) -> None:
    clock = [NOW]
    album = Album(jetstream, lambda: clock[0])
    gallery, picture = Gallery(album, lambda: clock[0]), noise(100)
    digest = sha256(picture.content).hexdigest()
    named = ["https://elsewhere.example", reference_to(digest)]
    assert await album.missing(named) == 1
    assert await gallery.take(digest, picture, {}) is Took.NEW
    assert await album.missing(named) is None
    assert await gallery.take(digest, picture, {}) is Took.KNOWN
    first = await album.uploads.info(digest)
    clock[0] = NOW + RENEWED_AFTER
    assert await gallery.take(digest, picture, {}) is Took.KNOWN
    second = await album.uploads.info(digest)
    assert first is not None
    assert second is not None
    assert (second.position > first.position, second.metadata[UPLOADED_AT]) == (True, clock[0].isoformat())
    assert await album.uploads.content(second) == picture.content
    clock[0] += REFERABLE_FOR
    assert await album.missing(named) == 1
    await gallery.keep(digest)
    assert await album.missing(named) is None
    assert await gallery.take(digest, picture, {}) is Took.KNOWN


async def test_a_picture_that_comes_over_while_it_is_read_is_read_to_its_end(jetstream: JetStream) -> None:
    album = Album(jetstream)
    gallery, picture = Gallery(album, lambda: datetime.now(UTC)), noise(3 * CHUNK_BYTES + 7)
    digest = sha256(picture.content).hexdigest()
    await gallery.take(digest, picture, {})
    parts = gallery.read(digest)
    got = await anext(parts)
    await gallery.keep(digest)
    assert await album.uploads.info(digest) is None
    assert got + b"".join([part async for part in parts]) == picture.content


async def test_an_upload_that_dies_halfway_leaves_nothing(jetstream: JetStream) -> None:
    subject = chunk_subject(UPLOADS, uuid4().hex)
    for number in range(1, 4):
        headers = {"Nats-Batch-Id": "dies", "Nats-Batch-Sequence": str(number)}
        await jetstream.client.publish(subject, b"x" * CHUNK_BYTES, headers=headers)
    # What comes behind it is stored, so the server has seen all of it.
    assert await Objects(jetstream, UPLOADS).put(uuid4().hex, b"whole", "image/png", {}) is Put.STORED
    assert await jetstream.next_on_leader(object_stream(UPLOADS), subject, 1) is None


async def test_of_two_who_send_the_same_at_once_one_stores_it(jetstream: JetStream) -> None:
    uploads, content = Objects(jetstream, UPLOADS), os.urandom(2 * CHUNK_BYTES)
    digest = sha256(content).hexdigest()
    puts = await asyncio.gather(*(uploads.put(digest, content, "image/png", {}) for _ in range(4)))
    assert sorted(puts, key=lambda each: each.name) == [Put.OVERTAKEN] * 3 + [Put.STORED]


async def test_any_client_reads_what_we_store(jetstream: JetStream) -> None:
    content = os.urandom(CHUNK_BYTES + 1)
    digest = sha256(content).hexdigest()
    await Objects(jetstream, PHOTOS).put(digest, content, "image/png", {"taken_at": "then"})
    info = await jetstream.last_on_leader(
        "OBJ_PHOTOS", f"$O.PHOTOS.M.{urlsafe_b64encode(digest.encode()).decode()}"
    )
    assert info is not None
    said = ObjectInfo.from_response(json.loads(info.payload))
    expected = f"SHA-256={urlsafe_b64encode(bytes.fromhex(digest)).decode()}"
    assert (said.name, said.size, said.chunks, said.digest) == (digest, len(content), 2, expected)


async def test_full_is_full_for_uploads_alone(tmp_path: Path) -> None:
    """The bound is the server's: nothing of what does not fit is stored."""
    bound = 3 * CHUNK_BYTES
    [small] = [
        each for each in log_streams(1, uploads_bytes_max=bound) if each.name == object_stream(UPLOADS)
    ]
    node = NatsServer(tmp_path, port=free_port(), accounts=accounts)
    servers = Servers([node])
    await node.start()
    try:
        await provision(servers, [small])
        uploads = Objects(await servers.jetstream("intake"), UPLOADS)
        assert await uploads.put("a", os.urandom(2 * CHUNK_BYTES), "image/png", {}) is Put.STORED
        assert await uploads.put("b", os.urandom(2 * CHUNK_BYTES), "image/png", {}) is Put.FULL
        assert await uploads.info("b") is None
        found = await uploads.info("a")
        assert found is not None
        assert await uploads.empty(found)
        assert await uploads.put("b", os.urandom(2 * CHUNK_BYTES), "image/png", {}) is Put.STORED
    finally:
        await servers.close()
        await node.stop()


# --- the scanner


SCANNER: Final = """
import sys
raw = sys.stdin.buffer.read()
sys.exit(1 if b"EICAR" in raw else 2 if b"BREAK" in raw else 0)
"""


async def test_a_scanner_that_finds_something_or_fails_lets_nothing_in() -> None:
    scan = CommandScan((sys.executable, "-c", SCANNER))
    await scan.look(b"clean")
    with pytest.raises(Harmful):
        await scan.look(b"EICAR")
    with pytest.raises(NotScanned, match="code 2"):
        await scan.look(b"BREAK")
    with pytest.raises(NotScanned, match="cannot be started"):
        await CommandScan(("/no/such/scanner",)).look(b"clean")
    with pytest.raises(Harmful):
        await Pictures(scan).of(pictures.before() + b"EICAR")


async def test_a_scanner_does_not_get_our_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISTLE_NATS_PASSWORD", "hush")
    said = "import os, sys; sys.exit(1 if any('WHISTLE' in name for name in os.environ) else 0)"
    await CommandScan((sys.executable, "-c", said)).look(b"")


async def test_a_scanning_service_decides_by_its_status() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        status = {b"clean": 204, b"EICAR": 406}.get(await reader.readexactly(length), 500)
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()
        await writer.wait_closed()

    async with (
        await asyncio.start_server(answer, "127.0.0.1", 0) as server,
        httpx.AsyncClient() as client,
    ):
        scan = AddressScan(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", client)
        await scan.look(b"clean")
        with pytest.raises(Harmful):
            await scan.look(b"EICAR")
        with pytest.raises(NotScanned, match="500"):
            await scan.look(b"BREAK")
    async with httpx.AsyncClient() as client:
        with pytest.raises(NotScanned):
            await AddressScan("http://127.0.0.1:9", client).look(b"clean")
