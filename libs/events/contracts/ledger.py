"""Facts about the log itself, stated by the ledger."""

from typing import ClassVar

from libs.events.contracts.base import Event


class CaseCarriedForward(Event):
    """The books were closed while this case went on: all that had happened to it until then, once more.

    Whoever folds a case begins here; `libs/events/carrying.py` packs and unpacks.
    """

    TYPE: ClassVar[str] = "whistle.case.carried-forward.v1"
    SOURCE: ClassVar[str] = "/ledger"

    through: int
    """The position in the log up to which the books are closed: what stands there may be in the sealed files alone."""
    events: int
    """How many events of the case it stands for: all before it."""
    digest: str
    """`sha256:` and, in hex, the hash over the hashes of their leaves in the ledger, one behind the other."""
    packed: str
    """The events: base64 of zlib of a JSON list of `[position, subject, event as stored]`."""
