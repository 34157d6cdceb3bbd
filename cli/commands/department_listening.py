"""`./whistle department tail`: what a department is told, live, without taking any of it away."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.commands.department_signing import CodeArgument, SeedOption, UrlOption, speaking_for
from cli.output import (
    JsonOption,
    console,
    event_name,
    harmless,
    interruptible,
    parse_moment,
    print_json,
    quiet_logs,
    reason_of,
    shown_time,
)
from libs.events.contracts.acts import ActRefused
from libs.events.department import Case
from libs.events.envelope import Entry

LOOK_AGAIN_SECONDS: Final = 0.5


def tail(
    code: CodeArgument,
    since: Annotated[
        str | None,
        typer.Option(help="from this moment on, not from where it left off · 起始时间", show_default=False),
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="all that is kept first · 从最早的消息开始")
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="end after so many · 显示条数")] = None,
    seed: SeedOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """What the department has not heard yet, and what comes then, until Ctrl-C; it hears all of it all the same.

    实时查看部门消息，不影响部门自身接收.
    """
    quiet_logs()
    if since is not None and from_start:
        raise typer.BadParameter("give one of both · 只能给出其一", param_hint="--since, --from-start")
    moment = _moment(since) if since else None
    with interruptible():
        asyncio.run(_tail(code, seed, url, _Wanted(moment, from_start, count, as_json)))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be shown."""

    since: datetime | None
    from_start: bool
    count: int | None
    as_json: bool


def _moment(text: str) -> datetime:
    moment = parse_moment(text)
    if isinstance(moment, datetime):
        return moment
    return datetime(moment.year, moment.month, moment.day).astimezone()  # midnight as this machine reads it


async def _tail(code: str, seed: Path | None, url: str | None, wanted: _Wanted) -> None:
    async with speaking_for(code, seed, url) as department:
        after = None if wanted.since or wanted.from_start else await department.left_off()
        shown = 0
        while True:
            async with aclosing(department.replay(since=wanted.since, after=after)) as told:
                async for position, case in told:
                    after = position
                    _print(position, case, as_json=wanted.as_json)
                    shown += 1
                    if shown == wanted.count:
                        return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _print(position: int, case: Case, *, as_json: bool) -> None:
    if as_json:
        event = case.envelope.model_dump(mode="json", exclude_none=True)
        print_json({"position": position, **event}, indent=None)
        return
    entry = Entry(position, case.id, case.event.name(), 0, case.envelope)
    parts = (
        f"{position:>8}",
        shown_time(case.envelope.time),
        case.id,
        f"{event_name(entry):<16}",
        case.envelope.actor,
        _refusal(case.event) if isinstance(case.event, ActRefused) else reason_of(entry, {}),
    )
    console().print(harmless("  ".join(part for part in parts if part)), markup=False, soft_wrap=True)


def _refusal(event: ActRefused) -> str:
    allowed = f" [{', '.join(event.allowed)}]" if event.allowed else ""
    return f"{event.verb or '?'} {event.act or ''}: {event.code}. {event.reason} · {event.reason_zh}{allowed}"
