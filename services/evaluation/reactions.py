"""Carries out what evaluation does about facts."""

from collections.abc import Callable
from datetime import datetime

import structlog

from libs.events import telemetry
from libs.events.contracts.base import Event
from libs.events.envelope import Context, Entry
from libs.events.errors import LogUnavailable
from libs.events.log import History
from libs.events.rules import Rules
from libs.events.runtime import Bus
from services.evaluation import decider
from services.evaluation.decider import CloseJoined, Refusal
from services.evaluation.reactor import Reaction, is_heard, react

log = structlog.get_logger(__name__)


class Reactions:
    """Reacts to one fact after the other; done twice, it adds nothing."""

    def __init__(self, bus: Bus, rules: Rules, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._rules = rules
        self._now = now

    async def __call__(self, entry: Entry) -> None:
        """React to one fact; a refusal means that somebody was faster, and is an answer.  Raises LogUnavailable."""
        if not is_heard(entry):
            return
        book = self._rules.book
        now = book.local(self._now())
        history = await self._bus.log.load(entry.case_id, at_least=entry.sequence)
        reactions = react(entry, decider.fold(history.events), book, now)
        for reaction in reactions:
            await self._carry_out(entry, reaction, now, book.version)

    async def _carry_out(self, entry: Entry, reaction: Reaction, now: datetime, version: str) -> None:
        envelope = entry.envelope
        context = Context(
            actor="system:evaluation",
            time=now,
            correlation_id=envelope.correlationid,
            causation_id=envelope.id,
            policy_version=version,
        )

        def decide(history: History) -> tuple[Event, ...] | Refusal:
            if any(each.envelope.causationid == envelope.id for each in _own(history)):
                return ()
            return decider.decide(reaction.command, decider.fold(history.events))

        with telemetry.processing("evaluation", entry.case_id, entry.name, envelope.id, envelope.traceparent):
            cause = f"{envelope.id}/{type(reaction.command).__name__}/{reaction.case_id}"
            outcome = await self._bus.handler.handle(reaction.case_id, decide, context, cause=cause)
        if isinstance(outcome, Refusal):
            await self._refused(reaction, outcome)

    async def _refused(self, reaction: Reaction, refusal: Refusal) -> None:
        """What a replica of the log that lags made of it is no answer: it is tried again later."""
        if isinstance(reaction.command, CloseJoined):
            newest = await self._bus.log.newest(reaction.case_id)
            history = await self._bus.log.load(reaction.case_id, at_least=newest)
            if not isinstance(decider.decide(reaction.command, decider.fold(history.events)), Refusal):
                raise LogUnavailable(f"the log did not show all of case {reaction.case_id}")
        log.info("reaction_refused", case_id=reaction.case_id, reason=refusal)


def _own(history: History) -> list[Entry]:
    return [entry for entry in history.entries if entry.envelope.source == "/evaluation"]
