"""`./whistle demo`: a day of the example city, on real servers and services."""

from typing import Annotated

import typer

DAY_SECONDS = 60.0
CASES = 2_000
CASES_MAX = 100_000
WIDTH_OFF_TERMINAL = 110
DAY_SECONDS_MAX = 86_400.0


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("demo", help="Play a day of an example city, live · 演示示例城市的一天")
    def demo(
        cases: Annotated[
            int, typer.Option("--cases", min=1, max=CASES_MAX, help="how many · 案件数")
        ] = CASES,
        seed: Annotated[int, typer.Option("--seed", help="another day · 随机种子")] = 1,
        seconds: Annotated[
            float,
            typer.Option("--seconds", min=1, max=DAY_SECONDS_MAX, help="how long a day is · 一天的秒数"),
        ] = DAY_SECONDS,
        exits: Annotated[
            bool, typer.Option("--exit", help="end after the scoreboard · 打印排名后退出")
        ] = False,
        port: Annotated[
            list[str] | None,
            typer.Option("--port", metavar="NAME=PORT", help="a port of your choice, repeatable · 指定端口"),
        ] = None,
    ) -> None:
        import uvloop
        from rich.console import Console

        from cli.demo.play import DemoRequest
        from cli.demo.run import demo as run_demo
        from cli.stack.ports import asked_ports
        from cli.stack.state import whistle_home

        request = DemoRequest(
            home=whistle_home(),
            cases=cases,
            seed=seed,
            seconds=seconds,
            exits=exits,
            ports=asked_ports(port or []),
        )
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = WIDTH_OFF_TERMINAL
        raise typer.Exit(uvloop.run(run_demo(request, console)))
