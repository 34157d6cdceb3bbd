"""What is to be copied, while the ledger goes on sealing and joining; and a copy that dies leaves the one before."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from cli.backup import copying
from cli.backup.backing import Source, back_up
from cli.backup.checking import check_all
from cli.backup.copying import Span, missing, spans, superseded
from cli.backup.holding import PUBLIC_KEY, holding_at
from libs.events.errors import BackupRefused, StoreUnavailable
from libs.events.ledger import growing as growing_module
from libs.events.ledger.archive import ArchiveBroken, opened
from libs.events.ledger.growing import growing
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.notes import Checkpoint, Signer
from libs.events.ledger.stretches import Sealed, Stretch, StretchBroken, packed
from libs.events.storage import FolderStore
from tests.support.sealing import DEPLOYMENT

SMALL: Final = 1 << 8
"""Events of a whole file in these tests."""
SIGNER: Final = Signer.new(DEPLOYMENT)


@pytest.fixture(autouse=True)
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_module, "EVENTS_MAX", SMALL)
    monkeypatch.setattr(copying, "EVENTS_MAX", SMALL)


def nothing(_step: str, _done: int, _of: int) -> None:
    """Show nothing."""


def event(sequence: int) -> Sealed:
    return Sealed(Leaf("CASES", sequence, f"case.c.{sequence}", f"e{sequence}", b"x"), sequence)


class Place:
    """A ledger's store that grows, and a backup of it."""

    def __init__(self, folder: Path) -> None:
        self.ledger = FolderStore(folder / "ledger")
        self.copy = FolderStore(folder / "copy")
        self.folder = folder / "copy"

    async def grow(self, ends: Sequence[int], *, signs: bool = True) -> None:
        archive = await opened(self.ledger, "CASES", f"{DEPLOYMENT}/CASES")
        writer = await growing(archive)
        for end in ends:
            await writer.seal([event(n) for n in range(archive.size + 1, end + 1)])
            if signs:
                await writer.keep(SIGNER.sign(Checkpoint(archive.origin, end, writer.root())), end)
        await self.ledger.put(PUBLIC_KEY, f"{SIGNER.verifier}\n".encode())

    async def back_up(self, store: FolderStore | None = None) -> int:
        """How many files were copied."""
        source = Source(self.ledger, SIGNER.verifier, None, Path("none"))
        return (await back_up(source, store or self.copy, 0, nothing)).copied.files

    async def size(self) -> int:
        """What a restore would restore, once it is seen to be whole."""
        holding = await holding_at(self.copy, SIGNER.verifier)
        await check_all(holding, nothing)
        return holding.sizes()["CASES"]

    async def files(self) -> list[Span]:
        archive = await opened(self.copy, "CASES", "")
        return sorted(Span(each.first, each.last) for each in await copying.stretches_in(archive))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_events_stand_in_whole_files_and_one_of_the_rest() -> None:
    assert list(spans(0)) == []
    assert list(spans(10)) == [(1, 10)]
    assert list(spans(SMALL)) == [(1, SMALL)]
    assert list(spans(2 * SMALL + 1)) == [(1, SMALL), (SMALL + 1, 2 * SMALL), (2 * SMALL + 1, 2 * SMALL + 1)]
    there = [Stretch(1, SMALL, "a"), Stretch(SMALL + 1, SMALL + 9, "b")]
    assert missing(SMALL + 20, there) == [(SMALL + 1, SMALL + 20)]
    assert superseded(SMALL + 20, there) == there[1:]


async def test_only_what_is_missing_is_copied(place: Place) -> None:
    await place.grow([40, 300, 310, 530])
    assert await place.back_up() == 3
    assert await place.size() == 530
    assert await place.back_up() == 0
    await place.grow([540, 545])
    assert await place.back_up() == 1
    assert await place.files() == [(1, 256), (257, 512), (513, 545)], "the end of the backup before is gone"
    assert await place.size() == 545
    assert await (await opened(place.copy, "CASES", "")).checkpoint_sizes() == [40, 300, 310, 530, 540, 545]


async def test_what_is_sealed_and_not_signed_is_no_part_of_it(place: Place) -> None:
    await place.grow([100])
    await place.grow([600], signs=False)  # joined beyond the checkpoint
    await place.back_up()
    assert await place.size() == 100
    assert await place.files() == [(1, 100)]


class Dying(FolderStore):
    """A disk that takes so many files, and is full from then on."""

    def __init__(self, folder: Path, writes: int) -> None:
        super().__init__(folder)
        self.writes = writes

    async def put(self, name: str, content: bytes) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise StoreUnavailable(f"{name}: No space left on device")
        await super().put(name, content)


async def test_a_full_disk_leaves_the_backup_before_and_the_next_one_goes_on(place: Place) -> None:
    await place.grow([530])
    await place.back_up()
    await place.grow([900, 1300])
    for writes in range(4):
        with pytest.raises(StoreUnavailable, match="No space left"):
            await place.back_up(Dying(place.folder, writes))
        assert await place.size() == 530
    assert await place.back_up() < 5, "what was copied before is not copied again"
    assert await place.size() == 1300


async def test_a_file_that_is_broken_here_is_no_backup(place: Place) -> None:
    await place.grow([300, 600])
    archive = await opened(place.ledger, "CASES", "")
    stretch, content = await archive.holding(300)
    await place.ledger.put(archive.path(stretch.path()), content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StretchBroken, match=r"0257-.*0512-.* was changed"):
        await place.back_up()
    assert await place.copy.get("backup.json") is None


async def test_a_file_that_was_forged_with_a_fitting_name_is_no_backup(place: Place) -> None:
    await place.grow([600])
    archive = await opened(place.ledger, "CASES", f"{DEPLOYMENT}/CASES")
    stretch, _ = await archive.holding(300)
    forged = [event(n) for n in range(257, 513)]
    forged[7] = event(264)._replace(leaf=event(264).leaf._replace(payload=b"forged"))
    other, content = packed(archive.origin, forged)
    await place.ledger.delete(archive.path(stretch.path()))
    await place.ledger.put(archive.path(other.path()), content)
    with pytest.raises(ArchiveBroken, match="do not give the root"):
        await place.back_up()
    assert await place.copy.get("backup.json") is None


async def test_another_deployments_backup_is_not_written_over(place: Place) -> None:
    await place.grow([10])
    await place.copy.put(PUBLIC_KEY, f"{Signer.new(DEPLOYMENT).verifier}\n".encode())
    with pytest.raises(BackupRefused, match="another deployment's"):
        await place.back_up()


async def test_a_ledger_that_knows_less_than_the_backup_does_not_replace_it(
    place: Place, tmp_path: Path
) -> None:
    await place.grow([10, 300])
    await place.back_up()
    place.ledger = FolderStore(tmp_path / "older")
    await place.grow([10])
    with pytest.raises(BackupRefused, match="holds 300 events of CASES, the ledger only 10"):
        await place.back_up()
    assert await place.size() == 300


async def test_before_anything_is_signed_there_is_nothing_to_back_up(place: Place) -> None:
    with pytest.raises(BackupRefused, match="laid down nothing"):
        await back_up(Source(place.ledger, None, None, Path("none")), place.copy, 0, nothing)
    with pytest.raises(BackupRefused, match="signed nothing"):
        await place.back_up()
