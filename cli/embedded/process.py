"""Child processes that end with the process that started them, each with a log file of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

LOG_BYTES_MAX = 10_000_000
LOG_TAIL_LINES = 15
LOCK_SECONDS_MAX = 10.0
EXIT_LOCKED = 75
"""Exit code of a child whose lock an earlier start still holds (as in child.py)."""
EXIT_NAMESPACE_BLOCKED = 76
_CHILD = Path(__file__).with_name("child.py")


@dataclass(frozen=True, slots=True)
class RunAs:
    """Another user for a program that refuses to run as root: in a user namespace, or by a change of user."""

    user: int
    group: int
    namespace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run and how it ends."""

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/")
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals | None = None
    """What the kernel sends when the parent dies; the stop signal if not given."""
    lock: Path | None = None
    run_as: RunAs | None = None
    inherited: tuple[int, ...] = ()
    """Descriptors that the program and everything it starts keep open."""


class Child:
    """A running program; made by `start`."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self.started_at = process_start(process.pid)
        self._process = process

    @property
    def pid(self) -> int:
        """The process id, which is also that of its process group and session."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """The exit code, once it ended."""
        return await self._process.wait()

    def kill(self) -> None:
        """Ask for its end as `kill -9` does; returns at once."""
        if self.code is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def stop(self, seconds_max: float) -> None:
        """Ask it to end with its own signal, and kill it after `seconds_max`; returns when it has ended."""
        if self.code is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(self.program.stop_signal)
            try:
                await asyncio.wait_for(self._process.wait(), seconds_max)
            except TimeoutError:
                self.kill()
        await self._process.wait()


async def start(program: Program) -> Child:
    """Start `program` in a session of its own, so that Ctrl-C reaches only its parent.

    Call it from the main thread: the kernel ends the child when the *thread* that started it ends.
    """
    program.log.parent.mkdir(parents=True, exist_ok=True)
    rotate(program.log)
    with program.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_CHILD), *_options(program), "--", *program.argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=program.folder,
            env=dict(program.environment),
            pass_fds=program.inherited,
            start_new_session=True,
        )
    return Child(program, process)


def _options(program: Program) -> list[str]:
    options = [f"parent={os.getpid()}", f"death_signal={int(program.death_signal or program.stop_signal)}"]
    if program.lock is not None:
        options += [f"lock={program.lock}", f"lock_seconds={LOCK_SECONDS_MAX}"]
    if program.run_as is not None:
        kind = "namespace" if program.run_as.namespace else "user"
        options.append(f"{kind}={program.run_as.user}:{program.run_as.group}")
    return options


def rotate(log: Path) -> None:
    """Put a log aside that has grown too large; the one before is lost."""
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))


def tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log file, or an empty text if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64 * 1024))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def process_start(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it is gone.

    Together with the pid it names one process, even after the pid was given to another.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything, so count from its end: state is field 3, start time field 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def holders(path: Path) -> list[int]:
    """Pids of the processes (that we may look into) which hold this file open."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if any(_points_to(descriptor, path) for descriptor in (entry / "fd").iterdir()):
                    found.append(int(entry.name))
    return found


def end_holders(lock: Path) -> None:
    """Kill what an earlier start left behind; only for a lock file that no program but ours opens."""
    for pid in holders(lock):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _points_to(descriptor: Path, path: Path) -> bool:
    try:
        return descriptor.readlink() == path
    except OSError:
        return False
