"""One stream's sealed files, copied to where they are missing, and seen to lead to the signed root."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from cli.backup.checking import OnStep
from cli.backup.holding import Tree
from libs.events.ledger.archive import CHECKPOINTS, STRETCHES, Archive
from libs.events.ledger.merkle import Peaks, cover
from libs.events.ledger.stretches import EVENTS_MAX, Stretch, packed, stretch_named
from libs.events.ledger.whole import Hashing, check_whole
from libs.events.storage import FileStore

NAME_DIGITS: Final = 20


class Span(NamedTuple):
    """Events that are to be in one file."""

    first: int
    last: int


@dataclass(slots=True)
class Copied:
    """What was written."""

    files: int = 0
    size_bytes: int = 0
    events: int = 0


def spans(size: int) -> Iterator[Span]:
    """How the first *size* events stand in files: whole ones, which never change again, and one of the rest."""
    for first in range(1, size + 1, EVENTS_MAX):
        yield Span(first, min(first + EVENTS_MAX - 1, size))


def missing(size: int, there: Iterable[Stretch]) -> list[Span]:
    """Which of them are not there."""
    held = {(each.first, each.last) for each in there}
    return [span for span in spans(size) if span not in held]


def superseded(size: int, there: Iterable[Stretch]) -> list[Stretch]:
    """Files that the ones of *size* stand for: ends of backups that have grown since."""
    wanted = set(spans(size))
    return [each for each in there if (each.first, each.last) not in wanted]


async def copy_tree(tree: Tree, store: FileStore, hashing: Hashing, on_step: OnStep) -> Copied:
    """Raises ArchiveBroken or StretchBroken when the files, here or there, do not lead to the signed root."""
    copy = Archive(store, tree.stream, tree.checkpoint.origin)
    copied, wanted = Copied(), missing(tree.size, await stretches_in(copy))
    for number, span in enumerate(wanted):
        await _copy(tree, copy, span, copied)
        on_step("copying", number + 1, len(wanted))
    await _copy_checkpoints(tree, copy)
    await copy.refresh()
    start = wanted[0].first - 1 if wanted else tree.size
    await check_whole(copy, tree.checkpoint, hashing, _silent, start=await _peaks(tree.archive, start))
    return copied


async def tidy(tree: Tree, store: FileStore) -> None:
    """Remove what is of no use once the backup is whole."""
    copy = Archive(store, tree.stream, tree.checkpoint.origin)
    for each in superseded(tree.size, await stretches_in(copy)):
        await store.delete(copy.path(each.path()))


async def stretches_in(archive: Archive) -> list[Stretch]:
    """All sealed files that are there."""
    prefix = archive.path("")
    names = [name async for name in archive.store.names(archive.path(STRETCHES))]
    return [each for name in names if (each := stretch_named(name.removeprefix(prefix)))]


async def _copy(tree: Tree, copy: Archive, span: Span, copied: Copied) -> None:
    stretch, content = await tree.archive.holding(span.first)
    if (
        stretch.first,
        stretch.last,
    ) != span:  # small files that the ledger has not joined yet, or has joined further
        events = [each async for part in tree.archive.events(*span) for each in part]
        stretch, content = packed(copy.origin, events)
    await copy.store.put(copy.path(stretch.path()), content)
    copied.files += 1
    copied.size_bytes += len(content)
    copied.events += stretch.events


async def _copy_checkpoints(tree: Tree, copy: Archive) -> None:
    source = tree.archive
    there = {name async for name in copy.store.names(copy.path(CHECKPOINTS))}
    async for name in source.store.names(source.path(CHECKPOINTS)):
        digits = name.rpartition("/")[2][:NAME_DIGITS]
        if name in there or not digits.isdigit() or int(digits) > tree.checkpoint.size:
            continue
        content = await source.store.get(name)
        if content is not None:
            await copy.store.put(name, content)


async def _peaks(archive: Archive, size: int) -> Peaks:
    """The tree of the first *size* events, from the ledger's own hashes."""
    nodes, peaks = list(cover(0, size)), Peaks()
    hashes = await archive.hashes(nodes)
    for node in nodes:
        peaks.push(hashes(node), node.level)
    return peaks


def _silent(_events: int) -> None:
    """Show nothing."""
