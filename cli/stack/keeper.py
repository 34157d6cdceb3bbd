"""Keeps one process running: starts it again when it died, with growing pauses."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from cli.embedded.process import Child
from cli.stack.state import Running

RESTART_SECONDS_MIN = 0.1
RESTART_SECONDS_MAX = 10.0
# Who ran this long is taken to be healthy: the next pause is the shortest again.
HEALTHY_SECONDS = 30.0


@dataclass(slots=True)
class Keeper:
    """A process that has to run as long as the stack does."""

    name: str
    url: str
    start: Callable[[], Awaitable[Child]]
    """Starts it (again); may take until it is ready, and may raise StackError."""
    stop_seconds_max: float
    log: FilteringBoundLogger
    changed: Callable[[], None]
    """Called when the process is another one."""
    child: Child | None = None
    deaths: int = 0

    async def begin(self) -> None:
        """Start it for the first time; raises StackError."""
        self.child = await self.start()
        self.log.info("process_started", process=self.name, pid=self.child.pid)
        self.changed()

    async def keep(self) -> None:
        """Start it again whenever it dies; ends by being cancelled."""
        pause = RESTART_SECONDS_MIN
        while True:
            assert self.child is not None, "begin first"
            began = asyncio.get_running_loop().time()
            code = await self.child.wait()
            self.deaths += 1
            if asyncio.get_running_loop().time() - began > HEALTHY_SECONDS:
                pause = RESTART_SECONDS_MIN
            self.log.warning(
                "process_died", process=self.name, code=code, deaths=self.deaths, pause_seconds=pause
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, RESTART_SECONDS_MAX)
            await self._again()

    async def _again(self) -> None:
        try:
            await self.begin()
        except Exception as error:  # whatever it was: the next try may succeed, and nobody else makes one
            reason = str(error) or type(error).__name__
            self.log.warning("process_not_restarted", process=self.name, reason=reason)

    async def stop(self) -> None:
        """End it, and kill it if it does not within its bound."""
        if self.child is not None:
            await self.child.stop(self.stop_seconds_max)
            self.log.info("process_stopped", process=self.name, code=self.child.code)

    def running(self) -> Running:
        """What the state file says about it."""
        pid, started_at = (self.child.pid, self.child.started_at) if self.child else (0, None)
        return Running(self.name, pid, started_at, self.url)
