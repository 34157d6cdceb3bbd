"""`./whistle` itself, in a copy of the checkout with a real virtual environment."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose path has a blank, with small locks and a command line of two lines."""
    folder = tmp_path_factory.mktemp("a checkout")
    shutil.copy(ROOT / "whistle", folder)
    (folder / "requirements.lock").write_text(part_of_lock("requirements.lock", "annotated-doc"))
    (folder / "requirements-dev.lock").write_text(part_of_lock("requirements-dev.lock", "iniconfig"))
    (folder / "cli").mkdir()
    (folder / "cli/__init__.py").touch()
    (folder / "cli/__main__.py").write_text("import os, sys\nprint(os.getcwd(), __file__, *sys.argv[1:])\n")
    return folder


def part_of_lock(name: str, package: str) -> str:
    """The entry of one package, with its hashes; one that needs no other is enough here."""
    entries = (ROOT / name).read_text().replace("\\\n", "\0").split("\n")
    return "\n".join(entry.replace("\0", "\\\n") for entry in entries if entry.startswith(f"{package}=="))


def run(
    checkout: Path, *arguments: str, cwd: Path, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PATH": path} if path else {})
    command = [str(checkout / "whistle"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_launcher_prepares_once_and_again_when_the_lock_changed(checkout: Path, tmp_path: Path) -> None:
    # Another package of the same name where the caller stands must not be taken.
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli/__main__.py").write_text("print('wrong')")
    command = [str(checkout / "whistle"), "show", "C 1"]
    began = time.monotonic()
    starts = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [start.communicate() for start in starts]
    assert [start.returncode for start in starts] == [0, 0], outputs
    expected = f"{tmp_path} {checkout}/cli/__main__.py show C 1\n"
    assert [output for output, _ in outputs] == [expected, expected]
    assert "".join(errors for _, errors in outputs).count("making .venv") == 1

    prepared = time.monotonic()
    second = run(checkout, "status", cwd=tmp_path)
    assert time.monotonic() - prepared < (prepared - began) / 2, "it prepared again"
    assert (second.returncode, second.stderr) == (0, "")

    tests = run(checkout, "test", cwd=tmp_path)
    assert "requirements-dev.lock" in tests.stderr
    assert "making .venv" not in tests.stderr

    lock = checkout / "requirements.lock"
    lock.write_text(lock.read_text() + "\n# changed\n")
    assert "installing requirements.lock" in run(checkout, "status", cwd=tmp_path).stderr
    assert run(checkout, "status", cwd=tmp_path).stderr == ""

    # Without the stamp, which is written last, the environment is half-made.
    (checkout / ".venv/requirements.lock.sha256").unlink()
    assert "making .venv" in run(checkout, "status", cwd=tmp_path).stderr

    shutil.rmtree(checkout / ".venv")
    lock.write_text(re.sub("sha256:[0-9a-f]{4}", "sha256:0000", lock.read_text()))
    broken = run(checkout, "status", cwd=tmp_path)
    assert broken.returncode == 1
    assert "installation failed" in broken.stderr


def test_the_launcher_says_so_without_a_new_python(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    programs = tmp_path / "bin"
    for folder in (checkout, programs):
        folder.mkdir()
    shutil.copy(ROOT / "whistle", checkout)
    shutil.copy(ROOT / "requirements.lock", checkout)
    for program in ("sh", "cat", "cut", "sha256sum", "dirname", "readlink", "mv", "rm"):
        (programs / program).symlink_to(str(shutil.which(program)))
    (programs / "python3").write_text("#!/bin/sh\nexit 1\n")
    (programs / "python3").chmod(0o755)
    result = run(checkout, "status", cwd=tmp_path, path=str(programs))
    assert result.returncode == 1
    assert "Python 3.11" in result.stderr
    assert "需要" in result.stderr
    assert not (checkout / ".venv").exists()


def test_the_locks_name_no_place_to_fetch_from() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text()
        assert "://" not in text
        assert "index-url" not in text
        assert text.count("==") <= text.count("--hash=sha256:")


def test_help_lists_the_commands_in_order() -> None:
    result = subprocess.run(
        [sys.executable, "-P", "-m", "cli", "--help"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=True,
    )
    commands = [name for name, _, _ in COMMANDS]
    assert commands[:4] == ["demo", "up", "down", "status"]
    words = [line.strip("│ ").split(" ")[0] for line in result.stdout.splitlines()]
    assert [word for word in words if word in commands] == commands


def test_errors_are_one_line_with_an_exit_code(tmp_path: Path) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "cli", *arguments],
            env=os.environ | {"PYTHONPATH": str(ROOT), "WHISTLE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    status = call("status")
    assert (status.returncode, status.stderr.count("\n"), "whistle up" in status.stderr) == (3, 1, True)
    assert call("status", "--json").returncode == 3
    assert call("up", "--port", "nats").returncode == 2
    assert call("nonsense").returncode == 2
    assert call("down").returncode == 0
