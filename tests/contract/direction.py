"""Who writes what a contract describes: it decides which changes break somebody."""

from enum import StrEnum


class Direction(StrEnum):
    """Who writes, and who reads."""

    PUBLISHED = "published"
    """Whistle writes; others read, and so does Whistle, whatever it wrote before."""
    SENT = "sent"
    """Others write, Whistle reads."""
