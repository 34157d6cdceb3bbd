"""The rule book of a simulation: the example city's, with time that passes faster, and the same on every day."""

from pathlib import Path
from typing import Any, Final

from cli.stack.rulebook import example_in

EVERY_DAY: Final = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def write_book(folder: Path, scale: int) -> Path:
    """Write it into *folder*, which is made anew; *scale* seconds of a time limit pass in one real second."""
    # Grid workers walk whenever somebody simulates.
    return example_in(
        folder,
        time_lapse=scale,
        calendar=_the_same_every_day,
        patrol=lambda patrol: patrol | {"hours": ["00:00-24:00"]},
    )


def _the_same_every_day(calendar: dict[str, Any]) -> dict[str, Any]:
    """A run takes no longer on a Friday evening, or before a holiday, than on a Tuesday."""
    without = {name: value for name, value in calendar.items() if name != "holidays"}
    return without | {"working_weekdays": EVERY_DAY}
