"""Sealed files of a small city, exports of them, and both verifiers: ours, and the script that shares nothing."""

import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import pytest

from cli.stack.state import repository
from libs.events.auditing.asking import Asked
from libs.events.auditing.exporting import Source, export
from libs.events.auditing.exports import ExportBroken
from libs.events.auditing.trusting import Given, Keys
from libs.events.auditing.verifying import Proved, silent, verify
from libs.events.auditing.walking import Differs
from libs.events.ids import case_id_of_import
from libs.events.ledger.archive import opened
from libs.events.ledger.growing import growing
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.notes import Checkpoint, Note, NoteInvalid, Signer, Verifier, parsed
from libs.events.ledger.stretches import Sealed
from libs.events.storage import FolderStore
from libs.events.subjects import CASES, NOTICES, POLICY

DEPLOYMENT: Final = "city.example"
SIGNER: Final = Signer(DEPLOYMENT, bytes(32))
STRANGER: Final = Signer(DEPLOYMENT, bytes([1]) * 32)
ENDS: Final = {CASES: (90, 201, 300), NOTICES: (41,), POLICY: (5,)}
"""At which sizes each stream was sealed and signed."""
PEOPLE: Final = ("water", "sanitation", "No Q")
GOLDEN: Final = sorted((repository() / "tests" / "golden").glob("whistle.case.*.json"))
SCRIPT: Final = repository() / "examples" / "auditor" / "whistle_verify.py"


class City(NamedTuple):
    """Sealed files, and what was sealed."""

    store: FolderStore
    events: dict[str, list[Sealed]]
    cases: list[str]


def events_of(stream: str, count: int, seed: int = 7) -> list[Sealed]:
    """Facts as the contracts have them, of some cases that go on side by side, and a few that are no line of JSON."""
    chance = Random(seed)
    facts = [json.loads(path.read_text(encoding="utf-8")) for path in GOLDEN]
    versions: dict[str, int] = {}
    found: list[Sealed] = []
    for sequence in range(1, count + 1):
        case_id = case_id_of_import("city", str(chance.randrange(12)))
        versions[case_id] = versions.get(case_id, 0) + 1
        fact = chance.choice(facts)
        fact = {**fact, "id": f"{seed}-{stream}-{sequence}", "subject": case_id}
        fact["time"] = f"2026-03-{1 + sequence // 20:02d}T08:{sequence % 60:02d}:00+08:00"
        department = chance.choice(("", "", ".water", ".sanitation", ".No_20Q"))
        subject = {
            CASES: f"case.{case_id}.noted.{versions[case_id]}{department}",
            NOTICES: f"notice.{case_id}.mail",
            POLICY: "policy.book",
        }[stream]
        payload = json.dumps(fact, ensure_ascii=False).encode()
        if stream == NOTICES and sequence % 10 == 3:
            payload = [b"", b"two\nlines", b"\xff\xfe", b'{"a":\r1}'][sequence // 10 % 4]
        found.append(Sealed(Leaf(stream, sequence, subject, fact["id"], payload), 1_700_000_000 + sequence))
    return found


async def sealed_city(
    folder: Path, *, signer: Signer = SIGNER, deployment: str = DEPLOYMENT, seed: int = 7, stretch: int = 64
) -> City:
    """A store with three streams and their checkpoints."""
    store, events = (
        FolderStore(folder),
        {each: events_of(each, ends[-1], seed) for each, ends in ENDS.items()},
    )
    for stream, ends in ENDS.items():
        archive = await opened(store, stream, f"{deployment}/{stream}")
        writer = await growing(archive)
        for end in ends:
            while archive.size < end:
                await writer.seal(events[stream][archive.size : min(end, archive.size + stretch)])
            note = signer.sign(Checkpoint(archive.origin, end, writer.root()))
            await writer.keep(note, end)
    await store.put("key.pub", f"{signer.verifier}\n".encode())
    cases = sorted({each.leaf.subject.split(".")[1] for each in events[CASES]})
    return City(store, events, cases)


async def exported(
    city: City,
    asked: Asked,
    to: Path,
    streams: Sequence[str] = (CASES,),
    since: int = 0,
    size: int | None = None,
) -> Path:
    """An export of the city's files."""
    sources: list[Source] = []
    for stream in streams:
        archive = await opened(city.store, stream, f"{DEPLOYMENT}/{stream}")
        note = await archive.checkpoint(size)
        assert note is not None
        sources.append(Source(archive, note, since))
    await export(sources, asked, to, silent)
    return to


async def checkpoint(city: City, size: int | None = None, stream: str = CASES) -> Note:
    """A checkpoint as it was kept."""
    content = await city.store.get(
        f"{stream}/checkpoint" if size is None else f"{stream}/checkpoints/{size:020d}"
    )
    assert content is not None
    return parsed(content)


def _script() -> Any:
    spec = spec_from_file_location("whistle_verify", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script: Final = _script()


class Verdict(NamedTuple):
    """What both verifiers say; None where one finds nothing wrong."""

    ours: str | None
    theirs: str | None
    sequence: int | None = None
    """The first event that differs, as ours names it."""
    proved: tuple[Proved, ...] = ()

    @property
    def holds(self) -> bool:
        """Both find nothing wrong; fails where they do not agree."""
        assert (self.ours is None) == (self.theirs is None), self
        return self.ours is None


def verdict(
    folder: Path,
    *,
    key: Verifier = SIGNER.verifier,
    witnesses: Sequence[Verifier] = (),
    given: Note | None = None,
    since: Note | None = None,
) -> Verdict:
    """Both verifiers on one export."""
    theirs = _theirs(folder, key, witnesses, given, since)
    try:
        proved = verify(folder, Keys(key, tuple(witnesses)), Given(given, since))
    except Differs as error:
        return Verdict(str(error), theirs, error.sequence)
    except (ExportBroken, NoteInvalid) as error:
        return Verdict(str(error), theirs)
    return Verdict(None, theirs, proved=proved)


def _theirs(
    folder: Path, key: Verifier, witnesses: Sequence[Verifier], given: Note | None, since: Note | None
) -> str | None:
    words = [str(folder), "--key", str(key)]
    for each in witnesses:
        words += ["--witness", str(each)]
    for name, note in (("checkpoint", given), ("since", since)):
        if note is not None:
            file = folder.with_name(f"{folder.name}.{name}")
            file.write_bytes(note.encode())
            words += [f"--{name}", str(file)]
    return script_says(words)


def script_says(words: Sequence[str]) -> str | None:
    """What the script complains about, called with these words; None when it is content."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()):
        patch.setattr(sys, "argv", ["whistle_verify.py", *words])
        try:
            script.main()
        except SystemExit as stop:
            return str(stop.code)
    return None
