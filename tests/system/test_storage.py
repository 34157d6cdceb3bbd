"""Files in a folder and in a bucket: the same promises, on the disk and on a real server of S3."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from libs.events.errors import NotAName, StoreUnavailable
from libs.events.storage import FileStore, S3Settings, S3Store, store_at
from libs.events.storage.locations import NAME_CHARACTERS_MAX, Bucket, located
from libs.events.storage.s3 import client_of
from tests.support.s3 import BUCKET, S3Server, s3_server

NO_S3 = S3Settings()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def s3(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[S3Server]:
    async with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def opens(request: pytest.FixtureRequest, s3: S3Server, tmp_path: Path) -> Callable[[], FileStore]:
    """Opens the same empty place, each time as another process would."""
    location = str(tmp_path / "a" / "b") if request.param == "folder" else s3.location()
    return lambda: store_at(location, s3.settings)


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def names(store: FileStore, prefix: str = "") -> list[str]:
    return sorted([name async for name in store.names(prefix)])


@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_put_is_there_for_everybody(opens: Callable[[], FileStore]) -> None:
    content = os.urandom(3_000_000)
    await opens().put("2026/11/sealed-1.zst", content)
    assert await opens().get("2026/11/sealed-1.zst") == content
    await opens().put("2026/11/sealed-1.zst", b"")
    assert await opens().get("2026/11/sealed-1.zst") == b""


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_not_there_is_none(opens: Callable[[], FileStore]) -> None:
    store = opens()
    assert await store.get("a") is None
    await store.delete("a")
    await store.put("a", b"x")
    assert await store.get("a/b") is None
    await store.delete("a")
    assert await store.get("a") is None


@pytest.mark.asyncio(loop_scope="module")
async def test_of_many_who_create_one_does(opens: Callable[[], FileStore]) -> None:
    stores = [opens() for _ in range(8)]
    made = await asyncio.gather(
        *(store.create("x/once", b"%d" % number) for number, store in enumerate(stores))
    )
    assert sorted(made) == [False] * 7 + [True]
    assert await opens().get("x/once") == b"%d" % made.index(True)
    assert await names(opens()) == ["x/once"]


@pytest.mark.asyncio(loop_scope="module")
async def test_names_are_listed_by_segments(opens: Callable[[], FileStore]) -> None:
    store, there = opens(), ["2026/11/a", "2026/11/b", "2026/12/c", "2026a", "seal=1_x-.y"]
    assert await names(store) == []
    for name in there:
        await store.put(name, b"")
    assert await names(store) == there
    assert await names(store, "2026") == there[:3]
    assert await names(store, "2026/11") == there[:2]
    assert await names(store, "20") == []


@pytest.mark.asyncio(loop_scope="module")
async def test_more_names_than_one_page(s3: S3Server) -> None:
    """S3 lists 1,000 at a time."""
    store = store_at(s3.location(), s3.settings)
    bound = asyncio.Semaphore(50)

    async def put(number: int) -> None:
        async with bound:
            await store.put(f"n{number:04}", b"")

    await asyncio.gather(*map(put, range(1_001)))
    assert await names(store) == [f"n{number:04}" for number in range(1_001)]


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", "a/.", ".hidden"),
        *("a\0b", "a b", "a\n", "中", "a\\b", "a%2f"),
        *("a" * 201, "/".join(["a" * 100] * (NAME_CHARACTERS_MAX // 100 + 1))),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_no_name_leads_elsewhere(name: str, opens: Callable[[], FileStore]) -> None:
    store = opens()
    for call in (store.put(name, b""), store.create(name, b""), store.get(name), store.delete(name)):
        with pytest.raises(NotAName, match=r"a name|of a name"):
            await call
    if name:
        with pytest.raises(NotAName):
            await names(store, name)
    assert await names(store) == []


# --- the folder


@pytest.mark.asyncio(loop_scope="module")
async def test_a_folder_shows_nothing_that_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full: the file that stood there stays, and nothing is left beside it."""
    store = store_at(str(tmp_path), NO_S3)
    await store.put("a", b"before")

    def full(_: int) -> None:
        assert len(files(tmp_path)) == 2, "it is written aside"
        raise OSError(28, "No space left on device", "a")

    monkeypatch.setattr("libs.events.storage.folder.os.fsync", full)
    for call in (store.put("a", b"after"), store.create("b", b"new")):
        with pytest.raises(StoreUnavailable, match="No space left"):
            await call
    monkeypatch.undo()
    assert await store.get("a") == b"before"
    assert files(tmp_path) == ["a"]


@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_kill_leaves_has_no_name(tmp_path: Path) -> None:
    store = store_at(str(tmp_path), NO_S3)
    (tmp_path / ".left").write_bytes(b"half")
    assert await names(store) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_folder_that_cannot_be_used_is_no_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = store_at(str(tmp_path / "file"), NO_S3)
    with pytest.raises(StoreUnavailable):
        await store.put("a", b"")
    with pytest.raises(StoreUnavailable):
        await names(store)


# --- the bucket


@pytest.mark.asyncio(loop_scope="module")
async def test_a_bucket_that_is_not_there_or_not_ours_holds_no_answer(s3: S3Server) -> None:
    """Its files are not gone: None would be a lie."""
    for location, settings in (
        ("s3://elsewhere", s3.settings),
        (f"s3://{BUCKET}", s3.settings.model_copy(update={"s3_access_key": "stranger"})),
        (f"s3://{BUCKET}", s3.settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"})),
    ):
        store = store_at(location, settings)
        for call in (store.put("a", b""), store.create("a", b""), store.get("a")):
            with pytest.raises(StoreUnavailable):
                await call
        with pytest.raises(StoreUnavailable):
            await names(store)
    nowhere = store_at("s3://nowhere", s3.admin)
    for call in (nowhere.get("a"), nowhere.delete("a")):
        with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
            await call


@pytest.mark.asyncio(loop_scope="module")
async def test_a_server_that_does_not_answer_is_given_up(s3: S3Server) -> None:
    place = located(s3.location())
    assert isinstance(place, Bucket)
    again = store_at(f"s3://{place.name}/{place.prefix}", s3.settings)
    await again.put("a", b"x")
    store = S3Store(client_of(place, s3.settings, seconds_max=0.5))
    s3.pause()
    try:
        with pytest.raises(StoreUnavailable):
            await store.get("a")
        with pytest.raises(StoreUnavailable):
            await store.create("b", b"x")
    finally:
        s3.resume()
    assert await again.get("a") == b"x"


@pytest.mark.asyncio(loop_scope="module")
async def test_what_the_environment_says_to_other_programs_does_not_count(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another")
    store = store_at(s3.location(), s3.settings)
    await store.put("a", b"x")
    assert await store.get("a") == b"x"
