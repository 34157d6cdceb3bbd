"""Local times as a city's file writes them, read in the zone of the place."""

from datetime import UTC, datetime, timezone, tzinfo
from typing import Final

from cli.importing.mapping import ISO, Mapping

YEAR_MIN: Final = 1950
YEAR_MAX: Final = 9998  # a later one cannot be told in every zone
_RANGE: Final = (
    f"is not within the years {YEAR_MIN} to {YEAR_MAX}; if it stands for no time, list it under `blank`"
)


class Clock:
    """Reads times by a mapping's formats and rules."""

    def __init__(self, mapping: Mapping) -> None:
        self._zone: tzinfo = mapping.zone
        self._formats = mapping.time_formats
        self._ambiguous = mapping.ambiguous_times
        self._shifts = mapping.nonexistent_times == "shift"

    def read(self, text: str) -> datetime:
        """The moment, with the offset that held at the place.  Raises ValueError with the reason.

        The offset is a fixed one: Python compares two times of one zone by their wall clocks, and calls a time
        that the clock showed twice unequal to itself in another zone.
        """
        moment = self._parsed(text)
        if not YEAR_MIN <= moment.year <= YEAR_MAX:
            raise ValueError(_RANGE)
        if moment.tzinfo is not None:
            return _fixed(moment.astimezone(self._zone))
        first, second = moment.replace(tzinfo=self._zone), moment.replace(tzinfo=self._zone, fold=1)
        before, after = first.utcoffset(), second.utcoffset()
        assert before is not None, "a zone tells its offset"
        assert after is not None, "a zone tells its offset"
        if before == after:
            return _fixed(first)
        return _fixed(self._left_out(first) if before < after else self._twice(first, second))

    def _parsed(self, text: str) -> datetime:
        for pattern in self._formats:
            try:
                if pattern == ISO:
                    return datetime.fromisoformat(text)
                return datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone is added by `read`
            except ValueError:
                continue
        raise ValueError(f"is no time of the form {' or '.join(self._formats)}")

    def _left_out(self, moment: datetime) -> datetime:
        if not self._shifts:
            raise ValueError("is a local time that the clock left out")
        return moment.astimezone(UTC).astimezone(self._zone)

    def _twice(self, first: datetime, second: datetime) -> datetime:
        if self._ambiguous == "reject":
            raise ValueError("is a local time that the clock showed twice")
        return first if self._ambiguous == "earlier" else second


def _fixed(moment: datetime) -> datetime:
    offset = moment.utcoffset()
    assert offset is not None, "a zone tells its offset"
    return moment.replace(tzinfo=timezone(offset), fold=0)
