"""The master key: people's private keys are wrapped for it, and it stands in no database.

In a file it is a secret text on a line of its own, from which the key pair is derived; the first line is in force,
further ones stay until nothing is wrapped for them any more.  Its public half is published in the vault, so that who
seals needs no file.  A KMS takes the file's place by a `Wraps` and an `Unwraps` of its own: it may keep the key.

A wrapped key is `wrapped.v1.<id of the master key>.<base64url>`: HPKE again, with the person bound in.  As each
wrapping has an AES key of its own, no number of people wears the master key out.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.events.errors import VaultInconsistent
from libs.events.sealing import KEY_BYTES, SUITE, bytes_of, text_of

PREFIX: Final = "wrapped.v1"
DERIVED_FOR: Final = b"whistle vault master key v1"
SECRET_CHARACTERS_MIN: Final = 32
KEY_ID_CHARACTERS: Final = 16
FILE_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Published:
    """The public half of a master key."""

    key_id: str
    public_key: bytes


class Wraps(Protocol):
    """Wraps a private key for the master key in force."""

    async def wrap(self, private_key: bytes, person: str, master: Published) -> str:
        """The wrapped key; it names its master key."""
        ...


class Unwraps(Protocol):
    """Holds the master key, or asks somebody who does."""

    async def unwrap(self, wrapped: str, person: str) -> bytes:
        """The private key.  Raises VaultInconsistent when it was wrapped for a master key that is not here."""
        ...


class ForPublished:
    """Wraps with the published half alone."""

    async def wrap(self, private_key: bytes, person: str, master: Published) -> str:
        """The wrapped key; nothing is asked of anybody."""
        key = X25519PublicKey.from_public_bytes(master.public_key)
        return f"{PREFIX}.{master.key_id}.{text_of(SUITE.encrypt(private_key, key, _bound(master.key_id, person)))}"


class MasterFile:
    """Master keys in a file, which is read again when it must hold one that it did not hold before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, X25519PrivateKey] = {}

    async def unwrap(self, wrapped: str, person: str) -> bytes:
        """The private key; see `Unwraps`."""
        prefix, _, rest = wrapped.partition(".v1.")
        key_id, _, content = rest.partition(".")
        if f"{prefix}.v1" != PREFIX:
            raise VaultInconsistent(f"the key of {person} is wrapped in a way that is not known here")
        if key_id not in self._keys:
            self._keys = dict(master_keys(self._path))
        if key_id not in self._keys:
            raise VaultInconsistent(f"the master key {key_id} is not in {self._path}")
        try:
            return SUITE.decrypt(bytes_of(content), self._keys[key_id], _bound(key_id, person))
        except (InvalidTag, ValueError) as error:
            raise VaultInconsistent(f"the wrapped key of {person} was changed or cut") from error


def master_keys(path: Path) -> list[tuple[str, X25519PrivateKey]]:
    """The keys in the file with their ids, the one in force first.  Raises VaultInconsistent."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = file.read(FILE_BYTES_MAX).split()
    except (OSError, UnicodeDecodeError) as error:
        raise VaultInconsistent(
            f"the master keys in {path} cannot be read: {type(error).__name__}"
        ) from error
    if not lines:
        raise VaultInconsistent(f"there is no master key in {path}")
    return [keyed(line) for line in lines]


def keyed(secret: str) -> tuple[str, X25519PrivateKey]:
    """The key pair of a secret text, and its id.  Raises VaultInconsistent for a text too short to be a secret."""
    if len(secret) < SECRET_CHARACTERS_MIN:
        raise VaultInconsistent(f"a master key has {SECRET_CHARACTERS_MIN} characters at least")
    derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=DERIVED_FOR).derive(secret.encode())
    private_key = X25519PrivateKey.from_private_bytes(derived)
    return published(private_key).key_id, private_key


def published(private_key: X25519PrivateKey) -> Published:
    """The public half; its id is a digest of it."""
    public_key = private_key.public_key().public_bytes_raw()
    return Published(sha256(public_key).hexdigest()[:KEY_ID_CHARACTERS], public_key)


def _bound(key_id: str, person: str) -> bytes:
    return f"{PREFIX}/{key_id}/{person}".encode()
