"""Whether a subscription is about a fact.  Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from libs.events.contracts.base import Event, Place
from libs.events.contracts.dispatch import Assigned, Declined, Recalled, WhistleBlown
from libs.events.contracts.evaluation import CaseReopened
from libs.events.contracts.intake import CaseAdopted, CaseReported
from services.notify.subscriptions.model import State, Subscription


class Concern(NamedTuple):
    """Where a case is and whom a fact of it concerns."""

    areas: frozenset[str]
    """Its street, community and grid."""
    departments: frozenset[str]
    """Those that the fact names, and the one that has the case by then."""


def concern_of(events: Sequence[Event]) -> Concern:
    """Of the last of *events*, which are those of a case from its first on."""
    place: Place | None = None
    holder: str | None = None
    for event in events:
        match event:
            case CaseReported() | CaseAdopted():
                place = event.place
            case Assigned():
                holder = event.department
            case Recalled() | Declined():
                holder = None if event.department == holder else holder
            case CaseReopened():
                holder = None
            case _:
                pass
    last = events[-1]
    named = (
        last.departments if isinstance(last, WhistleBlown) else (getattr(last, "department", None), holder)
    )
    areas = (place.street, place.community, place.grid) if place else ()
    return Concern(frozenset(filter(None, areas)), frozenset(filter(None, named)))


def listens(subscription: Subscription, event_type: str, position: int) -> bool:
    """Whether it is for facts of this type at this position, as far as one can say without the case."""
    return (
        subscription.state is not State.DISABLED
        and position > subscription.after_position
        and hears_type(subscription, event_type)
    )


def hears_type(subscription: Subscription, event_type: str) -> bool:
    """Whether it is for facts of this type."""
    return not subscription.types or event_type in subscription.types


def needs_case(subscription: Subscription) -> bool:
    """Whether the case must be known."""
    return bool(subscription.departments or subscription.areas)


def concerns(subscription: Subscription, concern: Concern) -> bool:
    """Whether it is for cases there and of that department."""
    of_department = not subscription.departments or not concern.departments.isdisjoint(
        subscription.departments
    )
    return of_department and (not subscription.areas or not concern.areas.isdisjoint(subscription.areas))
