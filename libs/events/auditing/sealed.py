"""Whether sealed files are what was signed: every event, every tile of hashes, every checkpoint, and the index."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from libs.events.auditing.recomputing import subtrees
from libs.events.auditing.spreading import WAITING_BLOCKS_MAX, processes
from libs.events.auditing.trusting import Keys, trusted
from libs.events.auditing.walking import Differs
from libs.events.ledger.archive import Archive, ArchiveBroken
from libs.events.ledger.merkle import HASH_BYTES, Peaks
from libs.events.ledger.notes import Checked, Note, NoteInvalid, checked, parsed
from libs.events.ledger.stretches import Stretch, stretch_named, unpacked
from libs.events.ledger.tiles import HEIGHT, WIDTH, Tile, hashes_of, whole_root

ALONE_EVENTS_MAX: Final = 150_000
"""Fewer are checked sooner by one process than others have started."""
READ_AGAIN_MAX: Final = 3
"""So often are files listed anew that were joined meanwhile."""


@dataclass(frozen=True, slots=True)
class ProvedFiles:
    """What is proved of the sealed files of one stream."""

    stream: str
    checked: Checked
    events: int
    """Sealed, perhaps some behind the checkpoint."""
    checkpoints: int
    """Signed, and consistent with each other."""
    grown_since: int | None
    """The size of the older checkpoint that somebody kept, and from which the tree grew."""


async def verify_files(
    archive: Archive,
    keys: Keys,
    since: Note | None,
    *,
    workers: int,
    on_progress: Callable[[str, int, int], None],
) -> ProvedFiles:
    """What the files of one stream prove.

    Raises Differs, which names the first event that is not what was signed, NoteInvalid for a checkpoint that is none,
    StretchBroken and ArchiveBroken for files that are missing or were changed, StoreUnavailable.
    """
    roots = await _roots(archive, keys)
    newest = await _newest(archive, keys, roots)
    kept = len(roots)
    old_size = _with_older(roots, archive, since, keys)
    size = newest.checkpoint.size
    await _check_index(archive, size)
    if size > archive.size or max(roots, default=0) > archive.size:
        reason = f"signed up to event {max(size, *roots)}, sealed up to {archive.size}: the rest is missing · 文件缺失"
        raise Differs(archive.stream, reason, archive.size + 1)
    parallel = workers if archive.size > ALONE_EVENTS_MAX and workers > 1 else 0
    checking = _Checking(archive, roots, on_progress)
    if parallel:
        with processes(parallel) as pool:
            await checking.run(pool, parallel * WAITING_BLOCKS_MAX)
    else:
        await checking.run(None, 1)
    return ProvedFiles(archive.stream, newest, checking.size, kept, old_size)


async def _newest(archive: Archive, keys: Keys, roots: dict[int, bytes]) -> Checked:
    """What `checkpoint` says; one of the kept ones says the same."""
    content = await archive.store.get(archive.path("checkpoint"))
    if content is None:
        raise ArchiveBroken(f"{archive.stream} has no checkpoint · 没有检查点")
    newest = trusted(parsed(content), keys, archive.origin)
    if roots.get(newest.checkpoint.size) != newest.checkpoint.root:
        reason = f"the newest checkpoint, of {newest.checkpoint.size} events, is none of those kept · 最新检查点未留存"
        raise Differs(archive.stream, reason)
    return newest


def _with_older(roots: dict[int, bytes], archive: Archive, since: Note | None, keys: Keys) -> int | None:
    """The size of the checkpoint that somebody kept, which is one more that must fit; None if it is another tree's."""
    if since is None or since.text.partition("\n")[0] != archive.origin:
        return None
    old = checked(since, keys.log).checkpoint
    if roots.setdefault(old.size, old.root) != old.root:
        reason = (
            f"the checkpoint of {old.size} that was kept has another root: history was rewritten · 历史被改写"
        )
        raise Differs(archive.stream, reason)
    return old.size


async def _roots(archive: Archive, keys: Keys) -> dict[int, bytes]:
    """The root of each checkpoint that was kept, once its signature is seen to be right."""
    found: dict[int, bytes] = {}
    for size in await archive.checkpoint_sizes():
        note = await archive.checkpoint(size)
        if note is None:
            raise ArchiveBroken(f"{archive.checkpoint_path(size)} is gone · 检查点消失")
        try:
            checkpoint = trusted(note, Keys(keys.log), archive.origin).checkpoint
        except NoteInvalid as error:
            raise NoteInvalid(f"{archive.checkpoint_path(size)}: {error}") from error
        if checkpoint.size != size:
            raise NoteInvalid(
                f"{archive.checkpoint_path(size)} is of {checkpoint.size} events · 检查点条数不符"
            )
        found[size] = checkpoint.root
    return found


async def _check_index(archive: Archive, size: int) -> None:
    """Raises ArchiveBroken when `index.json` names files that are not there, or too few."""
    reason = ""
    for _ in range(READ_AGAIN_MAX):
        content = await archive.store.get(archive.path("index.json"))
        await archive.refresh()
        names = {name async for name in archive.store.names(archive.path("sealed"))}
        reason = _wrong_in(content, archive, names, size)
        if not reason:
            return
    raise ArchiveBroken(f"{archive.path('index.json')}: {reason} · 索引不符")


def _wrong_in(content: bytes | None, archive: Archive, names: set[str], size: int) -> str:
    try:
        index = json.loads(content or b"")
        listed = [Stretch(each["first"], each["last"], each["sha256"]) for each in index["stretches"]]
        origin = index["origin"]
    except (ValueError, KeyError, TypeError):
        return "it is missing, cut or changed"
    if origin != archive.origin:
        return f"it is of {origin}"
    reach = 0
    for each in listed:
        if archive.path(each.path()) not in names or stretch_named(each.path()) != each:
            return f"it names {each.path()}, which is not there"
        if each.first > reach + 1:
            return f"it names no file with event {reach + 1}"
        reach = max(reach, each.last)
    return f"it ends with event {reach}, the checkpoint with {size}" if reach < size else ""


def leaf_hashes(origin: str, stretch: Stretch, content: bytes) -> bytes:
    """The hashes of all events of a sealed file, one behind the other.  Raises StretchBroken."""
    return b"".join([event.leaf.hash() for event in unpacked(origin, stretch, content)])


class _Checking:
    """One pass over the events of a tree, with all that must agree with them."""

    def __init__(
        self, archive: Archive, roots: dict[int, bytes], on_progress: Callable[[str, int, int], None]
    ) -> None:
        self.size = archive.size
        self._archive = archive
        self._roots = roots
        self._on_progress = on_progress
        self._peaks = Peaks()
        self._rows: list[list[bytes]] = [[]]  # of each level of tiles what is not a whole tile yet
        self._fits = 0  # the largest checkpoint that fits so far

    async def run(self, pool: Executor | None, waiting_max: int) -> None:
        loop = asyncio.get_running_loop()
        waiting: deque[tuple[Stretch, asyncio.Future[bytes]]] = deque()
        async for stretch, content in self._contents():
            if pool is None:
                await self._take(stretch, leaf_hashes(self._archive.origin, stretch, content))
                continue
            work = loop.run_in_executor(pool, leaf_hashes, self._archive.origin, stretch, content)
            waiting.append((stretch, work))
            if len(waiting) >= waiting_max:
                await self._take_next(waiting)
        while waiting:
            await self._take_next(waiting)
        await self._check_last_tiles()

    async def _take_next(self, waiting: deque[tuple[Stretch, asyncio.Future[bytes]]]) -> None:
        stretch, work = waiting.popleft()
        await self._take(stretch, await work)

    async def _contents(self) -> AsyncIterator[tuple[Stretch, bytes]]:
        """The files that together hold each event, in order.  Raises ArchiveBroken."""
        wanted = 1
        while wanted <= self.size:
            stretch, content = await self._archive.holding(wanted)
            yield stretch, content
            wanted = stretch.last + 1

    async def _take(self, stretch: Stretch, content: bytes) -> None:
        known = self._peaks.size - stretch.first + 1  # files may overlap
        hashes = hashes_of(content)[known : self.size - stretch.first + 1]
        await self._compare_tiles(hashes)
        start = self._peaks.size
        ends = [size for size in sorted(self._roots) if start < size < start + len(hashes)]
        for end in (*ends, start + len(hashes)):
            begin = self._peaks.size
            for node, each in subtrees(begin, hashes[begin - start : end - start]):
                self._peaks.push(each, node.level)
            self._compare_root(end)
        self._on_progress(self._archive.stream, self._peaks.size, self.size)

    def _compare_root(self, size: int) -> None:
        if size not in self._roots:
            return
        if self._roots[size] != self._peaks.root():
            raise Differs(
                self._archive.stream,
                f"the sealed files do not lead to the signed root of {size} events: up to event {self._fits} all is as"
                f" signed, and something behind it was changed · 第 {self._fits} 条之后的内容与签名不符",
                self._fits + 1,
            )
        self._fits = size

    async def _compare_tiles(self, hashes: list[bytes]) -> None:
        """Take leaves into the tiles; each that is whole then must stand in the store."""
        at = 0
        while at < len(hashes):
            row = self._rows[0]
            part = hashes[at : at + WIDTH - len(row)]
            at += len(part)
            row.extend(part)
            done = self._peaks.size + at
            level = 0
            while len(self._rows[level]) == WIDTH:
                content = b"".join(self._rows[level])
                tile = Tile(level, (done >> (HEIGHT * (level + 1))) - 1, WIDTH)
                await self._compare_tile(tile, content)
                self._rows[level].clear()
                level += 1
                if level == len(self._rows):
                    self._rows.append([])
                self._rows[level].append(whole_root(content))

    async def _check_last_tiles(self) -> None:
        for level, row in enumerate(self._rows):
            if row:
                tile = Tile(level, (self.size >> (HEIGHT * level)) // WIDTH, len(row))
                await self._compare_tile(tile, b"".join(row))

    async def _compare_tile(self, tile: Tile, content: bytes) -> None:
        archive = self._archive
        found = await archive.store.get(archive.path(tile.path()))
        if found == content:
            return
        if found is None and tile.width < WIDTH:
            await archive.refresh()
            if archive.size > self.size:
                return  # the tree has grown meanwhile: the tile has another name now
        reason = f"{tile.path()} does not hold the hashes of these events: one of both was changed · 哈希块与事件不符"
        pairs = zip(hashes_of(found or b""), hashes_of(content), strict=False)
        at = next(
            (at for at, (one, other) in enumerate(pairs) if one != other), len(found or b"") // HASH_BYTES
        )
        raise Differs(archive.stream, reason, ((tile.number * WIDTH + at) << (HEIGHT * tile.level)) + 1)
