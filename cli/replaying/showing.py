"""How far a replay is: a line that changes on a terminal, one now and then elsewhere."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.importing.progress import BAR_CHARACTERS, BAR_REFRESH_SECONDS, LINE_SECONDS
from cli.importing.progress import Pace as Rate
from cli.output import shown_time
from cli.replaying.pace import Pace
from cli.replaying.player import Doing, State

DOING_ZH: Final = {
    Doing.READING: "读取",
    Doing.PLAYING: "回放中",
    Doing.PAUSED: "已暂停",
    Doing.ROOM_FULL: "等待接收方",
}


def described(state: State, rate: float, seconds_left: float | None) -> str:
    """The state of a replay in one line."""
    parts = [
        f"{state.doing} · {DOING_ZH[state.doing]}",
        f"{state.events:,} events",
        f"position {state.position:,} of {state.selection.last:,}",
    ]
    if state.recorded:
        parts.append(shown_time(state.recorded))
    if state.doing is Doing.PLAYING:
        parts.append(f"{rate:,.0f}/s")
        if seconds_left is not None:
            parts.append(f"{seconds_left:,.0f} s left")
    return ", ".join(parts)


def seconds_left(state: State, pace: Pace, rate: float, ends: datetime) -> float | None:
    """How long it takes yet, when the rest is like what was; None when that cannot be said yet."""
    positions = state.selection.last - state.position
    seen = state.position - state.selection.first + 1
    if state.recorded is None or seen <= 0:
        return None
    events = positions * state.events / seen
    by_pace = pace.seconds_for((ends - state.recorded).total_seconds(), events)
    return max(by_pace, events / rate if rate and pace.speed is None else 0.0)


@asynccontextmanager
async def shown(state: State, pace: Pace, ends: datetime, out: Console) -> AsyncGenerator[None]:
    """Show how *state* changes on *out* until the end of the block; *ends* is when the last event was recorded."""
    show = _as_bar if out.is_terminal else _as_lines
    showing = asyncio.create_task(show(state, pace, ends, out), name="replay-progress")
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _as_bar(state: State, pace: Pace, ends: datetime, out: Console) -> None:
    counted, chosen = Rate(), state.selection
    columns = (BarColumn(BAR_CHARACTERS), TextColumn("{task.description}"))
    with Progress(*columns, console=out, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=chosen.last - chosen.first + 1)
        while True:
            rate = counted.rate(time.monotonic(), state.events)
            text = described(state, rate, seconds_left(state, pace, rate, ends))
            bar.update(task, completed=max(0, state.position - chosen.first + 1), description=text)
            bar.refresh()
            await asyncio.sleep(BAR_REFRESH_SECONDS)


async def _as_lines(state: State, pace: Pace, ends: datetime, out: Console) -> None:
    counted = Rate()
    while True:
        counted.rate(time.monotonic(), state.events)
        await asyncio.sleep(LINE_SECONDS)
        rate = counted.rate(time.monotonic(), state.events)
        out.print(described(state, rate, seconds_left(state, pace, rate, ends)), markup=False, soft_wrap=True)
