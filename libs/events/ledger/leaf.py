"""What of a stored event is proved, and in which form: the entry behind each leaf of the tree.

Lines first, each ended by one line feed, then the payload as stored, byte for byte:

    whistle-leaf/1
    <stream>
    <sequence in the stream, decimal>
    <subject>
    <event id: the header Nats-Msg-Id; empty without one>
    <bytes of the payload, decimal>
    <payload>

No part but the payload can hold a line feed, and the payload's length stands before it, so no two events have the same
form.  The payload is what was appended: sealed personal data as ciphertext, `recordedtime` included.  The server's own
time is not part of it, since a restored log has another one; nor are the other headers, which only served the append.
"""

from hashlib import sha256
from typing import Final, NamedTuple

FORMAT: Final = "whistle-leaf/1"
_LEAF: Final = b"\x00"  # RFC 9162, 2.1.1: tells the hash of an entry from that of two nodes


class Leaf(NamedTuple):
    """One event as it is proved."""

    stream: str
    sequence: int
    """Its position in the stream, from 1; its index in the tree is one less."""
    subject: str
    event_id: str
    payload: bytes

    def head(self) -> bytes:
        """What stands before the payload in the bytes that are hashed."""
        return (
            f"{FORMAT}\n{self.stream}\n{self.sequence}\n{self.subject}\n{self.event_id}\n{len(self.payload)}\n"
        ).encode()

    def entry(self) -> bytes:
        """The bytes that are hashed."""
        return self.head() + self.payload

    def hash(self) -> bytes:
        """The leaf's hash, 32 bytes."""
        return sha256(_LEAF + self.entry()).digest()


def leaf_of(entry: bytes) -> Leaf:
    """The event behind such bytes.  Raises ValueError for anything else."""
    parts = entry.split(b"\n", 6)
    if len(parts) != 7 or parts[0] != FORMAT.encode():
        raise ValueError(f"not an entry of the form {FORMAT}")
    _, stream, sequence, subject, event_id, length, payload = parts
    leaf = Leaf(stream.decode(), int(sequence), subject.decode(), event_id.decode(), payload)
    if leaf.sequence < 1 or int(length) != len(payload) or leaf.entry() != entry:
        raise ValueError("not an entry in its only spelling")
    return leaf
