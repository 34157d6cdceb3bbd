"""The ledger's own files out of a backup: the same sealed files, with the hashes of the tree around them."""

from collections.abc import Sequence

from cli.backup.holding import Tree
from libs.events.errors import BackupRefused
from libs.events.ledger.archive import Archive, opened
from libs.events.ledger.growing import Growing, growing
from libs.events.ledger.stretches import Sealed, Stretch
from libs.events.storage import FileStore


class Regrowing:
    """The files of one tree as they grow again.  Open it with `regrowing`."""

    def __init__(self, archive: Archive, grown: Growing, tree: Tree) -> None:
        self.archive = archive
        self._grown = grown
        self._tree = tree

    async def add(self, stretch: Stretch, content: bytes, events: Sequence[Sealed]) -> None:
        """Take the events of a file of the backup that are not there yet; the file as it is where that can be."""
        missing = [each for each in events if self._grown.size < each.leaf.sequence <= self._tree.size]
        if missing and len(missing) == stretch.events:
            await self._grown.add(stretch, content, [each.leaf.hash() for each in missing])
        else:
            await self._grown.seal(missing)

    async def finish(self) -> None:
        """Lay down the checkpoints.  Raises BackupRefused when the files there are of another tree."""
        signed = self._tree.checkpoint
        if self._grown.size != self._tree.size or await self.archive.root(signed.size) != signed.root:
            raise BackupRefused(
                f"the ledger's store holds other events of {self._tree.stream} than the backup:"
                " move it away · 账本文件与备份不符"
            )
        source = self._tree.archive
        for size in await source.checkpoint_sizes():
            content = await source.store.get(source.checkpoint_path(size)) if size < signed.size else None
            if content is not None:
                await self.archive.store.put(self.archive.checkpoint_path(size), content)
        await self._grown.keep(self._tree.note, signed.size)


async def regrowing(store: FileStore, tree: Tree) -> Regrowing:
    """Goes on where the files in *store* end.  Raises BackupRefused where they have gone further than the backup."""
    archive = await opened(store, tree.stream, tree.checkpoint.origin)
    if archive.size > tree.size:
        raise BackupRefused(
            f"the ledger's store holds {archive.size - tree.size} events of {tree.stream} more than what is to be"
            " restored: restore from it, or move it away · 账本文件比备份更新，请改用账本恢复"
        )
    return Regrowing(archive, await growing(archive), tree)
