"""`./whistle simulate`: a whole town on the real services, and whether every promise was kept."""

import asyncio
import json
from typing import Annotated, Any

import typer

CASES = 1_000
CASES_MAX = 1_000_000
RATE = 20.0
RATE_MAX = 10_000.0
SCALE = 1_440
SCALE_MAX = 86_400
STALL_SECONDS_MAX = 60.0
SLACK_SECONDS = 3.0
SLACK_SECONDS_MAX = 3_600.0
PROBLEMS_SHOWN_MAX = 20
EXIT_BROKEN = 1


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        "simulate", help="A seeded town lives on the real services; every promise is checked · 模拟全流程"
    )
    def simulate(
        cases: Annotated[
            int, typer.Option("--cases", min=1, max=CASES_MAX, help="how many reports · 上报数")
        ] = CASES,
        rate: Annotated[
            float,
            typer.Option("--rate", min=0.1, max=RATE_MAX, help="reports a second · 每秒上报数"),
        ] = RATE,
        seed: Annotated[int, typer.Option("--seed", help="another town · 随机种子")] = 1,
        scale: Annotated[
            int,
            typer.Option(
                "--scale", min=2, max=SCALE_MAX, help="seconds of a limit in one real second · 时间倍率"
            ),
        ] = SCALE,
        slack: Annotated[
            float,
            typer.Option(
                "--slack",
                min=0.1,
                max=SLACK_SECONDS_MAX,
                help="how late a clock may be, in seconds · 允许迟延",
            ),
        ] = SLACK_SECONDS,
        as_json: Annotated[bool, typer.Option("--json", help="for programs · 机器可读")] = False,
        port: Annotated[
            list[str] | None,
            typer.Option("--port", metavar="NAME=PORT", help="a port of your choice, repeatable · 指定端口"),
        ] = None,
    ) -> None:
        town = {"cases": cases, "rate": rate, "seed": seed, "stall_seconds_max": STALL_SECONDS_MAX}
        report = _report_of(town, scale=scale, slack_seconds=slack, ports=port or [])
        if as_json:
            typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
        else:
            _show(report)
        raise typer.Exit(EXIT_BROKEN if report["problems"] else 0)


def _report_of(town: dict[str, Any], *, scale: int, slack_seconds: float, ports: list[str]) -> dict[str, Any]:
    import uvloop
    from rich.console import Console

    from cli.simulate.run import SimulateRequest, simulate
    from cli.simulate.town import Town
    from cli.stack.ports import asked_ports
    from cli.stack.state import whistle_home
    from cli.stopping import EXIT_INTERRUPTED, until_told_to_stop

    request = SimulateRequest(
        home=whistle_home(),
        town=Town(**town),
        scale=scale,
        slack_seconds=slack_seconds,
        ports=asked_ports(ports),
    )
    console = Console(highlight=False, stderr=True)
    try:
        return uvloop.run(until_told_to_stop(simulate(request, console))).as_json()
    except asyncio.CancelledError:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    for name, value in report.items():
        if name != "problems":
            table.add_row(name.replace("_", " "), json.dumps(value, ensure_ascii=False))
    console.print(table)
    problems = report["problems"]
    for problem in problems[:PROBLEMS_SHOWN_MAX]:
        console.print(f"[red]! {problem}[/]", soft_wrap=True)
    if len(problems) > PROBLEMS_SHOWN_MAX:
        console.print(f"[red]! and {len(problems) - PROBLEMS_SHOWN_MAX} more · 另有更多[/]")
    if not problems:
        console.print("[green]every promise was kept · 所有承诺均已兑现[/]")
