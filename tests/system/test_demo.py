"""`./whistle demo`, for real: it plays its day, goes on beside what is there, and leaves nothing behind."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml

from cli.stack.lock import is_locked
from cli.stack.rulebook import example_policy
from cli.stack.state import Running, Stack
from tests.support.signing import Signing
from tests.support.stack import environment, eventually, running, whistle

SHORT: Final = ("--cases", "60", "--seconds", "4")
LONG: Final = ("--cases", "600", "--seconds", "600")
PLAYED: Final = "Ctrl-C"
DEMO_SECONDS_MAX: Final = 600


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The city of the exercise, where a day passes in a minute."""
    with running() as quick:
        yield quick


@pytest.fixture
def home() -> Iterator[Path]:
    """A data folder with a short path that PostgreSQL's user can reach."""
    path = Path(tempfile.mkdtemp(prefix="whistle-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def started(home: Path, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """The demo, started; killed at the end of the block if it has not ended."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(home),
    )
    safety_net = threading.Timer(DEMO_SECONDS_MAX, process.kill)
    safety_net.start()
    try:
        with process:
            yield process
    finally:
        safety_net.cancel()
        process.kill()


async def ready(home: Path) -> tuple[Running, ...]:
    """The processes of the stack in *home*, once it is ready."""

    async def is_up() -> bool:
        stack = Stack.read(home)
        return stack is not None and stack.phase == "ready"

    await eventually(is_up)
    return Stack.load(home).processes


async def gone(home: Path, processes: tuple[Running, ...]) -> None:
    """Wait until none of them is left, nor anything that they started."""
    assert len(processes) == 7

    async def is_gone() -> bool:
        return not is_locked(home) and not any(process.alive for process in processes)

    await eventually(is_gone)


def until(process: subprocess.Popen[str], word: str) -> str:
    """What the process prints, up to the line with this word."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def cases_in(stack: Stack) -> int:
    """How many cases evaluation knows of."""
    states: dict[str, int] = httpx.get(f"{stack.service_url('evaluation')}/states", timeout=60).json()
    return states["cases"]


def assert_played(out: str) -> None:
    """A day of 60 cases is shown, with its scoreboard and where to look further."""
    assert "环境卫生管理中心 Sanitation Centre" in out
    total = next(line for line in out.splitlines() if "合计 total" in line).split()
    assert total[2] == "60"
    assert int(total[3]) > 0, "some are closed; how many, the machine decides"
    assert "60 / 60" in out
    assert "./whistle show " in out


@pytest.mark.full
async def test_it_plays_a_day_and_ends_if_that_is_asked_for(home: Path) -> None:
    with started(home, *SHORT, "--exit") as demo:
        processes = await ready(home)
        out, _ = await asyncio.to_thread(demo.communicate)
    assert demo.returncode == 0, out
    assert_played(out)
    await gone(home, processes)


@pytest.mark.full
async def test_kill_9_of_the_demo_leaves_no_process_behind(home: Path) -> None:
    with started(home, *LONG) as demo:
        processes = await ready(home)
        demo.kill()
        await gone(home, processes)


@pytest.mark.full
async def test_asked_to_end_in_the_middle_of_the_day_it_leaves_nothing(home: Path) -> None:
    with started(home, *LONG) as demo:
        processes = await ready(home)
        await asyncio.to_thread(until, demo, "06:0")
        demo.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(demo.wait) == 130
        await gone(home, processes)


async def test_it_plays_a_day_and_stays_up_until_ctrl_c_with_the_departments_at_work(home: Path) -> None:
    with started(home, *SHORT) as demo:
        processes = await ready(home)
        out = await asyncio.to_thread(until, demo, PLAYED)
        assert_played(out)
        assert "/docs" in out
        stack = Stack.load(home)
        async with httpx.AsyncClient(auth=Signing(stack), timeout=60) as http:
            report = {"category": "1502", "description": "二次停车", "place": {"community": "matou"}}
            answer = await http.post(f"{stack.service_url('intake')}/cases", json=report)
            case = f"{stack.service_url('evaluation')}/cases/{answer.json()['case_id']}"

            async def is_signed_for() -> bool:
                found = await http.get(case)
                return found.status_code == 200 and found.json()["accepted_at"] is not None

            await eventually(is_signed_for)
        demo.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(demo.wait) == 0
        await gone(home, processes)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param({"intake"}, marks=pytest.mark.full),
        # What a consumer had in hand is given out again only after its ack_wait.
        pytest.param({"intake", "dispatch", "evaluation"}, marks=pytest.mark.full),
        pytest.param({"nats"}, marks=pytest.mark.full),
    ],
    ids=lambda names: "-".join(sorted(names)),
)
async def test_a_process_killed_in_the_middle_costs_nothing_but_time(home: Path, names: set[str]) -> None:
    with started(home, "--cases", "300", "--seconds", "10", "--exit") as demo:
        victims = [process for process in await ready(home) if process.name in names]
        await asyncio.to_thread(until, demo, "the day")
        for victim in victims:
            os.kill(victim.pid, signal.SIGKILL)
        out, _ = await asyncio.to_thread(demo.communicate)
    assert demo.returncode == 0, out
    assert "300 / 300" in out


@pytest.mark.full
def test_run_again_it_goes_on_beside_what_is_there(stack: Stack) -> None:
    for day in (1, 2):
        played = whistle(stack, "demo", *SHORT, "--exit")
        assert played.returncode == 0, played.stdout + played.stderr
        assert "60 / 60" in played.stdout
        assert cases_in(stack) == 60 * day, "the same seed again is another day"
    assert Stack.load(stack.home).processes == stack.processes, "what was there goes on"


@pytest.mark.full
async def test_nothing_is_invented_in_a_real_city(tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    shutil.copytree(example_policy(), policy)
    city = yaml.safe_load((policy / "city.yaml").read_text(encoding="utf-8"))
    (policy / "city.yaml").write_text(yaml.safe_dump(city | {"time_lapse": 1}), encoding="utf-8")
    with running(policy_dir=policy) as stack:
        beside = await asyncio.to_thread(whistle, stack, "demo", *SHORT, "--exit")
        assert await asyncio.to_thread(cases_in, stack) == 0
        os.kill(stack.supervisor.pid, signal.SIGTERM)
        await gone(stack.home, stack.processes)
        alone = await asyncio.to_thread(whistle, stack, "demo", *SHORT, "--exit")
        await gone(stack.home, stack.processes)
    for refused in (beside, alone):
        assert refused.returncode == 1, refused.stdout
        assert "示例城市" in refused.stderr
