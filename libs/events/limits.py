"""A time limit: so much of a unit, as people write it in a rule book."""

import re
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

from pydantic_core import core_schema

AMOUNT_MAX: Final = 10_000
"""In whatever unit: a limit is no longer than that."""


class Unit(StrEnum):
    """What a time limit counts."""

    MINUTES = "minutes"
    URGENT_HOURS = "urgent_hours"
    WORKING_HOURS = "working_hours"
    WORKING_DAYS = "working_days"
    NATURAL_DAYS = "natural_days"


_LIMIT: Final = re.compile(
    r"(?P<amount>\d+(?:\.\d{1,2})?) (?P<unit>minute|urgent hour|working hour|working day|natural day)s?"
)
_LIMIT_FORM: Final = (
    'write an amount and a unit, such as "30 minutes", "2 urgent hours", "4 working hours", "5 working days",'
    ' "7 natural days"'
)


class Limit(NamedTuple):
    """A time limit: so much of a unit.  Written, and published, as a text such as `4 working hours`."""

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Self:
        """The limit that *text* writes.  Raises ValueError for another text and for an amount that is no time."""
        match = _LIMIT.fullmatch(" ".join(text.split()))
        if match is None:
            raise ValueError(f"{text!r} is no time limit: {_LIMIT_FORM}")
        amount = float(match["amount"])
        if not 0 < amount <= AMOUNT_MAX:
            raise ValueError(f"{text!r} leaves no time, or too much: more than 0, at most {AMOUNT_MAX}")
        return cls(amount, Unit(f"{match['unit'].replace(' ', '_')}s"))

    def __str__(self) -> str:
        unit = self.unit.replace("_", " ")
        return f"{self.amount:g} {unit.removesuffix('s') if self.amount == 1 else unit}"

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validated, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def _validated(cls, value: Any) -> "Limit":
        if isinstance(value, Limit):
            return cls.parse(str(value))
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no time limit: {_LIMIT_FORM}")  # noqa: TRY004 - pydantic wants it
        return cls.parse(value)
