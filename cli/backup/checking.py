"""Whether all that stands at a place is whole: before anything is written anywhere."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context

from cli.backup.holding import Holding
from libs.events.ledger.stretches import EVENTS_MAX, Stretch
from libs.events.ledger.whole import Hashing, check_whole, leaf_hashes

OnStep = Callable[[str, int, int], None]
"""Hears of each step what it is (a key of STEPS), how much is done, of how much."""


@asynccontextmanager
async def hashing(events: int) -> AsyncGenerator[Hashing]:
    """Hashes files in as many processes as there are cores; few events in a thread."""
    if events <= EVENTS_MAX:

        async def in_a_thread(origin: str, stretch: Stretch, content: bytes) -> bytes:
            return await asyncio.to_thread(leaf_hashes, origin, stretch, content)

        yield in_a_thread
        return
    # Not forked: this process has threads and connections.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:

        async def in_a_process(origin: str, stretch: Stretch, content: bytes) -> bytes:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(pool, leaf_hashes, origin, stretch, content)

        yield in_a_process


async def check_all(holding: Holding, on_step: OnStep) -> None:
    """Raises ArchiveBroken or StretchBroken with the file that is not as it was sealed, StoreUnavailable."""
    total, before = sum(tree.size for tree in holding.trees), 0
    async with hashing(total) as hashed:
        for tree in holding.trees:

            def done(events: int, before: int = before) -> None:
                on_step("checking", before + events, total)

            await check_whole(tree.archive, tree.checkpoint, hashed, done)
            async for _ in tree.archive.events(tree.checkpoint.size + 1, tree.size):
                pass  # nobody signed these: that they can be read is all that can be said
            before += tree.size
