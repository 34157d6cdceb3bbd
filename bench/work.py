"""Much work at once, with a fixed number of workers: a task for each piece would measure the making of tasks."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

Tell = Callable[[str], None]
"""Says what is being measured now."""


async def shared(workers: int, pieces: Iterable[T], do: Callable[[T], Awaitable[object]]) -> float:
    """How many seconds *workers* take for all *pieces*, each taking the next as soon as it is free."""
    waiting = iter(pieces)

    async def work() -> None:
        for piece in waiting:
            await do(piece)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    return time.perf_counter() - started
