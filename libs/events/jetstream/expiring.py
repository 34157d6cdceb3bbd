"""Having the server let go of the oldest events of a stream that is never purged.

A stream of evidence refuses deletes and purges for ever; only its age limit can still be changed, by a person with the
break-glass user.  So it is set for a moment, to just the age of what may go, and taken back at once.
"""

import asyncio
from datetime import datetime
from typing import Any, Final

import structlog

from libs.events.errors import BooksRefused, LogUnavailable
from libs.events.jetstream.client import JetStream, NotNow, Refused, Unknown, as_library_error

log = structlog.get_logger(__name__)

MARGIN_SECONDS: Final = 3_600.0
"""So much younger than the limit is what must not go: the time that there is to take the limit back."""
ANSWER_SECONDS_MAX: Final = 10.0
TAKE_BACK_ATTEMPTS_MAX: Final = 60
TAKE_BACK_SECONDS: Final = 0.5
POLL_SECONDS: Final = 0.05
_NANOSECONDS: Final = 1_000_000_000


async def let_go(
    jetstream: JetStream, stream: str, through: int, *, margin_seconds: float = MARGIN_SECONDS
) -> int:
    """Have events go that are older than that at position *through* by the margin; the first position that is left.

    Raises BooksRefused when they are too young, LogUnavailable; and LogUnavailable, saying so, when the limit could not
    be taken back: then nothing else may be done before it is.
    """
    try:
        info = await jetstream.api(f"STREAM.INFO.{stream}")
        stored = await jetstream.api(f"STREAM.MSG.GET.{stream}", {"seq": through})
    except (NotNow, Unknown, Refused) as error:
        raise as_library_error(error) from error
    config: dict[str, Any] = info["config"]
    age = _moment(info["ts"]) - _moment(stored["message"]["time"])
    limit = age.total_seconds() + margin_seconds
    if limit * _NANOSECONDS < int(config["duplicate_window"]):
        raise BooksRefused(f"event {through} is {age.total_seconds():.0f} s old: too young to be let go of")
    log.warning("log_age_limited", stream=stream, seconds=limit)
    try:
        await _update(jetstream, stream, {**config, "max_age": round(limit * _NANOSECONDS)})
        return await _settled(jetstream, stream, limit)
    finally:
        await _take_back(jetstream, stream, config)


async def _settled(jetstream: JetStream, stream: str, limit: float) -> int:
    """Wait until nothing older is left."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while True:
                info = await jetstream.api(f"STREAM.INFO.{stream}")
                age = _moment(info["ts"]) - _moment(info["state"]["first_ts"])
                if age.total_seconds() <= limit or not info["state"]["messages"]:
                    return int(info["state"]["first_seq"])
                await asyncio.sleep(POLL_SECONDS)
    except (TimeoutError, NotNow, Unknown, Refused) as error:
        raise LogUnavailable(
            f"the log did not let go of its oldest events in {ANSWER_SECONDS_MAX} s"
        ) from error


async def _take_back(jetstream: JetStream, stream: str, config: dict[str, Any]) -> None:
    for _ in range(TAKE_BACK_ATTEMPTS_MAX):
        try:
            await _update(jetstream, stream, config)
        except LogUnavailable:
            await asyncio.sleep(TAKE_BACK_SECONDS)
        else:
            return
    raise LogUnavailable(
        f"the age limit of {stream} could not be taken back: set max_age to 0 at once, or younger events go too"
    )


async def _update(jetstream: JetStream, stream: str, config: dict[str, Any]) -> None:
    try:
        await jetstream.api(f"STREAM.UPDATE.{stream}", config)
    except (NotNow, Unknown) as error:
        raise LogUnavailable(f"{stream}: {error}") from error
    except Refused as error:
        raise as_library_error(error) from error


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
