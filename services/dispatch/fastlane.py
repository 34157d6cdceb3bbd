"""The fast lane: a case that needs a unit gets the nearest free one at once, or goes up because there is none."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from libs.events.contracts.base import Place
from libs.events.contracts.dispatch import Assigned, Handled, UnitSent
from libs.events.contracts.evaluation import CaseClosed
from libs.events.envelope import Context, Entry, Origin
from libs.events.policy import RuleBook
from libs.events.rules import Rules
from libs.events.runtime import Bus
from services.dispatch import decider
from services.dispatch.decider import InHands, MissUnit, SendUnit
from services.dispatch.fleet import Fleet, Wanted
from services.dispatch.units import Choice

log = structlog.get_logger(__name__)

NO_COORDINATES = "The place of the case has no coordinates: no unit is near it or far."
NO_FREE_UNIT = "No unit of kind {kind} is free with a position that is fresh."


class FastLane:
    """What dispatch does about units when cases move.  Done twice it adds nothing."""

    def __init__(self, bus: Bus, fleet: Fleet, rules: Rules, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._fleet = fleet
        self._rules = rules
        self._now = now

    async def __call__(self, entry: Entry) -> None:
        """React to one fact.  Raises LogUnavailable."""
        if entry.envelope.origin is not Origin.LIVE:
            return
        match entry.event:
            case Assigned(lane=str(kind)) as assigned:
                await self._send(entry, assigned, kind)
            case Handled() | CaseClosed():
                await self._release(entry.case_id)
            case _:
                pass

    async def _send(self, entry: Entry, assigned: Assigned, kind: str) -> None:
        history = await self._bus.log.load(entry.case_id, at_least=entry.sequence)
        if not wants_unit(decider.fold_entries(history.entries)):
            return  # sent before, or the case went on without
        book, now = self._rules.book, self._rules.book.local(self._now())
        choice, note = await self._choose(entry.case_id, assigned, kind, now)
        command = _send_unit(kind, choice) if choice else MissUnit(book, note)
        context = Context(
            actor="system:dispatch",
            time=now,
            correlation_id=entry.envelope.correlationid,
            causation_id=entry.envelope.id,
            policy_version=book.version,
        )
        await self._bus.handler.handle(
            entry.case_id,
            lambda history: decider.decide(command, decider.fold_entries(history.entries)),
            context,
            cause=f"{entry.envelope.id}/unit",
        )
        if choice is not None and not await self._was_sent(entry.case_id, choice):
            # Another replica sent another one, or the case was closed meanwhile.
            await self._fleet.release(entry.case_id, choice.department, choice.unit)

    async def _choose(
        self, case_id: str, assigned: Assigned, kind: str, now: datetime
    ) -> tuple[Choice | None, str]:
        book = self._rules.book
        place = _coordinates(assigned.brief.place) if assigned.brief else None
        if place is None:
            return None, NO_COORDINATES
        wanted = Wanted(
            case_id=case_id,
            kind=kind,
            place=place,
            first=(assigned.department, *assigned.supporting),
            departments=[each.code for each in book.departments if kind in each.unit_kinds],
        )
        choice = await self._fleet.reserve(wanted, now, position_age_max(book, now))
        return choice, "" if choice else NO_FREE_UNIT.format(kind=kind)

    async def _was_sent(self, case_id: str, choice: Choice) -> bool:
        sent = await self._bus.log.newest_named(case_id, UnitSent.name())
        return (
            sent is not None
            and isinstance(sent.event, UnitSent)
            and (sent.event.department, sent.event.unit) == (choice.department, choice.unit)
        )

    async def _release(self, case_id: str) -> None:
        sent = await self._bus.log.newest_named(case_id, UnitSent.name())
        if sent is not None and isinstance(sent.event, UnitSent):
            await self._fleet.release(case_id, sent.event.department, sent.event.unit)


def wants_unit(state: decider.State) -> bool:
    """Whether the case is in the fast lane and nothing was done about a unit yet."""
    match state:
        case InHands(lane=lane):
            return lane is not None and lane.unit is None and not lane.none_free
        case _:
            return False


def position_age_max(book: RuleBook, now: datetime) -> timedelta:
    """How old the position of a unit may be that is sent.

    Exercises do not shorten it: it bounds how far a unit may have driven since, not how fast people must act.
    """
    return book.calendar.due(book.fast_lane.position_age_max, now) - now


def _send_unit(kind: str, choice: Choice) -> SendUnit:
    return SendUnit(
        department=choice.department,
        unit=choice.unit,
        kind=kind,
        distance_metres=choice.distance_metres,
        position_age_seconds=choice.position_age_seconds,
        considered=choice.considered,
    )


def _coordinates(place: Place) -> tuple[float, float] | None:
    if place.longitude is None or place.latitude is None:
        return None
    return place.longitude, place.latitude
