"""Where a post may act: in cases of its own place.  Pure."""

from collections.abc import Iterable
from typing import Final

from libs.events.contracts.base import Event, Place
from libs.events.contracts.intake import CaseAdopted, CaseReported
from libs.events.policy import RuleBook

NOT_YOUR_PLACE: Final = "This case is not in the place of this post."
NOT_YOUR_PLACE_ZH: Final = "该案件不在此岗位辖区内。"


def place_of(events: Iterable[Event]) -> Place | None:
    """Where the case is, as it was reported, or adopted since; None before it was reported."""
    return next(
        (event.place for event in reversed(tuple(events)) if isinstance(event, CaseAdopted | CaseReported)),
        None,
    )


def covers(post: str, place: Place | None, book: RuleBook) -> bool:
    """Whether a case at *place* is one of this post's own.

    Of a case that is known less exactly than the post's place every post within may decide, and of one that the
    rule book knows no place of, every post: somebody must.
    """
    kind, _, of = post.partition(":")
    own = book.areas_of(of)
    if kind == "department" or place is None or not own:
        return True  # departments stand for no place
    finest = next((area for area in (place.grid, place.community, place.street) if area in book.places), "")
    there = book.areas_of(finest)
    return not there or own[0] in there or there[0] in own
