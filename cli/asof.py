"""`--as-of` and its like: how a past is named on the command line, the same for every command.

A time, a date (its midnight), or digits alone: a position of the log. What names no zone is meant by the clocks of the
place: of the case that is asked about, or else of the city.
"""

from datetime import date, datetime
from typing import Annotated, Final, TypeAlias
from zoneinfo import ZoneInfo

import typer

from cli.output import UsageError, moment_in, parse_moment, shown_time
from cli.stack.state import Stack
from libs.events import policy
from libs.events.asof import cut_at, is_position
from libs.events.contracts.intake import CaseReported
from libs.events.errors import NotYet
from libs.events.jetstream import JetStream, connected
from libs.events.log import History, Log

READER: Final = "auditor"
HELP: Final = "as it was: a time, a date or a position of the log · 截至时间、日期或日志位置"
NOW: Final = "now"

AsOfOption = Annotated[str | None, typer.Option("--as-of", metavar="WHEN", help=HELP)]
Asked: TypeAlias = datetime | date | int
"""A time, with or without a zone; a date; or a position of the log."""


def parse_as_of(text: str) -> Asked:
    """What was written.  Raises UsageError."""
    if not is_position(text):
        return parse_moment(text, zoned=False)
    if int(text) == 0:
        raise UsageError("0: positions of the log begin at 1 · 日志位置自 1 起")
    return int(text)


def asked_of(text: str | None, option: str = "--as-of") -> Asked | None:
    """The same for what an option holds; None for none.  Raises typer.BadParameter, which names the option."""
    try:
        return parse_as_of(text) if text else None
    except UsageError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def in_zone(asked: Asked, zone: ZoneInfo) -> datetime | int:
    """The moment that is meant where the clocks are those of *zone*; a position is one everywhere."""
    return asked if isinstance(asked, int) else moment_in(asked, zone)


def as_query(as_of: datetime | int) -> dict[str, str]:
    """How a service is asked about it."""
    return {"as_of": str(as_of) if isinstance(as_of, int) else as_of.isoformat()}


def shown_as_of(as_of: datetime | int, zone: ZoneInfo | None = None) -> str:
    """The past as a heading names it."""
    return f"position {as_of:,} · 日志位置" if isinstance(as_of, int) else shown_time(as_of, zone)


def zone_of(history: History) -> ZoneInfo:
    """The zone of a case's place; UTC for what has none, such as a patrol order."""
    event = history.entries[0].event if history.entries else None
    return ZoneInfo(event.place.time_zone if isinstance(event, CaseReported) else "UTC")


def until(history: History, as_of: datetime | int, last_position: int, now: datetime, option: str) -> History:
    """The case as of then.  Raises typer.BadParameter when that lies ahead of the log's end, or of *now*."""
    try:
        cut = cut_at(as_of, last_position, now)
    except NotYet as error:
        raise typer.BadParameter(f"{error.reason} · {error.reason_zh}", param_hint=option) from error
    if cut.moment is not None:
        return history.as_of(cut.moment)
    entries = (entry for entry in history.entries if entry.sequence <= cut.position)
    return History(history.case_id, tuple(entries))


async def case_and_end(log: Log, case_id: str) -> tuple[History, int]:
    """A case as it is, and the position at which the log ends."""
    last = await log.last_position()
    history = await log.load(case_id)
    if not history.entries:  # a replica may lag behind what was acknowledged
        history = await log.load(case_id, at_least=await log.newest(case_id))
    return history, max(last, history.sequence)


async def city_zone(stack: Stack) -> ZoneInfo:
    """The city's time zone, as the rule book in force has it."""
    async with connected(stack.nats_url, user=READER, password=stack.secret(READER)) as client:
        return (await policy.current(JetStream(client))).zone
