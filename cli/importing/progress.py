"""What an import shows while it runs: a bar on a terminal, a plain line every few seconds elsewhere."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.importing.tally import Tally

BAR_REFRESH_SECONDS: Final = 0.25
LINE_SECONDS: Final = 5.0
BAR_CHARACTERS: Final = 10  # so that a line fits into 80
RATE_WINDOW_SECONDS: Final = 5.0


class Pace:
    """Rows per second over the last few seconds, so that a pause shows and the start does not count for ever."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def rate(self, now: float, done: int) -> float:
        """Rows per second up to *now* (seconds of any clock), when *done* rows are done; 0 when not known."""
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] <= now - RATE_WINDOW_SECONDS:
            self._samples.popleft()
        since, before = self._samples[0]
        return (done - before) / (now - since) if now > since else 0.0


def described(tally: Tally, rate: float) -> str:
    """The state of an import in one line."""
    parts = [f"{tally.done:,} of {tally.rows:,} rows"]
    if tally.waiting_for_log:
        parts.append("waiting for the log · 等待事件日志恢复")
    elif tally.done < tally.rows:
        parts.append(f"{rate:,.0f}/s")
        parts.append(f"{(tally.rows - tally.done) / rate:,.0f} s left" if rate > 0 else "time left not known")
    if tally.rejected:
        parts.append(f"{tally.rejected:,} rejected")
    if tally.behind is not None:
        parts.append(f"read models {tally.behind:,} behind")
    return ", ".join(parts)


@asynccontextmanager
async def shown(tally: Tally, console: Console) -> AsyncGenerator[None]:
    """Show how *tally* changes on *console* until the end of the block."""
    show = _as_bar(tally, console) if console.is_terminal else _as_lines(tally, console)
    showing = asyncio.create_task(show, name="import-progress")
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _as_bar(tally: Tally, console: Console) -> None:
    columns = (BarColumn(BAR_CHARACTERS), TextColumn("{task.description}"))
    pace = Pace()
    with Progress(*columns, console=console, auto_refresh=False) as bar:
        task = bar.add_task("", total=None)
        try:
            while True:
                rate = pace.rate(time.monotonic(), tally.done)
                bar.update(task, total=tally.rows, completed=tally.done, description=described(tally, rate))
                bar.refresh()
                await asyncio.sleep(BAR_REFRESH_SECONDS)
        finally:
            bar.update(task, total=tally.rows, completed=tally.done, description=described(tally, 0.0))
            bar.refresh()


async def _as_lines(tally: Tally, console: Console) -> None:
    pace = Pace()
    while True:
        rate = pace.rate(time.monotonic(), tally.done)
        await asyncio.sleep(LINE_SECONDS)
        rate = pace.rate(time.monotonic(), tally.done)
        console.print(described(tally, rate), highlight=False, soft_wrap=True)
