"""Public holidays and make-up working days, from the package `holidays` into explicit dates.

Only here, when files are read: the published rule book holds the dates, so that no library's next release changes
what was decided.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final

import holidays
from pydantic import AfterValidator, Field

from libs.events.policy.base import Part

YEARS_MAX: Final = 30


def _known_country(value: str) -> str:
    if value not in holidays.list_supported_countries():
        raise ValueError(f"the holidays of {value} are not known")
    return value


def _first_and_last(value: tuple[int, int]) -> tuple[int, int]:
    if not value[0] <= value[1] < value[0] + YEARS_MAX:
        raise ValueError(f"write the first and the last year, at most {YEARS_MAX} of them")
    return value


Year = Annotated[int, Field(ge=1990, le=2100)]


class PublicHolidays(Part):
    """Whose public holidays, of which years."""

    country: Annotated[str, AfterValidator(_known_country)]
    """ISO 3166, two letters."""
    years: Annotated[tuple[Year, Year], AfterValidator(_first_and_last)]
    """The first and the last."""


class CalendarFile(Part):
    """The file calendar.yaml."""

    working_hours: tuple[str, ...]
    working_weekdays: tuple[str, ...]
    holidays: PublicHolidays | None = None
    extra_holidays: tuple[date, ...] = ()
    """Days off that the country does not have, or not yet announced."""
    extra_working_days: tuple[date, ...] = ()
    """Working days that the country does not have, or not yet announced."""

    def resolved(self, time_zone: str) -> Mapping[str, Any]:
        """The fields of a Calendar, every date explicit.  The city's own dates outdo those of the country."""
        off, on, known_until = _announced(self.holidays) if self.holidays else (set(), set(), None)
        off = (off - set(self.extra_working_days)) | set(self.extra_holidays)
        on = (on - set(self.extra_holidays)) | set(self.extra_working_days)
        return {
            "time_zone": time_zone,
            "working_hours": self.working_hours,
            "working_weekdays": self.working_weekdays,
            "holidays": tuple(sorted(off)),
            "make_up_days": tuple(sorted(on)),
            "known_until": known_until,
        }


def _announced(wanted: PublicHolidays) -> tuple[set[date], set[date], date]:
    first, last = wanted.years
    known = holidays.country_holidays(wanted.country, years=range(first, last + 1))
    moved = {day for day in known.weekend_workdays if first <= day.year <= last}
    # Where days are moved every year, a year without moved days is one whose arrangement is not announced yet.
    if known.weekend_workdays:
        last = max((day.year for day in moved), default=first - 1)
    return {day for day in known if day not in moved}, moved, date(last, 12, 31)
