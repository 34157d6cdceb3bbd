"""Blocks of lines, recomputed by one process or by many, and given back in their order."""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Final, TypeAlias

from libs.events.auditing.recomputing import Lines, Recomputed, recomputed

WAITING_BLOCKS_MAX: Final = 4
"""For each process, so that memory stays flat."""

Mapped: TypeAlias = Callable[[Iterator[Lines], bool], Iterator[Recomputed]]
"""Takes blocks, and whether they are reckoned by the hashes that are listed."""


@contextmanager
def spread(workers: int) -> Generator[Mapped]:
    """What recomputes blocks: in so many processes of their own, or here without any."""
    if not workers:
        yield _here
        return
    with processes(workers) as pool:
        yield partial(_in_pool, pool, workers * WAITING_BLOCKS_MAX)


@contextmanager
def processes(workers: int) -> Generator[ProcessPoolExecutor]:
    """So many processes, which end with this one; what waits when it is left is not done any more."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_tied) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _tied() -> None:
    """This process ends with the one that started it, however that ends; Ctrl-C is that one's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None, "it was started by another one"

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _here(blocks: Iterator[Lines], as_listed: bool) -> Iterator[Recomputed]:  # noqa: FBT001 - as Mapped has it
    return (recomputed(each, as_listed=as_listed) for each in blocks)


def _in_pool(
    pool: ProcessPoolExecutor,
    waiting_max: int,
    blocks: Iterator[Lines],
    as_listed: bool,  # noqa: FBT001 - the same
) -> Iterator[Recomputed]:
    waiting: deque[Future[Recomputed]] = deque()
    for block in blocks:
        waiting.append(pool.submit(recomputed, block, as_listed=as_listed))
        if len(waiting) >= waiting_max:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
