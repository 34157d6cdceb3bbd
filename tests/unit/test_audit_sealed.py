"""Sealed files and proofs of single events: what is right is proved, and whatever is changed is found and named."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.events.auditing.proving import entry_of, proof_of, prove, verify_proof
from libs.events.auditing.sealed import ProvedFiles, verify_files
from libs.events.auditing.trusting import Keys
from libs.events.auditing.verifying import silent
from libs.events.auditing.walking import Differs
from libs.events.ledger.archive import ArchiveBroken, opened
from libs.events.ledger.growing import growing
from libs.events.ledger.merkle import ProofInvalid
from libs.events.ledger.notes import Checkpoint, Note, NoteInvalid
from libs.events.ledger.stretches import StretchBroken, packed
from libs.events.storage import FolderStore
from libs.events.subjects import CASES, NOTICES
from tests.support.auditing import (
    DEPLOYMENT,
    SIGNER,
    STRANGER,
    City,
    checkpoint,
    events_of,
    script_says,
    sealed_city,
)

ORIGIN: Final = f"{DEPLOYMENT}/{CASES}"
KEYS: Final = Keys(SIGNER.verifier)
FOUND: Final = (Differs, NoteInvalid, StretchBroken, ArchiveBroken)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("city")
    asyncio.run(sealed_city(folder))
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "store")


async def verified(
    folder: Path, *, keys: Keys = KEYS, since: Note | None = None, workers: int = 1
) -> ProvedFiles:
    archive = await opened(FolderStore(folder), CASES, ORIGIN)
    return await verify_files(archive, keys, since, workers=workers, on_progress=silent)


def files_in(folder: Path, pattern: str) -> list[Path]:
    """Without tiles that were not whole once, and that no proof needs any more."""
    found = sorted(path for path in (folder / CASES).glob(pattern) if path.is_file())
    return [
        path
        for path in found
        if path.parent.suffix != ".p" or path.name == {"0": "44", "1": "1"}[path.parts[-3]]
    ]


async def test_sealed_files_are_proved_with_all_their_checkpoints(
    original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proved = await verified(original)
    assert (proved.events, proved.checkpoints, proved.grown_since) == (300, 3, None)
    monkeypatch.setattr("libs.events.auditing.sealed.ALONE_EVENTS_MAX", 10)
    assert await verified(original, workers=2) == proved


async def test_what_is_sealed_and_not_signed_yet_is_counted(folder: Path) -> None:
    archive = await opened(FolderStore(folder), CASES, ORIGIN)
    await (await growing(archive)).seal(events_of(CASES, 320)[300:])
    proved = await verified(folder)
    assert (proved.events, proved.checked.checkpoint.size) == (320, 300)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_a_bit_that_is_changed_in_any_file_is_found(
    original: Path, tmp_path: Path, data: st.DataObject
) -> None:
    if not (folder := tmp_path / "store").exists():
        shutil.copytree(original, folder)
    file = data.draw(st.sampled_from(files_in(folder, "**/*")))
    was = file.read_bytes()
    content = bytearray(was)
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    is_blank = file.name == "index.json" and set(content[at : at + 1]) <= set(b" \n\r\t")
    try:
        if not is_blank:  # one blank for another changes nothing of what an index says
            with pytest.raises(FOUND):
                await verified(folder)
    finally:
        file.write_bytes(was)


async def test_every_file_that_is_gone_is_missed(original: Path, tmp_path: Path) -> None:
    for number, file in enumerate(files_in(original, "**/*")):
        folder = shutil.copytree(original, tmp_path / str(number))
        (folder / file.relative_to(original)).unlink()
        if "checkpoints" in file.parts and not file.name.endswith("300"):
            assert (await verified(folder)).checkpoints == 2
        else:
            with pytest.raises(FOUND):
                await verified(folder)


async def test_a_hash_that_was_changed_names_its_event(folder: Path) -> None:
    [tile] = files_in(folder, "tile/0/000")
    content = bytearray(tile.read_bytes())
    content[32 * 123 + 5] ^= 1
    tile.write_bytes(content)
    with pytest.raises(Differs, match="CASES event 124: tile/0/000 does not hold"):
        await verified(folder)


@pytest.mark.parametrize("event", [1, 95, 250])
async def test_an_event_that_was_rewritten_with_all_its_hashes_is_behind_the_last_checkpoint_that_fits(
    folder: Path, tmp_path: Path, event: int
) -> None:
    """Whoever holds the disk and not the key: everything is made anew but what is signed."""
    events = events_of(CASES, 300)
    was = events[event - 1].leaf
    events[event - 1] = events[event - 1]._replace(leaf=was._replace(payload=was.payload + b" "))
    forged = FolderStore(tmp_path / "forged")
    archive = await opened(forged, CASES, ORIGIN)
    writer = await growing(archive)
    await writer.seal(events)
    await writer.keep(await checkpoint(City(FolderStore(folder), {}, [])), 300)
    for size in (90, 201):
        note = await checkpoint(City(FolderStore(folder), {}, []), size)
        await forged.put(archive.checkpoint_path(size), note.encode())
    fits = max(size for size in (0, 90, 201) if size < event)
    with pytest.raises(Differs, match=f"up to event {fits} all is as signed") as caught:
        await verified(tmp_path / "forged")
    assert caught.value.sequence == fits + 1


async def test_a_sealed_file_in_place_of_another_is_found(folder: Path) -> None:
    """Both are valid, with the digest in their names: one of another tree, one with another history."""
    first = files_in(folder, "sealed/*")[0]
    for origin, seed in (("elsewhere/CASES", 7), (ORIGIN, 8)):
        stretch, content = packed(origin, events_of(CASES, 64, seed))
        other = folder / CASES / stretch.path()
        was = first.read_bytes()
        first.unlink()
        other.write_bytes(content)
        index = folder / CASES / "index.json"
        text = index.read_text(encoding="utf-8")
        index.write_text(text.replace(first.stem.rpartition("-")[2], stretch.sha256), encoding="utf-8")
        with pytest.raises(FOUND):
            await verified(folder)
        index.write_text(text, encoding="utf-8")
        other.unlink()
        first.write_bytes(was)
    assert (await verified(folder)).events == 300


async def test_a_checkpoint_of_others_is_refused(folder: Path) -> None:
    with pytest.raises(NoteInvalid, match="no signature of"):
        await verified(folder, keys=Keys(STRANGER.verifier))
    file = folder / CASES / "checkpoints" / f"{90:020d}"
    for name, note in {
        "another root": SIGNER.sign(Checkpoint(ORIGIN, 90, bytes(32))),
        "another size": await checkpoint(City(FolderStore(folder), {}, []), 201),
        "another key": STRANGER.sign(Checkpoint(ORIGIN, 90, bytes(32))),
        "another stream": await checkpoint(City(FolderStore(folder), {}, []), stream=NOTICES),
    }.items():
        file.write_bytes(note.encode())
        with pytest.raises((Differs, NoteInvalid)):
            await verified(folder)
        assert name


async def test_a_rewritten_history_is_found_by_a_checkpoint_that_was_kept(
    folder: Path, tmp_path: Path
) -> None:
    kept = await checkpoint(City(FolderStore(folder), {}, []), 90)
    assert (await verified(folder, since=kept)).grown_since == 90
    await sealed_city(tmp_path / "fork", seed=8)
    assert (await verified(tmp_path / "fork")).events == 300
    with pytest.raises(Differs, match="history was rewritten"):
        await verified(tmp_path / "fork", since=kept)


# Proofs of single events


async def proof_files(original: Path, sequence: int, to: Path) -> tuple[Path, Path]:
    archive = await opened(FolderStore(original), CASES, ORIGIN)
    proof = await prove(archive, await checkpoint(City(FolderStore(original), {}, [])), sequence)
    files = to / "one.tlog-proof", to / "one.entry"
    files[0].write_bytes(proof.encode())
    files[1].write_bytes((await entry_of(archive, sequence)).entry())
    return files


def says(files: tuple[Path, Path], key: str = str(SIGNER.verifier)) -> str | None:
    return script_says([*map(str, files), "--key", key])


@pytest.mark.parametrize("sequence", [1, 2, 90, 177, 256, 257, 300])
async def test_a_proof_of_any_event_is_small_and_holds(original: Path, tmp_path: Path, sequence: int) -> None:
    files = await proof_files(original, sequence, tmp_path)
    proof, entry = (file.read_bytes() for file in files)
    assert len(proof) < 2_000
    proved = verify_proof(proof_of(proof), entry, KEYS)
    assert proved.leaf == events_of(CASES, 300)[sequence - 1].leaf
    assert says(files) is None
    with_extra = proof.replace(b"v1\n", b"v1\nextra YQ==\n", 1)
    assert verify_proof(proof_of(with_extra), entry, KEYS) == proved


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_a_bit_that_is_changed_in_a_proof_is_found(
    original: Path, tmp_path: Path, data: st.DataObject
) -> None:
    files = await proof_files(original, 177, tmp_path)
    file = data.draw(st.sampled_from(files))
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    with pytest.raises((ProofInvalid, NoteInvalid)):
        verify_proof(proof_of(files[0].read_bytes()), files[1].read_bytes(), KEYS)
    assert says(files) is not None


async def test_a_proof_goes_with_its_own_event_and_key(original: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    files = await proof_files(original, 177, tmp_path)
    other = await proof_files(original, 178, tmp_path / "other")
    for pair in ((files[0], other[1]), (other[0], files[1])):
        with pytest.raises(ProofInvalid):
            verify_proof(proof_of(pair[0].read_bytes()), pair[1].read_bytes(), KEYS)
        assert says(pair) is not None
    with pytest.raises(NoteInvalid):
        verify_proof(proof_of(files[0].read_bytes()), files[1].read_bytes(), Keys(STRANGER.verifier))
    assert says(files, str(STRANGER.verifier)) is not None
    for length in (0, 10, 200, len(files[0].read_bytes()) - 1):
        cut = files[0].read_bytes()[:length]
        with pytest.raises((ProofInvalid, NoteInvalid)):
            verify_proof(proof_of(cut), files[1].read_bytes(), KEYS)
