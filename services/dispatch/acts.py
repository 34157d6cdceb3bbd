"""What departments and the command centre do, however it comes in: decided, answered."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from libs.events.access.places import covers, place_of
from libs.events.bodies import Done
from libs.events.contracts.base import Event
from libs.events.envelope import Context, Entry
from libs.events.errors import LogUnavailable
from libs.events.log import History
from libs.events.photos import Album
from libs.events.policy import RuleBook
from libs.events.rules import Rules
from libs.events.runtime import Bus
from services.dispatch import decider
from services.dispatch.bodies import CentreBody, DepartmentBody
from services.dispatch.decider import Command, Refusal

STRANGERS: Final = frozenset({Refusal.NOT_ASSIGNED_TO_YOU, Refusal.NOT_SUMMONED})


class Acts:
    """Carries out what departments and the centre do."""

    def __init__(self, bus: Bus, rules: Rules, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._rules = rules
        self._now = now
        self._album = Album(bus.jetstream, now)

    @property
    def book(self) -> RuleBook:
        """The rule book in force."""
        return self._rules.book

    async def act(
        self, department: str, case_id: str, body: DepartmentBody, principal: str | None = None
    ) -> Done | Refusal:
        """What a department does, or why not; *principal* speaks for it.  Raises LogUnavailable."""
        book, now = self._here()
        command = body.command(department, book, now)
        post = f"department:{department}"
        who = Context(actor=post, time=now, policy_version=book.version, principal=principal)
        outcome = await self._do(case_id, who, command, book)
        if isinstance(outcome, Refusal) and outcome in STRANGERS and book.department(department) is None:
            return Refusal.UNKNOWN_DEPARTMENT
        return outcome

    async def order(
        self, case_id: str, post: str, body: CentreBody, principal: str | None = None
    ) -> Done | Refusal:
        """What a post of a centre, or of a place, does, or why not.  Raises LogUnavailable."""
        book, now = self._here()
        if post.partition(":")[2] not in book.places:
            return Refusal.UNKNOWN_POST
        who = Context(actor=post, time=now, policy_version=book.version, principal=principal)
        return await self._do(case_id, who, body.command(post, book, now), book)

    def _here(self) -> tuple[RuleBook, datetime]:
        book = self._rules.book
        return book, book.local(self._now())

    async def _do(self, case_id: str, who: Context, command: Command, book: RuleBook) -> Done | Refusal:
        if await self._album.missing(getattr(command, "photos", ())) is not None:
            return Refusal.UNKNOWN_PHOTO

        def decide(history: History) -> tuple[Event, ...] | Refusal:
            if not covers(who.actor, place_of(history.events), book):
                return Refusal.NOT_YOUR_PLACE
            return decider.decide(command, decider.fold_entries(history.entries))

        outcome: tuple[Entry, ...] | Refusal = await self._bus.handler.handle(case_id, decide, who)
        if outcome is Refusal.UNKNOWN_CASE and await self._bus.log.newest(case_id):
            raise LogUnavailable(f"a replica of the log does not show case {case_id} yet")
        if isinstance(outcome, Refusal):
            return outcome
        return Done(case_id=case_id, event_ids=[entry.envelope.id for entry in outcome])
