"""Sealed files and tiles in a real folder: what they prove, what they survive, and what is noticed."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.errors import StoreUnavailable
from libs.events.ledger import growing as growing_module
from libs.events.ledger.archive import Archive, ArchiveBroken, opened
from libs.events.ledger.growing import growing
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.merkle import Peaks, check_consistency, check_inclusion, check_range, peaks_before
from libs.events.ledger.notes import Checkpoint, Signer, checked
from libs.events.ledger.stretches import Sealed, Stretch, StretchBroken, packed, unpacked
from libs.events.ledger.tiles import Tile
from libs.events.storage import FolderStore

ORIGIN: Final = "city.example/CASES"
SMALL: Final = 1 << 10
"""Events of a whole stretch in these tests, so that many are joined."""


def sealed(sequence: int) -> Sealed:
    leaf = Leaf(
        "CASES", sequence, f"case.c{sequence % 7}.noted.{sequence}", f"e{sequence}", b'{"n":%d}' % sequence
    )
    return Sealed(leaf, 1_700_000_000_000_000_000 + sequence)


EVENTS: Final = [sealed(sequence) for sequence in range(1, 3 * SMALL)]


def root_at(size: int) -> bytes:
    peaks = Peaks()
    for event in EVENTS[:size]:
        peaks.push(event.leaf.hash())
    return peaks.root()


@pytest.fixture(autouse=True)
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_module, "EVENTS_MAX", SMALL)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


class Dying(FolderStore):
    """A store that takes so many files, and is away from then on."""

    def __init__(self, folder: Path, writes: int) -> None:
        super().__init__(folder)
        self.writes = writes

    async def put(self, name: str, content: bytes) -> None:
        self._spend()
        await super().put(name, content)

    async def delete(self, name: str) -> None:
        self._spend()
        await super().delete(name)

    def _spend(self) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise StoreUnavailable("away")


def parts(seed: int, last: int) -> Iterator[int]:
    chance, at = Random(seed), 0
    while at < last:
        at = min(last, at + chance.choice([1, 3, 255, 256, 257, 700]))
        yield at


async def grow(archive: Archive, ends: Iterator[int] | list[int]) -> None:
    writer = await growing(archive)
    for end in ends:
        await writer.seal(EVENTS[archive.size : end])


async def everything(archive: Archive, first: int = 1, last: int | None = None) -> list[Sealed]:
    last = archive.size if last is None else last
    return [event async for part in archive.events(first, last) for event in part]


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_sealed_in_any_parts_is_read_and_proved(store: FolderStore, seed: int) -> None:
    last = len(EVENTS) - seed * 300
    archive = await opened(store, "CASES", ORIGIN)
    await grow(archive, parts(seed, last))
    again = await opened(store, "CASES", ORIGIN)
    assert again.size == archive.size == last
    assert await everything(again) == EVENTS[:last]
    assert await everything(again, 1000, 1030) == EVENTS[999:1030]
    root, chance = root_at(last), Random(seed)
    assert await again.root(last) == (await again.peaks()).root() == root
    assert (await growing(again)).root() == root
    for _ in range(20):
        sequence, old = chance.randint(1, last), chance.randint(1, last)
        proof = await again.inclusion(sequence, last)
        check_inclusion(EVENTS[sequence - 1].leaf.hash(), sequence - 1, last, proof, root)
        check_consistency(old, root_at(old), last, root, await again.consistency(old, last))
        first = chance.randint(1, old)
        stretch = await again.range(first, old, last)
        peaks = peaks_before(first - 1, stretch)
        for event in EVENTS[first - 1 : old]:
            peaks.push(event.leaf.hash())
        check_range(peaks, last, stretch, root)


async def test_small_files_are_joined_and_nothing_of_no_use_stays(store: FolderStore) -> None:
    archive = await opened(store, "CASES", ORIGIN)
    await grow(archive, parts(5, 2 * SMALL + 10))
    assert [(each.first, each.last) for each in archive.stretches[:2]] == [(1, SMALL), (SMALL + 1, 2 * SMALL)]
    names = {name async for name in store.names("CASES")}
    assert {name for name in names if "/sealed/" in name} == {
        archive.path(each.path()) for each in archive.stretches
    }
    whole = {name for name in names if "/tile/" in name and ".p/" not in name}
    assert not {name for name in names if ".p/" in name and name.partition(".p/")[0] in whole}


@pytest.mark.parametrize("seed", range(4))
async def test_a_ledger_that_dies_at_any_write_goes_on_where_it_was(tmp_path: Path, seed: int) -> None:
    chance, deaths = Random(seed), 0
    while True:
        archive = await opened(Dying(tmp_path, chance.randint(1, 12)), "CASES", ORIGIN)
        before = archive.size
        try:
            await grow(archive, [end for end in parts(seed, len(EVENTS)) if end > before])
        except StoreUnavailable:
            deaths += 1
            assert (await opened(FolderStore(tmp_path), "CASES", ORIGIN)).size >= before
        else:
            break
    assert deaths > 3
    whole = await opened(FolderStore(tmp_path), "CASES", ORIGIN)
    assert await everything(whole) == EVENTS
    assert await whole.root(whole.size) == root_at(whole.size)


async def test_two_ledgers_at_once_do_no_harm(store: FolderStore) -> None:
    archives = [await opened(store, "CASES", ORIGIN) for _ in range(2)]
    writers = [await growing(archive) for archive in archives]
    chance = Random(11)
    while min(archive.size for archive in archives) < 2 * SMALL + 5:
        number = chance.randrange(2)
        end = min(archives[number].size + chance.randint(1, 400), len(EVENTS))
        if end > archives[number].size:
            await writers[number].seal(EVENTS[archives[number].size : end])
    again = await opened(store, "CASES", ORIGIN)
    assert again.size == max(archive.size for archive in archives)
    assert await everything(again) == EVENTS[: again.size]
    assert await again.root(again.size) == root_at(again.size)


async def test_a_reader_notices_that_files_were_joined_meanwhile(store: FolderStore) -> None:
    writing = await opened(store, "CASES", ORIGIN)
    await grow(writing, [100, 200, 300])
    reading = await opened(store, "CASES", ORIGIN)
    await grow(writing, [SMALL])
    assert await everything(reading, 1, 300) == EVENTS[:300]


async def test_a_reader_proves_while_the_tree_grows(store: FolderStore) -> None:
    writing = await opened(store, "CASES", ORIGIN)
    await grow(writing, [300])
    reading = await opened(store, "CASES", ORIGIN)
    await grow(writing, [SMALL])
    check_inclusion(EVENTS[299].leaf.hash(), 299, 300, await reading.inclusion(300, 300), root_at(300))


async def test_events_that_do_not_follow_are_refused(store: FolderStore) -> None:
    archive = await opened(store, "CASES", ORIGIN)
    writer = await growing(archive)
    await writer.seal(EVENTS[:5])
    for wrong in (EVENTS[6:8], EVENTS[3:8]):
        with pytest.raises(ValueError, match="does not follow on 5"):
            await writer.seal(wrong)
    assert (await opened(store, "CASES", ORIGIN)).size == 5


async def test_a_file_that_is_gone_is_named(store: FolderStore) -> None:
    archive = await opened(store, "CASES", ORIGIN)
    await grow(archive, [300, 600])
    await store.delete(archive.path(archive.stretches[0].path()))
    with pytest.raises(ArchiveBroken, match="event 1 of CASES is in no sealed file"):
        await everything(archive, 1, 600)
    await store.put(archive.path("tile/0/000"), b"short")
    with pytest.raises(ArchiveBroken, match=r"tile/0/000 of CASES is missing or cut"):
        await (await opened(store, "CASES", ORIGIN)).tile(Tile(0, 0, 256))


async def test_checkpoints_are_kept_and_the_newest_is_found(store: FolderStore) -> None:
    signer, archive = Signer("city.example", bytes(32)), await opened(store, "CASES", ORIGIN)
    assert await archive.checkpoint() is None
    writer = await growing(archive)
    for end in (10, 25):
        await writer.seal(EVENTS[archive.size : end])
        await writer.keep(signer.sign(Checkpoint(ORIGIN, end, await archive.root(end))), end)
    again = await opened(store, "CASES", ORIGIN)
    newest, old = await again.checkpoint(), await again.checkpoint(10)
    assert newest is not None
    assert old is not None
    assert checked(newest, signer.verifier).checkpoint == Checkpoint(ORIGIN, 25, root_at(25))
    assert checked(old, signer.verifier).checkpoint == Checkpoint(ORIGIN, 10, root_at(10))
    assert await again.checkpoint(11) is None


# Files of events


@given(st.data())
def test_a_sealed_file_of_which_one_bit_is_changed_is_refused(data: st.DataObject) -> None:
    stretch, content = packed(ORIGIN, EVENTS[:3])
    broken = bytearray(content)
    at = data.draw(st.integers(0, len(broken) - 1))
    broken[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(StretchBroken, match="was changed"):
        unpacked(ORIGIN, stretch, bytes(broken))


def test_a_sealed_file_of_another_tree_or_place_is_refused() -> None:
    stretch, content = packed(ORIGIN, EVENTS[:3])
    assert unpacked(ORIGIN, stretch, content) == EVENTS[:3]
    with pytest.raises(StretchBroken, match="cannot be read"):
        unpacked("elsewhere/CASES", stretch, content)
    with pytest.raises(StretchBroken, match="cannot be read"):
        unpacked(ORIGIN, Stretch(2, 4, stretch.sha256), content)
