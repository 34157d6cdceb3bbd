"""`./whistle watch`: follow the log live."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

import typer

from cli.output import (
    JsonOption,
    UsageError,
    case_id_of,
    cloud_event,
    console,
    department_of,
    event_name,
    harmless,
    interruptible,
    print_json,
    quiet_logs,
    reason_of,
    shown_time,
)
from cli.replaying.starts import Said, in_city, parse_start
from cli.stack.state import Stack
from cli.wholelog import whole_log
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.contracts.patrol import PatrolOrdered
from libs.events.envelope import Entry, Origin
from libs.events.history import WholeLog
from libs.events.jetstream import JetStream, connected
from libs.events.jetstream.reader import RawEvent
from libs.events.log import Log, opened, typed
from libs.events.starting import first_position
from libs.events.subjects import parse_case_subject

T = TypeVar("T")

USER: Final = "auditor"
CASES_KEPT_MAX: Final = 10_000
"""Cases whose community and category are remembered, the latest ones; others are looked up in the log."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are shown; None and empty let everything through."""

    events: frozenset[str]
    department: str | None
    community: str | None
    category: str | None
    case_id: str | None
    origin: Origin | None

    def may_fit(self, raw: RawEvent) -> bool:
        """What the subject alone says, before anything is decoded."""
        subject = parse_case_subject(raw.subject.decode())
        if self.events and subject.event not in self.events:
            return False
        return self.case_id in (None, subject.case_id)

    def fits(self, entry: Entry) -> bool:
        """What the event itself says."""
        return (self.origin in (None, entry.envelope.origin)) and (
            self.department in (None, department_of(entry))
        )

    def fits_case(self, community: str | None, category: str) -> bool:
        """What the case says."""
        return self.community in (None, community) and self.category in (None, category)


class Cases:
    """What and where each case is, as far as it is needed for filtering."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known: OrderedDict[str, tuple[str | None, str]] = OrderedDict()

    def hear(self, entry: Entry) -> None:
        """Remember what the start of a case says of it."""
        event = entry.event
        if isinstance(event, CaseReported):
            self._keep(entry.case_id, event.place.community, event.category)
        elif isinstance(event, CaseFiled) and entry.case_id in self._known:
            self._keep(entry.case_id, self._known[entry.case_id][0], event.category)
        elif isinstance(event, PatrolOrdered):
            self._keep(entry.case_id, None, "")  # no case: neither filter lets it through

    async def of(self, case_id: str) -> tuple[str | None, str]:
        """Community and category of a case, the category as confirmed."""
        if case_id not in self._known:
            for entry in (await self._log.load(case_id)).entries:
                self.hear(entry)
        self._known.move_to_end(case_id)
        return self._known[case_id]

    def _keep(self, case_id: str, community: str | None, category: str) -> None:
        self._known[case_id] = (community, category)
        self._known.move_to_end(case_id)
        while len(self._known) > CASES_KEPT_MAX:
            self._known.popitem(last=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("watch", help="Follow the log live · 实时查看事件")(watch)


def watch(  # noqa: PLR0913, PLR0917 - each is an option of the command
    event: Annotated[
        list[str] | None, typer.Option(help="like assigned; repeatable · 事件名称，可重复")
    ] = None,
    department: Annotated[str | None, typer.Option(help="events that name this department · 部门")] = None,
    community: Annotated[str | None, typer.Option(help="of the case · 社区")] = None,
    category: Annotated[str | None, typer.Option(help="of the case · 类别")] = None,
    case: Annotated[
        str | None, typer.Option(help="case id, tracking number, or SYSTEM/KEY · 单个案件")
    ] = None,
    origin: Annotated[Origin | None, typer.Option(help="how it came into the log · 来源")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="the whole log first · 从头开始")] = False,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="WHERE", help="first from a position, time, date or case on · 起点"),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="end after so many events · 显示条数")] = None,
    as_json: JsonOption = False,
) -> None:
    """Follow the log live, until Ctrl-C · 实时查看事件."""
    quiet_logs()
    if from_start and from_ is not None:
        raise typer.BadParameter("give one of both · 只能给出其一", param_hint="--from-start, --from")
    case_id = _read("--case", case_id_of, case) if case else None
    where = "1" if from_start else from_
    start = _read("--from", parse_start, where) if where else None
    wanted = Filter(frozenset(event or ()), department, community, category, case_id, origin)
    with interruptible():
        asyncio.run(_watch(Stack.load(), wanted, start, count, as_json=as_json))


def _read(option: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except UsageError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


async def _watch(
    stack: Stack, wanted: Filter, said: Said | None, count: int | None, *, as_json: bool
) -> None:
    password = stack.secret(USER)
    async with (
        connected(stack.nats_url, user=USER, password=password) as client,
        opened(client) as log,
    ):
        history, last = whole_log(stack, JetStream(client), USER), await log.last_position()
        start = last + 1 if said is None else await in_city(history.jetstream, said)
        reading = _matching(history, log, wanted, await first_position(history, start, last))
        shown = 0
        async with aclosing(reading) as entries:
            async for entry in entries:
                _print(entry, as_json=as_json)
                shown += 1
                if shown == count:
                    return


async def _matching(history: WholeLog, log: Log, wanted: Filter, start: int) -> AsyncGenerator[Entry]:
    cases = Cases(log)
    by_case = wanted.community is not None or wanted.category is not None
    async with aclosing(history.replayed(start=start)) as batches:
        async for events in batches:
            for raw in events:
                if not by_case and not wanted.may_fit(raw):
                    continue
                entry = typed(raw)
                if by_case:
                    cases.hear(entry)
                if not (wanted.may_fit(raw) and wanted.fits(entry)):
                    continue
                if by_case and not wanted.fits_case(*await cases.of(entry.case_id)):
                    continue
                yield entry


def _print(entry: Entry, *, as_json: bool) -> None:
    if as_json:
        print_json(cloud_event(entry), indent=None)
        return
    parts = (
        f"{entry.sequence:>8}",
        shown_time(entry.envelope.time),
        entry.case_id,
        f"{event_name(entry):<16}",
        department_of(entry) or "",
        entry.envelope.actor,
        reason_of(entry, {}),
    )
    console().print(harmless("  ".join(part for part in parts if part)), markup=False, soft_wrap=True)
