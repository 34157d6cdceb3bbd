"""What is done about patrols, however it comes in: parsed, decided, answered."""

import asyncio
from collections.abc import Callable
from datetime import date, datetime
from typing import Final, NamedTuple

from pydantic import BaseModel

from libs.events.access.identity import Actor
from libs.events.access.places import covers
from libs.events.calendar import opening_times
from libs.events.contracts.base import Place
from libs.events.contracts.intake import CaseReported
from libs.events.envelope import Context, Entry
from libs.events.ids import patrol_order_id
from libs.events.log import History
from libs.events.policy import Grid, RuleBook
from libs.events.rules import Rules
from libs.events.runtime import Bus
from services.dispatch.patrol import decider
from services.dispatch.patrol.decider import CheckIn, Command, End, Find, NotOrdered, Order, Refusal
from services.dispatch.patrol.points import points_of

ORDERS_AT_ONCE_MAX: Final = 200


class Ordered(BaseModel):
    """One order, made now or before."""

    order_id: str
    grid: str
    worker: str
    new: bool


class Done(BaseModel):
    """The act is in the log."""

    order_id: str
    event_ids: list[str]
    """The facts that it added; none when it had been done before."""


class By(NamedTuple):
    """Who acts: a post, and who holds it."""

    post: str
    principal: str | None


class TooFar(NamedTuple):
    """A check-in from somewhere else."""

    metres: float
    metres_max: float


class Patrols:
    """Carries out what the centre and grid workers do."""

    def __init__(self, bus: Bus, rules: Rules, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._rules = rules
        self._now = now

    async def order(self, day: date, by: By) -> list[Ordered] | Refusal:
        """One order for each grid on *day*; those that there are already stay.  Raises LogUnavailable."""
        book, room = self._rules.book, asyncio.Semaphore(ORDERS_AT_ONCE_MAX)
        _, until = opening_times(book.patrol.hours, day, book.zone)
        if self._now() >= until:
            return Refusal.HOURS_OVER

        async def one(grid: Grid) -> Ordered:
            order_id = patrol_order_id(grid.code, day.isoformat())
            command = order_of(book, grid, day)
            async with room:
                outcome = await self._handle(order_id, command, by)
            new = isinstance(outcome, Done) and bool(outcome.event_ids)
            return Ordered(order_id=order_id, grid=grid.code, worker=command.worker, new=new)

        return list(await asyncio.gather(*(one(grid) for grid in book.grids)))

    async def check_in(
        self, order_id: str, point: str, longitude: float, latitude: float, who: Actor
    ) -> Done | Refusal | TooFar:
        """A grid worker is at a point, or is not.  Raises LogUnavailable."""
        book = self._rules.book
        metres_max = book.patrol.check_in_metres_max
        command = CheckIn(point, longitude, latitude, book.local(self._now()), metres_max)
        state = await self._state(order_id)
        by = self._worker(state, who)
        outcome = by if isinstance(by, Refusal) else await self._handle(order_id, command, by)
        there = decider.point_of(state, point)
        if outcome is Refusal.TOO_FAR and there is not None:
            return TooFar(decider.distance(there, command), metres_max)
        return outcome

    async def find(self, order_id: str, case_id: str, report: CaseReported, who: Actor) -> Done | Refusal:
        """What a grid worker found is this case, which began with *report*.  Raises LogUnavailable."""
        by = self._worker(await self._state(order_id), who)
        if isinstance(by, Refusal):
            return by
        return await self._handle(order_id, Find(case_id, report.category), by)

    async def end(self, order_id: str, who: Actor) -> Done | Refusal:
        """A grid worker is done for the day.  Raises LogUnavailable."""
        by = self._worker(await self._state(order_id), who)
        if isinstance(by, Refusal):
            return by
        return await self._handle(order_id, End(self._rules.book.local(self._now())), by)

    async def report_of(self, case_id: str) -> CaseReported | None:
        """The report that a case began with; None when there is no such case.  Raises LogUnavailable."""
        history = await self._load(case_id)
        first = history.events[0] if history.entries else None
        return first if isinstance(first, CaseReported) else None

    def _worker(self, state: decider.State, who: Actor) -> By | Refusal:
        """As which of their posts somebody walks this patrol."""
        posts, book = who.posts_for("patrol"), self._rules.book
        grid = None if isinstance(state, NotOrdered) else state.order.grid
        place = Place(time_zone=book.city.time_zone, grid=grid)
        post = next((post for post in posts if covers(post, place, book)), None)
        return Refusal.NOT_YOUR_PLACE if post is None else By(post, who.principal)

    async def _state(self, order_id: str) -> decider.State:
        return decider.fold((await self._load(order_id)).events)

    async def _load(self, case_id: str) -> History:
        history = await self._bus.log.load(case_id)
        if history.entries:
            return history
        # A replica may lag behind what was acknowledged a moment ago.
        return await self._bus.log.load(case_id, at_least=await self._bus.log.newest(case_id))

    async def _handle(self, order_id: str, command: Command, by: By) -> Done | Refusal:
        book = self._rules.book
        now = book.local(self._now())
        context = Context(actor=by.post, time=now, policy_version=book.version, principal=by.principal)
        outcome: tuple[Entry, ...] | Refusal = await self._bus.handler.handle(
            order_id, lambda history: decider.decide(command, decider.fold(history.events)), context
        )
        if isinstance(outcome, Refusal):
            return outcome
        return Done(order_id=order_id, event_ids=[entry.envelope.id for entry in outcome])


def order_of(book: RuleBook, grid: Grid, day: date) -> Order:
    """The order of a grid on a day, as the rule book has it."""
    from_at, until = opening_times(book.patrol.hours, day, book.zone)
    points = points_of(grid.code, grid.polygons, day.isoformat(), book.patrol.points_per_order)
    return Order(grid.code, f"grid-worker:{grid.code}", day.isoformat(), from_at, until, points)
