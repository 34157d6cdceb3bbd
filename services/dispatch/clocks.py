"""Which deadlines of a case stand, by name: what the timers are made from, and made again from the log.  Pure.

`sign`, `handle`, `verify`, `acknowledge`, `report-in-<token of the department>`, `overdue-1`, `overdue-2` ...; and
`<name>-soon` for the reminder of each.  A deadline that was met, missed, moved or paused is not there any more.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import ExtensionRefused, ExtensionRequested, ProgressNoted, UnitSent
from libs.events.contracts.evaluation import CardIssued, Rated, ServiceScored
from libs.events.contracts.intake import CaseFiled, CaseReported, ReportJoined
from libs.events.contracts.patrol import CheckedIn, PatrolFound
from services.dispatch.decider import State, fold
from services.dispatch.decider.alarms import alarms
from services.dispatch.patrol import decider as patrol

QUIET: Final = frozenset(
    event.name()
    for event in (
        *(CaseReported, CaseFiled, ReportJoined, ProgressNoted, ExtensionRequested, ExtensionRefused),
        *(UnitSent, Rated, CardIssued, ServiceScored, CheckedIn, PatrolFound),
    )
)
"""Facts that move no deadline: nobody need look at the timers for them."""


def deadlines(state: State) -> Mapping[str, datetime]:
    """When each of them is here."""
    return {name: alarm.at for name, alarm in alarms(state).items()}


def deadlines_of(events: Iterable[Event]) -> Mapping[str, datetime]:
    """The same, of a case or of a patrol order with these facts; an order's only one is `patrol-end`."""
    facts = tuple(events)
    return {**deadlines(fold(facts)), **patrol.deadlines(patrol.fold(facts))}


def timer_of(events: Iterable[Event]) -> Mapping[str, datetime]:
    """The one timer that must stand: that of the next deadline; none where none is left.

    What happens when it is due is a fact, and who handles that fact puts up the timer of the deadline after it. So a
    case costs one timer, not one for each of its deadlines.
    """
    standing = deadlines_of(events)
    return dict(sorted(standing.items(), key=lambda each: (each[1], each[0]))[:1])
