"""How the demo is asked to end."""

import asyncio
import signal


class Ending:
    """The first signal ends the demo: by cancelling the day, or, once it is over, by letting go of `asked`."""

    def __init__(self, task: asyncio.Task[object]) -> None:
        self._task = task
        self._signals = 0
        self._waiting: asyncio.Event | None = None

    def listen(self) -> None:
        """Take the signals of this process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._hear)

    async def asked(self) -> None:
        """Wait until somebody asks."""
        self._waiting = asyncio.Event()
        await self._waiting.wait()

    def _hear(self) -> None:
        self._signals += 1
        if self._waiting is not None:
            self._waiting.set()
        elif self._signals == 1:  # a second one must not leave the stop half done
            self._task.cancel()
