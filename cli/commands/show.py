"""`./whistle show CASE`: a case's history, from the log itself."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Final
from urllib.parse import urljoin
from zoneinfo import ZoneInfo

import typer

from cli.asof import AsOfOption, asked_of, case_and_end, in_zone, until, zone_of
from cli.embedded.errors import NotRunning
from cli.output import (
    Column,
    JsonOption,
    UsageError,
    case_id_of,
    cloud_event,
    console,
    department_of,
    event_name,
    harmless,
    print_json,
    quiet_logs,
    reason_of,
    shown_time,
    table,
)
from cli.stack.state import Stack
from cli.story import Narrator
from libs.events import policy
from libs.events.contracts.base import Place
from libs.events.contracts.intake import CaseReported
from libs.events.errors import WhistleError
from libs.events.jetstream import JetStream, connected
from libs.events.log import History, opened
from libs.events.photos import addresses_of, seen_in
from libs.events.policy import RuleBook

EXIT_UNKNOWN: Final = 1
USER: Final = "auditor"
COLUMNS: Final = (
    Column("time", "时间", wraps=False),
    Column("seconds since", "距上一步（秒）", right=True),
    Column("event", "事件", wraps=False),
    Column("who", "谁"),
    Column("why", "依据"),
    Column("department", "部门"),
    Column("due", "时限", wraps=False),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show", help="Print a case's history · 查看案件经过")(show)


def show(
    case: Annotated[
        str,
        typer.Argument(
            help="case id, tracking number, or SYSTEM/KEY of an import · 案件编号、查询码或导入编号"
        ),
    ],
    as_of: AsOfOption = None,
    position: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="the same as --as-of N · 同 --as-of N"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a case's history · 查看案件经过."""
    quiet_logs()
    if as_of and position is not None:
        raise typer.BadParameter("give one of both · 只能给出其一", param_hint="--as-of, --position")
    asked = position or asked_of(as_of)
    try:
        case_id = case_id_of(case)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    stack = Stack.load()
    history, book, last = asyncio.run(_load(stack, case_id))
    if asked is not None:
        history = until(
            history, in_zone(asked, zone_of(history)), last, datetime.now(UTC), "--as-of, --position"
        )
    if not history.entries:
        limited = " by then · 截至当时没有记录" if asked is not None else " · 没有此案件"
        typer.echo(f"whistle: the log has no case {case} ({case_id}){limited}", err=True)
        raise typer.Exit(EXIT_UNKNOWN)
    if as_json:
        print_json([cloud_event(entry) for entry in history.entries])
    else:
        _print(history, book, _intake(stack))


def _intake(stack: Stack) -> str:
    """Where pictures are found; where no intake runs here, their paths must do."""
    try:
        return stack.service_url("intake")
    except NotRunning:
        return ""


async def _load(stack: Stack, case_id: str) -> tuple[History, RuleBook | None, int]:
    """The case, the rule book in force, and where the log ends."""
    async with (
        connected(stack.nats_url, user=USER, password=stack.secret(USER)) as client,
        opened(client) as log,
    ):
        history, last = await case_and_end(log, case_id)
        try:
            book = await policy.current(JetStream(client))
        except WhistleError:  # the case can be told with codes for names, too
            book = None
        return history, book, last


def _zone(history: History) -> ZoneInfo | None:
    """The zone of a case's place; a patrol order names none, and its own times say enough."""
    report = _report(history)
    return ZoneInfo(report.place.time_zone) if report else None


def _report(history: History) -> CaseReported | None:
    event = history.entries[0].event
    return event if isinstance(event, CaseReported) else None


def _print(history: History, book: RuleBook | None, intake: str) -> None:
    report, out = _report(history), console()
    out.print(f"{'case · 案件' if report else 'patrol · 巡查'} [bold]{history.case_id}[/]")
    if report:
        out.print(harmless(f"{report.category}, {report.channel}: {report.description}"), markup=False)
        out.print(harmless(_where(report.place)), markup=False)
    for line in _pictures(history, intake):
        out.print(harmless(line), markup=False, soft_wrap=True)
    out.print()
    for line in story(history, book):
        out.print(harmless(line), markup=False, soft_wrap=True)
    out.print(table("", COLUMNS, _rows(history)))


def _pictures(history: History, intake: str) -> Iterator[str]:
    """A line for each picture: how it was, and how it is."""
    seen = seen_in(history.events)
    for label, references in (("before · 处置前", seen.before), ("after · 处置后", seen.after)):
        for address in addresses_of(references):
            yield f"{label}  {urljoin(intake, address)}"


def story(history: History, book: RuleBook | None) -> Iterator[str]:
    """The case minute by minute: a line in Chinese, with the time, and one in English for each fact."""
    zone = _zone(history)
    narrator = Narrator(book, zone)
    for entry in history.entries:
        moment = entry.envelope.time.astimezone(zone) if zone else entry.envelope.time
        text = narrator.sentence(entry)
        minute = f"{moment:%Y-%m-%d %H:%M}"
        yield f"{minute}  {text.zh}"
        yield f"{'':{len(minute)}}  {text.en}"


def _where(place: Place) -> str:
    parts = [place.address, place.community, place.street]
    if place.latitude is not None and place.longitude is not None:
        parts.append(f"{place.latitude}, {place.longitude}")
    return " · ".join(part for part in parts if part)


def _rows(history: History) -> Iterator[list[str]]:
    zone, entries = _zone(history), history.entries
    times = [entry.envelope.time for entry in entries]
    waited = ["", *(f"{(later - before).total_seconds():,.1f}" for before, later in pairwise(times))]
    names = {entry.envelope.id: f"{entry.name} ({entry.version})" for entry in entries}
    for entry, seconds in zip(entries, waited, strict=True):
        due: datetime | None = getattr(entry.event, "due_at", None)
        yield [
            shown_time(entry.envelope.time, zone),
            seconds,
            event_name(entry),
            entry.envelope.actor,
            reason_of(entry, names),
            department_of(entry) or "",
            shown_time(due, zone),
        ]
