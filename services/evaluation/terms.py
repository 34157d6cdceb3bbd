"""What the rule book says of an end, reckoned from a moment.  Pure."""

from datetime import datetime

from libs.events.policy import RuleBook
from services.evaluation.decider import Windows


def windows(book: RuleBook, closed_at: datetime) -> Windows:
    """Until when the reporter of what is closed at *closed_at* may rate it and have it reopened."""
    return Windows(
        rate_until=book.deadline(book.rating.within, closed_at).due_at,
        reopen_until=book.deadline(book.reopen.within, closed_at).due_at,
    )


def card_of(book: RuleBook, step: int) -> str | None:
    """The colour of the card for so many overdue steps; None where the rule book shows none."""
    steps = book.escalation.overdue
    return steps[step - 1].card if 1 <= step <= len(steps) else None
