"""What is said to a witness and what it answers (C2SP tlog-witness, add-checkpoint).  Pure."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Final, NamedTuple

from libs.events.ledger.notes import Note, NoteInvalid, Signature, Verifier, parsed

PROOF_HASHES_MAX: Final = 63
"""As the format says: more than any tree needs."""
_CONFLICT: Final = 409
_UNPROCESSABLE: Final = 422


class Cosigned(NamedTuple):
    """The witness saw it: its signature, which fits."""

    signatures: tuple[Signature, ...]


class Elsewhere(NamedTuple):
    """The witness has seen a tree of another size: prove the growth from there."""

    size: int


class Contradicted(NamedTuple):
    """The witness has seen something that this checkpoint does not follow from: a fork."""

    reason: str


class NotHeard(NamedTuple):
    """No answer that says anything about the checkpoint: try again later."""

    reason: str


Answer = Cosigned | Elsewhere | Contradicted | NotHeard


def request_of(old: int, proof: Sequence[bytes], note: Note) -> bytes:
    """The body that asks for a signature; the witness is taken to have seen *old* events."""
    assert len(proof) <= PROOF_HASHES_MAX, "a tree is not so high"
    lines = [f"old {old}\n", *(f"{b64encode(each).decode()}\n" for each in proof), "\n"]
    return "".join(lines).encode() + note.encode()


def answer_of(status: int, body: bytes, note: Note, witness: Verifier, *, old: int, size: int) -> Answer:
    """What an answer means, asked with a growth from *old* to *size*."""
    if status == 200:
        return _cosigned(body, note, witness)
    if status == _CONFLICT:
        return _conflict(body, old, size)
    said = body[:200].decode(errors="replace").strip()
    if status == _UNPROCESSABLE:
        return Contradicted(f"the tree of {size} does not grow from the one of {old} that it saw: {said}")
    return NotHeard(f"answered {status}: {said}")


def _cosigned(body: bytes, note: Note, witness: Verifier) -> Answer:
    try:
        found = parsed(note.text.encode() + b"\n" + body).signatures
        own = tuple(each for each in found if witness.is_by(each))
        for each in own:
            witness.check(note.text, each)
    except NoteInvalid as error:
        return NotHeard(f"what it answered is no signature of it: {error}")
    if not own:
        return NotHeard("what it answered is no signature of it")
    return Cosigned(own)


def _conflict(body: bytes, old: int, size: int) -> Answer:
    text = body.decode(errors="replace").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return NotHeard(f"answered 409 without a size: {text[:40]}")
    seen = int(text)
    if seen > size:
        return Contradicted(f"it saw {seen} events, and only {size} are signed here")
    if seen == old:
        return Contradicted(f"it saw another tree of {seen} events")
    return Elsewhere(seen)
