"""A stack of real servers in a folder of its own, for tests: it ends with the test process, however that ends."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Final, TypeVar

from cli.embedded import child
from cli.stack.rulebook import example_policy
from cli.stack.state import Stack, repository
from libs.events.errors import LogUnavailable
from libs.events.jetstream import JetStream, NotNow, Unknown, connected
from libs.events.log import Log, opened

STOP_SECONDS_MAX: Final = 120
COMMAND_SECONDS_MAX: Final = 300
WAIT_SECONDS_MAX: Final = 180.0
"""Safety nets, all three: a machine that is busy with something else may take its time."""
POLL_SECONDS: Final = 0.05

T = TypeVar("T")

WHOLE_STACK: Final = "cli.stack.daemon"
SERVERS_ONLY: Final = "tests.support.servers"


@contextmanager
def running(
    module: str = WHOLE_STACK,
    *,
    policy_dir: Path | None = None,
    replicas: int = 1,
    settings: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> Generator[Stack]:
    """A stack that runs as long as the block does, in a new folder that is removed at the end, or in *home*.

    *settings* are further variables of the environment, for every process of it.
    """
    with nullcontext(home) if home else machine() as folder:
        supervisor = _start(module, folder, policy_dir or example_policy(), replicas, settings or {})
        try:
            yield Stack.load(folder)
        finally:
            _stop(supervisor)


@contextmanager
def machine() -> Generator[Path]:
    """An empty data folder, removed at the end."""
    # Short, and reachable for the user as whom PostgreSQL runs.
    home = Path(tempfile.mkdtemp(prefix="whistle-test-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def ended_with(owner: object, process: subprocess.Popen[bytes]) -> None:
    """Have *process* killed when *owner* is forgotten, as it is when a test fails: not left to the tests after it."""
    weakref.finalize(owner, _kill, process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def environment(home: Path) -> dict[str, str]:
    """Our environment without settings of Whistle, and with this data folder."""
    hidden = ("WHISTLE_", "COLUMNS", "LINES")  # what is asked of a terminal does not hold for a pipe
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return {**inherited, "WHISTLE_HOME": str(home), "PYTHONPATH": str(repository()), "NO_COLOR": "1"}


def command_line(stack: Stack, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    """`./whistle ARGUMENTS` on a stack, started; stdout and stderr are pipes."""
    return _command_line(stack.home, *arguments, **settings)


def _command_line(home: Path, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home) | settings,
    )


def whistle(stack: Stack, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`./whistle ARGUMENTS` on a stack, run to its end."""
    return whistle_at(stack.home, *arguments, **settings)


def whistle_at(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`./whistle ARGUMENTS` where nothing runs, or need not, run to its end."""
    process = _command_line(home, *arguments, **settings)
    try:
        out, err = process.communicate(timeout=COMMAND_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@asynccontextmanager
async def log_of(stack: Stack, user: str) -> AsyncGenerator[tuple[Log, JetStream]]:
    """The log of a stack, as one of its users."""
    async with (
        connected(stack.nats_url, user=user, password=stack.secret(user)) as client,
        opened(client) as log,
    ):
        yield log, JetStream(client)


async def eventually(holds: Callable[[], Awaitable[bool]], seconds_max: float = WAIT_SECONDS_MAX) -> None:
    """Wait until it holds; the bound is only a safety net."""
    async with asyncio.timeout(seconds_max):
        while not await holds():  # noqa: ASYNC110 - what is waited for is in other processes
            await asyncio.sleep(POLL_SECONDS)


async def answered(asking: Callable[[], Awaitable[T]], seconds_max: float = WAIT_SECONDS_MAX) -> T:
    """What a log that may have no leader for a while says in the end; for questions, which may be asked again."""
    found: list[T] = []

    async def told() -> bool:
        try:
            found.append(await asking())
        except (NotNow, Unknown, LogUnavailable):
            return False
        return True

    await eventually(told, seconds_max)
    return found[0]


def _start(
    module: str, home: Path, policy_dir: Path, replicas: int, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    read_end, write_end = os.pipe()
    tied = [f"parent={os.getpid()}", f"death_signal={int(signal.SIGTERM)}"]
    with (home / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", child.__file__, *tied, "--"),
                *(sys.executable, "-P", "-m", module, str(write_end)),
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**environment(home), **settings},
            cwd=repository(),
            pass_fds=(write_end,),
            start_new_session=True,
        )
    os.close(write_end)
    assert supervisor.stdin is not None
    with supervisor.stdin as stdin:
        stdin.write(_arguments(home, policy_dir, replicas))
    with os.fdopen(read_end, "r", encoding="utf-8") as steps:
        last: Mapping[str, object] = {}
        for line in steps:
            last = json.loads(line)
            if "ready" in last:
                return supervisor
    supervisor.wait(STOP_SECONDS_MAX)
    raise RuntimeError(f"the stack did not start: {last}\n{(home / 'supervisor.log').read_text()}")


def _arguments(home: Path, policy_dir: Path, replicas: int) -> bytes:
    arguments = {"home": str(home), "policy_dir": str(policy_dir), "replicas": replicas, "ports": {}}
    return json.dumps(arguments).encode()


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    supervisor.send_signal(signal.SIGTERM)
    try:
        supervisor.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
        raise
