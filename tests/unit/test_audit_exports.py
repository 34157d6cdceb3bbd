"""Exports of sealed files: what is right is proved, what was changed is found; by two verifiers that share nothing."""

import asyncio
import fcntl
import json
import shutil
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.events.auditing.asking import Asked, Between, Everything, OneCase, OneDepartment, Positions
from libs.events.auditing.exporting import ExportRefused, Source, export
from libs.events.auditing.exports import about_of
from libs.events.auditing.trusting import Keys
from libs.events.auditing.verifying import BLOCK_EVENTS
from libs.events.auditing.walking import Differs
from libs.events.ledger.archive import ArchiveBroken, opened
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.merkle import Peaks
from libs.events.ledger.notes import Checkpoint, Signature, Signer, Verifier, cosigned_text
from libs.events.ledger.stretches import StretchBroken
from libs.events.subjects import CASES, NOTICES, POLICY
from tests.support.auditing import (
    DEPLOYMENT,
    SIGNER,
    STRANGER,
    City,
    checkpoint,
    exported,
    script,
    sealed_city,
    verdict,
)

FILES: Final = ("events.jsonl", "leaves.txt", "hashes.txt", "checkpoint")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return asyncio.run(sealed_city(tmp_path_factory.mktemp("city")))


@pytest.fixture(scope="module")
def originals(city: City, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One export of each kind, not to be touched."""
    base = tmp_path_factory.mktemp("exports")
    asked: dict[str, Asked] = {
        "everything": Everything(),
        "positions": Positions(70, 233),
        "case": OneCase(city.cases[3]),
    }
    return {name: asyncio.run(exported(city, each, base / name)) for name, each in asked.items()}


@pytest.fixture
def copy(originals: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: shutil.copytree(originals[name], tmp_path / "copy")


def lines_of(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines(keepends=True)


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def between(first: str, last: str) -> Between:
    return Between(datetime.fromisoformat(first), datetime.fromisoformat(last))


# What is right


@pytest.mark.parametrize("seed", range(6))
async def test_any_export_of_sealed_files_is_proved_by_both(city: City, tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    first = chance.randint(1, 300)
    asked: list[Asked] = [
        OneCase(chance.choice(city.cases)),
        OneDepartment(chance.choice(("water", "sanitation", "No Q"))),
        between("2026-03-02T00:00:00+08:00", f"2026-03-{chance.randint(3, 15):02d}T00:10:00Z"),
        Positions(first, chance.randint(first, 300)),
        Everything(),
    ]
    for number, each in enumerate(asked):
        streams = (CASES,) if number > 1 else (CASES, NOTICES)
        found = verdict(await exported(city, each, tmp_path / str(number), streams))
        assert found.holds, (each, found)
        assert found.proved[0].stream == CASES


async def test_every_size_of_a_stretch_is_proved(city: City, tmp_path: Path) -> None:
    for size in (90, 201, 300):
        for first, last in ((1, 1), (1, size), (size, size), (64, 65), (2, size - 1)):
            to = tmp_path / f"{size}-{first}-{last}"
            assert verdict(await exported(city, Positions(first, last), to, size=size)).holds


async def test_lines_are_the_stored_events_byte_for_byte(city: City, tmp_path: Path) -> None:
    folder = await exported(city, Everything(), tmp_path / "all", (CASES, NOTICES, POLICY))
    assert verdict(folder).holds
    assert lines_of(folder / CASES / "events.jsonl") == [
        each.leaf.payload + b"\n" for each in city.events[CASES]
    ]
    for line, sealed in zip(lines_of(folder / NOTICES / "events.jsonl"), city.events[NOTICES], strict=True):
        payload = sealed.leaf.payload
        assert line in {payload + b"\n", b'{"base64":"%b"}\n' % b64encode(payload)}
        json.loads(line)


async def test_a_case_is_whole_up_to_its_last_event(city: City, tmp_path: Path) -> None:
    folder = await exported(city, OneCase(city.cases[0]), tmp_path / "case", (CASES, NOTICES))
    proved = verdict(folder).proved
    mine = [each.leaf for each in city.events[CASES] if city.cases[0] in each.leaf.subject]
    assert (proved[0].events, proved[0].first, proved[0].last) == (
        len(mine), mine[0].sequence, mine[-1].sequence,
    )  # fmt: skip


async def test_a_department_has_all_events_of_its_cases_also_where_its_name_is_in_the_data(
    city: City, tmp_path: Path
) -> None:
    folder = await exported(city, OneDepartment("No Q"), tmp_path / "department")
    numbers = {int(line.split()[0]) for line in lines_of(folder / CASES / "leaves.txt")}
    leaves = [each.leaf for each in city.events[CASES]]

    def named(leaf: Leaf) -> bool:
        return (
            leaf.subject.endswith(".No_20Q") or json.loads(leaf.payload)["data"].get("department") == "No Q"
        )

    cases = {leaf.subject.split(".")[1] for leaf in leaves if named(leaf)}
    assert numbers == {leaf.sequence for leaf in leaves if leaf.subject.split(".")[1] in cases}


@pytest.mark.parametrize("old", [90, 201, 300])
async def test_that_the_log_only_grew_is_proved_from_a_checkpoint_that_was_kept(
    city: City, tmp_path: Path, old: int
) -> None:
    since = await checkpoint(city, old)
    for name, asked in (("case", OneCase(city.cases[1])), ("all", Everything())):
        found = verdict(await exported(city, asked, tmp_path / name, since=old), since=since)
        assert found.holds, found
        assert found.proved[0].grown_since == old


async def test_many_processes_prove_the_same(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from libs.events.auditing import verifying  # noqa: PLC0415 - its bounds are changed here

    folder = await exported(city, Everything(), tmp_path / "all")
    monkeypatch.setattr(verifying, "ALONE_EVENTS_MAX", 10)
    monkeypatch.setattr(verifying, "BLOCK_EVENTS", 37)
    assert BLOCK_EVENTS > 37
    keys = Keys(SIGNER.verifier)
    [proved] = verifying.verify(folder, keys, workers=2)
    assert (proved.events, proved.first, proved.last) == (300, 1, 300)
    copied = Copied(folder)
    copied.events[238] = copied.events[238].replace(b"2026", b"2025", 1)
    copied.save()
    with pytest.raises(Differs, match=r"event 239 .*it was changed: the signed root"):
        verifying.verify(folder, keys, workers=2)


# What was changed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("kind", ["everything", "positions", "case"])
def test_a_bit_that_is_changed_anywhere_is_found(
    originals: dict[str, Path], tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    if not (folder := tmp_path / "copy").exists():
        shutil.copytree(originals[kind], folder)
    names = ["export.json", *(f"{CASES}/{name}" for name in FILES)]
    file = folder / data.draw(st.sampled_from([name for name in names if (folder / name).stat().st_size]))
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    was = content[at]
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    found = verdict(folder)
    file.write_bytes(bytes([*content[:at], was, *content[at + 1 :]]))
    assert found.ours is not None, (file.name, at)
    assert found.theirs is not None, (file.name, at)
    if file.name == "events.jsonl" and ord("\n") not in {was, content[at]}:
        numbers = [int(each.split()[0]) for each in lines_of(originals[kind] / CASES / "leaves.txt")]
        assert found.sequence == numbers[bytes(content[:at]).count(b"\n")], found


@pytest.mark.parametrize("kind", ["everything", "positions", "case"])
@pytest.mark.parametrize("name", ["export.json", *FILES])
def test_a_file_that_is_cut_short_or_gone_is_found(copy: Callable[[str], Path], kind: str, name: str) -> None:
    folder = copy(kind)
    file = folder / name if name == "export.json" else folder / CASES / name
    content = file.read_bytes()
    for length in sorted({0, 1, len(content) // 2, len(content) - 1} - {len(content)}):
        if 0 <= length < len(content):
            file.write_bytes(content[:length])
            assert not verdict(folder).holds
    file.unlink()
    assert not verdict(folder).holds


class Copied:
    """The lines of an export, to be rewritten as whoever wants to deceive would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events = lines_of(folder / CASES / "events.jsonl")
        self.leaves = lines_of(folder / CASES / "leaves.txt")

    def numbers(self) -> list[int]:
        return [int(line.split()[0]) for line in self.leaves]

    def listed_anew(self, at: int) -> None:
        """Make the listed hash fit what stands there now."""
        number, form, _, subject, event_id = self.leaves[at].rstrip(b"\n").split(b" ", 4)
        leaf = Leaf(CASES, int(number), subject.decode(), event_id.decode(), self.events[at].rstrip(b"\n"))
        self.leaves[at] = b" ".join([number, form, leaf.hash().hex().encode(), subject, event_id]) + b"\n"

    def save(self) -> Path:
        (self.folder / CASES / "events.jsonl").write_bytes(b"".join(self.events))
        (self.folder / CASES / "leaves.txt").write_bytes(b"".join(self.leaves))
        about = about_of((self.folder / "export.json").read_bytes())
        parts = tuple(part._replace(events=len(self.leaves)) for part in about.parts)
        (self.folder / "export.json").write_bytes(type(about)(about.asked, parts).encode())
        return self.folder


@pytest.mark.parametrize("kind", ["everything", "positions", "case"])
def test_an_event_that_was_dropped_is_named(copy: Callable[[str], Path], kind: str) -> None:
    copied = Copied(copy(kind))
    at = len(copied.leaves) // 2
    dropped = copied.numbers()[at]
    del copied.events[at], copied.leaves[at]
    found = verdict(copied.save())
    assert not found.holds
    assert found.sequence == dropped
    assert f"event {dropped}" in str(found.theirs)


@pytest.mark.parametrize("kind", ["everything", "positions", "case"])
def test_a_tail_that_was_dropped_is_found(copy: Callable[[str], Path], kind: str) -> None:
    copied = Copied(copy(kind))
    dropped = copied.numbers()[-2]
    del copied.events[-2:], copied.leaves[-2:]
    found = verdict(copied.save())
    assert not found.holds
    assert found.sequence is not None
    assert found.sequence <= dropped


@pytest.mark.parametrize("kind", ["everything", "positions", "case"])
def test_contents_that_were_swapped_are_named(copy: Callable[[str], Path], kind: str) -> None:
    copied = Copied(copy(kind))
    copied.events[2], copied.events[4] = copied.events[4], copied.events[2]
    found = verdict(copied.save())
    assert not found.holds
    assert found.sequence == copied.numbers()[2]
    assert "the signed root holds another content" in str(found.ours)
    assert f"event {found.sequence} " in str(found.theirs)


@pytest.mark.parametrize("kind", ["everything", "positions", "case"])
def test_events_that_changed_places_are_found(copy: Callable[[str], Path], kind: str) -> None:
    copied = Copied(copy(kind))
    for lines in (copied.events, copied.leaves):
        lines[2], lines[3] = lines[3], lines[2]
    found = verdict(copied.save())
    assert not found.holds
    assert found.sequence is not None
    assert found.sequence <= copied.numbers()[2]


@pytest.mark.parametrize("kind", ["everything", "positions", "case"])
def test_an_event_that_stands_twice_is_named(copy: Callable[[str], Path], kind: str) -> None:
    copied = Copied(copy(kind))
    for lines in (copied.events, copied.leaves):
        lines.insert(3, lines[2])
    found = verdict(copied.save())
    assert not found.holds
    assert found.sequence == copied.numbers()[2]
    assert f"event {found.sequence}" in str(found.theirs)


@pytest.mark.parametrize("kind", ["everything", "positions", "case"])
def test_an_event_that_was_put_in_is_found(copy: Callable[[str], Path], kind: str) -> None:
    copied = Copied(copy(kind))
    number = copied.numbers()[2] + 1
    copied.events.insert(3, copied.events[2].replace(b"2026", b"2025"))
    copied.leaves.insert(3, b"%d " % number + copied.leaves[2].split(b" ", 1)[1])
    copied.listed_anew(3)
    assert not verdict(copied.save()).holds


@pytest.mark.parametrize("kind", ["everything", "positions", "case"])
def test_a_date_that_was_put_back_is_named_and_found_even_with_a_hash_that_fits(
    copy: Callable[[str], Path], kind: str
) -> None:
    copied = Copied(copy(kind))
    copied.events[1] = copied.events[1].replace(b'"time": "2026', b'"time": "2025')
    found = verdict(copied.save())
    assert not found.holds
    assert found.sequence == copied.numbers()[1]
    copied.listed_anew(1)
    found = verdict(copied.save())
    assert not found.holds
    assert "do not lead to the signed root" in str(found.ours)


def test_an_export_cannot_claim_to_be_more_than_it_is(copy: Callable[[str], Path]) -> None:
    folder = copy("case")
    about = about_of((folder / "export.json").read_bytes())
    numbers = Copied(folder).numbers()
    for asked in (Everything(), Positions(numbers[0], numbers[-1]), Positions(numbers[0], numbers[0])):
        (folder / "export.json").write_bytes(type(about)(asked, about.parts).encode())
        assert not verdict(folder).holds
    text = about.encode().decode()
    for first, last in ((numbers[-1], numbers[0]), (0, 0), (400, 500)):
        wrong = text.replace('"what": "case"', f'"what": "positions",\n  "first": {first},\n  "last": {last}')
        (folder / "export.json").write_text(wrong, encoding="utf-8")
        assert not verdict(folder).holds


def test_what_describes_no_stream_is_refused(copy: Callable[[str], Path]) -> None:
    folder = copy("case")
    file = folder / "export.json"
    was = about_of(file.read_bytes())
    [part] = was.parts
    for wrong in (
        part._replace(events=-1), part._replace(events=1 << 80), part._replace(size=1 << 80),
        part._replace(stream="../CASES"), part._replace(stream="CASES/../CASES"), part._replace(origin="\x1b[2J/CASES"),
    ):  # fmt: skip
        file.write_bytes(type(was)(was.asked, (wrong,)).encode())
        found = verdict(folder)
        assert not found.holds
        assert str(found.ours).isprintable()
        assert str(found.theirs).isprintable()


async def test_an_event_of_a_case_cannot_be_passed_over(city: City, tmp_path: Path) -> None:
    """Whoever has the files can make a proof without an event: then the versions of the case have a gap."""
    mine = [each.leaf for each in city.events[CASES] if city.cases[2] in each.leaf.subject]
    folder = await exported(city, Positions(1, mine[0].sequence), tmp_path / "part")
    whole = await exported(city, OneCase(city.cases[2]), tmp_path / "case")
    copied = Copied(whole)
    del copied.events[0], copied.leaves[0]
    passed = lines_of(whole / CASES / "hashes.txt")
    [listed] = [line.split()[2] for line in lines_of(folder / CASES / "leaves.txt")][-1:]
    first = b"%d-%d %b\n" % (mine[0].sequence, mine[0].sequence, listed)
    at = sum(int(line.split(b"-")[0]) < mine[0].sequence for line in passed)
    (whole / CASES / "hashes.txt").write_bytes(b"".join([*passed[:at], first, *passed[at:]]))
    found = verdict(copied.save())
    assert found.ours is not None
    assert found.theirs is not None
    assert "missing" in found.theirs


# Checkpoints and keys


async def test_a_forged_checkpoint_is_found(city: City, copy: Callable[[str], Path]) -> None:
    folder = copy("everything")
    root = verdict(folder).proved[0].checked.checkpoint.root
    origin = f"{DEPLOYMENT}/{CASES}"
    forged = {
        "another key": STRANGER.sign(Checkpoint(origin, 300, root)),
        "another origin": SIGNER.sign(Checkpoint(f"elsewhere/{CASES}", 300, root)),
        "another size": SIGNER.sign(Checkpoint(origin, 301, root)),
        "a smaller size": SIGNER.sign(Checkpoint(origin, 299, root)),
        "another root": SIGNER.sign(Checkpoint(origin, 300, bytes(32))),
        "another stream's": await checkpoint(city, stream=NOTICES),
        "an older one": await checkpoint(city, 201),
    }
    for name, note in forged.items():
        (folder / CASES / "checkpoint").write_bytes(note.encode())
        assert not verdict(folder).holds, name
        if name != "another key":
            assert not verdict(folder, given=note).holds, name


def test_a_key_that_does_not_match_is_refused(originals: dict[str, Path]) -> None:
    folder = originals["case"]
    other_name = Verifier("elsewhere", 1, SIGNER.verifier.key)
    for key in (STRANGER.verifier, other_name):
        found = verdict(folder, key=key)
        assert not found.holds
        assert "no signature of" in str(found.ours)
        assert "is not signed by" in str(found.theirs)


async def test_a_rewritten_history_is_found_by_whoever_kept_a_checkpoint(city: City, tmp_path: Path) -> None:
    """Two histories, both signed with the right key, part before event 90: each is consistent by itself."""
    other = await sealed_city(tmp_path / "fork", seed=8)
    folder = await exported(other, Everything(), tmp_path / "forked", since=90)
    assert verdict(folder).holds
    for size in (90, 201, 300):
        found = verdict(folder, since=await checkpoint(city, size))
        assert not found.holds
    assert not verdict(folder, given=await checkpoint(city)).holds
    case = await exported(other, OneCase(other.cases[0]), tmp_path / "case", since=201)
    found = verdict(case, since=await checkpoint(city, 201))
    assert not found.holds
    assert "rewritten" in str(found.ours)
    assert "rewritten" in str(found.theirs)


async def test_files_of_another_deployment_are_refused(city: City, tmp_path: Path) -> None:
    from tests.support import auditing  # noqa: PLC0415 - its deployment is changed here

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auditing, "DEPLOYMENT", "elsewhere")
        signer = Signer("elsewhere", bytes([3]) * 32)
        other = await sealed_city(tmp_path / "other", signer=signer, deployment="elsewhere")
        folder = await exported(other, Everything(), tmp_path / "export")
    assert verdict(folder, key=signer.verifier).holds
    assert not verdict(folder).holds
    assert not verdict(folder, key=signer.verifier, given=await checkpoint(city)).holds
    assert not verdict(folder, key=signer.verifier, since=await checkpoint(city)).holds


async def test_a_checkpoint_that_is_newer_than_the_export_does_not_prove_it(
    city: City, tmp_path: Path
) -> None:
    folder = await exported(city, Everything(), tmp_path / "old", size=201)
    assert verdict(folder).holds
    assert not verdict(folder, given=await checkpoint(city)).holds
    assert not verdict(folder, since=await checkpoint(city)).holds


async def test_growth_is_proved_from_the_checkpoint_that_was_kept_and_from_no_other(
    city: City, tmp_path: Path
) -> None:
    folder = await exported(city, OneCase(city.cases[0]), tmp_path / "case", since=90)
    assert verdict(folder, since=await checkpoint(city, 90)).holds
    assert not verdict(folder, since=await checkpoint(city, 201)).holds
    file = folder / CASES / "since.txt"
    content = file.read_bytes()
    for broken in (content[:-1], content[:-65], content.replace(b"a", b"b", 1), content + b"00" * 32 + b"\n"):
        file.write_bytes(broken)
        if broken != content[:-1]:  # the script does not mind the last line's end
            assert not verdict(folder, since=await checkpoint(city, 90)).holds
    file.unlink()
    assert not verdict(folder, since=await checkpoint(city, 90)).holds


async def test_a_witness_who_must_have_signed_has(copy: Callable[[str], Path]) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - here alone

    folder, private = copy("case"), Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
    witness = Verifier("witness.example", 4, private.public_key().public_bytes_raw())
    assert not verdict(folder, witnesses=[witness]).holds
    file = folder / CASES / "checkpoint"
    note = verdict(folder).proved[0].checked.checkpoint
    said = private.sign(cosigned_text(note.text(), 1_770_000_000))
    signature = Signature("witness.example", witness.key_id, (1_770_000_000).to_bytes(8) + said)
    file.write_bytes(SIGNER.sign(note).with_signatures([signature]).encode())
    found = verdict(folder, witnesses=[witness])
    assert found.holds
    assert found.proved[0].checked.witnesses[0][0] == "witness.example"
    later = Signature("witness.example", witness.key_id, (1_770_000_001).to_bytes(8) + said)
    file.write_bytes(SIGNER.sign(note).with_signatures([later]).encode())
    assert not verdict(folder, witnesses=[witness]).holds


# The script's own cryptography, against what RFC 8032 (7.1) publishes


VECTORS: Final = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_script_verifies_what_the_rfc_signs_and_nothing_near_it(
    key: str, message: str, signature: str
) -> None:
    public, said, signed = (bytes.fromhex(each) for each in (key, message, signature))
    assert script.is_signed(public, said, signed)
    assert not script.is_signed(public, said + b"\x00", signed)
    for at in (0, 31, 32, 63):
        assert not script.is_signed(public, said, signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :])
    assert not script.is_signed(public, said, signed[:-1])
    assert not script.is_signed(VECTORS[0][0].encode()[:32], said, signed)


def test_the_script_takes_numbers_in_their_only_spelling() -> None:
    public, said, signed = (bytes.fromhex(each) for each in VECTORS[1])
    larger = int.from_bytes(signed[32:], "little") + script.L
    assert not script.is_signed(public, said, signed[:32] + larger.to_bytes(32, "little"))
    for y in (script.P, script.P + 1, 2**255 - 1):
        assert script.point_of(y.to_bytes(32, "little")) is None
    assert script.point_of((1 | 1 << 255).to_bytes(32, "little")) is None, "zero has no sign"
    assert script.point_of((1).to_bytes(32, "little")) == (0, 1, 1, 0)


def test_the_script_shares_nothing_with_us_and_is_short() -> None:
    from tests.support.auditing import SCRIPT  # noqa: PLC0415 - here alone

    text = SCRIPT.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    assert "libs." not in text
    assert "cryptography" not in text


def test_roots_of_the_script_are_those_that_others_published() -> None:
    peaks, tree = Peaks(), script.Tree()
    for number in range(200):
        leaf = bytes([number]) * 32
        peaks.push(leaf)
        tree.add(1, leaf)
        assert tree.root() == peaks.root()


async def test_what_cannot_be_exported_is_refused_and_nothing_stays(city: City, tmp_path: Path) -> None:
    to = tmp_path / "to"
    for asked, reason in (
        (Positions(290, 301), "is not sealed: the checkpoint is of 300 events"),
        (OneCase("0" * 20), "no sealed event is of what was asked for"),
        (OneDepartment("nobody"), "no sealed event"),
        (between("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"), "no sealed event"),
    ):
        with pytest.raises(ExportRefused, match=reason):
            await exported(city, asked, to)
        assert names_in(tmp_path) == []
    to.mkdir()
    (to / "mine").touch()
    with pytest.raises(ExportRefused, match="not empty"):
        await exported(city, Everything(), to)
    assert names_in(tmp_path) == ["to"]
    (to / "mine").unlink()
    assert verdict(await exported(city, Everything(), to)).holds


async def test_an_export_that_is_stopped_leaves_nothing(city: City, tmp_path: Path) -> None:
    archive = await opened(city.store, CASES, f"{DEPLOYMENT}/{CASES}")
    source = Source(archive, await checkpoint(city))
    seen: list[str] = []

    def stop(stream: str, done: int, of: int) -> None:
        if 0 < done < of:
            seen.extend(names_in(tmp_path))
            exporting.cancel()

    exporting = asyncio.create_task(export([source], Everything(), tmp_path / "to", stop))
    with pytest.raises(asyncio.CancelledError):
        await exporting
    assert ".to.unfinished" in seen, "it was under way"
    assert names_in(tmp_path) == []


async def test_what_a_killed_export_left_is_removed_and_another_one_is_not_disturbed(
    city: City, tmp_path: Path
) -> None:
    left = tmp_path / ".to.unfinished"
    left.mkdir()
    (left / "half").touch()
    with (tmp_path / ".to.unfinished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ExportRefused, match="another export is writing"):
            await exported(city, Everything(), tmp_path / "to")
        assert names_in(left) == ["half"]
    assert verdict(await exported(city, Everything(), tmp_path / "to")).holds
    assert names_in(tmp_path) == ["to"]


@pytest.mark.parametrize("asked", [Everything(), Positions(3, 7)])
async def test_sealed_files_that_were_changed_are_not_exported(tmp_path: Path, asked: Asked) -> None:
    city = await sealed_city(tmp_path / "store")
    tile = tmp_path / "store" / CASES / "tile" / "0" / "000"
    stretch = min((tmp_path / "store" / CASES / "sealed").iterdir())
    was = tile.read_bytes(), stretch.read_bytes()
    if isinstance(asked, Positions):  # then the rest is proved by tiles
        tile.write_bytes(was[0][:-1] + bytes([was[0][-1] ^ 1]))
        with pytest.raises(ArchiveBroken, match="do not lead to the root"):
            await exported(city, asked, tmp_path / "to")
        tile.write_bytes(was[0])
    stretch.write_bytes(was[1][:-1] + bytes([was[1][-1] ^ 1]))
    with pytest.raises(StretchBroken, match="was changed"):
        await exported(city, asked, tmp_path / "to")
    stretch.write_bytes(was[1])
    assert verdict(await exported(city, asked, tmp_path / "to")).holds
