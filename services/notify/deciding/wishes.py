"""How somebody wants to be told.  Pure."""

from datetime import time
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, ConfigDict

from libs.events.bodies import Body
from services.notify.deciding.schedule import Quiet


class Way(StrEnum):
    """By which way."""

    AUTO = "auto"
    """By mail if there is an address, else by SMS."""
    MAIL = "mail"
    SMS = "sms"
    NONE = "none"
    """Not at all; the tracking number still shows where the case stands."""


class Language(StrEnum):
    """In which language."""

    BOTH = "both"
    ZH = "zh"
    EN = "en"


def _to_the_minute(value: time) -> time:
    if value.tzinfo is not None or value.second or value.microsecond:
        raise ValueError("a time of the city's clocks, to the minute, such as 21:30")
    return value


Clock = Annotated[time, AfterValidator(_to_the_minute)]


class QuietHours(Body):
    """From when to when nothing is wanted; `21:30` to `07:00` goes over midnight."""

    start: Clock
    end: Clock


class Wishes(Body):
    """What a reporter wants; each report has wishes of its own, and these where nobody said any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    way: Way = Way.AUTO
    language: Language = Language.BOTH
    quiet: QuietHours | None = None
    """By the city's clocks; what comes then waits until they end."""
    digest: Clock | None = None
    """Everything of a day in one message, at this time; None: each at once."""

    @property
    def quiet_hours(self) -> Quiet | None:
        """The same for the schedule."""
        return Quiet(self.quiet.start, self.quiet.end) if self.quiet else None
