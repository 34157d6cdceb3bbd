"""`up` and `down`: a supervisor that goes on when the command ends."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.embedded.errors import StartFailed, StopFailed
from cli.embedded.process import end_holders, process_start, rotate
from cli.stack.lock import is_locked
from cli.stack.state import Stack, repository

START_SECONDS_MAX = 600.0
STOP_SECONDS_MAX = 60.0
POLL_SECONDS = 0.02
# Where the supervisor finds the pipe on which it tells how far it is.
REPORT_DESCRIPTOR = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class UpRequest:
    """What to start, and where."""

    home: Path
    policy_dir: Path
    replicas: int = 1
    ports: Mapping[str, int] = field(default_factory=dict)
    command: tuple[str, ...] = (sys.executable, "-P", "-m", "cli.stack.daemon")


async def up(request: UpRequest, report: Callable[[str], None]) -> Stack:
    """Start a stack in the background, unless it runs already; raises StackError with the reason."""
    running = Stack.read(request.home)
    if running is not None and running.supervisor.alive:
        return await _wait_ready(request.home)
    read_end, write_end = os.pipe()
    try:
        supervisor = _spawn(request, write_end)
    finally:
        os.close(write_end)
    try:
        await _follow(read_end, report)
    except asyncio.CancelledError:
        # Ctrl-C while it starts: the one who asked does not want it any more.
        os.kill(supervisor, signal.SIGTERM)
        await _wait_ended(supervisor)
        raise
    # Of two starts at the same time one finds the other's supervisor, which may still be starting.
    return await _wait_ready(request.home)


async def down(home: Path) -> bool:
    """Stop what runs in `home` until nothing is left; True if there was anything. Raises StopFailed."""
    stack = Stack.read(home)
    if not is_locked(home):
        (home / "run.json").unlink(missing_ok=True)
        return False
    if stack is not None and stack.supervisor.alive:
        os.kill(stack.supervisor.pid, signal.SIGTERM)
    if not await _wait_gone(home, stack):
        # The supervisor, or an orphan of one that was killed, does not end by itself.
        end_holders((home / "lock").resolve())
        if not await _wait_gone(home, stack):
            raise StopFailed(f"something in {home} does not end · 有进程无法结束: {home}")
    (home / "run.json").unlink(missing_ok=True)
    return True


def _spawn(request: UpRequest, report_descriptor: int) -> int:
    """Start the supervisor in a session of its own; gives its pid. It is meant to outlive us: nobody waits for it."""
    log = request.home / "log" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    arguments_end, own_end = os.pipe()
    with os.fdopen(own_end, "wb") as pipe:
        pipe.write(_arguments(request))
    with log.open("ab") as output:
        pid = os.posix_spawn(
            request.command[0],
            (*request.command, str(REPORT_DESCRIPTOR)),
            os.environ | {"PYTHONPATH": str(repository())},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, arguments_end, 0),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                # Last: the number may be that of one of the descriptors above.
                (os.POSIX_SPAWN_DUP2, report_descriptor, REPORT_DESCRIPTOR),
                # Last: one of the others may have this very number.
            ],
            setsid=True,
        )
    os.close(arguments_end)
    return pid


def _arguments(request: UpRequest) -> bytes:
    content = {
        "home": str(request.home),
        "policy_dir": str(request.policy_dir),
        "replicas": request.replicas,
        "ports": dict(request.ports),
    }
    return json.dumps(content).encode()


async def _follow(descriptor: int, report: Callable[[str], None]) -> None:
    """Report steps until the supervisor says that it is ready; raises StartFailed otherwise."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb")
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            while line := await reader.readline():
                message = json.loads(line)
                if "failed" in message:
                    raise StartFailed(message["failed"])
                if "ready" in message or "already_running" in message:
                    return
                report(message["step"])
    except TimeoutError as error:
        raise StartFailed("the start takes too long: see log/supervisor.log · 启动超时") from error
    finally:
        transport.close()
    raise StartFailed("the supervisor ended early: see log/supervisor.log · 监控进程提前退出")


async def _wait_ready(home: Path) -> Stack:
    """For a stack that somebody else is starting."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        stack = Stack.read(home)
        if stack is None or not stack.supervisor.alive:
            raise StartFailed("the other start failed: see log/supervisor.log · 另一次启动失败")
        if stack.phase == "ready":
            return stack
        await asyncio.sleep(POLL_SECONDS)
    raise StartFailed("the other start takes too long · 另一次启动超时")


async def _wait_ended(pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while process_start(pid) is not None and time.monotonic() < deadline:  # noqa: ASYNC110  # not our child
        await asyncio.sleep(POLL_SECONDS)


async def _wait_gone(home: Path, stack: Stack | None) -> bool:
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while is_locked(home) or (stack is not None and stack.supervisor.alive):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True
