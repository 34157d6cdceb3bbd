"""The Merkle tree of RFC 9162, section 2.1: SHA-256, leaves and nodes hashed apart, never rebuilt, only grown.

A complete subtree is named by its level (0: one leaf) and its number there: it holds the leaves from number * 2^level
on.  Every proof is made of hashes of complete subtrees, so whoever can tell those (`Hashes`) can make every proof.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from libs.events.errors import WhistleError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
NODE: Final = b"\x01"
"""What is hashed before two nodes, so that they are told from a leaf."""


class Node(NamedTuple):
    """A complete subtree."""

    level: int
    number: int


Hashes = Callable[[Node], bytes]
"""Tells the hash of a complete subtree."""


class ProofInvalid(WhistleError):
    """A proof does not lead to the root that it should lead to, or is none at all."""


def parent(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its two children."""
    return sha256(NODE + left + right).digest()


class Peaks:
    """A tree that grows: of all its leaves only the roots of the largest complete subtrees, left to right."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []
        self.size = 0
        """In leaves."""

    def push(self, content: bytes, level: int = 0) -> None:
        """Add the next leaf's hash, or that of a complete subtree of 2^level leaves.

        Raises ProofInvalid when no such subtree can stand at this place.
        """
        if self.size & ((1 << level) - 1):
            raise ProofInvalid(f"a subtree of level {level} cannot begin at leaf {self.size}")
        self.size += 1 << level
        peaks = self._peaks
        while peaks and peaks[-1][0] == level:
            content = sha256(NODE + peaks.pop()[1] + content).digest()
            level += 1
        peaks.append((level, content))

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return bagged([content for _, content in self._peaks])

    def hashes(self) -> list[bytes]:
        """The peaks, left to right."""
        return [content for _, content in self._peaks]


def bagged(peaks: Sequence[bytes]) -> bytes:
    """The root of a tree whose largest complete subtrees have these roots, left to right."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = parent(peak, root)
    return root


def cover(start: int, end: int) -> Iterator[Node]:
    """The largest complete subtrees that together hold the leaves from *start* to before *end*, left to right."""
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield Node(level, start >> level)
        start += 1 << level


def root_of(hashes: Hashes, size: int) -> bytes:
    """The root over the first *size* leaves."""
    return bagged([hashes(node) for node in cover(0, size)])


def inclusion_nodes(index: int, size: int) -> list[list[Node]]:
    """What the proof of a leaf is made of: for each of its hashes the subtrees under it, innermost first.

    RFC 9162, 2.1.3.1.  Raises ValueError for a leaf that is not in a tree of this size.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    path: list[list[Node]] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(list(cover(middle, end)))
            end = middle
        else:
            path.append(list(cover(start, middle)))
            start = middle
    return path[::-1]


def consistency_nodes(old: int, size: int) -> list[list[Node]]:
    """What the proof that a tree grew from *old* leaves to *size* is made of (RFC 9162, 2.1.4.1), in its order.

    Raises ValueError unless 0 < old <= size.
    """
    if not 0 < old <= size:
        raise ValueError(f"no tree of {old} leaves grows to {size}")
    path: list[list[Node]] = []
    start, end = 0, size
    while old - start != end - start:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(list(cover(middle, end)))
            end = middle
        else:
            path.append(list(cover(start, middle)))
            start = middle
    if start:
        path.append(list(cover(start, end)))
    return path[::-1]


def inclusion_proof(hashes: Hashes, index: int, size: int) -> list[bytes]:
    """The proof that leaf *index* stands in the tree of *size* leaves."""
    return [bagged([hashes(node) for node in nodes]) for nodes in inclusion_nodes(index, size)]


def consistency_proof(hashes: Hashes, old: int, size: int) -> list[bytes]:
    """The proof that the tree of *size* leaves begins with that of *old*."""
    return [bagged([hashes(node) for node in nodes]) for nodes in consistency_nodes(old, size)]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises ProofInvalid unless *leaf* (a hash) stands at *index* under *root* (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise ProofInvalid(f"no leaf {index} in a tree of {size}")
    here, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            raise ProofInvalid("the proof is longer than the tree is high")
        if here & 1 or here == last:
            found = parent(each, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = parent(found, each)
        here, last = here >> 1, last >> 1
    if last or found != root:
        raise ProofInvalid(f"leaf {index} is not in the tree of {size} with this root")


def check_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raises ProofInvalid unless the tree of *size* begins with that of *old* (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= size:
        raise ProofInvalid(f"a tree of {old} leaves does not grow to {size}")
    if old == size:
        if proof or old_root != root:
            raise ProofInvalid(f"two trees of {size} leaves have different roots")
        return
    path = (
        list(proof) if old & (old - 1) else [old_root, *proof]
    )  # the old tree is complete: it is a node itself
    if not path or (old_root, root) != _both_roots(old - 1, size - 1, path):
        raise ProofInvalid(f"the tree of {size} leaves does not begin with that of {old}")


def _both_roots(here: int, last: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    while here & 1:
        here, last = here >> 1, last >> 1
    first = second = path[0]
    for each in path[1:]:
        if last == 0:
            raise ProofInvalid("the proof is longer than the tree is high")
        if here & 1 or here == last:
            first, second = parent(each, first), parent(each, second)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            second = parent(second, each)
        here, last = here >> 1, last >> 1
    if last:
        raise ProofInvalid("the proof is shorter than the tree is high")
    return first, second


class RangeProof(NamedTuple):
    """What is needed beside the leaves of a stretch to come to the root: the subtrees before it and behind it."""

    before: list[bytes]
    behind: list[bytes]


def range_proof(hashes: Hashes, start: int, end: int, size: int) -> RangeProof:
    """The proof that the leaves from *start* to before *end* are just those of the tree of *size* leaves.

    Raises ValueError for a stretch that is not in the tree.
    """
    if not 0 <= start <= end <= size:
        raise ValueError(f"no leaves {start} to {end} in a tree of {size}")
    before = [hashes(node) for node in cover(0, start)]
    return RangeProof(before, [hashes(node) for node in cover(end, size)])


def peaks_before(start: int, proof: RangeProof) -> Peaks:
    """The tree up to leaf *start*, as the proof tells it: push the stretch's leaves onto it.  Raises ProofInvalid."""
    return _pushed(Peaks(), cover(0, start), proof.before)


def check_range(peaks: Peaks, size: int, proof: RangeProof, root: bytes) -> None:
    """Raises ProofInvalid unless *peaks*, with all leaves of the stretch pushed, grows to *root* at *size*."""
    if peaks.size > size:
        raise ProofInvalid(f"more leaves than the tree of {size} has")
    if _pushed(peaks, cover(peaks.size, size), proof.behind).root() != root:
        raise ProofInvalid(f"these leaves are not those of the tree of {size} with this root")


def _pushed(peaks: Peaks, nodes: Iterator[Node], contents: Sequence[bytes]) -> Peaks:
    places = list(nodes)
    if len(places) != len(contents):
        raise ProofInvalid(f"the proof has {len(contents)} hashes where {len(places)} belong")
    for node, content in zip(places, contents, strict=True):
        peaks.push(content, node.level)
    return peaks


def _split(leaves: int) -> int:
    """The largest power of two below the number of leaves, which are at least two."""
    return 1 << (leaves - 1).bit_length() - 1
