"""`./whistle queue`: what waits for whom, now or as it was."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer

from cli.asof import AsOfOption, as_query, asked_of, city_zone, in_zone, shown_as_of
from cli.client import ask
from cli.output import Column, JsonOption, console, print_json, quiet_logs, shown_time, table
from cli.stack.state import Stack

OPERATOR: Final = "operator:cli"
_TIMES: Final = frozenset({"sign_by", "report_by", "since"})


@dataclass(frozen=True, slots=True)
class _List:
    """One list that a service has."""

    service: str
    path: str
    name: str
    columns: Mapping[str, Column]
    """By the field; a field that is no column is in the JSON alone."""
    rows: Callable[[Any], list[dict[str, Any]]] = lambda answer: answer
    """Where they stand in the answer."""


_CASE: Final = {
    "case_id": Column("case", "案件", wraps=False),
    "category": Column("category", "类别"),
    "community": Column("community", "社区"),
}
_DEPARTMENT: Final = {
    **_CASE,
    "step": Column("step", "环节"),
    "responsible": Column("responsible", "承办部门"),
    "sign_by": Column("sign by", "签收时限", wraps=False),
    "due_at": Column("due", "处置时限", wraps=False),
    "report_by": Column("report in by", "报到时限", wraps=False),
    "paused": Column("paused", "停表"),
    "level": Column("level", "层级"),
}
_CENTRE: Final = _List(
    "dispatch",
    "/centre/waiting",
    "the command centre · 指挥调度中心",
    {
        **_CASE,
        "step": Column("step", "环节"),
        "department": Column("department", "部门"),
        "acts": Column("who must act", "待办岗位"),
        "why": Column("why", "原因"),
        "due_at": Column("due", "处置时限", wraps=False),
        "since": Column("since", "起始", wraps=False),
    },
)
_REPORTS: Final = _List(
    "intake",
    "/waiting",
    "reports that wait for a specialist · 待核实的上报",
    {
        **_CASE,
        "channel": Column("channel", "渠道"),
        "description": Column("description", "描述"),
        "reported_at": Column("reported", "上报时间", wraps=False),
    },
    rows=lambda answer: answer["reports"],
)
_VERIFY: Final = _List(
    "evaluation",
    "/to-verify",
    "cases to verify · 待核查案件",
    {
        **_CASE,
        "department": Column("department", "部门"),
        "handled_at": Column("handled", "处置时间", wraps=False),
        "verify_due_at": Column("verify by", "核查时限", wraps=False),
    },
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("queue", help="What waits for whom, now or as it was · 查看待办")(queue)


def queue(
    department: Annotated[
        str | None, typer.Argument(metavar="[DEPARTMENT]", help="code of the department · 部门代码")
    ] = None,
    centre: Annotated[bool, typer.Option("--centre", help="of the command centre · 指挥中心待办")] = False,
    reports: Annotated[
        bool, typer.Option("--reports", help="reports that wait for a specialist · 待核实的上报")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="cases to verify · 待核查案件")] = False,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """What waits for a department, the centre, the specialists or the verifiers · 查看待办."""
    quiet_logs()
    asked = asked_of(as_of)
    wanted = _wanted(department, {_CENTRE.path: centre, _REPORTS.path: reports, _VERIFY.path: verify})
    stack = Stack.load()
    zone = asyncio.run(city_zone(stack))
    meant = None if asked is None else in_zone(asked, zone)
    url, query = stack.service_url(wanted.service), as_query(meant) if meant else None
    with console(stderr=True).status("reading · 正在读取"):  # a terminal alone shows it
        answer = ask(url, wanted.path, query=query, as_=OPERATOR)
    if as_json:
        print_json(answer)
        return
    shown = f", as of {shown_as_of(meant)} · 截至" if meant else ""
    _print(wanted, wanted.rows(answer), f"{wanted.name}{shown}", zone)


def _wanted(department: str | None, others: Mapping[str, bool]) -> _List:
    chosen = [each for each in (_CENTRE, _REPORTS, _VERIFY) if others[each.path]]
    if len(chosen) + (department is not None) != 1:
        raise typer.BadParameter(
            "name a department, or give one of --centre, --reports, --verify · 请指定一个部门或一种待办"
        )
    if department is None:
        return chosen[0]
    path = f"/departments/{quote(department, safe='')}/queue"
    return _List("dispatch", path, f"queue of {department} · 部门待办", _DEPARTMENT)


def _print(wanted: _List, rows: Sequence[Mapping[str, Any]], title: str, zone: ZoneInfo) -> None:
    shown = [[_cell(field, row[field], zone) for field in wanted.columns] for row in rows]
    console().print(table(f"{title}: {len(rows):,}", list(wanted.columns.values()), shown))


def _cell(field: str, value: object, zone: ZoneInfo) -> str:
    if value is None:
        return ""
    is_time = field in _TIMES or field.endswith("_at")
    return shown_time(datetime.fromisoformat(str(value)), zone) if is_time else str(value)
