"""Carries out what intake does about facts: the case that a report was merged into learns of it."""

from collections.abc import Callable
from datetime import datetime

from libs.events import telemetry
from libs.events.envelope import Context, Entry
from libs.events.rules import Rules
from libs.events.runtime import Bus
from services.intake import decider
from services.intake.decider import Join, Merged, Over, Refusal
from services.intake.reactor import react, to_sort
from services.intake.routes import MERGES_FOLLOWED_MAX, loaded
from services.intake.sorting import ACTOR, Sorter


class Reactions:
    """Sees to reports about which nobody has decided, and joins reports to the cases that they tell of."""

    def __init__(self, bus: Bus, rules: Rules, sorter: Sorter, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._rules = rules
        self._sorter = sorter
        self._now = now

    async def __call__(self, entry: Entry) -> None:
        """React to one fact.  Raises RuntimeError when the report cannot be joined, which parks it."""
        envelope = entry.envelope
        if to_sort(entry):
            history = await self._bus.log.load(entry.case_id, at_least=entry.sequence)
            if len(history.entries) == 1:  # else it was done as it came in
                await self._sorter.sort(history, self._rules.book)
            return
        into = react(entry)
        if into is None:
            return
        with telemetry.processing("intake", entry.case_id, entry.name, envelope.id, envelope.traceparent):
            await self._join(entry, into)

    async def _join(self, entry: Entry, into: str) -> None:
        history = await self._bus.log.load(entry.case_id, at_least=entry.sequence)
        first = decider.fold(history.events)
        assert not isinstance(first, decider.Unreported), "what was merged was reported"
        command = Join(entry.case_id, history.entries[0].envelope.time, first.report.channel)
        envelope, book = entry.envelope, self._rules.book
        context = Context(
            actor=ACTOR,
            time=book.local(self._now()),
            correlation_id=envelope.correlationid,
            causation_id=envelope.id,
            policy_version=book.version,
        )
        outcome: object = None
        for _ in range(MERGES_FOLLOWED_MAX):
            outcome = await self._bus.handler.handle(
                into,
                lambda history: decider.decide(command, decider.fold(history.events)),
                context,
                cause=f"{envelope.id}/join",
            )
            if not isinstance(outcome, Refusal):
                return
            if outcome is not Refusal.ALREADY_MERGED:
                break
            into = await self._merged_into(into)  # it was joined to another case itself meanwhile
        raise RuntimeError(f"the report cannot be joined to case {into}: {outcome}")

    async def _merged_into(self, case_id: str) -> str:
        state = decider.fold((await loaded(self._bus.log, case_id)).events)
        merged = state.was if isinstance(state, Over) else state
        assert isinstance(merged, Merged), "it said so, and a merge is never undone"
        return merged.into
