"""Whether an export is what was sealed: checked with nothing but itself, a checkpoint and public keys."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from libs.events.auditing.asking import WHOLE, Asked, Everything, Positions, Promise, PromiseBroken
from libs.events.auditing.exports import (
    ABOUT,
    ABOUT_BYTES_MAX,
    CHECKPOINT,
    EVENTS,
    HASHES,
    LEAVES,
    SINCE,
    About,
    ExportBroken,
    Part,
    about_of,
    content_of,
    payload_of,
    since_of,
)
from libs.events.auditing.recomputing import Difference, LineBroken, Lines
from libs.events.auditing.spreading import Mapped, spread
from libs.events.auditing.trusting import Given, Keys, trusted
from libs.events.auditing.walking import Differs, Walk
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.merkle import ProofInvalid, check_consistency
from libs.events.ledger.notes import (
    NOTE_BYTES_MAX,
    Checked,
    Checkpoint,
    Note,
    NoteInvalid,
    checked,
    parsed,
)

BLOCK_EVENTS: Final = 4_096
"""That one process takes at a time."""
ALONE_EVENTS_MAX: Final = 300_000
"""Fewer are checked sooner by one process than others have started."""


@dataclass(frozen=True, slots=True)
class Proved:
    """What is proved of one stream."""

    stream: str
    asked: Asked
    checked: Checked
    events: int
    first: int
    """Sequence of the first event; 0 where there is none."""
    last: int
    grown_since: int | None = None
    """The size of the older checkpoint from which the tree grew to this one."""


OnProgress = Callable[[str, int, int], None]
"""Takes the stream, how many of its events are checked, and of how many."""


def silent(stream: str, done: int, of: int) -> None:
    """No progress."""


def read_about(folder: Path) -> About:
    """What an export says of itself.  Raises ExportBroken."""
    return about_of(
        content_of(folder / ABOUT, ABOUT_BYTES_MAX, "this folder is no export · 该文件夹不是导出")
    )


def verify(
    folder: Path,
    keys: Keys,
    given: Given | None = None,
    *,
    workers: int = 1,
    on_progress: OnProgress = silent,
) -> tuple[Proved, ...]:
    """What an export proves.

    Raises ExportBroken for what is no whole export, NoteInvalid for signatures, and Differs, which names the first
    event that is not what was sealed.
    """
    about, given = read_about(folder), given or Given()
    origins = {each.origin for each in about.parts}
    for note in (given.checkpoint, given.since):
        if note and note.text.partition("\n")[0] not in origins:
            raise NoteInvalid("the checkpoint given is of no stream of this export · 给定的检查点与导出无关")
    parallel = sum(part.events for part in about.parts) > ALONE_EVENTS_MAX and workers > 1
    with spread(workers if parallel else 0) as mapped:
        return tuple(
            _Checking(folder / part.stream, about.asked, part, keys, on_progress).run(given, mapped)
            for part in about.parts
        )


class _Checking:
    """The check of one stream."""

    def __init__(self, folder: Path, asked: Asked, part: Part, keys: Keys, on_progress: OnProgress) -> None:
        self._folder = folder
        self._asked = asked
        self._part = part
        self._keys = keys
        self._on_progress = on_progress
        self._edges = (0, 0)  # the sequences of the first and the last event
        self._old_root: bytes | None = None  # at the size of the older checkpoint, where the walk comes by it

    def run(self, given: Given, mapped: Mapped) -> Proved:
        part = self._part
        found = self._checkpoint(given.checkpoint)
        if found.checkpoint.size != part.size:
            raise NoteInvalid(
                f"{part.stream}: the export goes with a checkpoint of {part.size} events, this one is of"
                f" {found.checkpoint.size} · 检查点与导出不符"
            )
        old = self._older(given.since)
        root, difference = self._walk(mapped, old, as_listed=False)
        if difference or root != found.checkpoint.root:
            self._explain(mapped, found.checkpoint, root, difference)
        self._keep_promise()
        proved = Proved(part.stream, self._asked, found, part.events, *self._edges)
        return replace(proved, grown_since=self._grown(old, found.checkpoint) if old else None)

    def _checkpoint(self, instead: Note | None) -> Checked:
        if instead and instead.text.partition("\n")[0] == self._part.origin:
            return trusted(instead, self._keys, self._part.origin)
        content = content_of(
            self._folder / CHECKPOINT, NOTE_BYTES_MAX, "the checkpoint is missing · 缺少检查点"
        )
        return trusted(parsed(content), self._keys, self._part.origin)

    def _older(self, note: Note | None) -> Checkpoint | None:
        if note is None or note.text.partition("\n")[0] != self._part.origin:
            return None
        old = checked(note, self._keys.log).checkpoint
        if old.size > self._part.size:
            raise NoteInvalid(
                f"the checkpoint that was kept is of {old.size} events, the export's of {self._part.size}:"
                " it is the newer one · 留存的检查点更新"
            )
        return old

    def _walk(
        self, mapped: Mapped, old: Checkpoint | None, *, as_listed: bool
    ) -> tuple[bytes, Difference | None]:
        part, difference, taken = self._part, None, 0
        with self._opened(HASHES) as passed:
            walk = Walk(part.stream, part.size, iter(passed), self._whole())
            blocks = self._blocks(old.size if old else 0)
            try:
                for block in mapped(blocks, as_listed):
                    for start, end, nodes in block.runs:
                        walk.take(start, end, nodes)
                        if old and walk.peaks.size == old.size:
                            self._old_root = walk.peaks.root()
                        taken += end - start
                        self._edges = (self._edges[0] or start + 1, end)
                    difference = difference or block.difference
                    self._on_progress(part.stream, taken, part.events)
                return walk.end(), difference
            except LineBroken as error:
                behind = error.args[1] or self._edges[1]
                reason = f"the line behind event {behind} was cut or changed · 事件 {behind} 之后的一行被改动"
                raise Differs(part.stream, reason, behind + 1) from error
            except ProofInvalid as error:
                raise Differs(part.stream, str(error)) from error

    def _whole(self) -> tuple[int, int] | None:
        match self._asked:
            case Everything():
                return 1, self._part.size
            case Positions(first, last):
                return first, last
            case _:
                return None

    def _blocks(self, stop: int) -> Iterator[Lines]:
        """The lines of the export.  Raises ExportBroken when there are not as many as it says."""
        for leaves, events in self._pairs(stop):
            yield Lines(self._part.stream, b"".join(leaves), b"".join(events))

    def _pairs(self, stop: int = 0) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Lists of lines that belong together, and one that ends with line number *stop*."""
        stream, left = self._part.stream, self._part.events
        with self._opened(LEAVES) as leaves, self._opened(EVENTS) as events:
            while left:
                done = self._part.events - left
                wanted = min(BLOCK_EVENTS, left, stop - done if done < stop else left)
                pair = list(islice(leaves, wanted)), list(islice(events, wanted))
                for name, lines in zip((LEAVES, EVENTS), pair, strict=True):
                    if len(lines) < wanted or not lines[-1].endswith(b"\n"):
                        raise ExportBroken(
                            f"{stream}/{name} ends after {done + len(lines)} of"
                            f" {self._part.events} lines: it was cut short · 文件不完整，末尾被截断"
                        )
                left -= wanted
                yield pair
            for name, file in ((LEAVES, leaves), (EVENTS, events)):
                if file.read(1):
                    raise ExportBroken(
                        f"{stream}/{name} has more than {self._part.events} lines: one was added · 行数多于声明"
                    )

    def _opened(self, name: str) -> BinaryIO:
        try:
            return (self._folder / name).open("rb")
        except OSError as error:
            raise ExportBroken(f"{self._part.stream}/{name}: {error.strerror} · 无法读取") from error

    def _explain(
        self, mapped: Mapped, checkpoint: Checkpoint, root: bytes, difference: Difference | None
    ) -> None:
        """Raises Differs: what was changed, as far as that can be told."""
        stream = self._part.stream
        if difference is None:
            raise Differs(
                stream,
                "each event has the hash that stands beside it, but together they do not lead to the signed root:"
                " events with their hashes, or the proof, were replaced, or it is another history"
                " · 整体与签名的根不符：历史被改写或证明被改动",
            )
        sequence, subject = difference
        if root == checkpoint.root:
            reason = "its hash in the list was changed; the event is as it was sealed · 清单中的摘要被改动"
        elif self._walk(mapped, None, as_listed=True)[0] == checkpoint.root:
            reason = "it was changed: the signed root holds another content in its place · 内容被改动"
        else:
            reason = "it was changed, or its hash was, and it is not all that differs · 内容或摘要被改动，且不止一处"
        raise Differs(stream, reason, sequence, subject)

    def _keep_promise(self) -> None:
        if isinstance(self._asked, WHOLE):
            return
        promise, sequence = Promise(self._asked, self._part.stream), 0
        try:
            for leaves, events in self._pairs():
                for line, event in zip(leaves, events, strict=True):
                    number, form, _, subject, event_id = line.rstrip(b"\n").split(b" ", 4)
                    sequence, payload = int(number), payload_of(form, event.rstrip(b"\n"))
                    leaf = Leaf(self._part.stream, sequence, subject.decode(), event_id.decode(), payload)
                    promise.hear(leaf)
            promise.end()
        except PromiseBroken as error:
            raise Differs(self._part.stream, str(error), sequence) from error

    def _grown(self, old: Checkpoint, new: Checkpoint) -> int:
        """Raises Differs unless the tree of *new* begins with that of *old*."""
        try:
            if self._old_root is not None:
                check_consistency(old.size, old.root, old.size, self._old_root, [])
            elif old.size:
                check_consistency(old.size, old.root, new.size, new.root, self._since(old, new))
        except ProofInvalid as error:
            reason = (
                f"the tree of {new.size} events did not grow from the one of {old.size} that was kept: its history was"
                " rewritten, or the proof was changed · 历史被改写：与留存的检查点不一致"
            )
            raise Differs(self._part.stream, reason) from error
        return old.size

    def _since(self, old: Checkpoint, new: Checkpoint) -> Sequence[bytes]:
        if old.size == new.size:
            return []
        missing = (
            "no proof since an older checkpoint: export with --since · 缺少一致性证明，请用 --since 导出"
        )
        size, proof = since_of(content_of(self._folder / SINCE, NOTE_BYTES_MAX, missing))
        if size != old.size:
            raise ExportBroken(
                f"{self._part.stream}/{SINCE} proves the growth since {size} events, the checkpoint that was kept is of"
                f" {old.size} · 一致性证明与留存的检查点不符"
            )
        return proof
