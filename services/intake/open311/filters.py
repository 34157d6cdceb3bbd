"""Which requests are asked for: the arguments of `GET /requests`, read with patience for empty ones."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from libs.events.ids import is_case_id
from libs.events.moments import Moment
from libs.events.problems import FieldProblem

WINDOW: Final = timedelta(days=90)
"""Of the time of the report, where the question does not say when it was changed."""
REQUESTS_MAX: Final = 1_000
PAGE_MAX: Final = 1_000
LIST_MAX: Final = 1_000
"""Of codes or ids in one argument."""
STATUSES: Final = ("open", "closed")

Arguments = Mapping[str, Sequence[str]]
"""What the address says after `?`; an argument may stand there several times."""

_MOMENT: Final[TypeAdapter[datetime]] = TypeAdapter(Moment)


class Selection(NamedTuple):
    """Which requests are asked for."""

    ids: tuple[str, ...] | None = None
    """If not None, these and nothing else decides."""
    codes: tuple[str, ...] = ()
    """None: of whatever category."""
    closed: bool | None = None
    requested: tuple[datetime, datetime] | None = None
    """First and last moment of the report."""
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    page: int = 1
    page_size: int = REQUESTS_MAX

    @property
    def by_change(self) -> bool:
        """Whether what changed is asked for: then the longest unchanged comes first, else the newest report."""
        return self.updated_after is not None or self.updated_before is not None


class _Wrong(ValueError):
    def __init__(self, field: str, reason: str, reason_zh: str) -> None:
        super().__init__(reason)
        self.problem = FieldProblem(field=field, reason=reason, reason_zh=reason_zh)


def selection(arguments: Arguments, now: datetime) -> Selection | FieldProblem:
    """What is asked for at the moment *now*, or the first argument that is wrong."""
    try:
        return _selection(arguments, now)
    except _Wrong as wrong:
        return wrong.problem


def _selection(arguments: Arguments, now: datetime) -> Selection:
    if ids := _listed(arguments, "service_request_id"):
        return Selection(ids=tuple(each for each in ids if is_case_id(each)))
    after, before = _moment(arguments, "updated_after"), _moment(arguments, "updated_before")
    if after and before and after > before:
        raise _Wrong("updated_before", "It lies before updated_after.", "早于 updated_after。")
    start, end = _moment(arguments, "start_date"), _moment(arguments, "end_date")
    by_change = after is not None or before is not None
    return Selection(
        codes=_listed(arguments, "service_code"),
        closed=_closed(arguments),
        requested=None if by_change and not start and not end else _window(start, end, now),
        updated_after=after,
        updated_before=before,
        page=_number(arguments, "page", 1, PAGE_MAX),
        page_size=_number(arguments, "page_size", REQUESTS_MAX, REQUESTS_MAX),
    )


def _window(start: datetime | None, end: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    if start and end:
        if start > end:
            raise _Wrong("end_date", "It lies before start_date.", "早于 start_date。")
        if end - start > WINDOW:
            raise _Wrong("end_date", "More than 90 days after start_date.", "与 start_date 相距超过 90 天。")
        return start, end
    try:
        return start or (end or now) - WINDOW, end or (start + WINDOW if start else now)
    except OverflowError as error:
        field = "start_date" if start else "end_date"
        raise _Wrong(field, "There is no such time.", "没有这样的时间。") from error


def _listed(arguments: Arguments, name: str) -> tuple[str, ...]:
    """The parts of an argument between its commas, each once."""
    parts = (part.strip() for value in arguments.get(name, ()) for part in value.split(","))
    listed = tuple(dict.fromkeys(part for part in parts if part))
    if len(listed) > LIST_MAX:
        raise _Wrong(name, f"At most {LIST_MAX}.", f"最多 {LIST_MAX} 项。")
    return listed


def _closed(arguments: Arguments) -> bool | None:
    asked = _listed(arguments, "status")
    if not set(asked) <= set(STATUSES):
        raise _Wrong("status", "It is open, closed, or both.", "只能是 open、closed 或两者。")
    return None if len(asked) != 1 else asked[0] == "closed"


def _one(arguments: Arguments, name: str) -> str:
    """The last value that is not empty."""
    return last_of(arguments.get(name, ()))


def last_of(values: Iterable[str]) -> str:
    """The last that is not empty; an empty argument means the same as none."""
    return next((value for each in reversed([*values]) if (value := each.strip())), "")


def _moment(arguments: Arguments, name: str) -> datetime | None:
    text = _one(arguments, name)
    if not text:
        return None
    try:
        return _MOMENT.validate_python(text.replace(" ", "+"))  # a plus sign that nobody escaped
    except ValidationError as error:
        reason = "Write date, time and time zone, such as 2026-03-02T08:30:00Z."
        zh = "请写明日期、时间和时区，例如 2026-03-02T08:30:00Z。"
        raise _Wrong(name, reason, zh) from error


def _number(arguments: Arguments, name: str, usual: int, largest: int) -> int:
    text = _one(arguments, name)
    if not text:
        return usual
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or not 1 <= int(text) <= largest:
        raise _Wrong(name, f"A number from 1 to {largest}.", f"须为 1 到 {largest} 的整数。")
    return int(text)
