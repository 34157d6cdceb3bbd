"""A tree's files as they grow: what the ledger writes.

Nothing but `checkpoint` and `index.json` is ever changed, and what is written twice is the same both times.  So a
ledger that dies at any moment goes on where it was, and two at once do no harm.  A file of events is written last: what
it holds is sealed, and every hash that belongs to it is there.
"""

import json
from collections.abc import Sequence
from typing import Final

from libs.events import faults
from libs.events.ledger.archive import Archive, ArchiveBroken
from libs.events.ledger.merkle import Peaks
from libs.events.ledger.notes import Note, Signature
from libs.events.ledger.stretches import EVENTS_MAX, Sealed, Stretch, packed
from libs.events.ledger.tiles import HEIGHT, WIDTH, Tile, grown, hashes_of, whole_root

FILES_MAX: Final = 64
"""Small files of events since the last whole stretch; then they are joined."""


class Growing:
    """Adds to an archive.  Open it with `growing`."""

    def __init__(self, archive: Archive, peaks: Peaks, rows: list[list[bytes]]) -> None:
        self._archive = archive
        self._peaks = peaks
        self._rows = rows  # of each level of tiles the hashes of its rightmost tile, if that is not whole

    @property
    def size(self) -> int:
        """Up to which sequence events are sealed."""
        return self._peaks.size

    def root(self) -> bytes:
        """The root over all that is sealed."""
        return self._peaks.root()

    async def seal(self, events: Sequence[Sealed]) -> None:
        """Add the next events; when it comes back they are in the store, with all hashes of the grown tree.

        Raises ValueError when they do not follow on what is sealed, StoreUnavailable: then open it anew.
        """
        at = 0
        while at < len(events):
            room = EVENTS_MAX - self._archive.size % EVENTS_MAX
            part = events[at : at + room]
            stretch, content = packed(self._archive.origin, part)
            await self.add(stretch, content, [event.leaf.hash() for event in part])
            at += room

    async def add(self, stretch: Stretch, content: bytes, leaves: Sequence[bytes]) -> None:
        """Add a sealed file as it is, with the hashes of its events; otherwise like `seal`."""
        archive, old = self._archive, self._archive.size
        if stretch.first != old + 1:
            raise ValueError(f"event {stretch.first} does not follow on {old}")
        whole = self._grow(leaves, old)
        for tile, hashes in [*whole, *self._partial(old, stretch.last)]:
            await archive.store.put(archive.path(tile.path()), hashes)
        await faults.reach("ledger.tiles_kept")
        await archive.store.put(archive.path(stretch.path()), content)
        await faults.reach("ledger.sealed")
        archive.stretches.append(stretch)
        for leaf in leaves:
            self._peaks.push(leaf)
        for tile, _ in whole:
            await self._tidy_tile(tile, old)
        await self._join_files(stretch.last)

    async def keep(self, note: Note, size: int) -> None:
        """Lay down a signed checkpoint, and say which files there are."""
        archive, content = self._archive, note.encode()
        stretches = [
            {"first": each.first, "last": each.last, "sha256": each.sha256} for each in archive.stretches
        ]
        index = json.dumps({"origin": archive.origin, "stretches": stretches}, indent=1)
        await archive.store.put(archive.checkpoint_path(size), content)
        await archive.store.put(archive.path("index.json"), index.encode())
        await archive.store.put(archive.path("checkpoint"), content)

    def _grow(self, leaves: Sequence[bytes], old: int) -> list[tuple[Tile, bytes]]:
        """Take the leaves in; gives the tiles that are whole now."""
        whole: list[tuple[Tile, bytes]] = []
        for size, leaf in enumerate(leaves, start=old + 1):
            level, content = 0, leaf
            while True:
                if level == len(self._rows):
                    self._rows.append([])
                row = self._rows[level]
                row.append(content)
                if len(row) < WIDTH:
                    break
                hashes = b"".join(row)
                row.clear()
                whole.append((Tile(level, (size >> (HEIGHT * (level + 1))) - 1, WIDTH), hashes))
                level, content = level + 1, whole_root(hashes)
        return whole

    def _partial(self, old: int, size: int) -> list[tuple[Tile, bytes]]:
        return [(tile, b"".join(self._rows[tile.level])) for tile in grown(old, size) if tile.width < WIDTH]

    async def _tidy_tile(self, whole: Tile, old: int) -> None:
        """Remove what there was of a tile while it was not whole."""
        if old >> (HEIGHT * whole.level) <= whole.number * WIDTH:
            return  # there was nothing of it
        store, path = self._archive.store, self._archive.path(whole.path())
        for name in [name async for name in store.names(f"{path}.p")]:
            await store.delete(name)

    async def _join_files(self, last: int) -> None:
        first = (last - 1) // EVENTS_MAX * EVENTS_MAX + 1
        files = sum(each.last >= first for each in self._archive.stretches)
        if files > (FILES_MAX if last % EVENTS_MAX else 1):
            await self._join(first, last)

    async def _join(self, first: int, last: int) -> None:
        """One file in place of the small ones."""
        archive = self._archive
        events = [event async for part in archive.events(first, last) for event in part]
        stretch, content = packed(archive.origin, events)
        await archive.store.put(archive.path(stretch.path()), content)
        await faults.reach("ledger.joined")
        view = Archive(archive.store, archive.stream, archive.origin)
        for each in {*await view.refresh(), *view.stretches, *archive.stretches} - {stretch}:
            if _holds(stretch, each):
                await archive.store.delete(archive.path(each.path()))
        archive.stretches = [*(each for each in archive.stretches if not _holds(stretch, each)), stretch]


async def keep_signatures(archive: Archive, size: int, signatures: Sequence[Signature]) -> None:
    """Add what others signed to a checkpoint that is kept; of each key the first signature stays.

    Raises ArchiveBroken, StoreUnavailable.
    """
    note = await archive.checkpoint(size)
    if note is None:
        raise ArchiveBroken(f"checkpoint {size} of {archive.stream} is not there")
    there = {(each.name, each.key_id) for each in note.signatures}
    note = note.with_signatures(each for each in signatures if (each.name, each.key_id) not in there)
    await archive.store.put(archive.checkpoint_path(size), note.encode())
    newest = await archive.store.get(archive.path("checkpoint"))
    if newest is not None and newest.startswith(note.text.encode() + b"\n"):
        await archive.store.put(archive.path("checkpoint"), note.encode())


async def growing(archive: Archive) -> Growing:
    """What adds to an archive, from where its files end; the archive is its own from now on.

    Raises ArchiveBroken, StoreUnavailable.
    """
    leftovers = await archive.refresh()
    rows: list[list[bytes]] = []
    level = 0
    while (hashes := archive.size >> (HEIGHT * level)) > 0:
        width = hashes % WIDTH
        content = await archive.tile(Tile(level, hashes // WIDTH, width)) if width else b""
        rows.append(hashes_of(content))
        level += 1
    for each in leftovers:
        if any(_holds(other, each) for other in archive.stretches):
            await archive.store.delete(archive.path(each.path()))
    return Growing(archive, await archive.peaks(), rows)


def _holds(whole: Stretch, part: Stretch) -> bool:
    return whole.first <= part.first and part.last <= whole.last
