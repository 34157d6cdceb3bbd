"""Cases that go on while the books are closed: their past packed into one event, and taken out of it again.

What is packed are the events as they are stored, byte for byte, so every fold stays what it was, and their hashes are
those in the ledger.  Of an event that itself carried a case forward only the shell is packed, with the hash of the
whole: what it carried is packed already.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import orjson

from libs.events.contracts.ledger import CaseCarriedForward
from libs.events.errors import CaseUnreadable
from libs.events.ledger.leaf import Leaf
from libs.events.subjects import CASES, CaseSubject, case_id_in, parse_case_subject

EVENT: Final = CaseCarriedForward.name()
UNPACKED_BYTES_MAX: Final = 64 * 1024**2
"""Of all events of one case: more was not packed by us."""


class Bare(NamedTuple):
    """An event of a case as it stands in the log."""

    sequence: int
    subject: str
    payload: bytes

    @property
    def version(self) -> int:
        """Its number within the case.  Raises CaseUnreadable for a subject that names none."""
        return self._parts().version

    @property
    def name(self) -> str:
        """The event's token.  Raises CaseUnreadable."""
        return self._parts().event

    def _parts(self) -> CaseSubject:
        try:
            return parse_case_subject(self.subject)
        except ValueError as error:
            raise CaseUnreadable(case_id_in(self.subject), self.sequence, str(error)) from error


def packed(case: Sequence[Bare], through: int) -> CaseCarriedForward:
    """The event that stands for *case*, all its events as `whole` gives them, with the books closed up to *through*."""
    shells = [_shell(each) for each in case]
    content = json.dumps([shell for shell, _ in shells], ensure_ascii=False, separators=(",", ":")).encode()
    return CaseCarriedForward(
        through=through,
        events=len(case),
        digest=_digest(leaf for _, leaf in shells),
        packed=b64encode(zlib.compress(content, level=9)).decode(),
    )


def whole(stored: Sequence[Bare]) -> list[Bare]:
    """All events of a case, of which *stored* are those that the log still has, oldest first.

    What the newest event that carried the case forward stands for comes out of it, whether or not the log has it too.
    Raises CaseUnreadable when it does not hold what it says.
    """
    for at in range(len(stored) - 1, -1, -1):
        if stored[at].name == EVENT:
            return [*_unpacked(stored[at]), *stored[at:]]
    return list(stored)


def _unpacked(carrier: Bare) -> list[Bare]:
    try:
        fact = CaseCarriedForward.model_validate(orjson.loads(carrier.payload)["data"])
        inflate = zlib.decompressobj()
        content = inflate.decompress(b64decode(fact.packed, validate=True), UNPACKED_BYTES_MAX)
        items = orjson.loads(content)
        case = [Bare(sequence, subject, payload.encode()) for sequence, subject, payload, *_ in items]
        leaves = [_leaf(each, *rest) for each, (_, _, _, *rest) in zip(case, items, strict=True)]
    except (ValueError, TypeError, LookupError, AttributeError, zlib.error) as error:
        raise _broken(carrier, f"it holds nothing that can be read: {type(error).__name__}") from error
    versions = [each.version for each in case]
    if versions != list(range(1, carrier.version)) or fact.events != len(case):
        raise _broken(carrier, "it does not hold all events before it")
    if _digest(leaves) != fact.digest or {case_id_in(each.subject) for each in case} != {
        case_id_in(carrier.subject)
    }:
        raise _broken(carrier, "it holds other events than it says")
    return case


def _broken(carrier: Bare, reason: str) -> CaseUnreadable:
    return CaseUnreadable(case_id_in(carrier.subject), carrier.sequence, reason)


def _shell(event: Bare) -> tuple[list[object], bytes]:
    """What is packed of an event, and the hash of its leaf."""
    if event.name != EVENT:
        return [event.sequence, event.subject, event.payload.decode()], _leaf(event)
    document = orjson.loads(event.payload)
    if known := document["data"].get("leaf"):  # it is a shell already
        return [event.sequence, event.subject, event.payload.decode(), known], bytes.fromhex(known)
    leaf = _leaf(event)
    document["data"] |= {"packed": "", "leaf": leaf.hex()}
    return [event.sequence, event.subject, orjson.dumps(document).decode(), leaf.hex()], leaf


def _leaf(event: Bare, known: str = "") -> bytes:
    if known:
        return bytes.fromhex(known)
    event_id = orjson.loads(event.payload)["id"]
    return Leaf(CASES, event.sequence, event.subject, event_id, event.payload).hash()


def _digest(leaves: Iterable[bytes]) -> str:
    return f"sha256:{sha256(b''.join(leaves)).hexdigest()}"
