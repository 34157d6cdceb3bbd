"""What stands at a place, a backup's or a ledger's own, and whose signature it bears."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cli.backup.manifest import Manifest, manifest_in
from libs.events.errors import BackupRefused
from libs.events.ledger.archive import Archive, ArchiveBroken
from libs.events.ledger.notes import Checkpoint, Note, NoteInvalid, Verifier, checked
from libs.events.storage import FileStore
from libs.events.streams import LEDGER_STREAMS
from libs.events.subjects import CASES

PUBLIC_KEY: Final = "key.pub"
"""The ledger's, beside its files."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The events of one stream, up to a checkpoint whose signature was seen to be right."""

    archive: Archive
    note: Note
    checkpoint: Checkpoint
    unsigned: int = 0
    """Events sealed behind the checkpoint that are taken too."""

    @property
    def stream(self) -> str:
        """Which one."""
        return self.archive.stream

    @property
    def size(self) -> int:
        """How many events are taken."""
        return self.checkpoint.size + self.unsigned

    @property
    def behind(self) -> int:
        """Events sealed behind the checkpoint, which a ledger that was stopped had not signed yet."""
        return max(0, self.archive.size - self.checkpoint.size)


@dataclass(frozen=True, slots=True)
class Holding:
    """All that stands at a place; nothing of it is hashed yet."""

    store: FileStore
    trees: tuple[Tree, ...]
    key: Verifier
    is_vouched: bool
    """Whether the key was told from elsewhere: one that stands beside the files proves that nothing is damaged, not who
    signed."""
    manifest: Manifest | None

    @property
    def deployment(self) -> str:
        """Whose it is."""
        return self.trees[0].checkpoint.origin.rpartition("/")[0]

    def sizes(self) -> dict[str, int]:
        """How many events of each stream."""
        return {tree.stream: tree.size for tree in self.trees}


async def holding_at(store: FileStore, key: Verifier | None, *, unsigned: bool = False) -> Holding:
    """What stands there; with *unsigned* also what is sealed behind the newest checkpoints of a ledger's own store.

    Raises BackupRefused, NoteInvalid or ArchiveBroken with what is wrong, StoreUnavailable.
    """
    manifest = await manifest_in(store)
    beside = await store.get(PUBLIC_KEY)
    verifier = key or (Verifier.of(beside.decode(errors="replace")) if beside else None)
    if verifier is None:
        raise BackupRefused("nothing here says whose key signed: give it with --key · 请用 --key 指定公钥")
    trees = await _trees(store, verifier, manifest)
    if unsigned:
        trees = [replace(tree, unsigned=tree.behind) for tree in trees]
    if not any(tree.stream == CASES for tree in trees):
        raise BackupRefused(
            f"no signed checkpoint of {CASES} stands there: nothing to restore · 没有可恢复的备份"
        )
    origins = {tree.checkpoint.origin.rpartition("/")[0] for tree in trees}
    if len(origins) > 1:
        raise BackupRefused(
            f"the files are of several deployments: {', '.join(sorted(origins))} · 文件来自不同系统"
        )
    return Holding(store, tuple(trees), verifier, key is not None, manifest)


async def _trees(store: FileStore, key: Verifier, manifest: Manifest | None) -> Sequence[Tree]:
    if manifest is None:
        found = [await newest(store, stream, key) for stream in LEDGER_STREAMS]
        return [tree for tree in found if tree]
    trees: list[Tree] = []
    for said in manifest.trees:
        if said.stream not in LEDGER_STREAMS:
            raise BackupRefused(
                f"this version knows no stream {said.stream}: use the one that made it · 版本不符"
            )
        tree = await newest(store, said.stream, key, said.size)
        if tree is None:
            raise BackupRefused(
                f"the backup is to hold {said.size} events of {said.stream}, for which no signed checkpoint is there: "
                "it was cut short, or says more than it has · 备份不完整"
            )
        trees.append(tree)
    return trees


async def newest(store: FileStore, stream: str, key: Verifier, size: int | None = None) -> Tree | None:
    """The stream's events up to the newest checkpoint, or that of a size; None where there is none.

    Raises NoteInvalid, ArchiveBroken or StoreUnavailable.
    """
    archive = Archive(store, stream, "")
    if size is None:
        size = max(await archive.checkpoint_sizes(), default=0)
    note = await archive.checkpoint(size)
    if note is None:
        return None
    try:
        checkpoint = checked(note, key).checkpoint
    except NoteInvalid as error:
        raise NoteInvalid(f"checkpoint of {stream}: {error}") from error
    archive.origin = checkpoint.origin
    if not checkpoint.origin.endswith(f"/{stream}"):
        raise ArchiveBroken(f"the checkpoint of {stream} is one of {checkpoint.origin}")
    if size != checkpoint.size:
        raise ArchiveBroken(f"the checkpoint of {stream} is to say {size} events, and says {checkpoint.size}")
    await archive.refresh()
    return Tree(archive, note, checkpoint)
