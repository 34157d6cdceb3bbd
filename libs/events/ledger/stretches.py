"""Events of one stream, one behind the other, as a sealed file: all that is needed to prove them and to restore them.

Unpacked (zstd) it reads

    whistle-stretch/1 <origin> <first sequence> <number of events>
    <bytes of the entry> <the server's time, nanoseconds since 1970>
    <entry as in leaf.py>
    ...

The server's time stands beside the entry, not in it: it is no part of any proof.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import zstandard

from libs.events.errors import WhistleError
from libs.events.ledger.leaf import Leaf, leaf_of

FORMAT: Final = "whistle-stretch/1"
EVENTS_MAX: Final = 1 << 14
"""In one file; a stretch never crosses a multiple of it, so that small ones can be joined into whole ones."""
UNPACKED_BYTES_MAX: Final = 1 << 30
"""Of one file: a larger one was not made by us."""
LEVEL: Final = 3
"""Of zstd: 9 saves a tenth and takes three times as long on such events."""
_NAME: Final = re.compile(r"sealed/(\d{20})-(\d{20})-([0-9a-f]{64})\.zst")


class StretchBroken(WhistleError):
    """A sealed file that is not what its name says; the text says which and why."""


class Sealed(NamedTuple):
    """One event as it stands in a sealed file."""

    leaf: Leaf
    stored_at_ns: int
    """When the server stored it, nanoseconds since 1970; not proved."""


class Stretch(NamedTuple):
    """A sealed file: which events, and the digest of the file."""

    first: int
    last: int
    sha256: str

    def path(self) -> str:
        """Its name below the stream's folder."""
        return f"sealed/{self.first:020d}-{self.last:020d}-{self.sha256}.zst"

    @property
    def events(self) -> int:
        """How many there are in it."""
        return self.last - self.first + 1


def stretch_named(path: str) -> Stretch | None:
    """The stretch of a name; None for the name of something else."""
    found = _NAME.fullmatch(path)
    return Stretch(int(found[1]), int(found[2]), found[3]) if found else None


def packed(origin: str, events: Sequence[Sealed]) -> tuple[Stretch, bytes]:
    """The file of these events, which stand one behind the other, and its name."""
    first, last = events[0].leaf.sequence, events[-1].leaf.sequence
    assert last - first + 1 == len(events), "a stretch has no gaps"
    begin = f"{FORMAT} {origin} {first} {len(events)}\n".encode()
    heads = [_before(leaf, stored_at_ns) for leaf, stored_at_ns in events]
    length = len(begin) + sum(map(len, heads)) + sum(len(event.leaf.payload) + 1 for event in events)
    # Piece by piece: put together first, the events would lie in memory three times.
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj(length)
    parts = [compressor.compress(begin)]
    for head, event in zip(heads, events, strict=True):
        parts.append(compressor.compress(head + event.leaf.payload + b"\n"))
    parts.append(compressor.flush())
    content = b"".join(parts)
    return Stretch(first, last, sha256(content).hexdigest()), content


def _before(leaf: Leaf, stored_at_ns: int) -> bytes:
    head = leaf.head()
    return b"%d %d\n%b" % (len(head) + len(leaf.payload), stored_at_ns, head)


def unpacked(origin: str, stretch: Stretch, content: bytes) -> list[Sealed]:
    """The events of a file.  Raises StretchBroken when it is not the file that it should be, or another tree's."""
    if sha256(content).hexdigest() != stretch.sha256:
        raise StretchBroken(f"{stretch.path()} was changed: its content does not have the digest in its name")
    try:
        whole = zstandard.ZstdDecompressor().decompress(content, max_output_size=UNPACKED_BYTES_MAX)
        events = list(_events(origin, stretch, whole))
    except (ValueError, zstandard.ZstdError) as error:
        raise StretchBroken(f"{stretch.path()} cannot be read: {error}") from error
    if (len(events), events[0].leaf.sequence) != (stretch.events, stretch.first):
        raise StretchBroken(f"{stretch.path()} holds other events than its name says")
    return events


def _events(origin: str, stretch: Stretch, whole: bytes) -> Iterator[Sealed]:
    head, _, _ = whole.partition(b"\n")
    if head != f"{FORMAT} {origin} {stretch.first} {stretch.events}".encode():
        raise ValueError(f"it begins with {head[:200]!r}")
    at, sequence = len(head) + 1, stretch.first
    while at < len(whole):
        end = whole.index(b"\n", at)
        length, stored_at_ns = whole[at:end].split(b" ")
        start, at = end + 1, end + 1 + int(length) + 1
        leaf = leaf_of(whole[start : at - 1])
        if whole[at - 1 : at] != b"\n" or leaf.sequence != sequence:
            raise ValueError(f"event {sequence} is not where it should be")
        yield Sealed(leaf, int(stored_at_ns))
        sequence += 1
