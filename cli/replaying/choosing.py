"""Which part of the log is played, and what is made of an event there.  Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson

from libs.events.envelope import Origin
from libs.events.jetstream.reader import RawEvent
from libs.events.subjects import room_subject

SUBJECT_DEFAULT: Final = "case.>"
ORIGIN_HEADER: Final = "Whistle-Origin"
POSITION_HEADER: Final = "Whistle-Position"
RECORDED_HEADER: Final = "Whistle-Recorded-Time"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Selection:
    """A stretch of the log, and which subjects of it.  The log is never changed, so it is the same for ever."""

    first: int
    last: int
    subject: str

    def as_metadata(self) -> dict[str, str]:
        """What stands beside the stream of a room, so that whoever plays on knows what was played."""
        return {"first": str(self.first), "last": str(self.last), "subject": self.subject}


@dataclass(frozen=True, slots=True)
class Played:
    """One event as a room gets it."""

    subject: str
    payload: bytes
    headers: dict[str, str]


def matcher(pattern: str) -> Callable[[bytes], bool]:
    """Whether a subject is one of *pattern*, in the language of the server.

    Raises ValueError unless that lies below `case.`.
    """
    head, *parts = pattern.split(".")
    if head != "case" or not parts:
        raise ValueError(f"{pattern!r} is not below `case.`")
    if is_open := parts[-1] == ">":
        parts.pop()
    if not all(part == "*" or _PLAIN.fullmatch(part) for part in parts):
        raise ValueError(
            f"{pattern!r} is no subject: tokens of letters, digits, - and _, or *, and > at the end"
        )
    tokens = [r"[^.]+" if part == "*" else re.escape(part) for part in parts]
    expression = re.compile((r"\.".join(("case", *tokens)) + (r"\..+" if is_open else "")).encode())
    return lambda subject: expression.fullmatch(subject) is not None


def for_room(room: str, event: RawEvent) -> tuple[Played, str]:
    """The event as it is played: the same, but for its origin, which says so; and when it was recorded."""
    document = orjson.loads(event.payload)
    recorded: str = document["recordedtime"]
    headers = {
        ORIGIN_HEADER: Origin.REPLAY.value,
        POSITION_HEADER: str(event.sequence),
        RECORDED_HEADER: recorded,
    }
    payload = orjson.dumps({**document, "origin": Origin.REPLAY.value})
    return Played(room_subject(room, event.subject.decode()), payload, headers), recorded
