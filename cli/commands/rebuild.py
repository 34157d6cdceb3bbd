"""`./whistle rebuild SERVICE`: build a service's read models anew from the log while the old ones answer.

The work is done by the service's own code in a process of its own; here it is started, shown and reported.
"""

import json
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from cli.importing.progress import LINE_SECONDS, Pace
from cli.output import Column, JsonOption, console, print_json, table
from cli.stack.beside import start_beside
from cli.stack.state import Stack

COLUMNS: Final = (
    Column("table", "表"),
    Column("digest, old and new", "摘要（旧、新）", wraps=False),
    Column("equal", "一致"),
)
EXIT_NOT_SWITCHED: Final = 1


class Service(StrEnum):
    """A service that keeps read models."""

    EVALUATION = "evaluation"
    DISPATCH = "dispatch"
    INTAKE = "intake"
    NOTIFY = "notify"


class RebuildFailed(Exception):
    """The rebuild ended without a report; the text says why."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rebuild", help="Build read models anew from the log · 由事件重建读模型")(rebuild)


def rebuild(
    service: Annotated[Service, typer.Argument(help="whose read models · 服务")],
    accept_differences: Annotated[
        bool, typer.Option("--accept-differences", help="switch although old and new differ · 有差异也切换")
    ] = False,
    back: Annotated[
        bool, typer.Option("--back", help="to the generation before, brought level first · 退回上一代")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Build read models anew from the log; the old ones answer all along · 由事件重建读模型."""
    stack = Stack.load()
    began = time.monotonic()
    chosen = {"--accept-differences": accept_differences, "--back": back}
    arguments = [option for option, is_chosen in chosen.items() if is_chosen]
    with start_beside(stack, service, f"services.{service}.rebuild", arguments) as process:
        report = follow(process, service, console(stderr=True))
    report["seconds"] = round(time.monotonic() - began, 2)
    if as_json:
        print_json(report)
    else:
        _print(report, console(), "cases" if back else "events")
    if not report["switched"]:
        raise typer.Exit(EXIT_NOT_SWITCHED)


def follow(process: "subprocess.Popen[str]", service: Service, out: Console) -> dict[str, Any]:
    """Show the progress; the report at the end.  Raises RebuildFailed when there is none."""
    assert process.stdout is not None
    report: dict[str, Any] | None = None
    refused = f"the rebuild of {service} was ended before it was done: run it again · 重建中断，请重新执行"
    with _shown(service, out) as on_progress:
        for line in process.stdout:
            told = json.loads(line)
            if "progress" in told:
                on_progress(told["progress"]["position"], told["progress"]["last_position"])
            report, refused = told.get("report", report), told.get("refused", refused)
    process.wait()
    if report is None:
        raise RebuildFailed(refused)
    return report


OnProgress = Callable[[int, int], None]


@contextmanager
def _shown(service: Service, out: Console) -> Generator[OnProgress]:
    """Done, of, rate and time left: a bar on a terminal, now and then a line elsewhere; what is given takes both."""
    if out.is_terminal:
        with _bar(service, out) as on_progress:
            yield on_progress
    else:
        yield _lines(service, out)


def _lines(service: Service, out: Console) -> OnProgress:
    pace, said_at = Pace(), time.monotonic()
    pace.rate(said_at, 0)

    def on_progress(done: int, of: int) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at < LINE_SECONDS and done < of:
            return
        said_at, rate = now, pace.rate(now, done)
        left = f"{(of - done) / rate:,.0f} s left" if done < of and rate else "comparing · 比对"
        out.print(f"{service} · 重建: {done:,} of {of:,}, {rate:,.0f}/s, {left}", markup=False)

    return on_progress


@contextmanager
def _bar(service: Service, out: Console) -> Generator[OnProgress]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} events"),
        _Rate(),
        TimeRemainingColumn(),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )
    with bar:
        task = bar.add_task(f"{service} · 重建", total=0)

        def on_progress(done: int, of: int) -> None:
            comparing = done >= of
            bar.update(
                task,
                completed=done,
                total=of,
                description="comparing · 比对" if comparing else f"{service} · 重建",
            )

        yield on_progress


class _Rate(ProgressColumn):
    """Events per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")


def _print(report: dict[str, Any], out: Console, what: str) -> None:
    rate = report["events"] / report["seconds"]
    out.print(f"{report['events']:,} {what} in {report['seconds']:.1f} s, {rate:,.0f}/s")
    if report["tables"]:
        out.print(table(f"{report['service']}", COLUMNS, map(_row, report["tables"])))
    for line in _remarks(report):
        out.print(line, markup=False)


def _row(each: dict[str, Any]) -> list[str | Text]:
    digests = f"{each['old_digest'] or 'new table · 新表'}\n{each['new_digest']}"
    return [each["name"], digests, _verdict(each)]


def _verdict(each: dict[str, Any]) -> Text:
    if each["different_cases"]:
        lines = (f"{each['different_cases']:,} cases differ · 有差异的案件", *each["examples"])
        return Text("\n".join(lines), style="red")
    if each["old_digest"] == each["new_digest"]:
        return Text("yes · 一致", style="green")
    return Text("in what both hold · 共有部分一致")


def _remarks(report: dict[str, Any]) -> Iterator[str]:
    for each in report["tables"]:
        if each["columns_not_compared"]:
            yield f"{each['name']}: new columns, not compared · 新列未比对: {', '.join(each['columns_not_compared'])}"
    if report["cases_ahead"]:
        yield f"{report['cases_ahead']:,} cases had more events in the log than the old read models held · 新读模型更新"
    if report["cases_parked_anew"]:
        examples = ", ".join(report["parked_examples"])
        yield f"{report['cases_parked_anew']:,} cases fail in the new read models · 新读模型无法处理: {examples}"
    old, new = report["old_generation"], report["new_generation"]
    if report["switched"]:
        yield f"switched from generation {old} to {new} · 已切换"
    else:
        yield (
            f"not switched: generation {old} goes on answering; if the differences are meant,"
            " --accept-differences switches · 存在差异，未切换"
        )
