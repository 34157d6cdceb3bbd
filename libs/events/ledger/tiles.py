"""Hashes of a tree as small files that never change (C2SP tlog-tiles), so that any server of files can serve proofs.

A tile of level L holds 256 hashes of level 8 * L of the tree, the rightmost tile of a level perhaps fewer: then its
width is part of its name.  What lies between those levels is worked out.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from libs.events.ledger.merkle import HASH_BYTES, NODE, Node

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
"""Hashes in a whole tile."""


class Tile(NamedTuple):
    """One tile as it is named."""

    level: int
    number: int
    width: int
    """In hashes, up to WIDTH."""

    def path(self) -> str:
        """Its name below the tree's folder: the index in threes, all but the last with an `x` before them."""
        digits = f"{self.number:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        threes = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "/".join([*(f"x{each}" for each in threes[:-1]), threes[-1]])
        part = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{self.level}/{name}{part}"


def tile_of(node: Node, size: int) -> Tile:
    """The tile from which the hash of *node* follows, in a tree of *size* leaves."""
    level = node.level // HEIGHT
    index = (node.number << (node.level % HEIGHT)) // WIDTH
    hashes = size >> (HEIGHT * level)
    return Tile(level, index, min(WIDTH, hashes - index * WIDTH))


def hash_in(node: Node, content: bytes) -> bytes:
    """The hash of *node*, out of the content of its tile.  Raises ValueError when the tile is too short."""
    height = node.level % HEIGHT
    first = (node.number << height) % WIDTH
    row = content[first * HASH_BYTES : (first + (1 << height)) * HASH_BYTES]
    if len(row) != HASH_BYTES << height:
        raise ValueError(f"the tile of {node} holds too few hashes")
    return joined(hashes_of(row))


def hashes_of(content: bytes) -> list[bytes]:
    """The hashes of a tile, left to right."""
    return [content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES)]


def whole_root(content: bytes) -> bytes:
    """The root over a whole tile: one hash of the tile above it."""
    return joined(hashes_of(content))


def joined(hashes: Sequence[bytes]) -> bytes:
    """The root over a complete subtree, of which these are the hashes of one level: a power of two of them."""
    while len(hashes) > 1:
        hashes = [
            sha256(NODE + left + right).digest()
            for left, right in zip(hashes[::2], hashes[1::2], strict=True)
        ]
    return hashes[0]


def grown(old: int, size: int) -> Iterator[Tile]:
    """The tiles that a tree needs newly when it grows from *old* leaves to *size*, lower levels first."""
    level = 0
    while (hashes := size >> (HEIGHT * level)) > 0:
        before = old >> (HEIGHT * level)
        for index in range(before // WIDTH, -(-hashes // WIDTH)):
            width = min(WIDTH, hashes - index * WIDTH)
            if index * WIDTH + width > before:
                yield Tile(level, index, width)
        level += 1
