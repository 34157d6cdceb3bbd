"""When a notice is sent: at once or when its receiver wants it, again after a failure, and when no more.  Pure."""

from datetime import datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
RETRY_SECONDS: Final = (
    *(5, 5 * MINUTE, 30 * MINUTE),
    *(2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR),
)
"""After the first failed attempt, the second ...: over three days in all."""
ATTEMPTS_MAX: Final = len(RETRY_SECONDS) + 1
DEAD_AFTER_DAYS: Final = 5
"""However few attempts there were: a receiver that is away is not tried with each of its notices."""
RETRY_AFTER_SECONDS_MAX: Final = 24 * HOUR
"""How long a receiver may ask us to wait."""
SPREAD: Final = 0.1
"""By so much of itself a wait is longer or shorter, so that what failed together does not come together again."""

LANE_AGAIN_SECONDS: Final = (5, 10, 20, 40, 80, 160, 320, 640, 1_280)
"""How far apart the single attempts to a receiver that fails are; the last one for ever."""


class Quiet(NamedTuple):
    """Hours in which somebody wants no notice; `start` after `end` goes over midnight."""

    start: time
    end: time


def again_at(
    now: datetime, attempts: int, chance: float, asked_seconds: float | None = None
) -> datetime | None:
    """When a notice that has failed *attempts* times is tried again; None when it was the last attempt.

    *chance* is from 0 to 1; *asked_seconds* is the wait that the receiver asked for, which is never cut short.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    wait = RETRY_SECONDS[attempts - 1] * (1 + SPREAD * (2 * chance - 1))
    if asked_seconds is not None:
        wait = max(wait, min(asked_seconds, RETRY_AFTER_SECONDS_MAX))
    return now + timedelta(seconds=wait)


def expired(planned_at: datetime, now: datetime) -> bool:
    """Whether it is too late for another attempt."""
    return now - planned_at > timedelta(days=DEAD_AFTER_DAYS)


def lane_again_at(now: datetime, failures: int) -> datetime:
    """When a receiver that has failed *failures* times in a row is tried again."""
    wait = LANE_AGAIN_SECONDS[min(failures, len(LANE_AGAIN_SECONDS)) - 1]
    return now + timedelta(seconds=wait)


def welcome_at(moment: datetime, zone: ZoneInfo, quiet: Quiet | None, digest: time | None) -> datetime:
    """The first moment from *moment* on at which the receiver wants to be told, by the clocks of *zone*.

    With a *digest* that is the next time of day of this name, which the receiver chose: quiet hours say nothing then.
    """
    if digest is not None:
        return _next(moment, zone, digest)
    if quiet is None or quiet.start == quiet.end:
        return moment
    clock = moment.astimezone(zone).time()
    within = (
        quiet.start <= clock < quiet.end
        if quiet.start < quiet.end
        else clock >= quiet.start or clock < quiet.end
    )
    return _next(moment, zone, quiet.end) if within else moment


def _next(moment: datetime, zone: ZoneInfo, clock: time) -> datetime:
    local = moment.astimezone(zone)
    found = datetime.combine(local.date(), clock, zone)
    # Compared as moments, not as what clocks show: on the day of a change of clocks these differ.
    if found.timestamp() < moment.timestamp():
        found = datetime.combine(local.date() + timedelta(days=1), clock, zone)
    return found
