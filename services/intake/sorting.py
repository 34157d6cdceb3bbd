"""What becomes of a report by the rule book alone, with what stands around it looked up at the edge."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from libs.events.contracts.intake import CaseReported
from libs.events.envelope import Context
from libs.events.log import History
from libs.events.policy import RuleBook
from libs.events.runtime import Bus
from services.intake import decider
from services.intake.decider import Sort
from services.intake.duplicates import Duplicates

ACTOR: Final = "system:intake"


class Sorter:
    """Files or joins live reports; doing it again adds nothing."""

    def __init__(self, bus: Bus, duplicates: Duplicates, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._duplicates = duplicates
        self._now = now

    async def sort(self, history: History, book: RuleBook) -> None:
        """Decide about the report with which *history* begins.  Raises LogUnavailable."""
        first = history.entries[0]
        report = first.event
        assert isinstance(report, CaseReported), "every case begins with its report"
        if book.category(report.category) is None:
            return  # the rule book has lost it since: a specialist sees it
        metres = book.duplicates_of(report.category).metres
        near = await self._duplicates.near(report.category, report.place, metres, but=history.case_id)
        now = book.local(self._now())
        command = Sort(book, now, near)
        context = Context(
            actor=ACTOR,
            time=now,
            correlation_id=first.envelope.correlationid,
            causation_id=first.envelope.id,
            policy_version=book.version,
        )
        await self._bus.handler.handle(
            history.case_id,
            lambda known: decider.decide(command, decider.fold(known.events)),
            context,
            cause=f"{first.envelope.id}/sort",
            believed=history,
        )
