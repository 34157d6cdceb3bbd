"""Working time: when a limit given in minutes, hours or days runs out.  Pure: no clock, no library's holidays.

Five units, and what each counts:

- `minutes`, `urgent_hours` (急办小时): every minute, day and night.
- `natural_days` (自然日): the same time on the clock so many days of the calendar later.
- `working_hours` (工作小时): only time inside the working hours of working days.
- `working_days` (工作日): the same time on the clock so many working days later.  What starts outside working hours
  starts with the next working moment; a limit of one working day that starts on Saturday ends on Tuesday at opening.

A window of working hours includes its opening and not its closing.  Where clocks are changed, working hours count
real time, and days the clock on the wall; a time that the change skips is read with the offset before it.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Final, NamedTuple, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from libs.events.limits import AMOUNT_MAX, Limit, Unit

__all__ = [
    "AMOUNT_MAX",
    "WEEKDAYS",
    "Calendar",
    "Limit",
    "Unit",
    "Window",
    "known_zone",
    "local",
    "opening_times",
    "windows_in_order",
]

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_NOTHING: Final = timedelta()
_LENGTH: Final = {
    Unit.MINUTES: _MINUTE,
    Unit.URGENT_HOURS: timedelta(hours=1),
    Unit.WORKING_HOURS: timedelta(hours=1),
    Unit.NATURAL_DAYS: _DAY,
}


class Window(NamedTuple):
    """A stretch of working time of one day, from midnight by the clock on the wall."""

    opens: timedelta
    closes: timedelta


_WINDOW: Final = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")


def _window(text: str) -> Window:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: write working hours like 08:30-12:00")
    hour, minute, hour_end, minute_end = map(int, match.groups())
    window = Window(timedelta(hours=hour, minutes=minute), timedelta(hours=hour_end, minutes=minute_end))
    if max(minute, minute_end) > 59 or window.closes > _DAY:
        raise ValueError(f"{text!r}: a day has 24 hours of 60 minutes")
    if window.opens >= window.closes:
        raise ValueError(
            f"{text!r} closes before it opens: write a night as two windows, until 24:00 and from 00:00"
        )
    return window


def windows_in_order(texts: tuple[str, ...]) -> tuple[str, ...]:
    """*texts* themselves.  Raises ValueError when one is no window such as `08:30-12:00`, or two overlap."""
    for one, other in pairwise(_window(text) for text in texts):
        if one.closes > other.opens:
            raise ValueError("windows overlap, or are not in order")
    return texts


def opening_times(texts: Sequence[str], day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the first of these windows opens on *day* and the last closes, as the clocks of *zone* show it."""
    opens, closes = _window(texts[0]).opens, _window(texts[-1]).closes
    return local(_moment(_midnight(day) + opens, zone), zone), local(
        _moment(_midnight(day) + closes, zone), zone
    )


def known_zone(name: str) -> str:
    """*name* itself.  Raises ValueError when no time zone has it."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a folder of zones is an OSError
        raise ValueError(f"no such time zone: {name}") from error
    return name


def local(moment: datetime, zone: ZoneInfo) -> datetime:
    """*moment* as the clocks of *zone* show it, with its offset fixed.

    Two times that carry the zone itself would be compared, and added to, by the clock on the wall: wrong whenever
    the clocks are changed in between.
    """
    there = moment.astimezone(zone)
    offset = there.utcoffset()
    assert offset is not None, "a zone has an offset at every moment"
    return there.replace(tzinfo=timezone(offset))


class Calendar(BaseModel):
    """When a city works.  Every date stands in it, so that no library's next release changes a decision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_zone: Annotated[str, AfterValidator(known_zone)]
    working_hours: Annotated[tuple[str, ...], Field(min_length=1)]
    """Windows such as `08:30-12:00`, in order, without overlap; `24:00` is the end of a day."""
    working_weekdays: Annotated[tuple[str, ...], Field(min_length=1)]
    """Three letters each: mon, tue, wed, thu, fri, sat, sun."""
    holidays: tuple[date, ...] = ()
    """Days off, whatever weekday."""
    make_up_days: tuple[date, ...] = ()
    """Working days, whatever weekday (调休上班)."""
    known_until: date | None = None
    """After this day the arrangement of holidays was not known when the rules were published; weekdays count."""

    @field_validator("working_weekdays")
    @classmethod
    def _known_weekdays(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in WEEKDAYS:
                raise ValueError(f"{name} is no weekday: {', '.join(WEEKDAYS)}")
        return value

    @field_validator("working_hours")
    @classmethod
    def _windows_in_order(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return windows_in_order(value)

    @model_validator(mode="after")
    def _of_one_mind(self) -> Self:
        both = sorted(set(self.holidays) & set(self.make_up_days))
        if both:
            raise ValueError(f"{both[0]} is both a day off and a working day")
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        """Where the clocks hang."""
        return ZoneInfo(self.time_zone)

    @cached_property
    def _windows(self) -> tuple[Window, ...]:
        return tuple(_window(text) for text in self.working_hours)

    @cached_property
    def _working_day(self) -> timedelta:
        return sum((window.closes - window.opens for window in self._windows), _NOTHING)

    @cached_property
    def _weekdays(self) -> frozenset[int]:
        return frozenset(WEEKDAYS.index(name) for name in self.working_weekdays)

    @cached_property
    def _days_off(self) -> frozenset[date]:
        return frozenset(self.holidays)

    @cached_property
    def _days_on(self) -> frozenset[date]:
        return frozenset(self.make_up_days)

    def works_on(self, day: date) -> bool:
        """Whether *day* is a working day."""
        return day in self._days_on or (day.weekday() in self._weekdays and day not in self._days_off)

    def works_at(self, moment: datetime) -> bool:
        """Whether *moment* lies in working time."""
        there = _on_the_wall(moment, self.zone)
        clock = there - _midnight(there.date())
        return self.works_on(there.date()) and any(
            each.opens <= clock < each.closes for each in self._windows
        )

    def local(self, moment: datetime) -> datetime:
        """*moment* as the city's clocks show it, with its offset fixed."""
        return local(moment, self.zone)

    def due(self, limit: Limit, start: datetime) -> datetime:
        """When *limit* that begins at *start* runs out, as the city's clocks show it."""
        return self.local(self._after(limit.unit, start, self._span(limit)))

    def warn(self, limit: Limit, start: datetime, share: float) -> datetime:
        """When *share* (0 to 1) of *limit* that begins at *start* has passed."""
        return self.local(self._after(limit.unit, start, self._span(limit) * share))

    def elapsed(self, unit: Unit, start: datetime, end: datetime) -> float:
        """How much of *unit* passes from *start* to *end*; 0 when *end* is not later."""
        return self._between(unit, start, end) / self._unit(unit)

    def shifted(self, due: datetime, limit: Limit, paused_at: datetime, resumed_at: datetime) -> datetime:
        """*due* later by as much of the limit's unit as passed during the pause; one that was missed stays."""
        paused = _NOTHING if paused_at >= due else self._between(limit.unit, paused_at, resumed_at)
        return self.local(self._after(limit.unit, due, paused) if paused else due)

    def remaining(self, due: datetime, limit: Limit, now: datetime) -> float:
        """The share of *limit* that is left at *now* until *due*; above 1 when there is more than it gives."""
        return self._between(limit.unit, now, due) / self._span(limit)

    def _unit(self, unit: Unit) -> timedelta:
        return self._working_day if unit is Unit.WORKING_DAYS else _LENGTH[unit]

    def _span(self, limit: Limit) -> timedelta:
        return limit.amount * self._unit(limit.unit)

    def _after(self, unit: Unit, start: datetime, span: timedelta) -> datetime:
        match unit:
            case Unit.MINUTES | Unit.URGENT_HOURS:
                return start.astimezone(UTC) + span
            case Unit.NATURAL_DAYS:
                moment = _moment(_on_the_wall(start, self.zone) + span, self.zone)
            case Unit.WORKING_HOURS:
                moment = self._after_working_time(start, span)
            case Unit.WORKING_DAYS:
                moment = self._after_working_days(start, span)
        # Clocks that go back can show an earlier time after a moment than at it.
        return max(moment, start.astimezone(UTC))

    def _after_working_time(self, start: datetime, span: timedelta) -> datetime:
        for opens, closes in self._real_windows(start):
            if closes - opens >= span:
                return opens + span
            span -= closes - opens
        raise AssertionError("windows go on for ever")

    def _after_working_days(self, start: datetime, span: timedelta) -> datetime:
        day, worked = self._position(start)
        days, worked = divmod(worked + span, self._working_day)
        for _ in range(days):
            day = self._next_working_day(day)
        return _moment(_midnight(day) + self._clock_at(worked), self.zone)

    def _clock_at(self, worked: timedelta) -> timedelta:
        """How long after midnight so much of a day's working time, less than all, has passed."""
        for window in self._windows:
            if worked < window.closes - window.opens:
                return window.opens + worked
            worked -= window.closes - window.opens
        raise AssertionError("less than a day's working time")

    def _between(self, unit: Unit, start: datetime, end: datetime) -> timedelta:
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        if end <= start:
            return _NOTHING
        match unit:
            case Unit.MINUTES | Unit.URGENT_HOURS:
                return end - start
            case Unit.NATURAL_DAYS:
                return max(_on_the_wall(end, self.zone) - _on_the_wall(start, self.zone), _NOTHING)
            case Unit.WORKING_HOURS:
                return self._working_time_between(start, end)
            case Unit.WORKING_DAYS:
                return self._working_days_between(start, end)

    def _working_time_between(self, start: datetime, end: datetime) -> timedelta:
        total = _NOTHING
        for opens, closes in self._real_windows(start):
            if opens >= end:
                break
            total += min(closes, end) - opens
        return total

    def _working_days_between(self, start: datetime, end: datetime) -> timedelta:
        (day, worked), (last, worked_last) = self._position(start), self._position(end)
        total = worked_last - worked
        while day < last:
            total += self._working_day
            day = self._next_working_day(day)
        return max(total, _NOTHING)

    def _position(self, moment: datetime) -> tuple[date, timedelta]:
        """The working day that *moment* belongs to, and how much of its working time has passed, less than all."""
        there = _on_the_wall(moment, self.zone)
        day, clock = there.date(), there - _midnight(there.date())
        if not self.works_on(day) or clock >= self._windows[-1].closes:
            return self._next_working_day(day), _NOTHING
        passed = (min(max(clock - each.opens, _NOTHING), each.closes - each.opens) for each in self._windows)
        return day, sum(passed, _NOTHING)

    def _next_working_day(self, day: date) -> date:
        day += _DAY
        while not self.works_on(day):
            day += _DAY
        return day

    def _real_windows(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        """What is left of working time from *start* on, as moments in UTC, without end."""
        start = start.astimezone(UTC)
        day = _on_the_wall(start, self.zone).date()
        while True:
            if self.works_on(day):
                for window in self._windows:
                    opens, closes = (_moment(_midnight(day) + each, self.zone) for each in window)
                    if closes > start:
                        yield max(opens, start), closes
            day += _DAY


def _on_the_wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows, without zone: to count days by."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _moment(shown: datetime, zone: ZoneInfo) -> datetime:
    """When the clock on the wall shows this, in UTC; the first time when it does so twice."""
    return shown.replace(tzinfo=zone).astimezone(UTC)
