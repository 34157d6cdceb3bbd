"""`./whistle scoreboard`: who is on time, and who is late."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from cli.asof import AsOfOption, as_query, asked_of, city_zone, in_zone, shown_as_of
from cli.client import ask
from cli.output import (
    Column,
    JsonOption,
    console,
    print_json,
    quiet_logs,
    table,
)
from cli.stack.state import Stack

SUMMED: Final = ("cases", "closed", "due", "overdue", "met")
COUNTS: Final = (
    Column("cases", "案件", right=True),
    Column("closed", "结案", right=True),
    Column("due", "有时限", right=True),
    Column("overdue", "超时", right=True),
    Column("met", "按时", right=True),
    Column("median hours to close", "结案用时中位数（小时）", right=True),
)


class By(StrEnum):
    """What a scoreboard is broken down by."""

    DEPARTMENT = "department"
    STREET = "street"
    COMMUNITY = "community"
    GRID = "grid"
    CATEGORY = "category"
    CHANNEL = "channel"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ROLLING = "rolling"


KEYS_ZH: Final = {
    By.DEPARTMENT: "部门",
    By.STREET: "街道",
    By.COMMUNITY: "社区",
    By.GRID: "网格",
    By.CATEGORY: "类别",
    By.CHANNEL: "渠道",
    By.DAY: "日",
    By.WEEK: "周",
    By.MONTH: "月份",
    By.ROLLING: "滚动 30 天",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("scoreboard", help="Who is on time, and who is late · 办理情况排名")(scoreboard)


def scoreboard(
    by: Annotated[By, typer.Option(help="one line for each · 分组")] = By.DEPARTMENT,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who is on time, and who is late · 办理情况排名."""
    quiet_logs()
    asked = asked_of(as_of)
    stack = Stack.load()
    # What names no zone is meant, and the time in the title is told, by the clocks of the city.
    zone = asyncio.run(city_zone(stack))
    meant = datetime.now(zone) if asked is None else in_zone(asked, zone)
    query = {"by": by.value} | ({} if asked is None else as_query(meant))
    scores = ask(stack.service_url("evaluation"), "/scoreboard", query=query)
    if as_json:
        print_json(scores)
        return
    shown = shown_as_of(meant)
    _print(by, scores, f"by {by.value}, as of {shown} · 截至 {shown}")


def _print(by: By, scores: Sequence[dict[str, Any]], title: str) -> None:
    by_key = by in {By.DAY, By.WEEK, By.ROLLING}
    ordered = sorted(scores, key=lambda score: (0 if by_key else -score["cases"], score["key"] or ""))
    total = [f"{sum(score[name] for score in scores):,}" for name in SUMMED]
    columns = (Column(by.value, KEYS_ZH[by]), *COUNTS)
    # A rolling figure counts each case on thirty days.
    last = () if by is By.ROLLING else ("all · 合计", *total, "")
    console().print(table(title, columns, map(_row, ordered), last))


def _row(score: dict[str, Any]) -> list[str]:
    median = score["median_hours_to_close"]
    counts = [f"{score[name]:,}" for name in SUMMED]
    return [score["key"] or "none · 无", *counts, "" if median is None else f"{median:,.2f}"]
