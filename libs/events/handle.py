"""Load, decide, append, try again on conflict: the only place where a decision meets the log."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from libs.events import telemetry
from libs.events.contracts.base import Event
from libs.events.envelope import Context, Entry, Origin
from libs.events.errors import LogUnavailable, VersionConflict
from libs.events.log import History, Log, facts_of

R = TypeVar("R", bound=Enum)
"""Why a decision was refused."""

ATTEMPTS_MAX: Final = 50
PAUSE_SECONDS_MAX: Final = 0.05


class Handler:
    """Applies decisions to cases, one at a time for each case within this process."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def handle(
        self,
        case_id: str,
        decide: Callable[[History], tuple[Event, ...] | R],
        context: Context,
        *,
        cause: str | None = None,
        believed: History | None = None,
    ) -> tuple[Entry, ...] | R:
        """The facts that *decide* added (none when there was nothing to do), or why it refused.

        *cause* is what asked for it (an event's id and a verb): a repetition gets the same event ids.
        What happens here and now is told in order: a fact that lost a race, or whose clock is behind, gets the time of
        the one before it.
        *believed* spares the first look into the log, for a case that must be new: where it is wrong, the append is
        refused like any that lost a race.
        Raises LogUnavailable, also when the case stays contended for ATTEMPTS_MAX attempts.
        """
        async with self._alone(case_id):
            at_least = 0
            for _ in range(ATTEMPTS_MAX):
                history = believed or await self._log.load(case_id, at_least=at_least)
                believed = None
                outcome = decide(history)
                if isinstance(outcome, Enum):
                    return outcome
                if not outcome:
                    return ()
                try:
                    return await self._log.append(
                        history, facts_of(outcome, _in_order(context, history), cause=cause)
                    )
                except VersionConflict as conflict:
                    telemetry.count_conflict()
                    at_least = conflict.last_sequence
                    await asyncio.sleep(random.uniform(0, PAUSE_SECONDS_MAX))
        raise LogUnavailable(f"case {case_id} stayed contended for {ATTEMPTS_MAX} attempts")

    @asynccontextmanager
    async def _alone(self, case_id: str) -> AsyncGenerator[None]:
        lock = self._locks.setdefault(case_id, asyncio.Lock())
        async with lock:
            yield


def _in_order(context: Context, history: History) -> Context:
    """*context*, with no time before that of the case's newest fact: else the case as of a moment had gaps."""
    if context.origin is not Origin.LIVE or not history.entries:
        return context
    return context._replace(time=max(context.time, history.entries[-1].envelope.time))
