"""The order of a restore: nothing is written anywhere before all of it is known to be whole."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.backup.checking import OnStep, check_all
from cli.backup.extras import BUCKETS, check_pictures, restore_bucket, restore_pictures, values_of
from cli.backup.holding import PUBLIC_KEY, Holding, Tree
from cli.backup.regrowing import Regrowing, regrowing
from cli.backup.target import Target, filling
from libs.events import streams
from libs.events.errors import BackupRefused
from libs.events.jetstream import JetStream
from libs.events.ledger.archive import Archive
from libs.events.ledger.merkle import Peaks
from libs.events.ledger.stretches import Sealed, Stretch, unpacked
from libs.events.restoring import Restoring
from libs.events.storage import FileStore
from libs.events.subjects import PHOTOS, bucket_stream, object_stream


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    sizes: dict[str, int]
    """How many events each stream holds now."""
    found: dict[str, int]
    """How many of them an earlier restore that was stopped had written."""


async def restore(
    holding: Holding, target: Target, ledger: FileStore | None, replicas: int, on_step: OnStep
) -> Restored:
    """Fill an empty log with all of *holding*; and the ledger's store, None where that is what is restored from.

    Raises BackupRefused, ArchiveBroken or StretchBroken with the reason; then nothing is half restored that could be
    taken for whole: run again, it goes on where it was.
    """
    for tree in holding.trees:
        if ledger is None and tree.archive.size > tree.size:
            raise BackupRefused(
                f"the ledger's store holds {tree.archive.size - tree.size} events of {tree.stream} that were sealed,"
                " but not signed any more: --unsigned restores them too · 另有已封存但未签名的事件，请使用 --unsigned"
            )
    await check_all(holding, on_step)
    await check_extras(holding, target.master, on_step)
    async with filling(target) as jetstream:
        restoring = Restoring(jetstream, streams.evidence(replicas))
        found = await _found(restoring, holding)
        regrown = {tree.stream: await regrowing(ledger, tree) for tree in holding.trees} if ledger else {}
        created = await restoring.begin()
        await _fill(holding, restoring, found, regrown, on_step)
        await _extras(holding, jetstream, target.master, replicas, on_step)
        for (
            stream,
            at,
        ) in created.items():  # the ledger knows then that these are what it sealed, or found empty
            await Archive(ledger or holding.store, stream, "").keep_created(at)
        if ledger:
            await ledger.create(PUBLIC_KEY, f"{holding.key}\n".encode())
        await restoring.finish(holding.sizes())
    return Restored(holding.sizes(), found)


async def check_extras(holding: Holding, master: Path, on_step: OnStep) -> None:
    """Raises BackupRefused or VaultInconsistent for a picture or a key that could not be restored."""
    if holding.manifest is None:
        return
    if holding.manifest.pictures:
        await check_pictures(holding.store, holding.manifest.pictures, on_step)
    for said in holding.manifest.buckets.values():
        await values_of(holding.store, said, master)


async def _found(restoring: Restoring, holding: Holding) -> dict[str, int]:
    found = await restoring.look()
    for name, count in found.items():
        size = holding.sizes().get(name, 0)
        if count > size:
            raise BackupRefused(
                f"{name} holds {count} events already, the backup {size}: the restore of another backup was stopped;"
                " begin with new servers · 已有其他备份的部分恢复"
            )
    return found


async def _fill(
    holding: Holding,
    restoring: Restoring,
    found: dict[str, int],
    regrown: Mapping[str, Regrowing],
    on_step: OnStep,
) -> None:
    total, before = sum(holding.sizes().values()), 0
    for tree in holding.trees:

        def done(sequence: int, before: int = before) -> None:
            on_step("writing", before + sequence, total)

        await _Filling(restoring, tree, found[tree.stream], regrown.get(tree.stream)).run(done)
        before += tree.size


async def _extras(
    holding: Holding, jetstream: JetStream, master: Path, replicas: int, on_step: OnStep
) -> None:
    if holding.manifest is None:
        return
    kept = {object_stream(PHOTOS), *map(bucket_stream, BUCKETS)}
    wanted = [each for each in streams.log_streams(replicas) if each.name in kept]
    await streams.ensure(jetstream, wanted)
    if holding.manifest.pictures:
        await restore_pictures(holding.store, holding.manifest.pictures, jetstream, on_step)
    for bucket, said in holding.manifest.buckets.items():
        await restore_bucket(holding.store, said, jetstream, bucket, master)


class _Filling:
    """One stream as it is filled."""

    def __init__(self, restoring: Restoring, tree: Tree, found: int, regrown: Regrowing | None) -> None:
        self._restoring = restoring
        self._tree = tree
        self._found = found
        self._regrown = regrown

    async def run(self, done: Callable[[int], None]) -> None:
        """Raises like `restore`."""
        tree, peaks = self._tree, Peaks()
        while peaks.size < tree.size:
            stretch, content = await tree.archive.holding(peaks.size + 1)
            events = await asyncio.to_thread(unpacked, tree.archive.origin, stretch, content)
            wanted = [each for each in events if peaks.size < each.leaf.sequence <= tree.size]
            for each in wanted:
                peaks.push(each.leaf.hash())
                if peaks.size == tree.checkpoint.size and peaks.root() != tree.checkpoint.root:
                    raise BackupRefused(  # since it was checked
                        f"the files of {tree.stream} were changed meanwhile: begin with new servers · 文件被改动"
                    )
            await self._write(stretch, content, events, wanted)
            done(peaks.size)
        if self._regrown:
            await self._regrown.finish()

    async def _write(
        self, stretch: Stretch, content: bytes, events: list[Sealed], wanted: list[Sealed]
    ) -> None:
        leaves = [each.leaf for each in wanted]
        there = [leaf for leaf in leaves if leaf.sequence <= self._found]
        await self._restoring.check_prefix(there)
        await self._restoring.write(leaves[len(there) :])
        if self._regrown:
            await self._regrown.add(stretch, content, events)
