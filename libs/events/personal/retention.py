"""Whose data may be kept no longer, by the rule book.  Pure."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple

from libs.events.personal.deciding import Case, Hold

Until = Callable[[str, datetime], datetime | None]
"""Until when it is known who reported a case of a category that ended then; None for ever."""
NO_CATEGORY = ""
"""Of somebody of whom no case is known: the time is the usual one."""


class Known(NamedTuple):
    """Somebody whose key the vault has."""

    person: str
    made_at: datetime
    values: int
    """How many values were sealed for them: with one more, they have reported again."""
    cases: tuple[Case, ...]
    holds: tuple[Hold, ...] = ()
    """On the person."""


class Due(NamedTuple):
    """Somebody who may be kept no longer, unless a hold says so."""

    known: Known
    since: datetime
    """When the time was over."""
    holds: tuple[Hold, ...]
    """That stand against it: on the person and on their cases."""


def kept_until(known: Known, until: Until) -> datetime | None:
    """Until when somebody is kept: as long as the longest of their cases wants; None while there is no end to see.

    Of whom no case is known, since a report came to nothing, from when their key was made.
    """
    if not known.cases:
        return until(NO_CATEGORY, known.made_at)
    ends = []
    for case in known.cases:
        end = until(case.category, case.ended_at) if case.ended_at else None
        if end is None:
            return None
        ends.append(end)
    return max(ends)


def due(people: Iterable[Known], until: Until, now: datetime) -> list[Due]:
    """Whose time is over at *now*, the longest overdue first."""
    found = []
    for known in people:
        end = kept_until(known, until)
        if end is not None and end <= now:
            holds = (*known.holds, *(hold for case in known.cases for hold in case.holds))
            found.append(Due(known, end, holds))
    return sorted(found, key=lambda each: (each.since, each.known.person))
