"""Waiting for a log that is away: in the middle of an import a server may restart."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cli.importing.errors import ImportStalled
from cli.importing.tally import Tally
from libs.events.errors import LogUnavailable

STALL_SECONDS_MAX: Final = 300.0  # without any progress at all
BACKOFF_FIRST_SECONDS: Final = 0.1
BACKOFF_SECONDS_MAX: Final = 2.0

T = TypeVar("T")


class Patience:
    """Asks the log again while it is away, as long as anything at all moves within the bound."""

    def __init__(self, stall_seconds_max: float, tally: Tally) -> None:
        self._stall_seconds_max = stall_seconds_max
        self._tally = tally
        self._moved_at = time.monotonic()

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        delay = BACKOFF_FIRST_SECONDS
        while True:
            try:
                answer = await call()
            except LogUnavailable as error:
                self._tally.waiting_for_log = True
                silent = time.monotonic() - self._moved_at
                if silent > self._stall_seconds_max:
                    raise ImportStalled(_stalled(silent, error)) from error
                await asyncio.sleep(delay)
                delay = min(delay * 2, BACKOFF_SECONDS_MAX)
            else:
                self._moved_at = time.monotonic()
                self._tally.waiting_for_log = False
                return answer


def _stalled(seconds: float, error: Exception) -> str:
    return (
        f"the log has not answered for {seconds:.0f} s ({error}). What was acknowledged is safe; "
        "run the same command again when the log is back, and it goes on where it stopped"
    )
