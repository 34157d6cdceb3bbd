"""The past as somebody names it: a moment, or a position of the log; and where exactly it is cut off.

As of a moment: the events whose own time is not after it. As of a position: the log up to it, as it stood at the
moment when that event was written. See docs/time-travel.md.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias

from pydantic import PlainValidator, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from libs.events.errors import NotYet
from libs.events.jetstream.reader import RawEvent
from libs.events.moments import Moment

CLOCKS_APART_SECONDS_MAX: Final = 60
"""So far the clock of whoever asks may be ahead of ours; what lies farther ahead nobody knows yet."""
POSITION_DIGITS_MAX: Final = 18

_EXPECTED: Final = (
    "Write a time with its zone, such as 2026-03-02T08:30:00+08:00, or a position of the log, such as 1200"
)
_EXPECTED_ZH: Final = "请写带时区的时间，例如 2026-03-02T08:30:00+08:00，或日志位置，例如 1200。"
_MOMENT: Final[TypeAdapter[datetime]] = TypeAdapter(Moment)


def is_position(text: str) -> bool:
    """Whether it is digits alone: a position, never a time."""
    return text.isascii() and text.isdigit()


def _read(value: Any) -> datetime | int:
    """What was written.  Raises PydanticCustomError, which says what is expected."""
    text = str(value)
    if is_position(text) and len(text) <= POSITION_DIGITS_MAX and int(text) > 0:
        return int(text)
    try:
        return _MOMENT.validate_python(value)
    except ValidationError as error:
        raise PydanticCustomError("as_of", _EXPECTED, {"reason_zh": _EXPECTED_ZH}) from error


AsOf: TypeAlias = Annotated[
    datetime | int,
    PlainValidator(_read),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 1}],
            "description": "A time with its zone, or a position of the log.",
        }
    ),
]
"""A moment with its zone, or a position of the log, from 1."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the past ends: the log up to a position, and of that what had happened by a moment, if one was named."""

    position: int
    """The last position that is looked at; 0 for an empty log."""
    moment: datetime | None = None
    """None: whatever stands up to the position."""

    def holds(self, raw: RawEvent) -> bool:
        """Whether the event is part of that past."""
        return raw.sequence <= self.position and (self.moment is None or time_of(raw) <= self.moment)


def cut_at(as_of: datetime | int, last_position: int, now: datetime) -> Cut:
    """Where *as_of* cuts a log that ends at *last_position*.  Raises NotYet."""
    if isinstance(as_of, int):
        if as_of > last_position:
            raise NotYet(
                f"The log ends at position {last_position}: there is no position {as_of} yet.",
                f"日志目前止于位置 {last_position}，尚无位置 {as_of}。",
            )
        return Cut(as_of)
    if as_of > now + timedelta(seconds=CLOCKS_APART_SECONDS_MAX):
        told = as_of.isoformat(timespec="seconds")
        raise NotYet(f"{told} lies ahead: nobody knows it yet.", f"{told} 尚未到来。")
    return Cut(last_position, as_of)


# An envelope is written by this project alone, and `data`, the only part that others fill, comes last: so the first
# place where such a name stands is the envelope's own.

_TIME: Final = b'"time":"'
_RECORDED: Final = b'"recordedtime":"'
_ORIGIN: Final = b'"origin":"'


def time_of(raw: RawEvent) -> datetime:
    """When it happened.  Raises ValueError when that cannot be read."""
    return datetime.fromisoformat(_text(raw.payload, _TIME))


def recorded_at(raw: RawEvent) -> datetime:
    """When it was written.  Raises ValueError when that cannot be read."""
    return datetime.fromisoformat(_text(raw.payload, _RECORDED)).astimezone(UTC)


def origin_of(raw: RawEvent) -> str:
    """How it came into the log.  Raises ValueError when that cannot be read."""
    return _text(raw.payload, _ORIGIN)


def _text(payload: bytes, name: bytes) -> str:
    begin = payload.index(name) + len(name)
    return payload[begin : payload.index(b'"', begin)].decode()
