"""The hashes of many events from their lines in an export: what takes the time, so that every core can have a share."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Final, NamedTuple

from libs.events.auditing.exports import JSON, payload_of
from libs.events.ledger import leaf
from libs.events.ledger.merkle import Node, cover
from libs.events.ledger.tiles import joined

_LEAF: Final = b"\x00" + leaf.FORMAT.encode() + b"\n"


class Lines(NamedTuple):
    """Some events of one stream as they stand in an export, whole lines."""

    stream: str
    leaves: bytes
    events: bytes


class Difference(NamedTuple):
    """An event whose content does not have the hash that stands beside it."""

    sequence: int
    subject: str


class Recomputed(NamedTuple):
    """What some events come to."""

    runs: list[tuple[int, int, list[tuple[Node, bytes]]]]
    """Where events follow each other: the indices of their first leaf and behind their last, and their subtrees."""
    difference: Difference | None


class LineBroken(Exception):
    """A line that is not in its form; the arguments are its number among these lines, and the sequence before it."""


def recomputed(lines: Lines, *, as_listed: bool = False) -> Recomputed:
    """Their subtrees; *as_listed*: by the hashes that stand in `leaves.txt`.  Raises LineBroken."""
    head = _LEAF + lines.stream.encode() + b"\n"
    sequences: list[int] = []
    hashes: list[bytes] = []
    difference: Difference | None = None
    pairs = zip(lines.leaves.split(b"\n"), lines.events.split(b"\n"), strict=False)
    for leaf_line, event_line in pairs:
        if not leaf_line:
            break
        try:
            number, form, listed, subject, event_id = leaf_line.split(b" ", 4)
            payload = event_line if form == JSON else payload_of(form, event_line)
            rest = (number, subject, event_id, len(payload), payload)
            content = sha256(head + b"%b\n%b\n%b\n%d\n%b" % rest).digest()
            sequences.append(int(number))
            if content.hex().encode() != listed and difference is None:
                difference = Difference(sequences[-1], subject.decode(errors="replace"))
            hashes.append(bytes.fromhex(listed.decode()) if as_listed else content)
        except ValueError as error:
            raise LineBroken(len(hashes), sequences[-1] if sequences else 0) from error
    return Recomputed(_runs(sequences, hashes), difference)


def _runs(
    sequences: Sequence[int], hashes: Sequence[bytes]
) -> list[tuple[int, int, list[tuple[Node, bytes]]]]:
    breaks = [at for at, (one, next_) in enumerate(pairwise(sequences), start=1) if next_ != one + 1]
    found: list[tuple[int, int, list[tuple[Node, bytes]]]] = []
    for begin, end in pairwise([0, *breaks, len(sequences)]):
        if begin < end:
            start = sequences[begin] - 1
            found.append((start, start + end - begin, subtrees(start, hashes[begin:end])))
    return found


def subtrees(start: int, hashes: Sequence[bytes]) -> list[tuple[Node, bytes]]:
    """The largest complete subtrees over these leaves, of which the first has the index *start*."""
    found: list[tuple[Node, bytes]] = []
    at = 0
    for node in cover(start, start + len(hashes)) if start >= 0 else ():
        found.append((node, joined(hashes[at : at + (1 << node.level)])))
        at += 1 << node.level
    return found
