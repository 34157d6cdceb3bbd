"""Errors in both languages, that name what they are about by its code."""

from collections.abc import Callable
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from libs.events.reasons import reason_zh

FORMS: Final = ("share", "steps", "bands", "per_case", "given", "bonus", "penalty")
"""What an item's `form` may be."""


def wrong(reason: str, reason_zh: str) -> PydanticCustomError:
    """What a validator raises; `libs.events.reasons` finds the Chinese again."""
    return PydanticCustomError("appraisal", "{reason}", {"reason": reason, "reason_zh": reason_zh})


def naming(what: str, what_zh: str) -> Callable[[Any, Callable[[Any], Any]], Any]:
    """A validator that names the thing by its code: its number in the list helps nobody who edits the file."""

    def named(value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            code = value.get("code") if isinstance(value, dict) else None
            errors = _telling(error)
            raise wrong(
                f"{what} {code or '(without a code)'}: {'; '.join(_placed(each, each['msg']) for each in errors)}",
                f"{what_zh} {code or '（无编码）'}：{'；'.join(_placed(each, reason_zh(each)) for each in errors)}",
            ) from error

    return named


def _telling(error: ValidationError) -> list[ErrorDetails]:
    # A list whose only member is wrong is also called too short: that says nothing more.
    errors = error.errors()
    return [each for each in errors if each["type"] != "too_short"] or errors


def _placed(error: ErrorDetails, reason: str) -> str:
    where = ".".join(str(part) for part in error["loc"] if part not in FORMS)
    return f"{where}: {reason}" if where else reason
