"""When two reports tell of the same problem: near one another, in like words.  Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from libs.events.contracts.base import Place
from libs.events.distance import metres_between
from libs.events.policy import RuleBook


@dataclass(frozen=True, slots=True)
class Candidate:
    """An open live case that a new report may tell of as well."""

    case_id: str
    category: str
    description: str
    longitude: float
    latitude: float
    reported_at: datetime


class Match(NamedTuple):
    """The open case that a report tells of, and how sure that is."""

    case_id: str
    distance_metres: float
    similarity: float


def best_match(
    category: str,
    description: str,
    place: Place,
    candidates: Iterable[Candidate],
    *,
    rules: RuleBook,
    now: datetime,
) -> Match | None:
    """The most alike of the cases that the rule book counts as the same; then the nearest, then the oldest."""
    if place.longitude is None or place.latitude is None:
        return None
    book = rules.duplicates_of(category)
    here = (place.longitude, place.latitude)
    found: list[tuple[float, float, datetime, str]] = []
    for each in candidates:
        if each.category != category or rules.deadline(book.within, each.reported_at).due_at < now:
            continue
        metres = metres_between(here, (each.longitude, each.latitude))
        alike = similarity(description, each.description)
        if metres <= book.metres and alike >= book.similarity:
            found.append((-alike, metres, each.reported_at, each.case_id))
    if not found:
        return None
    alike, metres, _, case_id = min(found)
    return Match(case_id, round(metres, 1), round(-alike, 3))


def similarity(one: str, other: str) -> float:
    """How alike two texts are, 0 to 1: the Dice coefficient of their pairs of neighbouring characters.

    Case, spaces and punctuation do not count.  Texts without a pair are alike only when they are the same.
    """
    first, second = _plain(one), _plain(other)
    pairs, others = Counter(pairwise(first)), Counter(pairwise(second))
    if not pairs or not others:
        return float(first == second)
    return 2 * (pairs & others).total() / (pairs.total() + others.total())


def _plain(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
