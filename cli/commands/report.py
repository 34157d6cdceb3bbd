"""`./whistle report`: report a case, as a resident does over HTTP."""

import sys
from typing import Annotated, Any, Final
from uuid import uuid4

import typer

from cli.client import ask
from cli.output import JsonOption, console, print_json
from cli.stack.state import Stack

CHANNEL: Final = "cli"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", help="Report a case · 上报案件")(report)


def report(
    category: Annotated[str | None, typer.Option(help="code of the rule book, like 1401 · 类别代码")] = None,
    description: Annotated[
        str | None, typer.Option(help="what is wrong; no names or phone numbers · 情况描述，勿填个人信息")
    ] = None,
    community: Annotated[str | None, typer.Option(help="code of the community · 社区代码")] = None,
    address: Annotated[str | None, typer.Option(help="where it is · 地址")] = None,
    latitude: Annotated[
        float | None, typer.Option("--lat", min=-90, max=90, help="degrees, WGS84 · 纬度")
    ] = None,
    longitude: Annotated[
        float | None, typer.Option("--lon", min=-180, max=180, help="degrees, WGS84 · 经度")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Report a case · 上报案件."""
    if (latitude is None) != (longitude is None):
        raise typer.BadParameter("give both or none · 请同时给出经纬度", param_hint="--lat, --lon")
    stack = Stack.load()
    asking = sys.stdin.isatty() and (category is None or description is None)
    category = category or _prompt("--category", "category, like 1401 · 类别代码", asking)
    description = description or _prompt("--description", "what is wrong? · 情况描述", asking)
    if asking and address is None:
        address = typer.prompt("where is it? · 地址", default="", show_default=False, err=True) or None
    place = {"address": address, "community": community, "latitude": latitude, "longitude": longitude}
    receipt = ask(
        stack.service_url("intake"),
        "/cases",
        body={"category": category, "description": description, "channel": CHANNEL, "place": place},
        headers={"Idempotency-Key": str(uuid4())},
    )
    _print(receipt, as_json=as_json)


def _prompt(option: str, question: str, asking: bool) -> str:
    if not asking:
        raise typer.BadParameter(
            "is needed where nobody can be asked · 非终端环境必须给出", param_hint=option
        )
    return str(typer.prompt(question, err=True))


def _print(receipt: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(receipt)
        return
    tracking = receipt["tracking_number"]
    out = console()
    out.print(f"tracking number · 查询码  [bold]{tracking}[/]")
    out.print(f"case id · 案件编号        {receipt['case_id']}")
    out.print(f"follow it · 查看经过      ./whistle show {tracking}")
