"""The order of a restore: nothing is written anywhere before all of it is known to be whole."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from cli.backup.checking import OnStep, check_all
from cli.backup.holding import Holding, Tree
from cli.backup.regrowing import Regrowing, regrowing
from cli.backup.target import Target, filling
from libs.events import streams
from libs.events.errors import RestoreRefused
from libs.events.jetstream import JetStream
from libs.events.ledger.merkle import Peaks
from libs.events.ledger.stretches import Sealed, Stretch, unpacked
from libs.events.restoring import Restoring
from libs.events.storage import FileStore


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
    """Fill an empty log with all of *holding*, and the store of the ledger, unless that is what is restored from.

    Raises RestoreRefused, ArchiveBroken or StretchBroken with the reason; then nothing is half restored that could be
    taken for whole: run again, it goes on where it was.
    """
    await check_all(holding, on_step)
    async with filling(target) as jetstream:
        return await _fill(holding, jetstream, ledger, replicas, on_step)


async def _fill(
    holding: Holding, jetstream: JetStream, ledger: FileStore | None, replicas: int, on_step: OnStep
) -> Restored:
    restoring = Restoring(jetstream, streams.evidence(replicas))
    found = await restoring.look()
    for name, count in found.items():
        size = holding.sizes().get(name, 0)
        if count > size:
            raise RestoreRefused(
                f"{name} holds {count} events already, the backup {size}: the restore of another backup was stopped;"
                " begin with new servers · 已有其他备份的部分恢复"
            )
    regrown = {tree.stream: await regrowing(ledger, tree) for tree in holding.trees} if ledger else {}
    await restoring.begin()
    total, before = sum(holding.sizes().values()), 0
    for tree in holding.trees:

        def done(sequence: int, before: int = before) -> None:
            on_step("writing", before + sequence, total)

        await _Filling(restoring, tree, found[tree.stream], regrown.get(tree.stream)).run(done)
        before += tree.size
    await restoring.finish(holding.sizes())
    return Restored(holding.sizes(), found)


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
            await self._write(stretch, content, events, wanted)
            done(peaks.size)
        if peaks.root() != tree.checkpoint.root:  # a file was changed since it was checked
            raise RestoreRefused(
                f"the files of {tree.stream} were changed meanwhile: begin with new servers · 文件被改动"
            )
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
