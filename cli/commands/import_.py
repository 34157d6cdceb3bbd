"""`./whistle import`: another system's history, from a CSV file and a mapping."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop
from nats.aio.client import Client
from rich.console import Console

from cli.importing.check import VALUES_SHOWN_MAX, Findings, look
from cli.importing.errors import ImportStalled, MappingInvalid, SourceInvalid
from cli.importing.importer import run_import
from cli.importing.mapping import load
from cli.importing.progress import shown
from cli.importing.rejects import Rejects, default_path
from cli.importing.rows import Row
from cli.importing.source import SourceFile, preflight
from cli.importing.tally import Tally
from cli.stack.ledger_store import ledger_store
from cli.stack.state import Stack
from libs.events import telemetry
from libs.events.books import cases_in_files
from libs.events.jetstream import JetStream, connected
from libs.events.ledger.archive import opened_in
from libs.events.log import Log, opened
from libs.events.memory import spare_collector
from libs.events.settings import TelemetrySettings, read
from libs.events.subjects import CASES

USER: Final = "importer"
CONNECT_SECONDS_MAX: Final = 60.0
EXIT_REJECTS: Final = 1
EXIT_REFUSED: Final = 2
"""The mapping or the file is wrong; nothing was written."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import", help="Bring in a city's cases from a CSV file · 从 CSV 导入案件")(import_)


def import_(
    file: Annotated[Path, typer.Argument(help="CSV, plain or packed with gzip or xz · CSV 文件")],
    mapping: Annotated[Path, typer.Option(help="what its columns mean: docs/import.md · 字段映射")],
    rejects: Annotated[
        Path | None, typer.Option(help="where rows go that cannot be taken · 无法导入的行")
    ] = None,
    allow_rejects: Annotated[
        bool, typer.Option("--allow-rejects", help="exit 0 although there are some · 允许有拒绝的行")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="only look, write nothing to the log · 仅检查，不写入")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="do not wait for the read models · 不等待读模型")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs · 机器可读")] = False,
) -> None:
    """Bring in a city's cases from a CSV file · 从 CSV 导入案件."""
    try:
        source = preflight(file, load(mapping))
        with Rejects(rejects or default_path(file), file) as sink:
            if check:
                _print_findings(look(source, sink), sink, as_json=as_json)
            else:
                stack = Stack.load()
                started = time.monotonic()
                tally = uvloop.run(_run(stack, source, sink, wait=not no_wait))
                _print_tally(source, tally, sink, time.monotonic() - started, as_json=as_json)
    except (MappingInvalid, SourceInvalid) as error:
        typer.echo(f"whistle: {error}", err=True)
        raise typer.Exit(EXIT_REFUSED) from error
    except KeyboardInterrupt:
        typer.echo(
            "interrupted; the same command goes on where it stopped · 已中断，重新执行即可继续", err=True
        )
        raise
    if sink.count and not allow_rejects:
        raise typer.Exit(EXIT_REJECTS)


async def _run(stack: Stack, source: SourceFile, rejects: Rejects, *, wait: bool) -> Tally:
    # Whether the log is away, the progress says; lines about it would only tear the bar.
    settings = read(TelemetrySettings)
    telemetry.start(USER, settings.model_copy(update={"log_level": "error"}))
    spare_collector()
    tally = Tally()
    try:
        async with AsyncExitStack() as resources:
            client = await _connection(resources, stack)
            log = await resources.enter_async_context(opened(client))
            await resources.enter_async_context(shown(tally, Console(stderr=True)))
            return await run_import(
                *(source, log, JetStream(client)),
                rejects=rejects,
                tally=tally,
                wait_for_read_models=wait,
                in_books=await _in_books(stack, log),
            )
    finally:
        telemetry.stop()


async def _in_books(stack: Stack, log: Log) -> frozenset[str]:
    """The cases of closed books: the log does not know them any more, and would take them for new ones."""
    first = await log.first_position()
    if first == 1:
        return frozenset()
    return await cases_in_files(await opened_in(ledger_store(stack.home), CASES), first)


async def _connection(resources: AsyncExitStack, stack: Stack) -> Client:
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            connection = connected(stack.nats_url, user=USER, password=stack.secret(USER))
            return await resources.enter_async_context(connection)
    except TimeoutError as error:
        reason = f"the log could not be reached for {CONNECT_SECONDS_MAX:.0f} s; nothing was written"
        raise ImportStalled(reason) from error


def _print_tally(
    source: SourceFile, tally: Tally, rejects: Rejects, seconds: float, *, as_json: bool
) -> None:
    if as_json:
        typer.echo(json.dumps(_result(source, tally, rejects, seconds), ensure_ascii=False))
        return
    typer.echo(
        f"{tally.events_added:,} events added, {tally.rows_there:,} rows already there "
        f"· 新增事件 {tally.events_added:,} 条，已有 {tally.rows_there:,} 行"
    )
    typer.echo(f"{tally.rows:,} rows in {seconds:.1f} s, {tally.rows / seconds:,.0f} rows/s")
    if tally.rows_in_books:
        typer.echo(
            f"{tally.rows_in_books:,} of them are in closed books and were left alone (./whistle books reopen)"
            " · 已结账，未处理"
        )
    if tally.rows_reworded:
        typer.echo(
            f"{tally.rows_reworded:,} rows have other texts than the log; what was imported first stands"
        )
    if tally.behind:
        typer.echo(f"the read models are still {tally.behind:,} events behind")
    _print_rejects(rejects)


def _print_rejects(rejects: Rejects) -> None:
    if rejects.count:
        typer.echo(
            f"{rejects.count:,} rows rejected, with line, column and reason in {rejects.path} "
            f"· {rejects.count:,} 行被拒绝",
            err=True,
        )


def _result(source: SourceFile, tally: Tally, rejects: Rejects, seconds: float) -> dict[str, Any]:
    counts = asdict(tally)
    del counts["done"], counts["waiting_for_log"]
    return {
        "system": source.mapping.system,
        **counts,
        "rejects_file": str(rejects.path) if rejects.count else None,
        "seconds": round(seconds, 3),
        "rows_per_second": round(tally.rows / seconds, 1),
    }


def _print_findings(findings: Findings, rejects: Rejects, *, as_json: bool) -> None:
    example = findings.example
    if as_json:
        result: dict[str, Any] = {
            "rows": findings.rows,
            "open": findings.open,
            "without_department": findings.without_department,
            "rejected": findings.rejected,
            "rejects_file": str(rejects.path) if rejects.count else None,
            "values": {name: dict(counter) for name, counter in findings.values.items()},
        }
        typer.echo(json.dumps(result, ensure_ascii=False))
        return
    if example is not None:
        typer.echo(f"line {example.line} is understood as:")
        for name, value in _understood(example).items():
            typer.echo(f"  {name}: {value}")
    for name, counter in findings.values.items():
        most = ", ".join(f"{value} ({count:,})" for value, count in counter.most_common(VALUES_SHOWN_MAX))
        typer.echo(
            f"{name}: {len(counter):,} different: {most}{' ...' if len(counter) > VALUES_SHOWN_MAX else ''}"
        )
    typer.echo(
        f"{findings.rows:,} rows, {findings.open:,} of them open, {findings.without_department:,} assigned to nobody; "
        "nothing was written to the log · 未写入任何数据"
    )
    _print_rejects(rejects)


def _understood(row: Row) -> dict[str, Any]:
    fields = row._asdict()
    place = fields.pop("place").model_dump(exclude_none=True)
    times = {name: value.isoformat() for name, value in fields.items() if hasattr(value, "isoformat")}
    return {name: value for name, value in {**fields, **times, **place}.items() if value not in {None, ""}}
