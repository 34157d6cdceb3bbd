"""What the commands that look have in common: tables, times, JSON, and how a case or a moment is named."""

import json
import logging
import os
import signal
import sys
import unicodedata
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import structlog
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from libs.events.envelope import Entry
from libs.events.ids import case_id_of_import, case_id_of_tracking, is_case_id, read_tracking_number

OFF_TERMINAL_COLUMNS: Final = 200
"""How wide a table may be in a file or a pipe, where nobody has a window."""
OBEYED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of what steers a terminal or turns the direction of writing."""
EVENTS_ZH: Final = {
    "reported": "上报",
    "filed": "立案",
    "assigned": "派遣",
    "accepted": "签收",
    "handled": "处置",
    "closed": "结案",
    "rejected": "不予立案",
    "merged": "并案",
    "joined": "并入诉求",
    "adopted": "转入",
    "recalled": "收回",
    "blown": "吹哨",
    "summoned": "召集",
    "reported-in": "报到",
    "acknowledged": "受理",
    "unit-sent": "出动",
    "declined": "退回",
    "progress": "进展",
    "extension-requested": "申请延期",
    "extension-granted": "准予延期",
    "extension-refused": "不予延期",
    "paused": "停表",
    "resumed": "走表",
    "due-soon": "将到期",
    "escalated": "升级",
    "verified": "核查通过",
    "handling-returned": "返工",
    "rated": "评价",
    "reopened": "重新立案",
    "card-issued": "亮牌",
    "scored": "下考上",
    "patrol-ordered": "巡查任务",
    "patrol-checked-in": "巡查签到",
    "patrol-found": "巡查发现",
    "patrol-ended": "巡查结束",
    "carried-forward": "结转",
}

JsonOption = Annotated[bool, typer.Option("--json", help="for programs · 机器可读")]


class UsageError(Exception):
    """What was asked cannot be understood; the text says what would be, in both languages."""


def console(*, stderr: bool = False) -> Console:
    """A console with colours on a terminal only (and none with NO_COLOR), as wide as needed elsewhere."""
    plain = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not plain.is_terminal and "COLUMNS" not in os.environ:
        plain.width = OFF_TERMINAL_COLUMNS
    return plain


def quiet_logs() -> None:
    """Keep the library's log lines off stdout, which belongs to what was asked for; errors go to stderr."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def print_json(value: object, *, indent: int | None = 2) -> None:
    """One JSON document on stdout; without *indent* on one line, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Column:
    """A heading in both languages."""

    name: str
    name_zh: str
    right: bool = False
    wraps: bool = True


def harmless(text: str) -> str:
    """The text without what a terminal would obey: anybody can write a description."""
    return "".join(
        character if character == "\n" or unicodedata.category(character) not in OBEYED else "\ufffd"
        for character in text
    )


def table(
    title: str, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]], total: Sequence[str] = ()
) -> Table:
    """A table with bilingual headings; *total* is its last row, set apart.  Plain text stands as it is."""
    made = Table(title=title, title_justify="left", show_footer=bool(total))
    for number, column in enumerate(columns):
        made.add_column(
            f"{column.name}\n{column.name_zh}",
            footer=total[number] if total else "",
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
        )
    for row in rows:
        made.add_row(*(Text(harmless(cell)) if isinstance(cell, str) else cell for cell in row))
    return made


def shown_time(moment: datetime | None, zone: ZoneInfo | None = None) -> str:
    """A time as the clocks of *zone* show it (its own zone by default), with the offset; empty for None."""
    if moment is None:
        return ""
    return (moment.astimezone(zone) if zone else moment).isoformat(sep=" ", timespec="seconds")


def parse_moment(text: str, *, zoned: bool = True) -> datetime | date:
    """A time with its offset from UTC, or a date, whose midnight the caller reads in the zone of the place.

    Raises UsageError; unless *zoned* is false also for a time without an offset, which the caller must then read in
    the zone of the place, too.
    """
    try:
        if len(text) == len("2011-10-01"):
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text}: write a time like 2011-10-01T00:00:00-04:00, or a date · 时间格式不正确"
        ) from error
    if zoned and moment.tzinfo is None:
        raise UsageError(
            f"{text} names no zone: add the offset, like {text}-04:00 or {text}+08:00, or Z for UTC · 时间缺少时区"
        )
    return moment


def moment_in(moment: datetime | date, zone: ZoneInfo) -> datetime:
    """The moment itself; of a date, its midnight in *zone*; of a time without a zone, that time there."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time(), zone)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def case_id_of(named: str) -> str:
    """The case id behind a case id, a tracking number or `system/key` of an import.  Raises UsageError."""
    system, slash, key = named.strip().partition("/")
    if slash and system and key:
        return case_id_of_import(system, key)
    if is_case_id(system.lower()):
        return system.lower()
    try:
        return case_id_of_tracking(read_tracking_number(system))
    except ValueError as error:
        raise UsageError(
            f"{named}: write a case id (20 letters and digits), a tracking number (7K3M-9QXP-V2TB-HW4D)"
            " or SYSTEM/KEY of an import · 请输入案件编号、查询码或 系统/原编号"
        ) from error


def cloud_event(entry: Entry) -> dict[str, Any]:
    """The whole CloudEvent as it stands in the log, with its position and its number within the case."""
    event: dict[str, Any] = entry.envelope.model_dump(mode="json", exclude_none=True)
    return {"sequence": entry.sequence, "version": entry.version, **event}


def event_name(entry: Entry) -> str:
    """The event's name in both languages."""
    name_zh = EVENTS_ZH.get(entry.name)
    return f"{entry.name} · {name_zh}" if name_zh else entry.name


def department_of(entry: Entry) -> str | None:
    """The department that an event names, if it names one."""
    department: str | None = getattr(entry.event, "department", None)
    return department


def reason_of(entry: Entry, earlier: Mapping[str, str]) -> str:
    """Why it happened: the event's own reason, the rules, its cause; *earlier* has the names of events by id."""
    event, envelope = entry.event, entry.envelope
    parts = [
        f"{field} {value}"
        for field in ("rule", "reason", "outcome")
        if (value := getattr(event, field, None)) and value != "rule"  # which one says more
    ]
    if envelope.policyversion:
        parts.append(envelope.policyversion)
    if envelope.causationid:
        parts.append(f"after {earlier.get(envelope.causationid, envelope.causationid)}")
    if note := getattr(event, "note", ""):
        parts.append(f"“{note}”")
    return ", ".join(parts)


@contextmanager
def interruptible() -> Generator[None]:
    """For a command that goes on until it is stopped: Ctrl-C and a reader that has gone away are its end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the same, asked for by a program
    try:
        yield
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Python would complain once more when it flushes stdout at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
