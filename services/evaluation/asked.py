"""What is asked of figures: which cases, and as of when; and the read models of then."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from libs.events.asof import AsOf, cut_at
from libs.events.moments import Moment
from libs.events.past import Pasts
from libs.events.readmodel import Connection
from services.evaluation.views import Span


@dataclass(frozen=True, slots=True)
class Asked:
    """Which cases, and as of when."""

    as_of: AsOf | None = None
    since: Moment | None = None
    until: Moment | None = None

    def span(self, moment: datetime | None, now: datetime) -> Span:
        """The span that is asked about: as it was at *moment*, or at its end, if that has been, or as it is now."""
        return Span(moment or min(now, self.until or now), self.since, self.until)


@asynccontextmanager
async def spanned(pasts: Pasts, asked: Asked) -> AsyncGenerator[tuple[Connection, Span]]:
    """Where the figures are to be counted, and which.  Raises what `Pasts.asking` raises.

    Of a time the read models themselves know everything; only for a position the log is folded (decision 40).
    """
    as_of = asked.as_of
    moment = as_of if isinstance(as_of, datetime) else None
    async with pasts.asking(None if moment else as_of) as seen:
        if moment:
            cut_at(moment, 0, seen.now)  # what lies ahead is refused
        yield seen.connection, asked.span(moment or (seen.now if as_of else None), seen.now)
