"""How a person says where to begin or end: a position, a time, a date, or a case."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from cli.output import UsageError, case_id_of, moment_in, parse_moment
from libs.events import policy
from libs.events.ids import is_case_id
from libs.events.jetstream import JetStream
from libs.events.starting import OfCase, Start

Said = int | datetime | date | OfCase


def parse_point(text: str) -> int | datetime | date:
    """A position, or a time, or a date.  Raises UsageError."""
    return int(text) if text.isdecimal() else parse_moment(text)


def parse_start(text: str) -> Said:
    """The same, or a case.  Raises UsageError."""
    if not (text.isdecimal() and is_case_id(text)):
        try:
            return parse_point(text)
        except UsageError as error:
            not_a_point = error
        try:
            return OfCase(case_id_of(text))
        except UsageError:
            raise UsageError(
                f"{not_a_point}; or a position such as 42, or a case · 也可填位置或案件编号"
            ) from None
    return OfCase(text)


async def in_city(jetstream: JetStream, said: Said) -> Start:
    """What was said, a date as its midnight in the city of the rule book."""
    if isinstance(said, date) and not isinstance(said, datetime):
        zone: ZoneInfo = (await policy.current(jetstream)).zone
        return moment_in(said, zone)
    return said
