"""`./whistle appraisal`: who was appraised how, and why."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from cli.asof import AsOfOption, as_query, asked_of, city_zone, in_zone
from cli.client import ask
from cli.output import Column, JsonOption, UsageError, console, harmless, print_json, quiet_logs, table
from cli.stack.state import Stack
from libs.events.appraisal import Subject

_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
KEYS_ZH: Final[Mapping[str, str]] = {
    "department": "部门",
    "street": "街道",
    "community": "社区",
    "grid": "网格",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("appraisal", help="Who is appraised how, and why · 考核评价")(appraisal)


def appraisal(
    by: Annotated[Subject, typer.Option(help="who is appraised · 考核对象")] = Subject.DEPARTMENT,
    month: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM",
            help="that of --as-of, or this one, by default · 月份（默认截至时间所在月或本月）",
        ),
    ] = None,
    explain: Annotated[
        str | None, typer.Option(metavar="CODE", help="how the score of one came about · 说明某一对象的得分")
    ] = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who is appraised how, and why · 考核评价."""
    quiet_logs()
    asked = asked_of(as_of)
    stack = Stack.load()
    zone = asyncio.run(city_zone(stack))
    meant = None if asked is None else in_zone(asked, zone)
    try:
        since, until = month_in(month or _month_of(meant, zone), zone)
    except UsageError as error:
        raise typer.BadParameter(str(error), param_hint="--month") from error
    query = {"by": by.value, "since": since.isoformat(), "until": until.isoformat()}
    query |= {} if meant is None else as_query(meant)
    result: dict[str, Any] = ask(stack.service_url("evaluation"), "/appraisal", query=query)
    score = None if explain is None else score_of(result, explain)
    if as_json:
        print_json(score or result)
    elif score is None:
        show(result, since.strftime("%Y-%m"))
    else:
        show_reasons(result, score)


def month_in(month: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first moments of a month and of the next one, by the city's clocks.  Raises UsageError."""
    found = _MONTH.fullmatch(month)
    if found is None or found[1] in {"0000", "9999"}:
        raise UsageError(f"{month}: write a month like 2026-03 · 月份格式不正确")
    year, number = int(found[1]), int(found[2])
    first = date(year, number, 1)
    following = date(year + number // 12, number % 12 + 1, 1)
    return datetime.combine(first, time(), zone), datetime.combine(following, time(), zone)


def score_of(result: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The score of one subject.  Raises UsageError when it was not appraised."""
    score: dict[str, Any] | None = next((each for each in result["scores"] if each["key"] == key), None)
    if score is None:
        known = ", ".join(sorted(each["key"] for each in result["scores"])) or "nobody"
        raise UsageError(f"{key} was not appraised; who was: {known} · 无此考核对象")
    return score


def _month_of(as_of: datetime | int | None, zone: ZoneInfo) -> str:
    """The month of a moment; of a position, which names no day, and of none, this month."""
    moment = as_of if isinstance(as_of, datetime) else datetime.now(UTC)
    return moment.astimezone(zone).strftime("%Y-%m")


def show(result: Mapping[str, Any], month: str) -> None:
    """Everybody's total, rank and items."""
    by = result["by"]
    items = result["scores"][0]["items"] if result["scores"] else ()
    columns = (
        Column("rank", "名次", right=True),
        Column(by, KEYS_ZH[by]),
        Column("total", f"总分（{result['points']}）", right=True),
        Column("grade", "等次"),
        *(Column(_heading(item), item["name"]["zh"], right=True) for item in items),
    )
    name = result["name"]
    title = f"{name['en']} · {name['zh']}, {month}\n{result['note']}"
    console().print(table(title, columns, map(_row, result["scores"])))


def _heading(item: Mapping[str, Any]) -> str:
    return f"{item['name']['en']} ({item['points']})" if item["points"] else str(item["name"]["en"])


def _row(score: Mapping[str, Any]) -> list[str]:
    grade = score["grade"]
    return [
        str(score["rank"] or "-"),
        score["key"],
        score["total"] or "no case · 无案件",
        f"{grade['en']} · {grade['zh']}" if grade else "",
        *(item["score"] or "-" for item in score["items"]),
    ]


def show_reasons(result: Mapping[str, Any], score: Mapping[str, Any]) -> None:
    """Every item with the sentence that says how it came about, and the counts it is made of."""
    rank = f", rank {score['rank']} of {len(result['scores'])}" if score["rank"] else ""
    title = f"{result['name']['en']} · {result['name']['zh']}: {score['key']}, {score['total'] or '-'}{rank}"
    columns = (
        Column("item", "考核项"),
        Column("score", "得分", right=True),
        Column("how", "说明"),
        Column("counts", "指标"),
    )
    console().print(table(title, columns, (_reasons(item) for item in score["items"])))
    steps = ", ".join(f"{step['name']} {step['value']}" for step in score["steps"])
    console().print(harmless("; ".join(filter(None, (steps, ", ".join(score["applied"]))))), markup=False)


def _reasons(item: Mapping[str, Any]) -> Sequence[str]:
    counts = ", ".join(f"{used['name']} {used['value']}" for used in item["measures"])
    name, told = item["name"], item["told"]
    return f"{name['en']}\n{name['zh']}", item["score"] or "-", f"{told['en']}\n{told['zh']}", counts
