"""Pictures kept in a bucket of S3: whole, by their digest, and never lost for its sake."""

import asyncio
import os
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from cli import pictures
from libs.events.objects import CHUNK_BYTES
from libs.events.photos import Album
from libs.events.storage import FileStore, store_at
from services.intake.attachments import bucket
from services.intake.attachments.bucket import IN_HAND_MAX, PhotoBucket, PictureAway
from services.intake.attachments.cleaning import Facts
from services.intake.attachments.keeping import Gallery, Took
from services.intake.attachments.pictures import Picture
from tests.support.nodes import single
from tests.support.people import People, done
from tests.support.s3 import S3Server, s3_server
from tests.support.stack import eventually, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def s3(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[S3Server]:
    async with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def album(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Album]:
    async with single(tmp_path_factory.mktemp("nats")) as servers:
        yield Album(await servers.jetstream("intake"))


@pytest.fixture
def location(s3: S3Server) -> str:
    return s3.location()


@pytest.fixture
def store(s3: S3Server, location: str) -> FileStore:
    return store_at(location, s3.settings)


def now() -> datetime:
    return datetime.now(UTC)


def noise(size_bytes: int) -> tuple[str, Picture]:
    """Bytes that nobody else has, as if they were a picture's, with their digest."""
    content = os.urandom(size_bytes)
    return sha256(content).hexdigest(), Picture(content, Facts("image/png", 1, 1))


async def read(gallery: Gallery, digest: str) -> bytes:
    return b"".join([part async for part in gallery.read(digest)])


async def test_what_a_fact_names_goes_to_the_bucket_and_the_log_says_what_it_is(
    album: Album, store: FileStore
) -> None:
    gallery, (digest, picture) = Gallery(album, now, PhotoBucket(store)), noise(3 * CHUNK_BYTES + 7)
    assert await gallery.take(digest, picture, {"longitude": "110.03"}) is Took.NEW
    assert await store.get(digest) is None, "nobody spoke of it yet"
    await gallery.keep(digest)
    assert await store.get(digest) == picture.content
    assert await album.uploads.info(digest) is None
    said = await album.photos.info(digest)
    assert said is not None
    assert (said.is_elsewhere, said.size_bytes, said.media_type) == (True, len(picture.content), "image/png")
    assert said.metadata["longitude"] == "110.03"
    assert await read(gallery, digest) == picture.content
    assert await gallery.take(digest, picture, {}) is Took.KNOWN
    await gallery.keep(digest)
    with pytest.raises(PictureAway, match="WHISTLE_PHOTOS_AT"):
        await read(Gallery(album, now), digest)


async def test_a_picture_that_was_changed_or_lost_in_the_bucket_is_not_shown(
    album: Album, store: FileStore
) -> None:
    gallery, (digest, picture) = Gallery(album, now, PhotoBucket(store)), noise(100)
    await gallery.take(digest, picture, {})
    await gallery.keep(digest)
    await store.put(digest, picture.content[:-1] + b"x")
    with pytest.raises(PictureAway, match="as it was"):
        await read(gallery, digest)
    await store.delete(digest)
    with pytest.raises(PictureAway, match="as it was"):
        await read(gallery, digest)


async def test_while_the_bucket_is_away_the_log_keeps_the_picture_itself(
    album: Album, store: FileStore, s3: S3Server, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery(album, now, PhotoBucket(store))
    impatient = Gallery(album, now, PhotoBucket(store_at(location, s3.settings, seconds_max=1)))
    (before, first), (digest, picture), (other, another) = noise(100), noise(100), noise(100)
    for each, content in ((before, first), (digest, picture), (other, another)):
        await gallery.take(each, content, {})
    await gallery.keep(before)
    s3.pause()
    try:
        await impatient.keep(digest)
        await impatient.keep(other)
        with pytest.raises(PictureAway):
            await read(impatient, before)
    finally:
        s3.resume()
    for each, content in ((before, first), (digest, picture), (other, another)):
        assert await read(gallery, each) == content.content
    assert await store.get(other) is None, "the bucket was not asked again at once"
    monkeypatch.setattr(bucket, "AWAY_SECONDS", 0.0)
    again, (last, content) = Gallery(album, now, PhotoBucket(store)), noise(100)
    await again.take(last, content, {})
    await again.keep(last)
    assert await store.get(last) == content.content


async def test_pictures_in_hand_are_bounded_and_given_back(album: Album, store: FileStore) -> None:
    gallery, (digest, picture) = Gallery(album, now, PhotoBucket(store)), noise(2 * CHUNK_BYTES)
    await gallery.take(digest, picture, {})
    await gallery.keep(digest)
    slow = [gallery.read(digest) for _ in range(IN_HAND_MAX)]
    for each in slow:
        await anext(each)
    with pytest.raises(PictureAway, match="being sent out"):
        await read(gallery, digest)
    for each in slow:
        await each.aclose()
    assert await read(gallery, digest) == picture.content


@pytest.mark.full
async def test_intake_keeps_its_pictures_there_by_setting(s3: S3Server, tmp_path: Path) -> None:
    location = s3.location()
    secret = tmp_path / "secret"
    secret.write_text(s3.settings.s3_secret_key.get_secret_value())
    settings = {
        "WHISTLE_PHOTOS_AT": location,
        "WHISTLE_S3_ENDPOINT": s3.settings.s3_endpoint,
        "WHISTLE_S3_ACCESS_KEY": s3.settings.s3_access_key,
        "WHISTLE_S3_SECRET_KEY_FILE": str(secret),
    }
    store = store_at(location, s3.settings)
    running_stack = running(settings=settings)
    stack = await asyncio.to_thread(running_stack.__enter__)
    try:
        async with httpx.AsyncClient(base_url=stack.service_url("intake"), timeout=30) as http:
            sent = done(
                await http.post(
                    "/attachments", content=pictures.before(), headers={"Content-Type": "image/jpeg"}
                )
            )
            await People(stack, http).report("0101", "井盖破损", photos=[sent["reference"]])

            async def kept() -> bool:
                return await store.get(sent["sha256"]) is not None

            await eventually(kept)
            got = await http.get(sent["url"])
            assert sha256(got.content).hexdigest() == sent["sha256"]
            assert int(got.headers["content-length"]) == sent["bytes"]
            await store.put(sent["sha256"], b"something else")
            away = await http.get(sent["url"])
            assert (away.status_code, away.json()["code"]) == (503, "picture_unavailable")
            assert int(away.headers["retry-after"]) > 0
    finally:
        await asyncio.to_thread(running_stack.__exit__, None, None, None)
