"""`./whistle timers rebuild` and `./whistle timers list`: the deadlines that stand on the server.

Making them anew is done by dispatch's own code in a process of its own; here it is started, shown and reported.
"""

import asyncio
import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.output import (
    Column,
    JsonOption,
    UsageError,
    case_id_of,
    console,
    print_json,
    quiet_logs,
    shown_time,
    table,
)
from cli.stack.beside import start_beside
from cli.stack.provision import ack_wait_seconds
from cli.stack.state import Stack
from libs.events import streams
from libs.events.jetstream import JetStream, connected
from libs.events.subjects import TIMERS
from libs.events.timers import Due, Timers

SERVICE: Final = "dispatch"
PROVISIONER: Final = "provision"
READER: Final = "auditor"
SHOWN_MAX: Final = 1_000
EXIT_INCOMPLETE: Final = 1
COLUMNS: Final = (
    Column("case", "案件", wraps=False),
    Column("timer", "时限"),
    Column("due", "到期", wraps=False),
    Column("in", "剩余", right=True, wraps=False),
)
STEPS_ZH: Final = {"reading": "读取", "keeping": "设定"}


class RebuildFailed(Exception):
    """The rebuild ended without a report; the text says why."""


def register(app: typer.Typer) -> None:
    """Add the command with its two parts."""
    group = typer.Typer(no_args_is_help=True, help="Deadlines that stand on the server · 时限定时")
    group.command("rebuild", help="Make all timers anew from the log · 由事件重建定时")(rebuild)
    group.command("list", help="Show what stands, the soonest first · 查看定时")(show)
    app.add_typer(group, name="timers")


def rebuild(as_json: JsonOption = False) -> None:
    """Make all timers anew from the log, while dispatch goes on; may be stopped and run again · 由事件重建定时."""
    quiet_logs()
    stack = Stack.load()
    asyncio.run(_make_stream(stack))
    with start_beside(stack, SERVICE, f"services.{SERVICE}.timers") as process:
        report = _follow(process, console(stderr=True))
    if as_json:
        print_json(report)
    else:
        _print(report, console())
    if report["cases_unreadable"]:
        raise typer.Exit(EXIT_INCOMPLETE)


def show(
    case: Annotated[
        str | None, typer.Argument(metavar="[CASE]", help="only of this case · 只看此案件")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what stands, the soonest first · 查看定时."""
    quiet_logs()
    try:
        case_id = case_id_of(case) if case else None
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    found = sorted(asyncio.run(_standing(Stack.load(), case_id)), key=lambda due: (due.due_at, due))
    if as_json:
        print_json([{**due._asdict(), "due_at": due.due_at.isoformat()} for due in found])
        return
    out, now = console(), datetime.now(UTC)
    rows = [[due.case_id, due.name, shown_time(due.due_at), _left(due.due_at - now)] for due in found]
    out.print(table("", COLUMNS, rows[:SHOWN_MAX]))
    if len(rows) > SHOWN_MAX:
        out.print(f"and {len(rows) - SHOWN_MAX:,} later ones · 另有更晚的定时")


async def _make_stream(stack: Stack) -> None:
    """When the stream was lost, it is made as it was when all was provisioned."""
    consumers = streams.timer_consumers(ack_wait_seconds=ack_wait_seconds())
    async with connected(stack.nats_url, user=PROVISIONER, password=stack.secret(PROVISIONER)) as client:
        wanted = [each for each in streams.log_streams(stack.stream_replicas) if each.name == TIMERS]
        await streams.ensure(JetStream(client), [*wanted, *consumers])


async def _standing(stack: Stack, case_id: str | None) -> list[Due]:
    async with connected(stack.nats_url, user=READER, password=stack.secret(READER)) as client:
        timers = Timers(JetStream(client))
        case_ids = [case_id] if case_id else sorted(await timers.cases())
        found = await timers.standing(case_ids)
    return [
        Due(case, name, each.due_at)
        for case, names in found.items()
        for name, each in names.items()
        if each.due_at is not None
    ]


def _left(left: timedelta) -> str:
    seconds = round(abs(left).total_seconds())
    hours, rest = divmod(seconds, 3600)
    return f"{'-' if left < timedelta() else ''}{hours}:{rest // 60:02}:{rest % 60:02}"


def _follow(process: "subprocess.Popen[str]", out: Console) -> dict[str, Any]:
    """Show the progress; the report at the end.  Raises RebuildFailed when there is none."""
    assert process.stdout is not None
    report: dict[str, Any] | None = None
    refused = "the rebuild was ended before it was done: run it again · 重建中断，请重新执行"
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
    )
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=0)
        for line in process.stdout:
            told = json.loads(line)
            if step := told.get("progress"):
                description = f"{step['step']} · {STEPS_ZH[step['step']]}"
                bar.update(task, completed=step["done"], total=step["of"], description=description)
            report, refused = told.get("report", report), told.get("refused", refused)
    process.wait()
    if report is None:
        raise RebuildFailed(refused)
    return report


def _print(report: dict[str, Any], out: Console) -> None:
    changes = f"put up · 新设 {report['put_up']:,}; taken down · 撤销 {report['taken_down']:,}"
    out.print(f"{report['cases']:,} cases · 案件; {changes}")
    if report["cases_unreadable"]:
        examples = ", ".join(report["unreadable_examples"])
        out.print(
            f"{report['cases_unreadable']:,} cases cannot be read, their timers stay · 无法读取: {examples}",
            markup=False,
        )
