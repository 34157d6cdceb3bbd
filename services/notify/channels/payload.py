"""What a fact says to systems outside: the CloudEvent without personal data.  Pure."""

from collections.abc import Mapping
from typing import Any, Final

from libs.events.envelope import Envelope
from libs.events.masking import masked

TEXTS: Final = frozenset({"description", "note", "reason", "text", "address", "values"})
"""Fields in which people write what they like; telephone numbers and the like are masked there."""
SEALED: Final = frozenset({"reporter"})
"""Fields that are nobody else's business, even as ciphertext."""
INTERNAL: Final = frozenset({"principal", "traceparent"})
"""Attributes of the envelope that are ours alone."""


def public(envelope: Envelope) -> dict[str, Any]:
    """The CloudEvent in its structured JSON form, as outsiders may see it."""
    document: dict[str, Any] = envelope.model_dump(mode="json", exclude_none=True, exclude=set(INTERNAL))
    return {**document, "data": _public(document["data"])}


def _public(value: Any, field: str = "") -> Any:
    match value:
        case Mapping():
            return {key: _public(each, key) for key, each in value.items() if key not in SEALED}
        case list():
            return [_public(each, field) for each in value]
        case str() if field in TEXTS:
            return masked(value)
        case _:
            return value
