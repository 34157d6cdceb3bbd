"""How far an import is."""

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """How far an import is; changes while it runs."""

    rows: int = 0
    """How many there are."""
    done: int = 0
    """Rows that were dealt with: added to, already there, or rejected."""
    rows_added: int = 0
    """Rows that brought at least one new event."""
    rows_there: int = 0
    """Rows that brought nothing new."""
    rows_in_books: int = 0
    """Rows whose cases are in closed books; they were left alone, and count as already there."""
    rows_reworded: int = 0
    """Rows whose texts are others than the log has; the first stand."""
    rejected: int = 0
    events_added: int = 0
    behind: int | None = None
    """Events that the read models have still to take; None when that is not known."""
    waiting_for_log: bool = False
    """Whether the log is away at this moment."""
