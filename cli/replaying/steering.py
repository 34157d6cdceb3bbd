"""Pausing while it is played: the space bar on a terminal. A script stops the process (SIGTSTP), and lets it go on."""

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

SPACE: Final = b" "


class Steering:
    """Whether it plays now."""

    def __init__(self) -> None:
        self._playing = asyncio.Event()
        self._playing.set()

    @property
    def paused(self) -> bool:
        return not self._playing.is_set()

    def turn(self) -> None:
        """Pause, or go on."""
        if self.paused:
            self._playing.set()
        else:
            self._playing.clear()

    async def when_playing(self) -> None:
        """Comes back at once, or when somebody lets it go on."""
        await self._playing.wait()

    @contextmanager
    def by_keyboard(self) -> Generator[bool]:
        """The space bar pauses and goes on, where there is a terminal; whether there is one."""
        if not sys.stdin.isatty():
            yield False
            return
        descriptor, loop = sys.stdin.fileno(), asyncio.get_running_loop()
        before = termios.tcgetattr(descriptor)
        loop.add_reader(descriptor, self._read, descriptor)
        # A shell puts the terminal back to lines while the process is stopped.
        loop.add_signal_handler(signal.SIGCONT, tty.setcbreak, descriptor)
        tty.setcbreak(descriptor)
        try:
            yield True
        finally:
            loop.remove_signal_handler(signal.SIGCONT)
            loop.remove_reader(descriptor)
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

    def _read(self, descriptor: int) -> None:
        for _ in range(os.read(descriptor, 64).count(SPACE) % 2):
            self.turn()
