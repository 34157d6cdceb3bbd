"""`./whistle audit` as an auditor calls it: on sealed files alone, nothing runs."""

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from cli.main import main
from cli.stack.state import repository
from tests.support.auditing import SCRIPT, SIGNER, City, sealed_city

SECONDS_MAX: Final = 300.0
FILE_BYTES_MAX: Final = 30_000
"""So large may a file grow on the disk that is full."""


class Auditor:
    """Calls commands in a folder of its own, with the store of a small city."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.city: City = asyncio.run(sealed_city(base / "store"))

    def run(
        self, *words: object, limit: Callable[[], None] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {
            "WHISTLE_HOME": str(self.base / "home"),
            "WHISTLE_LEDGER_STORE": str(self.base / "store"),
            "PYTHONPATH": str(repository()),
        }
        command = [sys.executable, "-P", "-m", "cli", "audit", *map(str, words)]
        return subprocess.run(
            command, cwd=self.base, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX,
            check=False, preexec_fn=limit,
        )  # fmt: skip

    def done(self, *words: object) -> str:
        finished = self.run(*words)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def refused(self, *words: object, limit: Callable[[], None] | None = None) -> str:
        finished = self.run(*words, limit=limit)
        assert finished.returncode == 1, finished.stdout
        [line] = finished.stderr.splitlines()
        return line


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    return Auditor(tmp_path_factory.mktemp("auditor"))


def test_what_was_exported_is_verified_and_what_was_changed_is_named(auditor: Auditor) -> None:
    case = auditor.city.cases[2]
    told = json.loads(auditor.done("export", "case", "--case", case, "--json"))
    assert told["asked"] == {"what": "case", "case": case}
    assert [part["stream"] for part in told["streams"]] == ["CASES", "NOTICES"]
    key = auditor.base / "city.pub"
    key.write_text(auditor.done("key"), encoding="utf-8")
    assert key.read_text(encoding="utf-8").strip() == str(SIGNER.verifier)
    said = auditor.done("verify", "case", "--key", key)
    assert "proved: they are the case's events 1 to" in said
    assert "not proved" in said
    assert "未证明" in said
    by_script = [sys.executable, "-I", str(SCRIPT), str(auditor.base / "case"), "--key", str(key)]
    assert "CASES: " in subprocess.run(by_script, capture_output=True, text=True, check=True).stdout
    events = auditor.base / "case" / "CASES" / "events.jsonl"
    events.write_bytes(events.read_bytes().replace(b"2026", b"2025", 1))
    first = int((auditor.base / "case" / "CASES" / "leaves.txt").read_text(encoding="utf-8").split()[0])
    assert f"CASES event {first} " in auditor.refused("verify", "case", "--key", key)
    finished = auditor.run("verify", "case", "--key", key, "--json")
    assert (finished.returncode, json.loads(finished.stdout)["sequence"]) == (1, first)
    assert subprocess.run(by_script, capture_output=True, check=False).returncode == 1


def test_everything_and_the_sealed_files_are_verified_against_what_was_kept(auditor: Auditor) -> None:
    kept = auditor.base / "store" / "CASES" / "checkpoints" / f"{90:020d}"
    auditor.done("export", "all", "--everything", "--since", kept)
    proved = json.loads(
        auditor.done("verify", "all", "--key", SIGNER.verifier, "--since", kept, "--workers", 2, "--json")
    )
    assert proved["proved"]
    assert {part["stream"]: part["events"] for part in proved["streams"]} == {
        "CASES": 300, "POLICY": 5, "NOTICES": 41,
    }  # fmt: skip
    assert all(part["nothing_missing"] for part in proved["streams"])
    assert proved["streams"][0]["grown_since"] == 90
    said = auditor.done("verify", "store", "--key", SIGNER.verifier, "--since", kept)
    assert "all 300 sealed events, their hashes and 3 checkpoints agree" in said
    store = shutil.copytree(auditor.base / "store", auditor.base / "changed")
    tile = store / "CASES" / "tile" / "0" / "000"
    tile.write_bytes(tile.read_bytes()[:64] + bytes(32) + tile.read_bytes()[96:])
    assert "CASES event 3: " in auditor.refused("verify", store, "--key", SIGNER.verifier)


def test_proofs_of_single_events_are_verified_by_both(auditor: Auditor) -> None:
    event_id = auditor.city.events["NOTICES"][6].leaf.event_id
    assert "NOTICES-7.tlog-proof" in auditor.done("prove", event_id, "--to", "proofs")
    auditor.done("prove", "CASES/300", "--to", "proofs")
    assert len(auditor.done("prove", auditor.city.cases[0], "--to", "case-proofs").splitlines()) > 5
    for name in ("NOTICES-7", "CASES-300"):
        proof = auditor.base / "proofs" / f"{name}.tlog-proof"
        assert proof.stat().st_size < 2_000
        found = json.loads(auditor.done("verify", proof, "--key", SIGNER.verifier, "--json"))
        assert f"{found['streams'][0]['stream']}-{found['streams'][0]['sequence']}" == name
        by_script = [sys.executable, "-I", str(SCRIPT), str(proof), str(proof.with_suffix(".entry"))]
        by_script += ["--key", str(SIGNER.verifier)]
        subprocess.run(by_script, capture_output=True, check=True)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("export", "new", "--case", "0" * 20), "no sealed event is of what was asked for"),
        (("export", "new", "--case", "what"), "write a case id"),
        (("export", "new", "--positions", "290-301"), "is not sealed: the checkpoint is of 300"),
        (("export", "new", "--positions", "9-3"), "write it like 100-250"),
        (("export", "new"), "say what: one of"),
        (("export", "new", "--everything", "--size", "91"), "no checkpoint of 91 events; near it: 90"),
        (("export", "store", "--everything"), "not empty"),
        (("export", "new", "--everything", "--wait"), "the system does not run here"),
        (("export", "new", "--from", "2026-03-01", "--to", "2026-03-02"), "write a time with its offset"),
        (("export", "new", "--everything", "--stream", "OTHER"), "there are CASES"),
        (("export", "new", "--everything", "--store", "nowhere"), "no such folder"),
        (("verify", "nowhere", "--key", str(SIGNER.verifier)), "no such folder"),
        (("verify", "store/CASES", "--key", str(SIGNER.verifier)), "no export"),
        (("verify", "store", "--key", "nonsense"), "a public key is"),
        (("prove", "CASES/301"), "the checkpoint is of 300"),
        (("prove", "018f"), "no sealed event has this id"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_a_line_and_nothing_stays(
    auditor: Auditor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    reason: str,
) -> None:
    before = sorted(auditor.base.rglob("*"))
    monkeypatch.chdir(auditor.base)
    monkeypatch.setenv("WHISTLE_HOME", str(auditor.base / "home"))
    monkeypatch.setenv("WHISTLE_LEDGER_STORE", str(auditor.base / "store"))
    monkeypatch.setattr(sys, "argv", ["whistle", "audit", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert reason in line
    assert sorted(auditor.base.rglob("*")) == before


def test_on_a_full_disk_nothing_stays(auditor: Auditor) -> None:
    before = sorted(auditor.base.rglob("*"))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))

    assert "cannot be written: File too large; nothing is left" in auditor.refused(
        "export", "full", "--everything", limit=limit
    )
    assert sorted(auditor.base.rglob("*")) == before
