"""`./whistle bench`: how fast it is on this machine, beside a peer."""

import asyncio
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench.plan import EVENTS_PER_CASE, QUICK, Measure, Plan
from bench.run import run
from bench.show import show
from bench.work import Tell
from cli.stack.state import whistle_home
from cli.stopping import EXIT_INTERRUPTED, until_told_to_stop
from libs.events import telemetry
from libs.events.memory import spare_collector
from libs.events.settings import TelemetrySettings

EXIT_FAILED: Final = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench", help="Measure speed on this machine · 性能测试")(bench)


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="small numbers, in less than a minute · 快速，仅供检查")
    ] = False,
    only: Annotated[list[Measure] | None, typer.Option(help="repeatable · 只测这些项目")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="default: .whistle/bench/<time>.json · 结果文件")
    ] = None,
    events: Annotated[
        int | None, typer.Option(min=EVENTS_PER_CASE, help="to replay and project · 重放的事件数")
    ] = None,
    cases: Annotated[int | None, typer.Option(min=1, help="rows of one import · 导入的行数")] = None,
) -> None:
    """Measure speed on this machine · 性能测试.

    Starts servers of its own in a temporary folder: what you have is not touched, and nothing stays behind.
    """
    plan = _plan(quick=quick, only=only or [], events=events, cases=cases)
    parent = whistle_home() / "bench"
    # The bench starts and stops servers all the time: lines about lost connections would only confuse.
    quiet = TelemetrySettings().model_copy(update={"log_level": "error", "otlp_endpoint": ""})
    telemetry.start("bench", quiet)
    spare_collector()
    try:
        with _progress() as tell:
            results = uvloop.run(until_told_to_stop(run(plan, parent, tell)))
    except asyncio.CancelledError:
        typer.echo("stopped, nothing is left behind · 已停止，未留下任何数据", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        telemetry.stop()
    show(results, Console())
    file = json_file or parent / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    typer.echo(f"saved · 已保存: {file}")
    if results.failure:
        typer.echo(f"whistle: {results.failure}", err=True)
        raise typer.Exit(EXIT_FAILED)


def _plan(*, quick: bool, only: list[Measure], events: int | None, cases: int | None) -> Plan:
    plan = QUICK if quick else Plan()
    return replace(
        plan,
        measures=frozenset(only) or plan.measures,
        events=events - events % EVENTS_PER_CASE if events else plan.events,
        import_cases=cases or plan.import_cases,
    )


@contextmanager
def _progress() -> Generator[Tell]:
    """Shows what is being measured: a line that changes on a terminal, a line each elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: console.print(text, highlight=False, soft_wrap=True)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as bar:
        task = bar.add_task("")
        yield lambda text: bar.update(task, description=text)
