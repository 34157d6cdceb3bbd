"""Makes an export from sealed files: streaming, checked as it is written, and there whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from libs.events.auditing import exports
from libs.events.auditing.asking import (
    Asked,
    Between,
    Everything,
    OneCase,
    OneDepartment,
    Positions,
    case_of,
    names_department,
    time_of,
)
from libs.events.auditing.exports import About, Part
from libs.events.ledger.archive import Archive, ArchiveBroken
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.merkle import Peaks, cover
from libs.events.ledger.notes import Note, checkpoint_of

OnProgress = Callable[[str, int, int], None]
"""Takes the stream, up to which event the sealed files are read, and up to which they will be."""
_UNFINISHED: Final = ".unfinished"


class ExportRefused(Exception):
    """An export cannot be made as it was asked for; the text says why, in both languages."""


@dataclass(frozen=True, slots=True)
class Source:
    """A stream to export: its archive and the checkpoint under which that is done."""

    archive: Archive
    note: Note
    since: int = 0
    """The size of an older checkpoint from which growth is to be proved."""


async def export(sources: Sequence[Source], asked: Asked, to: Path, on_progress: OnProgress) -> About:
    """Write an export to the folder *to*, which must not be there, or be empty.

    Raises ExportRefused, also for what the disk says (it is full); ArchiveBroken and StretchBroken for sealed files
    that are not what was signed; StoreUnavailable.  Whatever it raises, nothing is left behind.
    """
    with _whole_or_not_at_all(to) as folder:
        wanted = await _cases(sources, asked, on_progress)
        parts = [
            part for each in sources if (part := await _export(each, asked, wanted, folder, on_progress))
        ]
        if not parts:
            raise ExportRefused("no sealed event is of what was asked for · 已封存的事件中没有符合条件的")
        about = About(asked, tuple(parts))
        (folder / exports.ABOUT).write_bytes(about.encode())
        return about


@contextmanager
def _whole_or_not_at_all(to: Path) -> Generator[Path]:
    """A folder beside *to* that takes its place in the end; what a killed export left there is removed."""
    if to.is_symlink() or (to.exists() and (not to.is_dir() or any(to.iterdir()))):
        raise ExportRefused(f"{to} is there already and not empty: name another folder · 目标已存在且非空")
    to = to.absolute()
    beside = to.with_name(f".{to.name}{_UNFINISHED}")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with _alone(beside.with_name(f"{beside.name}.lock")):
            try:
                shutil.rmtree(beside, ignore_errors=True)
                beside.mkdir()
                yield beside
                _sync(beside)
                beside.replace(to)
                _sync_folder(to.parent)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise ExportRefused(
            f"{to} cannot be written: {error.strerror}; nothing is left behind · 无法写入，未留下任何内容"
        ) from error


@contextmanager
def _alone(path: Path) -> Generator[None]:
    """Nobody else holds this lock meanwhile.  Raises ExportRefused."""
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ExportRefused("another export is writing there · 另一导出正在写入该目标") from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    for where, _, names in os.walk(folder):
        for name in names:
            with (Path(where) / name).open("rb") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(where))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _cases(sources: Sequence[Source], asked: Asked, on_progress: OnProgress) -> frozenset[str]:
    """The cases of a department: those that an event of any of the streams says are its own."""
    if not isinstance(asked, OneDepartment):
        return frozenset()
    found: set[str] = set()
    for source in sources:
        async for leaves in _leaves(source, asked, on_progress):
            found.update(
                case
                for leaf in leaves
                if names_department(leaf, asked.department) and (case := case_of(leaf.subject))
            )
    return frozenset(found)


async def _leaves(source: Source, asked: Asked, on_progress: OnProgress) -> AsyncIterator[list[Leaf]]:
    size = checkpoint_of(source.note).size
    first, last = (asked.first, asked.last) if isinstance(asked, Positions) else (1, size)
    async for part in source.archive.events(first, last):
        yield [sealed.leaf for sealed in part]
        on_progress(source.archive.stream, part[-1].leaf.sequence, last)


def _wanted(leaves: Iterable[Leaf], asked: Asked, cases: frozenset[str]) -> list[Leaf]:
    match asked:
        case Everything() | Positions():
            return list(leaves)
        case OneCase(case_id):
            named = f".{case_id}."
            return [leaf for leaf in leaves if named in leaf.subject and case_of(leaf.subject) == case_id]
        case OneDepartment():
            return [leaf for leaf in leaves if case_of(leaf.subject) in cases]
        case Between(start, end):
            return [leaf for leaf in leaves if (moment := time_of(leaf.payload)) and start <= moment < end]


async def _export(
    source: Source, asked: Asked, cases: frozenset[str], folder: Path, on_progress: OnProgress
) -> Part | None:
    """One stream; None when it holds nothing of what was asked for."""
    archive, checkpoint = source.archive, checkpoint_of(source.note)
    if isinstance(asked, Positions) and not 1 <= asked.first <= asked.last <= checkpoint.size:
        raise ExportRefused(
            f"{archive.stream}: {asked.first} to {asked.last} is not sealed: the checkpoint is of"
            f" {checkpoint.size} events (--wait waits for a newer one) · 该区间尚未封存"
        )
    place = folder / archive.stream
    place.mkdir()
    with (
        (place / exports.EVENTS).open("wb") as events,
        (place / exports.LEAVES).open("wb") as leaves,
        (place / exports.HASHES).open("wb") as hashes,
    ):
        writing = _Writing(archive, events, leaves, hashes)
        async for part in _leaves(source, asked, on_progress):
            for leaf in _wanted(part, asked, cases):
                await writing.add(leaf)
        root = await writing.end(checkpoint.size)
    if root != checkpoint.root:
        raise ArchiveBroken(
            f"the sealed files of {archive.stream} do not lead to the root of checkpoint {checkpoint.size}:"
            " ./whistle audit verify STORE says where · 封存文件与检查点不符"
        )
    if not writing.events and not isinstance(asked, Everything):
        shutil.rmtree(place)
        return None
    (place / exports.CHECKPOINT).write_bytes(source.note.encode())
    if 0 < source.since < checkpoint.size:
        proof = await archive.consistency(source.since, checkpoint.size)
        (place / exports.SINCE).write_bytes(exports.since_lines(source.since, proof))
    return Part(archive.stream, checkpoint.origin, checkpoint.size, writing.events)


class _Writing:
    """Writes events and what stands for those between them; the tree grows with it, so that the root comes out."""

    def __init__(self, archive: Archive, events: IO[bytes], leaves: IO[bytes], hashes: IO[bytes]) -> None:
        self._archive = archive
        self._events = events
        self._leaves = leaves
        self._hashes = hashes
        self._peaks = Peaks()
        self.events = 0

    async def add(self, leaf: Leaf) -> None:
        if self._peaks.size < leaf.sequence - 1:
            await self._pass_over(leaf.sequence - 1)
        content = leaf.hash()
        form, line = exports.event_line(leaf.payload)
        self._events.write(line + b"\n")
        self._leaves.write(exports.leaf_line(leaf, content, form))
        self._peaks.push(content)
        self.events += 1

    async def end(self, size: int) -> bytes:
        """The root over all *size* leaves."""
        await self._pass_over(size)
        return self._peaks.root()

    async def _pass_over(self, end: int) -> None:
        nodes = list(cover(self._peaks.size, end))
        found = await self._archive.hashes(nodes)
        for node in nodes:
            self._hashes.write(exports.hash_line(node, found(node)))
            self._peaks.push(found(node), node.level)
