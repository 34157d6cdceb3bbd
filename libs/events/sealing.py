"""Personal data as it may stand in the log: sealed for one person, so that without that person's key nobody reads it.

A sealed value is a text that says all that is needed but the key: `sealed.v1.<person>.<base64url>`.  It is HPKE (RFC
9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.  Each value has an AES key and nonce of its
own, from a key pair that is thrown away, so no number of values wears a person's key out.  Where it stands (case and
field) is bound in: a value that is moved to another case or field does not open.

Several people in one event are several sealed values in several fields.  Who seals needs no secret; see `vault`.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from libs.events.errors import SealBroken
from libs.events.persons import SEALED

PREFIX: Final = SEALED
SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
KEY_BYTES: Final = 32
PADDED_TO_BYTES: Final = 64
"""Contents are filled up to a multiple of it: the length of a sealed value tells no short name from a long one."""


@dataclass(frozen=True, slots=True)
class Contact:
    """How to reach the person who reported, and what they said for nobody else; empty is what is not known."""

    name: str = ""
    phone: str = ""
    mail: str = ""
    text: str = ""
    """Free words, such as when to call."""
    typed: str = ""
    """The description as it was typed, where it held numbers or addresses that are masked in the fact."""

    def __bool__(self) -> bool:
        return any((self.name, self.phone, self.mail, self.text, self.typed))

    def __repr__(self) -> str:
        """Nothing of it: a contact that gets into a log or a traceback says nothing there."""
        return "Contact(...)"


class Forgotten(NamedTuple):
    """What opening gives when the person's key was erased: the value is there, and nobody can read it any more."""

    person: str


class Spot(NamedTuple):
    """Where a sealed value stands; it opens nowhere else."""

    case_id: str
    field: str = "reporter"

    def bound(self, person: str) -> bytes:
        """What is bound into the seal; no two spots have the same, since ids and names of fields hold no slash."""
        return f"{PREFIX}/{person}/{self.case_id}/{self.field}".encode()


class Sealer(Protocol):
    """May seal and never open: what intake has."""

    async def seal(self, contact: Contact, spot: Spot) -> str:
        """The sealed text.  The same phone or mail is the same person; raises VaultUnavailable."""
        ...

    async def discard(self, sealed: str) -> None:
        """Drop the person of a value that was sealed and then not written, if nothing else was sealed for them."""
        ...


class Opener(Protocol):
    """May open: what notify has, for those whom the table of roles allows."""

    async def open(self, sealed: str, spot: Spot) -> Contact | Forgotten:
        """The contact.  Raises SealBroken for what is no sealed value of this spot, VaultUnavailable."""
        ...


def person_of(sealed: str) -> str:
    """The pseudonym of the person of a sealed value.  Raises SealBroken when it is none."""
    return _parted(sealed)[0]


def sealed_for(person: str, public_key: bytes, contact: Contact, spot: Spot) -> str:
    """*contact* sealed with the public key of *person*."""
    content = json.dumps({key: value for key, value in asdict(contact).items() if value}, ensure_ascii=False)
    plain = content.encode()
    plain += b" " * (-len(plain) % PADDED_TO_BYTES)
    key = X25519PublicKey.from_public_bytes(public_key)
    return f"{PREFIX}.{person}.{text_of(SUITE.encrypt(plain, key, spot.bound(person)))}"


def opened_with(private_key: bytes, sealed: str, spot: Spot) -> Contact:
    """What is in it.  Raises SealBroken for another key or spot, and when anything was changed or cut."""
    person, content = _parted(sealed)
    key = X25519PrivateKey.from_private_bytes(private_key)
    try:
        plain = SUITE.decrypt(content, key, spot.bound(person))
    except InvalidTag as error:
        raise SealBroken(f"the value of {person} in {spot.case_id}, {spot.field}, does not open") from error
    # Fields that a later version added are left out.
    found = {key: value for key, value in json.loads(plain).items() if key in Contact.__slots__}
    return Contact(**found)


def text_of(content: bytes) -> str:
    """base64url without padding (RFC 4648)."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    """The bytes of such a text; raises ValueError for any other spelling."""
    try:
        content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise ValueError("this is no base64url") from error
    if text_of(content) != text:
        raise ValueError("this is no base64url")
    return content


def _parted(sealed: str) -> tuple[str, bytes]:
    head, _, content = sealed.rpartition(".")
    prefix, _, person = head.rpartition(".")
    if prefix != PREFIX or not person:
        raise SealBroken("this is no sealed value")
    try:
        return person, bytes_of(content)
    except ValueError as error:
        raise SealBroken(f"the value of {person} is not whole") from error
