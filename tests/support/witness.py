"""A witness that does its work (C2SP tlog-witness): it checks, remembers, and refuses what does not follow."""

import time
from base64 import b64decode
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.events.ledger.merkle import EMPTY_ROOT, ProofInvalid, check_consistency
from libs.events.ledger.notes import (
    NoteInvalid,
    Signature,
    Verifier,
    checked,
    cosigned_text,
    parsed,
)

SIZE_TYPE = "text/x.tlog.size"
TEXT = "text/plain"
COSIGNATURE = 4


@dataclass
class Witness:
    """One witness of one log; `take` is its HTTP."""

    log: Verifier
    name: str = "witness.example"
    seed: bytes = bytes(range(1, 33))
    seen: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Of each origin, size and root of the newest checkpoint that it signed."""
    asked: int = 0

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def verifier(self) -> Verifier:
        """Its public key."""
        return Verifier(self.name, COSIGNATURE, self._key.public_key().public_bytes_raw())

    async def take(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Answer one request."""
        self.asked += 1
        if path != "/w/add-checkpoint":
            return 404, TEXT, b""
        return self.add_checkpoint(body)

    def add_checkpoint(self, body: bytes) -> tuple[int, str, bytes]:
        """As the format says, step by step."""
        head, _, tail = body.partition(b"\n\n")
        first, *proof_lines = head.decode().split("\n")
        word, _, number = first.partition(" ")
        if word != "old" or not number.isdigit():
            return 400, TEXT, b"no old size"
        try:
            note = parsed(tail)
            checkpoint = checked(note, self.log).checkpoint
        except NoteInvalid as error:
            return 403, TEXT, str(error).encode()
        old, proof = int(number), [b64decode(each, validate=True) for each in proof_lines]
        if old > checkpoint.size:
            return 400, TEXT, b"the old size is larger"
        size, root = self.seen.get(checkpoint.origin, (0, EMPTY_ROOT))
        if old != size or (size == checkpoint.size and root != checkpoint.root):
            return 409, SIZE_TYPE, f"{size}\n".encode()
        try:
            if size:
                check_consistency(size, root, checkpoint.size, checkpoint.root, proof)
            elif proof:
                raise ProofInvalid("nothing to prove")
        except ProofInvalid as error:
            return 422, TEXT, str(error).encode()
        self.seen[checkpoint.origin] = (checkpoint.size, checkpoint.root)
        seconds = int(time.time())
        content = seconds.to_bytes(8) + self._key.sign(cosigned_text(note.text, seconds))
        return 200, TEXT, Signature(self.name, self.verifier.key_id, content).line().encode()
