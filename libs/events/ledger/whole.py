"""Whether the sealed files of a tree are whole: every event is hashed again, and the root must be the signed one."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from libs.events.ledger.archive import Archive, ArchiveBroken
from libs.events.ledger.merkle import HASH_BYTES, Peaks
from libs.events.ledger.notes import Checkpoint
from libs.events.ledger.stretches import Stretch, unpacked

FILES_AHEAD_MAX: Final = 4
"""Files that are hashed or wait for it at the same time."""

Hashing = Callable[[str, Stretch, bytes], Coroutine[Any, Any, bytes]]
"""`leaf_hashes`, wherever it is to run: it takes a core for a while."""
OnProgress = Callable[[int], None]
"""Hears how many events are done."""


def leaf_hashes(origin: str, stretch: Stretch, content: bytes) -> bytes:
    """The hashes of a file's events, one behind the other.  Raises StretchBroken."""
    return b"".join(each.leaf.hash() for each in unpacked(origin, stretch, content))


def in_hashes(content: bytes) -> Iterator[bytes]:
    """The hashes that stand in *content*."""
    return (content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES))


async def check_whole(
    archive: Archive,
    checkpoint: Checkpoint,
    hashing: Hashing,
    on_progress: OnProgress,
    *,
    start: Peaks | None = None,
) -> None:
    """Raises ArchiveBroken or StretchBroken, with what is wrong, unless the files give the root of *checkpoint*.

    *start* is the tree up to where nothing need be looked at; without it everything is.
    """
    peaks, size = start or Peaks(), checkpoint.size
    if archive.size < size:
        raise ArchiveBroken(
            f"{archive.stream} is cut short: the checkpoint says {size} events, the files end with {archive.size}"
        )
    at, ahead = peaks.size, deque[tuple[Stretch, asyncio.Task[bytes]]]()
    try:
        while peaks.size < size:
            while at < size and len(ahead) < FILES_AHEAD_MAX:
                stretch, content = await archive.holding(at + 1)
                ahead.append((stretch, asyncio.create_task(hashing(archive.origin, stretch, content))))
                at = stretch.last
            stretch, hashed = ahead.popleft()
            hashes = list(in_hashes(await hashed))
            for each in hashes[peaks.size + 1 - stretch.first : size + 1 - stretch.first]:
                peaks.push(each)
            on_progress(peaks.size)
    finally:
        for _, task in ahead:
            task.cancel()
        await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)
    if peaks.root() != checkpoint.root:
        raise ArchiveBroken(
            f"the {size} events of {archive.stream} do not give the root of the signed checkpoint: "
            "files were changed, or are another tree's"
        )
