"""What becomes of one act: facts in the log, nothing because it was done before, or a refusal."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final

import structlog

from libs.events import faults, telemetry
from libs.events.consume import PASSING
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Declined,
    ExtensionRequested,
    Handled,
    ProgressNoted,
    ReportedIn,
)
from libs.events.envelope import Context
from libs.events.errors import CaseUnreadable, LogUnavailable
from libs.events.ids import derived_event_id
from libs.events.log import History
from libs.events.photos import Album
from libs.events.policy import RuleBook
from libs.events.rules import Rules
from libs.events.runtime import Bus
from services.dispatch import decider
from services.dispatch.acts import STRANGERS
from services.dispatch.bodies import DeclineBody
from services.dispatch.decider import Refusal, State
from services.dispatch.inbox.allowed import allowed
from services.dispatch.inbox.documents import Act, Unclear
from services.dispatch.inbox.faults import Fault, Wrong, wrong
from services.dispatch.inbox.refusing import Refusals, refusal_of
from services.dispatch.reasons import REASONS

log = structlog.get_logger(__name__)

FACT_OF: Final[dict[str, type[Event]]] = {
    "accept": Accepted,
    "decline": Declined,
    "report-in": ReportedIn,
    "progress": ProgressNoted,
    "extend": ExtensionRequested,
    "handle": Handled,
}
"""The fact by which a verb is known to have been carried out."""


class Outcome(StrEnum):
    """What became of an act."""

    DONE = "done"
    NOTHING_TO_DO = "nothing_to_do"
    """It, or something like it, had been done before."""
    REFUSED = "refused"


class Clerk:
    """Carries out acts, each as if it were the only one."""

    def __init__(self, bus: Bus, refusals: Refusals, rules: Rules, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._refusals = refusals
        self._rules = rules
        self._now = now
        self._album = Album(bus.jetstream, now)

    async def settle(self, act: Act | Unclear, received_at: datetime, *, again: bool) -> Outcome:
        """Carry the act out or refuse it; *again* when it may have been settled before.

        Raises what passes when the servers are back; then nothing, or all of it, was done, and doing it again adds
        nothing.
        """
        if isinstance(act, Unclear):
            await self._refuse(act, act.wrong, await self._allowed(act), received_at)
            return Outcome.REFUSED
        if again and await self._refusals.said(act, received_at):
            return Outcome.REFUSED  # the case may have moved on since, and the department has its answer
        with telemetry.processing("dispatch", act.case_id, f"act-{act.verb}", act.id, act.traceparent):
            outcome, may = await self._carried_out(act, received_at)
        if isinstance(outcome, Wrong):
            await self._refuse(act, outcome, may, received_at)
            return Outcome.REFUSED
        await faults.reach("acts.carried_out")
        return outcome

    async def _carried_out(self, act: Act, received_at: datetime) -> tuple[Outcome | Wrong, tuple[str, ...]]:
        try:
            return await self._decided(act, received_at)
        except CaseUnreadable as error:
            log.warning("act_on_unreadable_case", case_id=act.case_id, sequence=error.sequence)
            return wrong(Fault.CASE_UNREADABLE, "subject"), ()
        except PASSING:
            raise
        except Exception:  # a bug: the department must hear of it, and the acts behind it must go on
            log.exception("act_failed", case_id=act.case_id, verb=act.verb)
            return wrong(Fault.INTERNAL_ERROR), ()

    async def _decided(self, act: Act, received_at: datetime) -> tuple[Outcome | Wrong, tuple[str, ...]]:
        book = self._rules.book
        moment = self._moment(act, book, received_at)
        command = act.body.command(act.department, book, moment)
        state: State = decider.INITIAL
        missing = await self._album.missing(getattr(command, "photos", ()))

        def decide(history: History) -> tuple[Event, ...] | Refusal | Fault:
            nonlocal state
            before = _said_before(history, act)
            if before:
                return () if FACT_OF[act.verb] in before else Fault.ID_USED
            state = decider.fold_entries(history.entries)
            return Refusal.UNKNOWN_PHOTO if missing is not None else decider.decide(command, state)

        context = Context(
            actor=f"department:{act.department}",
            time=moment,
            correlation_id=derived_event_id("act", act.department, act.case_id, act.id),
            causation_id=act.id,
            policy_version=book.version,
        )
        outcome: object = await self._bus.handler.handle(
            act.case_id, decide, context, cause=f"act/{act.department}/{act.case_id}/{act.id}"
        )
        if isinstance(outcome, Refusal | Fault):
            refused = await self._words(outcome, act, book)
            return refused, allowed(act.department, state, book, book.local(self._now()))
        return Outcome.DONE if outcome else Outcome.NOTHING_TO_DO, ()

    def _moment(self, act: Act, book: RuleBook, received_at: datetime) -> datetime:
        # An act counts from when the bus took it: neither the department's clock nor our being away moves it. But a
        # return starts the clocks of somebody else, which must not have run before anybody could know of it.
        return book.local(self._now() if isinstance(act.body, DeclineBody) else received_at)

    async def _words(self, refusal: Refusal | Fault, act: Act, book: RuleBook) -> Wrong:
        if isinstance(refusal, Fault):
            return wrong(refusal, "id")
        if refusal is Refusal.UNKNOWN_CASE and await self._bus.log.newest(act.case_id):
            raise LogUnavailable(f"a replica of the log does not show case {act.case_id} yet")
        if refusal in STRANGERS and book.department(act.department) is None:
            refusal = Refusal.UNKNOWN_DEPARTMENT
        reason = REASONS[refusal]
        return Wrong(
            refusal, reason.english, reason.chinese, _PLACES.get(reason.field, f"data.{reason.field}")
        )

    async def _allowed(self, act: Unclear) -> tuple[str, ...]:
        if act.case_id is None:
            return ()
        try:
            history = await self._bus.log.load(act.case_id)
        except CaseUnreadable:
            return ()
        book = self._rules.book
        state = decider.fold_entries(history.entries)
        return allowed(act.department, state, book, book.local(self._now()))

    async def _refuse(
        self, act: Act | Unclear, refused: Wrong, may: tuple[str, ...], received_at: datetime
    ) -> None:
        book = self._rules.book
        context = Context(actor="system:dispatch", time=book.local(self._now()), policy_version=book.version)
        refusal = refusal_of(act, refused, may, received_at=received_at, context=context)
        await self._refusals.say(act.department, refusal)
        log.info("act_refused", department=act.department, case_id=act.case_id, code=str(refused.code))
        await faults.reach("acts.refused")


_PLACES: Final = {"case_id": "subject", "department": "source"}
"""Where in the document stands what the refusals of dispatch call otherwise."""


def _said_before(history: History, act: Act) -> frozenset[type[Event]]:
    """What stands in the log because of an act of this department with this id."""
    actor = f"department:{act.department}"
    return frozenset(
        type(entry.event)
        for entry in history.entries
        if entry.envelope.causationid == act.id and entry.envelope.actor == actor
    )
