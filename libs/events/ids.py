"""Identifiers: tracking numbers that are secrets, case ids that reveal none, event ids that repeat on purpose."""

import hmac
import os
import secrets
import time
from hashlib import blake2b
from typing import Final
from uuid import UUID

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U to misread
_READ_AS: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})
TRACKING_CHARACTERS: Final = 16  # 80 bits
CASE_ID_CHARACTERS: Final = 20  # 100 bits


def _base32(number: int, characters: int) -> str:
    return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(characters)))


def _digest(*parts: str, size: int) -> bytes:
    # The length before each part keeps ("a", "bc") apart from ("ab", "c").
    encoded = [part.encode() for part in parts]
    return blake2b(b"".join([len(part).to_bytes(4) + part for part in encoded]), digest_size=size).digest()


def _grouped(characters: str) -> str:
    return "-".join(characters[start : start + 4] for start in range(0, len(characters), 4))


def new_tracking_number() -> str:
    """A fresh tracking number such as `7K3M-9QXP-V2TB-HW4D`: 80 random bits, so knowing it is the right to ask."""
    return _grouped(_base32(secrets.randbits(80), TRACKING_CHARACTERS))


def tracking_number_for(secret: str, idempotency_key: str) -> str:
    """The tracking number that a repeated request gets again; without *secret* nobody can derive it."""
    digest = hmac.digest(secret.encode(), idempotency_key.encode(), "sha256")
    return _grouped(_base32(int.from_bytes(digest[:10]), TRACKING_CHARACTERS))


def read_tracking_number(typed: str) -> str:
    """The tracking number that a person typed, in its one spelling.  Raises ValueError when it is none."""
    plain = typed.strip().upper().translate(_READ_AS)
    if len(plain) != TRACKING_CHARACTERS or any(character not in _ALPHABET for character in plain):
        raise ValueError(
            f"a tracking number has {TRACKING_CHARACTERS} letters and digits, like 7K3M-9QXP-V2TB-HW4D"
        )
    return _grouped(plain)


def case_id_of_tracking(tracking_number: str) -> str:
    """The case behind a tracking number.  One-way: departments see case ids and learn no tracking number."""
    return _case_id("tracking", tracking_number)


def case_id_of_import(system: str, key: str) -> str:
    """The case behind a row of another system; the same row is the same case, whenever it is imported."""
    return _case_id("import", system, key)


def patrol_order_id(grid: str, day: str) -> str:
    """The patrol order of a grid on a day (`2026-03-02`): it stands in the log like a case, under such an id."""
    return _case_id("patrol", grid, day)


def _case_id(*parts: str) -> str:
    return _base32(int.from_bytes(_digest(*parts, size=13)) >> 4, CASE_ID_CHARACTERS).lower()


def is_case_id(text: str) -> bool:
    """Whether *text* has the form of a case id."""
    return (
        len(text) == CASE_ID_CHARACTERS
        and all(character in _ALPHABET for character in text.upper())
        and text == text.lower()
    )


def new_event_id() -> str:
    """A UUIDv7 (RFC 9562): unique, and ordered by the millisecond in which it was made."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10))
    number = (milliseconds & (1 << 48) - 1) << 80 | random_bits
    return str(UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | 7 << 76 | 2 << 62))


def derived_event_id(*parts: str) -> str:
    """An id that the same cause always gets again (a UUIDv8 over *parts*), so that doing it twice adds nothing."""
    number = int.from_bytes(_digest(*parts, size=16))
    return str(UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | 8 << 76 | 2 << 62))
