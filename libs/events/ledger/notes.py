"""Signed checkpoints: what the tree was at a size, in the formats of C2SP, so that tools of others can check them.

A note (signed-note) is a text, an empty line, and signatures, one line each: `— <name> <base64 of key id and
signature>`.  A checkpoint (tlog-checkpoint) is a note of three lines: origin, size, root in base64.  A witness adds a
signature that also says when (tlog-cosignature).  All signatures are Ed25519 (RFC 8032): the same text and key always
give the same bytes.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from libs.events.errors import WhistleError
from libs.events.ledger.merkle import HASH_BYTES

NOTE_BYTES_MAX: Final = 1_000_000
SIGNATURES_MAX: Final = 100
"""In one note; the rest of a longer one is not looked at, and it is refused."""
_ED25519: Final = 1
_COSIGNATURE: Final = 4
_KEY_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32
_TIME_BYTES: Final = 8
_DASH: Final = "\u2014 "  # an em dash and a blank begin a signature line
_NAME: Final = re.compile(r"[^\s+]+")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_SECRET: Final = "PRIVATE+KEY+"  # noqa: S105 - what a key file begins with


class NoteInvalid(WhistleError):
    """A note, key or checkpoint that is not what it should be; the text says what is wrong."""


class Signature(NamedTuple):
    """One signature line."""

    name: str
    key_id: bytes
    content: bytes

    def line(self) -> str:
        """As it stands in a note."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.content).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, not yet checked."""

    text: str
    """Ends with a line feed."""
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The bytes of the whole note."""
        return (self.text + "\n" + "".join(each.line() for each in self.signatures)).encode()

    def with_signatures(self, more: Iterable[Signature]) -> "Note":
        """The same note with these signatures, each once."""
        return Note(self.text, tuple(dict.fromkeys((*self.signatures, *more))))


class Checkpoint(NamedTuple):
    """What a tree was at a size."""

    origin: str
    """Whose tree: `<deployment>/<stream>`."""
    size: int
    root: bytes

    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key under a name; as text `<name>+<key id in hex>+<base64 of algorithm and key>`."""

    name: str
    algorithm: int
    key: bytes

    @classmethod
    def of(cls, text: str) -> Self:
        """The key that a text names.  Raises NoteInvalid."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _NAME.fullmatch(parts[0]):
            raise NoteInvalid("a public key is <name>+<key id>+<base64>")
        content = _base64(parts[2], "a public key")
        if len(content) != 1 + _KEY_BYTES or content[0] not in {_ED25519, _COSIGNATURE}:
            raise NoteInvalid(f"the key of {parts[0]} is of no kind that is known: Ed25519 alone is")
        found = cls(parts[0], content[0], content[1:])
        if found.key_id.hex() != parts[1]:
            raise NoteInvalid(f"the key of {parts[0]} does not have the id {parts[1]}: it was cut or changed")
        return found

    @property
    def key_id(self) -> bytes:
        """By which its signatures are found."""
        return sha256(f"{self.name}\n".encode() + bytes([self.algorithm]) + self.key).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        content = bytes([self.algorithm]) + self.key
        return f"{self.name}+{self.key_id.hex()}+{b64encode(content).decode()}"

    def is_by(self, signature: Signature) -> bool:
        """Whether a signature claims to be of this key."""
        return (signature.name, signature.key_id) == (self.name, self.key_id)

    def check(self, text: str, signature: Signature) -> datetime | None:
        """Raises NoteInvalid unless it is this key's; a witness' signature says when it was made."""
        content, said, at = signature.content, text.encode(), None
        if self.algorithm == _COSIGNATURE:
            if len(content) < _TIME_BYTES:
                raise NoteInvalid(f"the signature of {self.name} was cut")
            seconds, content = int.from_bytes(content[:_TIME_BYTES]), content[_TIME_BYTES:]
            said = cosigned_text(text, seconds)
            at = _moment(seconds, self.name)
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(content, said)
        except InvalidSignature as error:
            raise NoteInvalid(
                f"the signature of {self.name} does not fit: text or signature was changed"
            ) from error
        return at


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key under a name; as text `PRIVATE+KEY+<name>+<key id>+<base64 of algorithm and seed>`."""

    name: str
    seed: bytes

    @classmethod
    def new(cls, name: str) -> Self:
        """A fresh key.  Raises NoteInvalid for a name with blanks or `+`."""
        if not _NAME.fullmatch(name):
            raise NoteInvalid(f"a key cannot be called {name!r}: no blanks and no +")
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def of(cls, text: str) -> Self:
        """The key that a text holds.  Raises NoteInvalid, whose words hold nothing of it."""
        parts = text.strip().removeprefix(_SECRET).split("+", 2)
        if not text.strip().startswith(_SECRET) or len(parts) != 3 or not _NAME.fullmatch(parts[0]):
            raise NoteInvalid(f"a private key is {_SECRET}<name>+<key id>+<base64>")
        content = _base64(parts[2], "a private key")
        if len(content) != 1 + _KEY_BYTES or content[0] != _ED25519:
            raise NoteInvalid("the private key is not of Ed25519")
        found = cls(parts[0], content[1:])
        if found.verifier.key_id.hex() != parts[1]:
            raise NoteInvalid("the private key does not have its id: it was cut or changed")
        return found

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return Verifier(self.name, _ED25519, key)

    def secret(self) -> str:
        """The text that `of` reads: whoever has it can sign."""
        content = b64encode(bytes([_ED25519]) + self.seed).decode()
        return f"{_SECRET}{self.name}+{self.verifier.key_id.hex()}+{content}"

    def __repr__(self) -> str:
        return f"Signer({self.name})"

    def sign(self, checkpoint: Checkpoint) -> Note:
        """The checkpoint as a note, signed."""
        text = checkpoint.text()
        content = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return Note(text, (Signature(self.name, self.verifier.key_id, content),))


class Checked(NamedTuple):
    """A checkpoint that the log's key signed, and when witnesses said that they saw it."""

    checkpoint: Checkpoint
    witnesses: tuple[tuple[str, datetime | None], ...]


def parsed(content: bytes) -> Note:
    """The note that stands in *content*, nothing checked.  Raises NoteInvalid."""
    if len(content) > NOTE_BYTES_MAX:
        raise NoteInvalid(f"a note has {NOTE_BYTES_MAX} bytes at most")
    try:
        whole = content.decode()
    except UnicodeDecodeError as error:
        raise NoteInvalid("a note is UTF-8") from error
    text, gap, tail = whole.rpartition("\n\n")
    lines = tail.splitlines(keepends=True)
    if not gap or not lines or _CONTROL.search(whole) or len(lines) > SIGNATURES_MAX:
        raise NoteInvalid(
            "a note is a text, an empty line, and lines of signatures: this one was cut or changed"
        )
    return Note(f"{text}\n", tuple(_signature(line) for line in lines))


def checkpoint_of(note: Note) -> Checkpoint:
    """The checkpoint that a note says.  Raises NoteInvalid."""
    lines = note.text.split("\n")
    if len(lines) < 4 or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise NoteInvalid("a checkpoint has three lines: origin, size, root")
    root = _base64(lines[2], "the root of a checkpoint")
    if len(root) != HASH_BYTES:
        raise NoteInvalid(f"the root of a checkpoint has {HASH_BYTES} bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def checked(note: Note, log: Verifier, witnesses: Sequence[Verifier] = ()) -> Checked:
    """The checkpoint, once the log's signature is seen to be right.

    Raises NoteInvalid without one, and when any signature of a key that is known does not fit.
    """
    if not any(log.is_by(each) for each in note.signatures):
        raise NoteInvalid(
            f"no signature of {log.name} (key {log.key_id.hex()}): another deployment's, or another key's"
        )
    seen: dict[str, datetime | None] = {}
    for each in note.signatures:
        for verifier in (log, *witnesses):
            if verifier.is_by(each):
                at = verifier.check(note.text, each)
                if verifier is not log:
                    seen[verifier.name] = at
    return Checked(checkpoint_of(note), tuple(seen.items()))


def cosigned_text(text: str, seconds: int) -> bytes:
    """What a witness signs: the note's text, and when, in seconds since 1970 (tlog-cosignature)."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _signature(line: str) -> Signature:
    name, _, content = line.removeprefix(_DASH).rstrip("\n").partition(" ")
    if not line.startswith(_DASH) or not line.endswith("\n") or not _NAME.fullmatch(name):
        raise NoteInvalid("a line of a signature was cut or changed")
    raw = _base64(content, f"the signature of {name}")
    if len(raw) <= _KEY_ID_BYTES:
        raise NoteInvalid(f"the signature of {name} was cut")
    return Signature(name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])


def _base64(text: str, what: str) -> bytes:
    try:
        content = b64decode(text, validate=True)
    except ValueError as error:
        raise NoteInvalid(f"{what} is not base64: it was cut or changed") from error
    if b64encode(content).decode() != text:
        raise NoteInvalid(f"{what} is not base64 in its only spelling")
    return content


def _moment(seconds: int, name: str) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise NoteInvalid(f"the signature of {name} says no time") from error
