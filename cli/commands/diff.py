"""`./whistle diff CASE --from WHEN --to WHEN`: what happened to a case in between, and what is different."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from cli.asof import NOW, Asked, asked_of, case_and_end, in_zone, shown_as_of, until, zone_of
from cli.output import (
    Column,
    JsonOption,
    UsageError,
    case_id_of,
    console,
    harmless,
    print_json,
    quiet_logs,
    shown_time,
    table,
)
from cli.stack.state import Stack
from cli.story import Narrator
from cli.travel.differing import Difference, difference, document
from cli.travel.state import NAMES_ZH, Value
from libs.events import policy
from libs.events.errors import WhistleError
from libs.events.jetstream import JetStream, connected
from libs.events.log import History, opened
from libs.events.policy import RuleBook

USER: Final = "auditor"
EXIT_UNKNOWN: Final = 1
WHEN: Final = "a time, a date, or a position of the log"
COLUMNS: Final = (Column("field", "字段", wraps=False), Column("before", "之前"), Column("after", "之后"))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("diff", help="What happened to a case between two moments · 案件前后对比")(diff)


def diff(
    case: Annotated[
        str,
        typer.Argument(
            help="case id, tracking number, or SYSTEM/KEY of an import · 案件编号、查询码或导入编号"
        ),
    ],
    since: Annotated[str, typer.Option("--from", metavar="WHEN", help=f"{WHEN} · 起点")],
    to: Annotated[
        str, typer.Option("--to", metavar="WHEN", help="the same, or now · 终点（默认现在）")
    ] = NOW,
    as_json: JsonOption = False,
) -> None:
    """What happened to a case between two moments, and how it differs · 案件前后对比."""
    quiet_logs()
    begin = asked_of(since, "--from")
    end = None if to == NOW else asked_of(to, "--to")
    assert begin is not None, "the option has no default"
    try:
        case_id = case_id_of(case)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    history, book, last = asyncio.run(_load(Stack.load(), case_id))
    if not history.entries:
        typer.echo(f"whistle: the log has no case {case} ({case_id}) · 没有此案件", err=True)
        raise typer.Exit(EXIT_UNKNOWN)
    found = _difference(history, begin, end, last)
    if as_json:
        print_json(document(found))
    else:
        _print(found, book, zone_of(history), begin, end)


async def _load(stack: Stack, case_id: str) -> tuple[History, RuleBook | None, int]:
    async with (
        connected(stack.nats_url, user=USER, password=stack.secret(USER)) as client,
        opened(client) as log,
    ):
        history, last = await case_and_end(log, case_id)
        try:
            return history, await policy.current(JetStream(client)), last
        except WhistleError:  # the case can be told with codes for names, too
            return history, None, last


def _difference(history: History, begin: Asked, end: Asked | None, last: int) -> Difference:
    zone, now = zone_of(history), datetime.now(UTC)
    before = until(history, in_zone(begin, zone), last, now, "--from")
    after = history if end is None else until(history, in_zone(end, zone), last, now, "--to")
    try:
        return difference(before, after)
    except UsageError as error:
        raise typer.BadParameter(str(error), param_hint="--from") from error


def _print(found: Difference, book: RuleBook | None, zone: ZoneInfo, begin: Asked, end: Asked | None) -> None:
    out = console()
    since = shown_as_of(in_zone(begin, zone))
    to = "now · 现在" if end is None else shown_as_of(in_zone(end, zone))
    out.print(f"case · 案件 [bold]{found.after.case_id}[/]")
    out.print(f"from · 从 {since}  to · 至 {to}\n", markup=False)
    if not found.between:
        out.print("nothing happened in between · 其间没有记录", markup=False)
        return
    for line in _lines(found, book, zone):
        out.print(harmless(line), markup=False, soft_wrap=True)
    rows = [
        [f"{each.field} · {NAMES_ZH[each.field]}", _shown(each.before, zone), _shown(each.after, zone)]
        for each in found.changes
    ]
    if rows:
        out.print(table("", COLUMNS, rows))
    else:
        out.print("no field is different · 各字段均无变化", markup=False)


def _lines(found: Difference, book: RuleBook | None, zone: ZoneInfo) -> Iterator[str]:
    narrator = Narrator(book, zone)
    for entry in found.between:
        text = narrator.sentence(entry)
        minute = f"{entry.envelope.time.astimezone(zone):%Y-%m-%d %H:%M}"
        yield f"{minute}  {text.zh}"
        yield f"{'':{len(minute)}}  {text.en}"


def _shown(value: Value, zone: ZoneInfo) -> str:
    if isinstance(value, datetime):
        return shown_time(value, zone)
    return ", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
