"""One supervisor for each data folder, and proof that nothing of an earlier one is left."""

import asyncio
import fcntl
import os
import time
from pathlib import Path

from cli.embedded.errors import AlreadyRunning
from cli.embedded.process import end_holders
from cli.stack.state import Stack

LOCK_SECONDS_MAX = 15.0
LOCK_POLL_SECONDS = 0.02


async def lock_home(home: Path) -> int:
    """Take the lock of a data folder; raises AlreadyRunning.

    Every child inherits the descriptor, so the lock is free only when the last of them is gone: after a
    supervisor was killed this waits for its children, and ends them if they do not.
    """
    descriptor = _open(home)
    for may_end_holders in (True, False):
        if await _wait(home, descriptor):
            os.set_inheritable(descriptor, True)
            return descriptor
        if may_end_holders:
            end_holders((home / "lock").resolve())
    os.close(descriptor)
    raise _already_running(home)


def is_locked(home: Path) -> bool:
    """Whether anything of a stack in this data folder is still alive."""
    try:
        descriptor = os.open(home / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try(descriptor)
    finally:
        os.close(descriptor)


def _open(home: Path) -> int:
    home.mkdir(parents=True, exist_ok=True)
    return os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)


async def _wait(home: Path, descriptor: int) -> bool:
    deadline = time.monotonic() + LOCK_SECONDS_MAX
    while not _try(descriptor):
        running = Stack.read(home)
        if running is not None and running.supervisor.alive:
            os.close(descriptor)
            raise _already_running(home)
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(LOCK_POLL_SECONDS)
    return True


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _already_running(home: Path) -> AlreadyRunning:
    return AlreadyRunning(f"Whistle is already running in {home}: ./whistle status · 系统已在运行：{home}")
