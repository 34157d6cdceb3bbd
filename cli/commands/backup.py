"""`./whistle backup LOCATION`: all that is needed to begin anew on an empty machine, but for secrets and key stores."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from cli.backup.backing import Report, Source, back_up
from cli.backup.places import master_file, own_key, same_place, secrets_folder, store_of
from cli.backup.showing import progress
from cli.embedded.secrets import Secrets
from cli.output import Column, JsonOption, console, print_json, quiet_logs, shown_time, table
from cli.stack.plan import store_location
from cli.stack.state import Stack, whistle_home
from cli.stopping import EXIT_INTERRUPTED, until_told_to_stop
from libs.events.jetstream import JetStream, connected

USER: Final = "backup"
WAIT_SECONDS: Final = 180.0
"""Three times as long as the ledger takes to sign what is new, if nobody says otherwise."""
CONNECT_SECONDS_MAX: Final = 10.0
EXIT_BEHIND: Final = 1
COLUMNS: Final = (Column("stream", "事件流"), Column("events", "事件数", right=True))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backup", help="Copy all that a restore needs · 备份")(backup)


def backup(
    location: Annotated[
        str, typer.Argument(metavar="LOCATION", help="a folder, or s3://bucket/prefix · 位置")
    ],
    wait: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="for the ledger to sign what stands now · 等待签名"),
    ] = WAIT_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Copy what is missing there, and look at it again; may be stopped and run again · 增量备份并校验."""
    quiet_logs()
    own = store_location(whistle_home())
    if same_place(own, location):
        raise typer.BadParameter("that is the ledger's own store · 这是账本自身的存储", param_hint="LOCATION")
    began = time.monotonic()
    try:
        report = asyncio.run(until_told_to_stop(_work(own, location, wait)))
    except asyncio.CancelledError:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    seconds = round(time.monotonic() - began, 2)
    if as_json:
        print_json(_described(report, location, seconds))
    else:
        _print(report, seconds, console())
    if report.behind:
        raise typer.Exit(EXIT_BEHIND)


async def _work(own: str, location: str, wait: float) -> Report:
    async with _log() as jetstream:
        source = Source(
            ledger=store_of(own),
            key=own_key(),
            jetstream=jetstream,
            master=master_file(whistle_home()),
        )
        with progress(console(stderr=True)) as on_step:
            return await back_up(source, store_of(location), wait, on_step)


@asynccontextmanager
async def _log() -> AsyncGenerator[JetStream | None]:
    """The log, if it can be reached."""
    stack = Stack.read(whistle_home())
    url = os.environ.get("WHISTLE_NATS_URL") or (stack.nats_url if stack and stack.supervisor.alive else "")
    if not url:
        yield None
        return
    password = Secrets(secrets_folder(whistle_home()))(USER)
    async with AsyncExitStack() as connections:
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                client = await connections.enter_async_context(connected(url, user=USER, password=password))
        except (TimeoutError, OSError):
            yield None
        else:
            yield JetStream(client)


def _described(report: Report, location: str, seconds: float) -> dict[str, Any]:
    return {
        "location": location,
        "made_at": report.made_at.isoformat(),
        "streams": report.sizes,
        "behind": report.behind,
        "files_copied": report.copied.files,
        "bytes_copied": report.copied.size_bytes,
        "events_copied": report.copied.events,
        "pictures": report.pictures.entries if report.pictures else None,
        "log_was_reached": report.is_live,
        "seconds": seconds,
    }


def _print(report: Report, seconds: float, out: Console) -> None:
    rows = [(name, f"{size:,}") for name, size in report.sizes.items()]
    copied = report.copied
    at = shown_time(report.made_at)
    title = f"{at}: {copied.events:,} events in {copied.files:,} files copied · 已复制, {seconds:.1f} s"
    out.print(table(title, COLUMNS, rows))
    if report.pictures:
        out.print(f"{report.pictures.entries:,} pictures · 图片")
    if not report.is_live:
        out.print(
            "The log was not reached: events up to the newest checkpoint, pictures and keys as they were before"
            " · 未连接事件日志，图片与密钥沿用上次备份"
        )
    for stream, events in report.behind.items():
        out.print(f"{events:,} events of {stream} were not signed in time: is the ledger well? · 未及时签名")
