"""The tree of a stream, grown from left to right: out of the events of an export, and of what its proof passes over."""

from collections.abc import Iterator, Sequence
from typing import Final

from libs.events.auditing.exports import places
from libs.events.ledger.merkle import HASH_BYTES, Node, Peaks, cover


class Differs(Exception):
    """Something is not what was sealed; the text says what, in both languages, and which event is the first."""

    def __init__(self, stream: str, reason: str, sequence: int | None = None, subject: str = "") -> None:
        named = f" event {sequence}" if sequence is not None else ""
        shown = (
            f" ({ascii(subject)[1:-1]})" if subject else ""
        )  # whoever changed it may steer terminals with it
        super().__init__(f"{stream}{named}{shown}: {reason}")
        self.stream = stream
        self.reason = reason
        self.sequence = sequence
        """Of the first event that differs; None where none can be named."""

    def as_json(self) -> dict[str, str | int | None]:
        """For programs."""
        return {"stream": self.stream, "sequence": self.sequence, "reason": self.reason}


class Walk:
    """One walk over the leaves of a tree of *size*.

    *passed* are the lines of `hashes.txt`.  Within *whole*, the first and the last event of a stretch, nothing is
    passed over, and no event stands outside of it.
    """

    def __init__(
        self, stream: str, size: int, passed: Iterator[bytes], whole: tuple[int, int] | None
    ) -> None:
        self._stream = stream
        self._size = size
        self._passed = passed
        self._whole = whole
        self.peaks = Peaks()

    def take(self, start: int, end: int, nodes: Sequence[tuple[Node, bytes]]) -> None:
        """The next events, whose leaves have the indices from *start* to before *end*.  Raises Differs."""
        if end > self._size:
            reason = f"the checkpoint is of {self._size} events only: it is older than the export · 检查点早于导出内容"
            raise Differs(self._stream, reason, max(start, self._size) + 1)
        if self._whole and not self._whole[0] - 1 <= start < end <= self._whole[1]:
            raise Differs(
                self._stream, "it is not in the stretch that was asked for · 不在所查区间", start + 1
            )
        if start < self.peaks.size:
            reason = "it stands behind one that does not come before it: doubled or swapped · 重复或错序"
            raise Differs(self._stream, reason, start + 1)
        self._pass_over(start)
        for node, content in nodes:
            self.peaks.push(content, node.level)

    def end(self) -> bytes:
        """The root over all leaves, once every event was taken.  Raises Differs."""
        if self._whole and self.peaks.size < self._whole[1]:
            raise Differs(self._stream, _MISSING, max(self.peaks.size + 1, self._whole[0]))
        self._pass_over(self._size)
        if next(self._passed, None) is not None:
            reason = f"the proof holds more than the tree of {self._size} has · 证明内容多余"
            raise Differs(self._stream, reason)
        return self.peaks.root()

    def _pass_over(self, end: int) -> None:
        start = self.peaks.size
        if start < end and self._whole:
            first, last = self._whole
            if end > first - 1 and start < last:
                raise Differs(self._stream, _MISSING, max(start + 1, first))
        for node in cover(start, end):
            first, last = places(node)
            line = next(self._passed, b"")
            place, _, content = line[:-1].partition(b" ")
            if place != b"%d-%d" % (first, last) or line[-1:] != b"\n" or len(content) != 2 * HASH_BYTES:
                reason = (
                    "it is missing, or the proof was changed: neither does the event stand here, nor does the proof"
                    f" pass over {first} to {last} · 事件缺失，或证明被改动"
                )
                raise Differs(self._stream, reason, _not_passed_over(place, first, last))
            self.peaks.push(_unhex(self._stream, content, first, last), node.level)


_MISSING: Final = "it is missing from a stretch that must be whole · 连续区间内缺少该事件"


def _unhex(stream: str, content: bytes, first: int, last: int) -> bytes:
    try:
        found = bytes.fromhex(content.decode())
    except ValueError:
        found = b""
    if found.hex().encode() != content:
        raise Differs(stream, f"the proof of {first} to {last} is no hash: it was changed · 证明被改动")
    return found


def _not_passed_over(place: bytes, first: int, last: int) -> int:
    """The first event that a line of the proof leaves out, where it must pass over *first* to *last*."""
    begin, _, end = place.partition(b"-")
    if begin == b"%d" % first and end.isdigit() and first <= int(end) < last:
        return int(end) + 1
    return first
