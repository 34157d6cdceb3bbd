"""Moments and days as somebody says them: written out, never as a number, of which nobody knows what it counts."""

from datetime import date
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError


def _written_out(value: Any) -> Any:
    """Refuses what would be read as the seconds, or milliseconds, since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and _is_number(value)):
        reason = "Write the date out, such as 2026-03-02T08:30:00+08:00 or 2026-03-02"
        raise PydanticCustomError(
            "date_as_number", reason, {"reason_zh": "请写明日期，例如 2026-03-02T08:30:00+08:00。"}
        )
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]
"""A moment with its zone, as ISO 8601 writes it."""
Day = Annotated[date, BeforeValidator(_written_out)]
"""A day, as ISO 8601 writes it."""
