"""A rebuild on several cores: each process reads the whole log and applies the cases that are its own.

Reading is a small part of the work; decoding and applying is the large one, and it is done once for each event. Cases
do not touch one another, so the processes need not know of each other. Each ends with the one that started it.
"""

import asyncio
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from zlib import crc32

import orjson

from libs.events.errors import RebuildRefused

PARTS_MAX: Final = 4  # each reads the whole log, and the databases want cores, too
CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/cpu.max")
_CASE_TOKEN: Final = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild has read the log; at the end of it old and new are compared."""

    position: int
    last_position: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Part:
    """Which cases are whose."""

    number: int
    """From 0."""
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`1/2`.  Raises ValueError."""
        number, of = map(int, text.split("/"))
        if not 0 <= number < of <= PARTS_MAX:
            raise ValueError(f"no part: {text!r}")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, subject: bytes) -> bool:
        """Whether the case of this subject below `case.` belongs to this part; all its events do then."""
        return crc32(subject.split(b".", 2)[_CASE_TOKEN]) % self.of == self.number


WHOLE: Final = Part(0, 1)


@dataclass(frozen=True, slots=True)
class Together:
    """How many processes share the first reading, and how another one is started."""

    command: Sequence[str]
    """It is given `--part 1/2 --generation G --last POSITION`, with what it needs in the environment."""
    parts: int

    @classmethod
    def on_this_machine(cls, command: Sequence[str]) -> Self:
        """A process for each core that this one may use."""
        return cls(command, min(PARTS_MAX, cores(CGROUP_LIMIT)))

    async def read(
        self,
        generation: int,
        last: int,
        own: Callable[[Part, OnProgress], Awaitable[None]],
        on_progress: OnProgress,
    ) -> None:
        """Read up to position *last*, this process with *own*.  Raises what *own* does, and RebuildRefused."""
        positions = [0] * self.parts

        def advance(number: int, position: int) -> None:
            positions[number] = position
            on_progress(Progress(min(positions), last))

        others: list[Process] = []
        try:
            for number in range(1, self.parts):
                process = await self._start(Part(number, self.parts), generation, last)
                others.append(process)  # at once, so that it is ended, too, when the next cannot be started
            async with asyncio.TaskGroup() as group:
                for number, process in enumerate(others, 1):
                    group.create_task(_follow(process, number, advance))
                mine = Part(0, self.parts)
                await own(mine, lambda progress: advance(mine.number, progress.position))
        except ExceptionGroup as error:
            raise error.exceptions[0] from error
        finally:
            for process in others:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    async def _start(self, part: Part, generation: int, last: int) -> Process:
        told = ("--part", str(part), "--generation", str(generation), "--last", str(last))
        # Its stdin is a pipe that ends with us, however we end: then it ends, too.
        return await asyncio.create_subprocess_exec(*self.command, *told, stdin=PIPE, stdout=PIPE)


def cores(limit: Path) -> int:
    """How many this process may use, at least 1; of a container, no more than the processor time that it has."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = limit.read_text(encoding="ascii").split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or `max`: there is no limit
        return allowed


async def _follow(process: Process, number: int, advance: Callable[[int, int], None]) -> None:
    assert process.stdout is not None
    refused = ""
    async for line in process.stdout:
        told = orjson.loads(line)
        if "progress" in told:
            advance(number, told["progress"]["position"])
        refused = told.get("refused", refused)
    if await process.wait():
        raise RebuildRefused(refused or f"part {number} of the rebuild was ended before it was done")


def end_with_starter() -> None:
    """For a part: end this process at once when the one that started it has ended."""
    stdin = os.dup(0)
    asyncio.get_running_loop().add_reader(stdin, lambda: os.read(stdin, 1) or os._exit(1))
