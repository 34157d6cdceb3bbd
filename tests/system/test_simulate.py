"""`./whistle simulate`, for real: every promise is kept, one that is broken is found, and nothing stays behind."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from cli.simulate.book import write_book
from cli.simulate.promises import judge
from cli.stack.lock import is_locked
from cli.stack.state import Stack
from libs.events.contracts.dispatch import Escalated, EscalationReason
from libs.events.envelope import Entry
from tests.support.signing import Signing
from tests.support.stack import environment, eventually, log_of, running, whistle
from tests.support.zones import far_from_midnight

SCALE: Final = 14_400
SLACK: Final = timedelta(minutes=1)
"""How late a deadline may be told of: the bench says how late it is."""
SMALL: Final = ("--cases", "60", "--rate", "30", "--slack", f"{SLACK.total_seconds():g}", "--json")
SECONDS_MAX: Final = 600


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with the rule book of a simulation, whose time limits pass within seconds."""
    book = write_book(tmp_path_factory.mktemp("town") / "policy", SCALE)
    city_file = book / "city.yaml"
    there = yaml.safe_load(city_file.read_text(encoding="utf-8")) | {"time_zone": far_from_midnight()}
    city_file.write_text(yaml.safe_dump(there, allow_unicode=True), encoding="utf-8")
    with running(policy_dir=book) as stack:
        yield stack


@pytest.fixture
def home() -> Iterator[Path]:
    """A data folder with a short path that PostgreSQL's user can reach."""
    path = Path(tempfile.mkdtemp(prefix="whistle-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def simulated(stack: Stack, *arguments: str) -> dict[str, Any]:
    """What the simulation says of a run in which every promise was kept."""
    ran = whistle(stack, "simulate", *SMALL, *arguments)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


def escalated_ids(stack: Stack) -> list[str]:
    """The cases that went up, as evaluation knows them."""
    url = f"{stack.service_url('evaluation')}/measures/escalated/cases"
    answer = httpx.get(url, params={"by": "channel", "limit": 1_000}, auth=Signing(stack), timeout=60)
    return [line["case_id"] for line in answer.json()["cases"]]


async def escalated(stack: Stack) -> list[Sequence[Entry]]:
    """The facts of every case that went up because it was not handled in time."""
    case_ids = await asyncio.to_thread(escalated_ids, stack)
    async with log_of(stack, "auditor") as (log, _):
        loaded = await log.load_many(case_ids)
    return [history.entries for history in loaded.values() if any(map(is_not_handled, history.entries))]


def is_not_handled(entry: Entry) -> bool:
    """Whether the case went up because it was not handled in time."""
    return isinstance(entry.event, Escalated) and entry.event.reason is EscalationReason.NOT_HANDLED


@pytest.mark.full
async def test_every_promise_is_kept_and_a_broken_one_is_found(city: Stack) -> None:
    first = await asyncio.to_thread(simulated, city)
    assert first["problems"] == []
    assert first["reports"] == 60 + first["finds"]
    assert sum(first["ends"].values()) == first["reports"]
    assert first["ends"]["closed"] > 50
    assert first["escalations"]["not_handled"] > 0, "somebody was late"
    assert first["facts"]["handling-returned"] > 0, "somebody was sent back"
    assert first["patrols"] == 28

    again = await asyncio.to_thread(simulated, city, "--seed", "2")
    assert again["patrols"] == 0, "the grids were walked today"
    assert again["reports"] == 60

    late = await escalated(city)
    assert late
    for entries in late:
        now = datetime.now(UTC)
        assert judge(entries, now, SLACK).broken == []
        quiet = [entry for entry in entries if not is_not_handled(entry)]
        broken = judge(quiet, now, timedelta()).broken
        assert any("time to handle" in each for each in broken), "had it not gone up, that would be told"


def started(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The simulation with a stack of its own; what it tells is in `stderr`."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", "simulate", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home),
    )


def until_at_work(lines: Iterable[str]) -> None:
    """Read up to the line that tells of reports."""
    read: list[str] = []
    for line in lines:
        read.append(line)
        if "上报 " in line and "上报 0 " not in line:
            return
    raise AssertionError("".join(read))


@pytest.mark.full
async def test_asked_to_end_it_leaves_nothing(home: Path) -> None:
    with started(home, "--cases", "600", "--rate", "5") as simulation:
        safety_net = threading.Timer(SECONDS_MAX, simulation.kill)
        safety_net.start()
        assert simulation.stderr is not None
        await asyncio.to_thread(until_at_work, simulation.stderr)
        processes = Stack.load(home).processes
        simulation.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(simulation.wait) == 130
        safety_net.cancel()

    async def is_gone() -> bool:
        return not is_locked(home) and not any(process.alive for process in processes)

    assert len(processes) == 7
    await eventually(is_gone)


@pytest.mark.full
def test_nothing_is_invented_in_a_real_city(tmp_path: Path) -> None:
    with running(policy_dir=write_book(tmp_path / "policy", 1)) as stack:
        refused = whistle(stack, "simulate", *SMALL)
        states = httpx.get(f"{stack.service_url('evaluation')}/states", timeout=60).json()
    assert refused.returncode == 1
    assert "示例城市" in refused.stderr
    assert states["cases"] == 0
