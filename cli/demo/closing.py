"""What the demo prints at the end: the scoreboard, the figures, where to look further."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.demo.figures import Figures, quantile
from cli.stack.state import Stack
from libs.events.policy import RuleBook

HEADINGS = ("cases\n案件", "closed\n结案", "overdue\n超期", "in time\n按时", "%\n按时率", "median\n中位时长")
_COUNTS = ("cases", "closed", "overdue", "met")
_NONE = "–"
FASTER = frozenset({"already_filed", "already_merged", "already_rejected", "case_merged", "case_closed"})
"""Refusals that only say that somebody else was faster: the rule book, or another report of the same."""


def problems_of(figures: Figures, lost: Sequence[str]) -> list[str]:
    """What does not add up after the day, each in one line; `lost` are case ids."""
    refused = Counter(
        {
            f"{verb} {reason}": count
            for (verb, reason), count in figures.deeds.refused.items()
            if reason not in FASTER
        }
    )
    reasons = ", ".join(refused)
    found = (
        (
            len(lost),
            f"cases are not as they should be in the read models · 读模型有误: {', '.join(lost[:3])}",
        ),
        (figures.reports_refused, "reports were refused · 上报被拒绝"),
        (figures.reports_given_up, "reports got no answer · 上报无应答"),
        (refused.total(), f"acts were refused · 操作被拒绝: {reasons}"),
        (figures.deeds.unanswered, "acts got no answer · 操作无应答"),
        (figures.lookups_failed, "lookups failed · 查询失败"),
    )
    return [f"{count} {what}" for count, what in found if count]


def scoreboard(lines: Sequence[Mapping[str, Any]], book: RuleBook, figures: Figures) -> Table:
    """The scoreboard with the departments' names, the most punctual first."""
    table = Table(
        title="Scoreboard · 部门办理情况", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("department\n部门")
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    names = {department.code: department.name for department in book.departments}
    known = sorted((line for line in lines if line["key"] in names), key=_punctuality, reverse=True)
    for line in known:
        name = names[line["key"]]
        hours = figures.hours_to_close.get(line["key"], [])
        table.add_row(f"{name.zh} {name.en}", *_cells(line), _duration(hours, book.city.time_lapse))
    others = [line for line in lines if line["key"] not in names]
    if others:
        table.add_row("其他 others", *_cells(_sum(others)), _NONE, style="dim")
    hours = [each for of_one in figures.hours_to_close.values() for each in of_one]
    table.add_section()
    table.add_row("合计 total", *_cells(_sum(lines)), _duration(hours, book.city.time_lapse), style="bold")
    minutes = book.city.time_lapse / 60
    table.caption = f"1 s here = {minutes:g} min there · 这里 1 秒相当于 {minutes:g} 分钟"
    table.caption_justify = "left"
    return table


def print_figures(console: Console, figures: Figures, planned: int, lost: int) -> None:
    """What the players did and saw."""
    seen = figures.seconds_to_assignment()
    p50, p99 = (_milliseconds(quantile(seen, share)) for share in (0.5, 0.99))
    acknowledged = len(figures.receipts)

    def done(*names: str) -> str:
        return ", ".join(f"{figures.deeds.count(name).total():,}" for name in names)

    rows = (
        ("reports acknowledged · 上报已确认", f"{acknowledged:,} / {planned:,}"),
        ("... in the read models · 读模型可查", f"{acknowledged - lost:,}"),
        ("report to department · 上报到派遣", f"p50 {p50}, p99 {p99}"),
        ("signed for, handled · 签收、处置", done("accepted", "handled")),
        ("confirmed, rejected · 核实立案、不予立案", done("filed", "rejected")),
        ("verified, sent back · 核查通过、返工", done("verified", "handling-returned")),
        ("acts refused · 操作被拒绝", f"{figures.deeds.refused.total():,}"),
        ("looked up · 居民查询", f"{figures.lookups:,}"),
        ("sent again, asked again · 重发", f"{figures.requests_again:,}, {figures.deeds.again:,}"),
        ("delivered again · 重复投递", f"{figures.redelivered:,}"),
    )
    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_pointers(console: Console, stack: Stack, case_id: str | None, *, stays: bool) -> None:
    """Where to look further; `stays`: the stack goes on running."""
    console.print("\n[bold]Where to look further · 继续了解[/]")
    if stays:
        for process in stack.processes:
            if process.url.startswith("http"):
                console.print(f"  {process.name:<12} {process.url}/docs", soft_wrap=True)
    else:
        console.print("  ./whistle up")
    console.print("  ./whistle scoreboard --by community")
    if case_id is not None:
        console.print(f"  ./whistle show {case_id}")
    console.print("  ./whistle watch")
    console.print(f"  logs · 日志: {escape(str(stack.home / 'log'))}", soft_wrap=True)


def _punctuality(line: Mapping[str, Any]) -> float:
    judged = line["met"] + line["overdue"]
    return line["met"] / judged if judged else 0.0


def _cells(line: Mapping[str, Any]) -> list[str]:
    judged = line["met"] + line["overdue"]
    share = f"{100 * _punctuality(line):.0f}" if judged else _NONE
    return [*(f"{line[count]:,}" for count in _COUNTS), share]


def _sum(lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    lines = list(lines)
    return {count: sum(line[count] for line in lines) for count in _COUNTS}


def _duration(real_hours: Sequence[float], time_lapse: int) -> str:
    """The median time to close, in hours as the exercise counts them."""
    return f"{median(real_hours) * time_lapse:.1f} h" if real_hours else _NONE


def _milliseconds(seconds: float | None) -> str:
    return _NONE if seconds is None else f"{seconds * 1000:.0f} ms"
