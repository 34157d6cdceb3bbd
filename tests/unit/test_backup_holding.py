"""What stands at a place that is to be restored from: believed only where signature, names and files agree."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from cli.backup import manifest as manifests
from cli.backup.checking import check_all, hashing
from cli.backup.holding import PUBLIC_KEY, holding_at
from cli.backup.manifest import Manifest, SaidTree
from libs.events.errors import BackupRefused
from libs.events.ledger.archive import ArchiveBroken
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.notes import NoteInvalid, Signer
from libs.events.ledger.stretches import EVENTS_MAX, StretchBroken, stretch_named
from libs.events.storage import FolderStore
from tests.support.sealing import DEPLOYMENT, seal

SIGNER: Final = Signer.new(DEPLOYMENT)
SIZE: Final = 40
ENDS: Final = (10, 25)


def leaves(stream: str) -> list[Leaf]:
    return [Leaf(stream, n, f"{stream.lower()}.c.{n}", f"e{n}", b"x" * n) for n in range(1, SIZE + 1)]


@pytest.fixture
async def place(tmp_path: Path) -> Path:
    """A ledger's own store."""
    folder = tmp_path / "ledger"
    for stream in ("CASES", "NOTICES"):
        await seal(FolderStore(folder), SIGNER, stream, leaves(stream), ENDS)
    (folder / PUBLIC_KEY).write_text(f"{SIGNER.verifier}\n")
    return folder


def nothing(_step: str, _done: int, _of: int) -> None:
    """Show nothing."""


async def look(folder: Path) -> None:
    """All that a restore looks at before it writes anything."""
    await check_all(await holding_at(FolderStore(folder), SIGNER.verifier), nothing)


def say(folder: Path, **sizes: int) -> None:
    manifest = Manifest(
        made_at=datetime.now(UTC),
        trees=tuple(SaidTree(stream=stream, size=size) for stream, size in sizes.items()),
    )
    (folder / manifests.NAME).write_text(manifest.model_dump_json())


async def test_a_ledgers_own_store_is_restored_up_to_its_newest_checkpoint(place: Path) -> None:
    holding = await holding_at(FolderStore(place), SIGNER.verifier)
    assert holding.sizes() == {"CASES": SIZE, "NOTICES": SIZE}
    assert (holding.deployment, holding.is_vouched) == (DEPLOYMENT, True)
    steps: list[tuple[int, int]] = []
    await check_all(holding, lambda _step, done, of: steps.append((done, of)))
    assert steps[-1] == (2 * SIZE, 2 * SIZE)


async def test_a_backup_is_restored_up_to_where_it_says(place: Path) -> None:
    say(place, CASES=25, NOTICES=10)
    holding = await holding_at(FolderStore(place), None)
    assert holding.sizes() == {"CASES": 25, "NOTICES": 10}
    assert not holding.is_vouched, "its key stands beside the files"
    await check_all(holding, nothing)


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _sealed(folder: Path, first: int) -> Path:
    files = (folder / "CASES" / "sealed").iterdir()
    return next(f for f in files if (found := stretch_named(f"sealed/{f.name}")) and found.first == first)


def _renamed(folder: Path) -> None:
    """A file with other events under the name of the first ones: the name does not fit."""
    _sealed(folder, 1).write_bytes(_sealed(folder, 11).read_bytes())


def _checkpoint_of_others(folder: Path) -> None:
    shutil.rmtree(folder / "NOTICES")
    shutil.copytree(folder / "CASES", folder / "NOTICES")


def _said(folder: Path, **changed: Any) -> None:
    say(folder, CASES=25)
    said = json.loads((folder / manifests.NAME).read_text())
    (folder / manifests.NAME).write_text(json.dumps(said | changed))


BAD: Final[dict[str, tuple[Callable[[Path], object], type[Exception], str]]] = {
    "a file was changed": (
        lambda place: _flip(_sealed(place, 11)),
        StretchBroken,
        "0011-.*0025-.* was changed",
    ),
    "a file was put in another's place": (_renamed, StretchBroken, "was changed"),
    "a file is missing in the middle": (
        lambda place: _sealed(place, 11).unlink(),
        ArchiveBroken,
        "CASES is cut short: the checkpoint says 40 events, the files end with 10",
    ),
    "the last file is missing": (lambda place: _sealed(place, 26).unlink(), ArchiveBroken, "end with 25"),
    "no checkpoint": (
        lambda place: shutil.rmtree(place / "CASES" / "checkpoints"),
        BackupRefused,
        "no signed checkpoint of CASES",
    ),
    "a checkpoint was changed": (
        lambda place: _flip(place / "CASES" / "checkpoints" / f"{SIZE:020d}"),
        Exception,
        "CASES",
    ),
    "a checkpoint of another stream": (
        _checkpoint_of_others,
        ArchiveBroken,
        "NOTICES is one of city.example/CASES",
    ),
    "a checkpoint under another size": (
        lambda place: shutil.copy(
            place / "CASES" / "checkpoints" / f"{25:020d}", place / "CASES" / "checkpoints" / f"{41:020d}"
        ),
        ArchiveBroken,
        "say 41 events, and says 25",
    ),
    "beyond the newest checkpoint": (
        lambda place: say(place, CASES=SIZE + 1),
        BackupRefused,
        "41 events of CASES",
    ),
    "between two checkpoints": (lambda place: say(place, CASES=30), BackupRefused, "no signed checkpoint"),
    "a stream that nobody knows": (
        lambda place: say(place, CASES=25, OTHER=1),
        BackupRefused,
        "no stream OTHER",
    ),
    "a list that was cut": (
        lambda place: (place / manifests.NAME).write_text('{"format": "whistle-backup/1", "ma'),
        BackupRefused,
        "no list of a backup",
    ),
    "a list of another time": (
        lambda place: _said(place, format="whistle-backup/2"),
        BackupRefused,
        "format",
    ),
}


@pytest.mark.parametrize("what", BAD)
async def test_what_is_wrong_is_named_before_anything_is_written(place: Path, what: str) -> None:
    await look(place)
    spoil, error, reason = BAD[what]
    spoil(place)
    with pytest.raises(error, match=reason):
        await look(place)


async def test_another_key_is_refused(place: Path) -> None:
    other = Signer.new(DEPLOYMENT).verifier  # the same name, another deployment's key
    with pytest.raises(NoteInvalid, match="another deployment's, or another key's"):
        await holding_at(FolderStore(place), other)


async def test_files_of_two_deployments_are_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(place / "NOTICES")
    monkeypatch.setattr("tests.support.sealing.DEPLOYMENT", "other.example")
    await seal(FolderStore(place), SIGNER, "NOTICES", leaves("NOTICES"))
    with pytest.raises(BackupRefused, match=r"city\.example, other\.example"):
        await holding_at(FolderStore(place), SIGNER.verifier)


async def test_without_any_key_nothing_is_believed(place: Path) -> None:
    (place / PUBLIC_KEY).unlink()
    with pytest.raises(BackupRefused, match="--key"):
        await holding_at(FolderStore(place), None)


async def test_many_events_are_hashed_by_other_processes(place: Path) -> None:
    holding = await holding_at(FolderStore(place), SIGNER.verifier)
    archive = holding.trees[0].archive
    stretch, content = await archive.holding(11)
    async with hashing(EVENTS_MAX + 1) as in_processes, hashing(1) as in_threads:
        found = await in_processes(archive.origin, stretch, content)
        assert found == await in_threads(archive.origin, stretch, content)
        assert found == b"".join(leaf.hash() for leaf in leaves("CASES")[10:25])
        with pytest.raises(StretchBroken, match="was changed"):
            await in_processes(archive.origin, stretch, content[:-1])
