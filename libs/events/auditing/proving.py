"""The proof of one event, in the form that tools of others read (c2sp.org/tlog-proof), and the entry beside it.

The proof holds index, hashes and checkpoint, and not the event: that is the entry, the very bytes that were hashed.
"""

from base64 import b64decode, b64encode
from typing import Final, NamedTuple

from libs.events.auditing.trusting import Keys, trusted
from libs.events.ledger.archive import Archive, ArchiveBroken
from libs.events.ledger.leaf import Leaf, leaf_of
from libs.events.ledger.merkle import ProofInvalid, check_inclusion
from libs.events.ledger.notes import Checked, Note, NoteInvalid, checkpoint_of, parsed

FORMAT: Final = "c2sp.org/tlog-proof@v1"
PROOF_SUFFIX: Final = ".tlog-proof"
ENTRY_SUFFIX: Final = ".entry"


class Proof(NamedTuple):
    """That the event with this sequence stands in the tree of the checkpoint."""

    sequence: int
    hashes: tuple[bytes, ...]
    note: Note

    def encode(self) -> bytes:
        """The bytes of a `.tlog-proof` file."""
        hashes = "".join(f"{b64encode(each).decode()}\n" for each in self.hashes)
        return f"{FORMAT}\nindex {self.sequence - 1}\n{hashes}\n".encode() + self.note.encode()


class ProvedEntry(NamedTuple):
    """One event that is proved."""

    leaf: Leaf
    checked: Checked


async def prove(archive: Archive, note: Note, sequence: int) -> Proof:
    """The proof of one event under a checkpoint.  Raises ArchiveBroken, StoreUnavailable."""
    size = checkpoint_of(note).size
    return Proof(sequence, tuple(await archive.inclusion(sequence, size)), note)


async def entry_of(archive: Archive, sequence: int) -> Leaf:
    """The event itself, out of its sealed file.  Raises ArchiveBroken, StretchBroken, StoreUnavailable."""
    async for part in archive.events(sequence, sequence):
        return part[0].leaf
    raise ArchiveBroken(f"event {sequence} of {archive.stream} is in no sealed file")


def proof_of(content: bytes) -> Proof:
    """The proof in a file; what is said there as `extra` is nobody's promise.  Raises ProofInvalid, NoteInvalid."""
    head, gap, note = content.partition(b"\n\n")
    try:
        form, *lines = head.decode().split("\n")
        lines = [line for at, line in enumerate(lines) if at or not line.startswith("extra ")]
        if form != FORMAT or not gap:
            raise ValueError("another form")
        index = int(lines[0].removeprefix("index "))
        proof = Proof(index + 1, tuple(b64decode(line, validate=True) for line in lines[1:]), parsed(note))
    except NoteInvalid:
        raise
    except (ValueError, IndexError) as error:
        raise ProofInvalid(f"no proof of the form {FORMAT}: {error} · 不是本格式的证明") from error
    if proof.encode() != content and b"\nextra " not in head:
        raise ProofInvalid("the proof is not in its only spelling: it was changed · 证明被改动")
    return proof


def verify_proof(proof: Proof, entry: bytes, keys: Keys) -> ProvedEntry:
    """The event that a proof proves.  Raises ProofInvalid, NoteInvalid."""
    try:
        leaf = leaf_of(entry)
    except ValueError as error:
        raise ProofInvalid(f"the entry was cut or changed: {error} · 条目被截断或改动") from error
    origin = checkpoint_of(proof.note).origin
    if proof.sequence != leaf.sequence or not origin.endswith(f"/{leaf.stream}"):
        raise ProofInvalid(
            f"the proof is of event {proof.sequence} of {origin}, the entry is event {leaf.sequence} of {leaf.stream}"
            " · 条目与证明的位置不符"
        )
    found = trusted(proof.note, keys, origin)
    size, root = found.checkpoint.size, found.checkpoint.root
    check_inclusion(leaf.hash(), leaf.sequence - 1, size, proof.hashes, root)
    return ProvedEntry(leaf, found)
