"""`./whistle patrol orders` and `./whistle patrol list`: send grid workers round, and see what they passed."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli.asof import AsOfOption, as_query, asked_of, in_zone
from cli.client import ask
from cli.output import Column, JsonOption, console, print_json, quiet_logs, shown_time, table
from cli.stack.state import Stack
from libs.events import policy
from libs.events.jetstream import JetStream, connected

READER = "auditor"
OPERATOR = "operator:cli"
COLUMNS = (
    Column("grid", "网格"),
    Column("order", "任务编号", wraps=False),
    Column("until", "截止", wraps=False),
    Column("passed", "已到点位", right=True),
    Column("found", "发现", right=True),
    Column("missed", "漏报", right=True),
    Column("ended by", "结束方式"),
)

Day = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="like 2026-03-02; today by the city's clocks if not given · 日期"),
]


def register(app: typer.Typer) -> None:
    """Add the command with its two parts."""
    group = typer.Typer(no_args_is_help=True, help="Patrols of grid workers · 网格巡查")
    group.command("orders", help="Order the day's patrols, one for each grid · 下达当日巡查任务")(order)
    group.command("list", help="What was passed, found and missed · 查看巡查情况")(show)
    app.add_typer(group, name="patrol")


def order(day: Day = None, as_json: JsonOption = False) -> None:
    """Order the day's patrols, one for each grid; those that there are stay · 下达当日巡查任务."""
    quiet_logs()
    stack = Stack.load()
    asked = day or _today(asyncio.run(_book(stack)))
    made = ask(stack.service_url("dispatch"), "/patrols/orders", body={"day": asked}, as_=OPERATOR)
    if as_json:
        print_json(made)
        return
    new = sum(each["new"] for each in made)
    console().print(
        f"{new} ordered, {len(made) - new} stood already · 新下达 {new} 个，已有 {len(made) - new} 个"
    )


def show(
    day: Day = None,
    grid: Annotated[str | None, typer.Option(help="code of the grid · 网格代码")] = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was passed, found and missed on a day · 查看巡查情况."""
    quiet_logs()
    moment = asked_of(as_of)
    stack = Stack.load()
    book = asyncio.run(_book(stack))
    asked = day or _today(book)
    query = {"day": asked} | ({"grid": grid} if grid else {})
    query |= {} if moment is None else as_query(in_zone(moment, book.zone))
    orders = ask(stack.service_url("dispatch"), "/patrols", query=query, as_=OPERATOR)
    if as_json:
        print_json(orders)
        return
    console().print(
        table(f"patrols of {asked} · {asked} 巡查", COLUMNS, [_row(each, book) for each in orders])
    )


def _today(book: policy.RuleBook) -> str:
    return book.local(datetime.now(UTC)).date().isoformat()


async def _book(stack: Stack) -> policy.RuleBook:
    async with connected(stack.nats_url, user=READER, password=stack.secret(READER)) as client:
        return await policy.current(JetStream(client))


def _row(order: dict[str, Any], book: policy.RuleBook) -> list[str]:
    return [
        order["grid"],
        order["order_id"],
        shown_time(book.local(datetime.fromisoformat(order["until"]))),
        f"{order['passed']}/{order['points']}",
        str(order["finds"]),
        str(order["missed_finds"]),
        order["ended_by"] or "",
    ]
