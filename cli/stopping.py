"""How long commands are stopped: the first signal cancels, and what is then tidied up is not disturbed again."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

EXIT_INTERRUPTED: Final = 130
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_told_to_stop(work: Coroutine[Any, Any, T]) -> T:
    """The result of *work*; the first signal cancels it, and what it then tidies up is not disturbed again."""
    working = asyncio.create_task(work)
    told = False

    def stop() -> None:
        nonlocal told
        if not told:
            told = True
            working.cancel()

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return await working
