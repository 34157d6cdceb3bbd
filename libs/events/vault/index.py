"""By which digests a person is found again: keyed, so that nobody without the key can try all telephone numbers."""

import hmac
import re
from typing import Final

from libs.events.masking import masked_in
from libs.events.sealing import Contact, Spot

_NO_DIGIT: Final = re.compile(r"[^0-9Xx]")
_COUNTRY: Final = re.compile(r"(?:00)?86(?=1[3-9][0-9]{9}$)")


class Index:
    """Digests under a secret that must be kept for ever: with another one nobody is found again."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def contact(self, contact: Contact, spot: Spot) -> bytes:
        """Who it is: the same number and address are the same person; without either, one for each case."""
        if contact.phone or contact.mail:
            return self._digest("contact", number(contact.phone), address(contact.mail))
        return self._digest("case", spot.case_id)

    def addresses(self, contact: Contact) -> list[bytes]:
        """By what the person is found: also by what was typed into free text."""
        said = [contact.phone, contact.mail, *masked_in(contact.text), *masked_in(contact.typed)]
        return sorted({self.of(each) for each in said if each})

    def of(self, said: str) -> bytes:
        """The digest of a telephone or identity number, or of a mail address, however it is written."""
        return self._digest("mail", address(said)) if "@" in said else self._digest("number", number(said))

    def _digest(self, *parts: str) -> bytes:
        # The length before each part keeps ("a", "bc") apart from ("ab", "c").
        encoded = [part.encode() for part in parts]
        return hmac.digest(self._secret, b"".join(len(part).to_bytes(4) + part for part in encoded), "sha256")


def number(said: str) -> str:
    """Its digits alone; a Chinese mobile number without the country's."""
    return _COUNTRY.sub("", _NO_DIGIT.sub("", said).upper())


def address(said: str) -> str:
    """A mail address as it is compared."""
    return said.strip().casefold()
