"""What the demo shows while the day passes: a live view on a terminal, a line now and then elsewhere."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.demo.day import Day
from cli.demo.figures import Figures
from cli.demo.plan import clock_at
from cli.demo.watching import WATCHED, Snapshot, Watcher

LOOK_SECONDS: Final = 1.0
LINE_SECONDS: Final = 5.0
RATE_WINDOW_SECONDS: Final = 5.0
BAR_WIDTH: Final = 40
STATES_ZH: Final = {
    "reported": "待核实",
    "filed": "立案",
    "assigned": "派遣",
    "accepted": "签收",
    "handled": "待核查",
    "closed": "结案",
    "merged": "并案",
    "rejected": "不予立案",
    "overdue": "超期",
}
"""What evaluation counts, in Chinese; what is overdue is counted where it stands, too, and so is what was joined."""


@dataclass(slots=True)
class View:
    """What there is to show."""

    day: Day
    planned: int
    figures: Figures
    phase: str = ""
    snapshot: Snapshot = field(default_factory=Snapshot)
    reports_per_second: float = 0.0
    events_per_second: float = 0.0

    @property
    def title(self) -> str:
        """Where the day is."""
        return f"{clock_at(self.day.share)}  {self.day.elapsed:.0f} s  {self.phase}"

    def lag(self, name: str) -> str:
        """How far a service is behind, as text."""
        behind = self.snapshot.lag.get(name)
        return "–" if behind is None else f"{behind:,}"


async def keep_showing(view: View, watcher: Watcher, console: Console) -> None:
    """Look and show until cancelled."""
    if not console.is_terminal:
        await _keep_looking(view, watcher, _lines(view, console))
        return
    with Live(_render(view), console=console, refresh_per_second=4, transient=True) as live:
        await _keep_looking(view, watcher, lambda: live.update(_render(view)))


async def _keep_looking(view: View, watcher: Watcher, show: Callable[[], None]) -> None:
    window: deque[tuple[float, int, int]] = deque()
    while True:
        view.snapshot = await watcher.look()
        if view.snapshot.states:  # evaluation has answered
            window.append((view.snapshot.at, len(view.figures.receipts), view.snapshot.events))
            _set_rates(view, window)
        show()
        await asyncio.sleep(LOOK_SECONDS)


def _set_rates(view: View, window: deque[tuple[float, int, int]]) -> None:
    end, reports, events = window[-1]
    while end - window[0][0] > RATE_WINDOW_SECONDS:
        window.popleft()
    begin, reports_before, events_before = window[0]
    if end > begin:
        view.reports_per_second = (reports - reports_before) / (end - begin)
        view.events_per_second = (events - events_before) / (end - begin)


def _lines(view: View, console: Console) -> Callable[[], None]:
    due = 0.0

    def show() -> None:
        nonlocal due
        if view.day.elapsed >= due:
            due = view.day.elapsed + LINE_SECONDS
            console.print(_line(view), soft_wrap=True)

    return show


def _line(view: View) -> str:
    states = "  ".join(
        f"{state} {zh} {view.snapshot.states.get(state, 0)}" for state, zh in STATES_ZH.items()
    )
    lag = " ".join(f"{name} {view.lag(name)}" for name in WATCHED)
    return (
        f"{view.title} | reports 上报 {len(view.figures.receipts)}/{view.planned}, {view.reports_per_second:.0f}/s"
        f" | events 事件 {view.events_per_second:.0f}/s | {states} | lag 滞后: {lag}"
    )


def _render(view: View) -> RenderableType:
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(view.title, style="bold"), ProgressBar(total=1.0, completed=view.day.share, width=BAR_WIDTH)
    )
    states = Table(box=None, padding=(0, 2, 0, 0))
    for state, zh in STATES_ZH.items():
        states.add_column(f"{state}\n{zh}", justify="right", style="red" if state == "overdue" else "")
    states.add_row(*(f"{view.snapshot.states.get(state, 0):,}" for state in STATES_ZH))
    rates = Table.grid(padding=(0, 2))
    reports = f"{len(view.figures.receipts):,} / {view.planned:,}"
    rates.add_row("reports 上报", reports, f"{view.reports_per_second:.0f}/s")
    rates.add_row("events 事件", f"{view.snapshot.events:,}", f"{view.events_per_second:.0f}/s")
    rates.add_row("lag 滞后 (events)", "  ".join(f"{name} {view.lag(name)}" for name in WATCHED))
    return Group(head, "", states, "", rates)
