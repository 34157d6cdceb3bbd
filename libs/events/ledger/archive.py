"""The sealed files and hashes of one stream in a store, as whoever audits or restores reads them.

Below the stream's folder:

    tile/...                             hashes of the tree (tiles.py)
    sealed/<first>-<last>-<sha256>.zst   events (stretches.py)
    checkpoints/<size>                   each signed checkpoint
    checkpoint                           the newest one, for whoever wants no more
    index.json                           the stretches, for whoever cannot list a folder
    log.created                          which stream it is: when the server made it, as the server spells it

`growing.py` writes them.
"""

from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from libs.events.errors import WhistleError
from libs.events.ledger import merkle
from libs.events.ledger.merkle import HASH_BYTES, Hashes, Node, Peaks, RangeProof, cover
from libs.events.ledger.notes import Note, NoteInvalid, Verifier, parsed
from libs.events.ledger.stretches import Sealed, Stretch, stretch_named, unpacked
from libs.events.ledger.tiles import Tile, hash_in, tile_of
from libs.events.storage import FileStore

TILES_KEPT_MAX: Final = 1_024
"""In memory, of 8 KiB each."""
READ_AGAIN_MAX: Final = 3
"""A file may be joined into a larger one between its listing and its reading: so often is the list made anew."""
PUBLIC_KEY: Final = "key.pub"
"""In the store, beside the trees: with what the checkpoints can be checked."""
CHECKPOINTS: Final = "checkpoints"
STRETCHES: Final = "sealed"
CREATED: Final = "log.created"


class ArchiveBroken(WhistleError):
    """The files of a tree do not hold what they must; the text says which."""


class Archive:
    """The files of one tree.  Open it with `opened`."""

    def __init__(self, store: FileStore, stream: str, origin: str) -> None:
        self.store = store
        self.stream = stream
        self.origin = origin
        """Whose tree: `<deployment>/<stream>`."""
        self.stretches: list[Stretch] = []
        """What is sealed, from event 1 on; they may overlap, and leave no gap."""
        self._tiles: dict[Tile, bytes] = {}

    @property
    def size(self) -> int:
        """Up to which sequence events are sealed; 0 when there are none."""
        return self.stretches[-1].last if self.stretches else 0

    async def refresh(self) -> list[Stretch]:
        """Look anew which files there are.  Gives those that are of no use, since others hold the same."""
        names = [name async for name in self.store.names(self.path(STRETCHES))]
        prefix = self.path("")
        found = [each for name in names if (each := stretch_named(name.removeprefix(prefix)))]
        self.stretches = _reaching(found)
        return [each for each in found if each not in self.stretches]

    async def events(self, first: int, last: int) -> AsyncIterator[list[Sealed]]:
        """The sealed events from *first* to *last*, in lists.

        Raises StretchBroken for a file that was changed, ArchiveBroken when some are in none.
        """
        wanted = first
        while wanted <= last:
            stretch, content = await self.holding(wanted)
            found = unpacked(self.origin, stretch, content)
            yield found[wanted - stretch.first : last - stretch.first + 1]
            wanted = stretch.last + 1

    async def holding(self, sequence: int) -> tuple[Stretch, bytes]:
        """The sealed file that holds this event and reaches farthest, not checked.  Raises ArchiveBroken."""
        for _ in range(READ_AGAIN_MAX):
            stretch = self._holding(sequence)
            content = await self.store.get(self.path(stretch.path())) if stretch else None
            if stretch is not None and content is not None:
                return stretch, content
            await self.refresh()
        raise ArchiveBroken(f"event {sequence} of {self.stream} is in no sealed file")

    def _holding(self, sequence: int) -> Stretch | None:
        at = bisect_right(self.stretches, sequence, key=lambda each: each.first)
        return self.stretches[at - 1] if at and self.stretches[at - 1].last >= sequence else None

    async def created(self) -> str | None:
        """When the stream that is sealed here was made, as its server spells it; None before anything is sealed."""
        content = await self.store.get(self.path(CREATED))
        return content.decode() if content is not None else None

    async def keep_created(self, created: str) -> None:
        """Lay that down.  Whoever restored the stream, and saw that it is the same, says so with this."""
        await self.store.put(self.path(CREATED), created.encode())

    async def checkpoint(self, size: int | None = None) -> Note | None:
        """The newest checkpoint, or that of a size, not checked; None when there is none.  Raises ArchiveBroken."""
        sizes = [size] if size is not None else (await self.checkpoint_sizes())[-1:]
        content = await self.store.get(self.checkpoint_path(sizes[0])) if sizes else None
        if content is None:
            return None
        try:
            return parsed(content)
        except NoteInvalid as error:
            raise ArchiveBroken(f"checkpoint {sizes[0]} of {self.stream}: {error}") from error

    async def checkpoint_sizes(self) -> list[int]:
        """The sizes at which there is a checkpoint, rising."""
        names = [name.rpartition("/")[2] async for name in self.store.names(self.path(CHECKPOINTS))]
        return sorted(int(name) for name in names if name.isdigit())

    async def root(self, size: int) -> bytes:
        """The root over the first *size* events."""
        return merkle.root_of(await self.hashes(cover(0, size)), size)

    async def inclusion(self, sequence: int, size: int) -> list[bytes]:
        """The proof that the event with this sequence stands in the tree of *size* (merkle.check_inclusion)."""
        groups = merkle.inclusion_nodes(sequence - 1, size)
        return merkle.inclusion_proof(await self._hashes_of(groups), sequence - 1, size)

    async def consistency(self, old: int, size: int) -> list[bytes]:
        """The proof that the tree of *size* begins with that of *old* (merkle.check_consistency)."""
        groups = merkle.consistency_nodes(old, size)
        return merkle.consistency_proof(await self._hashes_of(groups), old, size)

    async def range(self, first: int, last: int, size: int) -> RangeProof:
        """The proof that the events from *first* to *last* are those of the tree of *size* (merkle.check_range)."""
        hashes = await self.hashes([*cover(0, first - 1), *cover(last, size)])
        return merkle.range_proof(hashes, first - 1, last, size)

    async def peaks(self) -> Peaks:
        """The tree at its present size, to be grown."""
        nodes, peaks = list(cover(0, self.size)), Peaks()
        hashes = await self.hashes(nodes)
        for node in nodes:
            peaks.push(hashes(node), node.level)
        return peaks

    async def hashes(self, nodes: Iterable[Node]) -> Hashes:
        """The hashes of these subtrees, out of the tiles.  Raises ArchiveBroken."""
        wanted = list(nodes)
        try:
            found = {node: hash_in(node, await self.tile(tile_of(node, self.size))) for node in wanted}
        except ArchiveBroken:  # the rightmost tiles have other names when the tree has grown meanwhile
            size = self.size
            await self.refresh()
            if self.size == size:
                raise
            return await self.hashes(wanted)
        return found.__getitem__

    async def tile(self, tile: Tile) -> bytes:
        """The content of a tile.  Raises ArchiveBroken for one that is missing or cut."""
        if (kept := self._tiles.get(tile)) is not None:
            return kept
        content = await self.store.get(self.path(tile.path()))
        if content is None or len(content) != tile.width * HASH_BYTES:
            raise ArchiveBroken(f"{tile.path()} of {self.stream} is missing or cut")
        if len(self._tiles) >= TILES_KEPT_MAX:
            self._tiles.clear()
        self._tiles[tile] = content
        return content

    def path(self, name: str) -> str:
        """Where a file of this tree stands in the store."""
        return f"{self.stream}/{name}"

    def checkpoint_path(self, size: int) -> str:
        """Where the checkpoint of a size stands in the store."""
        return self.path(f"{CHECKPOINTS}/{size:020d}")

    async def _hashes_of(self, groups: Sequence[Sequence[Node]]) -> Hashes:
        return await self.hashes([node for group in groups for node in group])


async def opened(store: FileStore, stream: str, origin: str) -> Archive:
    """The archive of a stream as it is now, perhaps empty.  Raises StoreUnavailable."""
    archive = Archive(store, stream, origin)
    await archive.refresh()
    return archive


async def opened_in(store: FileStore, stream: str) -> Archive:
    """The archive of a stream in the ledger's store, whose key beside it says whose it is.

    For whoever reads what is sealed; whoever checks it is given the key by somebody they trust.
    Raises ArchiveBroken, StoreUnavailable.
    """
    content = await store.get(PUBLIC_KEY)
    if content is None:
        raise ArchiveBroken("there are no sealed files: no key lies there")
    try:
        name = Verifier.of(content.decode()).name
    except (NoteInvalid, UnicodeDecodeError) as error:
        raise ArchiveBroken(f"{PUBLIC_KEY} cannot be read: {error}") from error
    return await opened(store, stream, f"{name}/{stream}")


def _reaching(found: Iterable[Stretch]) -> list[Stretch]:
    """As few of them as reach from event 1 as far as they go without a gap."""
    chosen: list[Stretch] = []
    reach, best = 0, None
    for each in sorted(found):
        if each.first > reach + 1:
            if best is None or best.last < each.first - 1:
                break
            chosen.append(best)
            reach, best = best.last, None
        if each.last > (best.last if best else reach):
            best = each
    return [*chosen, best] if best and best.first <= reach + 1 else chosen
