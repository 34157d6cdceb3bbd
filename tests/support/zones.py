"""A city's day that does not end while a test runs."""

from datetime import UTC, datetime
from typing import Final

NOON: Final = 12


def far_from_midnight() -> str:
    """A time zone in which it is about noon."""
    ahead = NOON - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}"  # its name says how far behind Greenwich is, not the place
