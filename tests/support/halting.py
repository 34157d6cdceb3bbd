"""Processes that stand still for a while, their connections open."""

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HALT_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.001


def halt(pid: int) -> None:
    """Stop a process, and come back when all its threads stand.

    The signal only asks: on a busy machine a thread may run on for milliseconds, time enough to answer once more.
    """
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + HALT_SECONDS_MAX
    while not all(_stands(thread) for thread in Path(f"/proc/{pid}/task").iterdir()):
        assert time.monotonic() < deadline, f"process {pid} does not stop"
        time.sleep(POLL_SECONDS)


def go_on(pid: int) -> None:
    """Let it run again."""
    os.kill(pid, signal.SIGCONT)


@contextmanager
def halted(pid: int) -> Generator[None]:
    """A process that does nothing meanwhile, and then goes on as if nothing had been."""
    halt(pid)
    try:
        yield
    finally:
        go_on(pid)


def _stands(thread: Path) -> bool:
    try:
        stat = (thread / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return True
    return stat.rpartition(")")[2].split()[0] in "TtZX"
