"""`./whistle bench` on servers of its own: what it says, what it saves, and that it leaves nothing behind."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.arena import temporary_folder
from bench.figures import Figure, Target
from bench.plan import Measure
from bench.run import Results, targets
from bench.show import show
from cli.stack.state import repository

SECONDS_MAX = 120.0
COMMAND = (sys.executable, "-P", "-m", "cli", "bench")


def environment(home: Path) -> dict[str, str]:
    return os.environ | {"WHISTLE_HOME": str(home), "PYTHONPATH": str(repository()), "COLUMNS": "200"}


def processes_in(folder: Path) -> list[str]:
    """What runs and names *folder* in its command line or works in it."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_text(errors="replace") + str((entry / "cwd").readlink())
            except OSError:
                continue
            if str(folder) in words:
                found.append(words)
    return found


@pytest.mark.full
def test_a_quick_run_measures_everything_and_leaves_only_its_result(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--quick"], env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True,
        timeout=SECONDS_MAX, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [file] = (tmp_path / "bench").iterdir()
    saved = file.read_text(encoding="utf-8")
    results = json.loads(saved)
    assert results["complete"]
    assert {figure["measure"] for figure in results["figures"]} == set(Measure)
    assert all(figure["min"] <= figure["median"] <= figure["max"] for figure in results["figures"])
    rates = [figure for figure in results["figures"] if figure["unit"].endswith("/s")]
    assert all(figure["min"] > 0 for figure in rates)
    assert any(figure["name"].startswith("eventsourcing") for figure in rates)
    assert len(results["targets"]) == 15
    assert {"cores", "processor", "memory_gib", "kernel", "disk_sync_ms_p50"} < set(results["machine"])
    assert {"python", "nats-server", "postgresql", "eventsourcing"} < set(results["machine"]["versions"])
    for private in (str(tmp_path), str(repository()), socket.gethostname()):
        assert private not in saved
    for shown in ("replay, typed events", "reached", "PostgreSQL"):
        assert shown in done.stdout
    assert processes_in(tmp_path) == []


@pytest.mark.full
def test_one_measurement_alone_goes_where_it_is_asked_to(tmp_path: Path) -> None:
    file = tmp_path / "found" / "race.json"
    command = [*COMMAND, "--quick", "--only", "race", "--json", str(file)]
    subprocess.run(command, env=environment(tmp_path), cwd=tmp_path, timeout=SECONDS_MAX, check=True)
    figures = json.loads(file.read_text())["figures"]
    assert {figure["measure"] for figure in figures} == {"race"}
    by_name = {figure["name"]: figure for figure in figures}
    assert by_name["50 in one Handler: conflicts"]["max"] == 0, "writers of one process wait for each other"
    assert by_name["50 writers: conflicts"]["min"] > 0


@pytest.mark.full
@pytest.mark.parametrize(
    ("number", "step"), [(signal.SIGINT, "filling the log"), (signal.SIGTERM, "eventsourcing saves")]
)
def test_it_can_be_stopped_at_any_moment(tmp_path: Path, number: signal.Signals, step: str) -> None:
    command = [*COMMAND, "--quick", "--only", "memory", "--only", "append", "--events", "50000"]
    running = subprocess.Popen(
        command, env=environment(tmp_path), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith(step):
            break
    running.send_signal(number)
    _, said = running.communicate(timeout=SECONDS_MAX)
    assert running.returncode == 130, said
    assert list((tmp_path / "bench").iterdir()) == []
    assert processes_in(tmp_path) == []


def test_what_a_killed_run_left_is_removed_and_another_run_is_not_disturbed(tmp_path: Path) -> None:
    left, other = tmp_path / "run-left", tmp_path / "run-other"
    for folder in (left, other):
        folder.mkdir()
        (folder / "bench.lock").touch()
    with (other / "bench.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with temporary_folder(tmp_path) as mine:
            assert sorted(tmp_path.iterdir()) == sorted([mine, other])
    assert list(tmp_path.iterdir()) == [other]


def test_a_target_that_is_missed_is_shown_as_missed() -> None:
    figures = [
        Figure("append", "appends, 1,000 in flight", "appends/s", (14_000.0, 14_999.0, 16_000.0)),
        Figure("replay", "replay, typed events", "events/s", (130_000.0,)),
        Figure("replay", "eventsourcing: replay, domain events", "events/s", (130_000.0,)),
    ]
    found = targets(figures)
    assert [(target.measured, target.reached) for target in found] == [
        (14_999, False),
        (130_000, True),
        (130_000, False),
    ]
    assert Target("memory", 200, "at most", 200, "MB").reached
    printed = StringIO()
    versions = {"python": "3", "nats-server": "2", "postgresql": "18"}
    machine = dict.fromkeys(("processor", "memory_gib", "kernel", "disk_sync_ms_p50", "load_before"), "?")
    results = Results(
        datetime.now(UTC), {**machine, "cores": 2, "versions": versions}, tuple(figures), tuple(found)
    )
    show(results, Console(width=150, file=printed))
    lines = [line for line in printed.getvalue().splitlines() if "appends/s" in line]
    assert "14,000 to 16,000" in lines[0]
    assert "no" in lines[-1]
