"""`./whistle audit export`: what was asked for, out of the sealed files, into a folder."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from cli.auditing.places import STREAMS, StoreOption, archive_of, location_of, note_of, store_of
from cli.auditing.telling import progress
from cli.output import (
    JsonOption,
    UsageError,
    case_id_of,
    console,
    moment_in,
    parse_moment,
    print_json,
    quiet_logs,
)
from cli.stack.state import Stack, whistle_home
from cli.stopping import EXIT_INTERRUPTED, until_told_to_stop
from libs.events.auditing.asking import Asked, Between, Everything, OneCase, OneDepartment, Positions, as_json
from libs.events.auditing.exporting import ExportRefused, Source, export
from libs.events.auditing.exports import About
from libs.events.jetstream import connected
from libs.events.ledger.notes import Note, checkpoint_of
from libs.events.log import opened
from libs.events.storage import FileStore
from libs.events.subjects import CASES, NOTICES

USER: Final = "auditor"
WAIT_SECONDS_MAX: Final = 600
POLL_SECONDS: Final = 0.2


def export_(  # noqa: PLR0913, PLR0917 - each is an option of the command
    to: Annotated[Path, typer.Argument(help="a folder that is not there yet, or empty · 目标文件夹")],
    case: Annotated[
        str | None, typer.Option(help="case id, tracking number, or SYSTEM/KEY · 单个案件")
    ] = None,
    department: Annotated[
        str | None, typer.Option(help="all events of each case that names it · 某部门经手的全部案件")
    ] = None,
    since_time: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="happened at or after · 起始时间")
    ] = None,
    until_time: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="happened before · 截止时间（不含）")
    ] = None,
    positions: Annotated[
        str | None, typer.Option(metavar="FIRST-LAST", help="all between, proved whole · 位置区间，完整可证")
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="all that is sealed · 全部")] = False,
    stream: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(STREAMS)}; repeatable · 流，可重复")
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(help="also prove the growth since this older checkpoint · 附自旧检查点的证明"),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="under the kept checkpoint of so many events · 指定检查点")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="for a checkpoint of all that CASES holds now · 等待最新事件封存")
    ] = False,
    store: Annotated[str | None, StoreOption] = None,
    as_json: JsonOption = False,
) -> None:
    """Take events away with their proof: of a case, a department, a time, a stretch, or everything · 导出事件及其证明.

    Only `--everything` and `--positions` prove that nothing was left out; of a case none before its last event here.
    A department's events are all events of each case that an event assigns to it, or names it otherwise.
    """
    quiet_logs()
    asked = _asked(case, department, since_time, until_time, positions, everything=everything)
    chosen = stream or (STREAMS if everything else (CASES, NOTICES) if case or department else (CASES,))
    if unknown := set(chosen) - set(STREAMS):
        raise UsageError(f"--stream {min(unknown)}: there are {', '.join(STREAMS)} · 没有该流")
    work = _export(store_of(location_of(store)), asked, chosen, to, note_of(since), size, wait=wait)
    try:
        about, unsealed = asyncio.run(until_told_to_stop(work))
    except asyncio.CancelledError:
        typer.echo("stopped, nothing was written · 已停止，未写入任何内容", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _tell(about, to, unsealed, as_json=as_json)


def _asked(
    case: str | None,
    department: str | None,
    start: str | None,
    end: str | None,
    positions: str | None,
    *,
    everything: bool,
) -> Asked:
    given = (case, department, start or end, positions, everything)
    if sum(map(bool, given)) != 1:
        raise UsageError(
            "say what: one of --case, --department, --from with --to, --positions, --everything"
            " · 请指定导出范围（其一）"
        )
    if case:
        return OneCase(case_id_of(case))
    if department:
        return OneDepartment(department)
    if positions:
        return _positions(positions)
    return Everything() if everything else _between(start, end)


def _positions(text: str) -> Positions:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal()) or not 1 <= int(first) <= int(last):
        raise UsageError(f"--positions {text}: write it like 100-250 · 区间格式如 100-250")
    return Positions(int(first), int(last))


def _between(start: str | None, end: str | None) -> Between:
    if not (start and end):
        raise UsageError("--from and --to belong together · 请同时给出起止时间")
    moments = parse_moment(start), parse_moment(end)
    for moment in moments:
        if not isinstance(moment, datetime):
            raise UsageError(
                f"{moment}: write a time with its offset, like {moment}T00:00:00+08:00 · 请写明时间和时区"
            )
    begin, stop = (moment_in(moment, ZoneInfo("UTC")) for moment in moments)
    if begin >= stop:
        raise UsageError(f"--to {end} is not after --from {start} · 截止时间不在起始时间之后")
    return Between(begin, stop)


async def _export(
    store: FileStore,
    asked: Asked,
    streams: Sequence[str],
    to: Path,
    since: Note | None,
    size: int | None,
    *,
    wait: bool,
) -> tuple[About, int | None]:
    """What was exported, and how many events of `CASES` are in the log and not under the checkpoint, if one knows."""
    last = await _last_position()
    if wait:
        await _waited(store, last)
    sources = [source for each in streams if (source := await _source(store, each, since, size))]
    if not sources:
        raise ExportRefused(f"nothing is sealed of {', '.join(streams)} · 尚未封存任何事件")
    if since and not any(source.since for source in sources):
        raise ExportRefused("--since: that checkpoint is of none of these streams · 该检查点与所选流无关")
    with progress("export · 导出", console(stderr=True)) as on_progress:
        about = await export(sources, asked, to, on_progress)
    sealed = next((part.size for part in about.parts if part.stream == CASES), None)
    return about, max(0, last - sealed) if last is not None and sealed is not None else None


async def _source(store: FileStore, stream: str, since: Note | None, size: int | None) -> Source | None:
    found = await archive_of(store, stream)
    if found is None:
        return None
    archive, note = found
    if size is not None:
        kept = await archive.checkpoint(size)
        if kept is None:
            sizes = await archive.checkpoint_sizes()
            near = ", ".join(str(each) for each in sorted(sizes, key=lambda each: abs(each - size))[:3])
            raise ExportRefused(
                f"{stream} has no checkpoint of {size} events; near it: {near} · 没有该检查点"
            )
        note = kept
    old = checkpoint_of(since) if since else None
    return Source(archive, note, old.size if old and old.origin == archive.origin else 0)


async def _last_position() -> int | None:
    """How far the log goes now; None when the system does not run here."""
    stack = Stack.read(whistle_home())
    if stack is None or not stack.supervisor.alive or stack.phase != "ready":
        return None
    async with (
        connected(stack.nats_url, user=USER, password=stack.secret(USER)) as client,
        opened(client) as log,
    ):
        return await log.last_position()


async def _waited(store: FileStore, last: int | None) -> None:
    """Until a checkpoint of `CASES` covers what is in the log.  Raises ExportRefused when none comes."""
    if last is None:
        raise ExportRefused("--wait: the system does not run here (./whistle up) · 系统未运行，无法等待")
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                found = await archive_of(store, CASES)
                if found and checkpoint_of(found[1]).size >= last:
                    return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise ExportRefused(
            f"no checkpoint of {last} events came in {WAIT_SECONDS_MAX} s · 等待超时"
        ) from error


def _tell(about: About, to: Path, unsealed: int | None, *, as_json: bool) -> None:
    if as_json:
        parts = [part._asdict() for part in about.parts]
        print_json(
            {"folder": str(to), "asked": as_json_of(about), "streams": parts, "not_yet_sealed": unsealed}
        )
        return
    for part in about.parts:
        typer.echo(
            f"{part.stream}: {part.events:,} events under the checkpoint of {part.size:,}"
            f" · 已导出 {part.events:,} 条事件"
        )
    if unsealed:
        typer.echo(
            f"not yet sealed, not in it: {unsealed:,} newer events (--wait) · 尚未封存：{unsealed:,} 条更新的事件"
        )
    typer.echo(f"check it · 验证: ./whistle audit verify {to} --key KEY")


def as_json_of(about: About) -> dict[str, object]:
    """What was asked for, for programs."""
    return as_json(about.asked)
