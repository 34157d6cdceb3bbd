"""The only folder that knows how JetStream is spoken to: headers, error codes, API subjects.

`client` makes single requests, `reader` reads the whole log fast, `pull` is the receiving end of a durable consumer.
"""

from libs.events.jetstream.client import (
    BATCH_MESSAGES_MAX,
    MULTI_LAST_SUBJECTS_MAX,
    REQUEST_TIMEOUT_SECONDS,
    Code,
    JetStream,
    Message,
    NotNow,
    Page,
    Refused,
    Stored,
    Unknown,
    as_library_error,
    connected,
    emptied,
    expectation,
)

__all__ = [
    "BATCH_MESSAGES_MAX",
    "MULTI_LAST_SUBJECTS_MAX",
    "REQUEST_TIMEOUT_SECONDS",
    "Code",
    "JetStream",
    "Message",
    "NotNow",
    "Page",
    "Refused",
    "Stored",
    "Unknown",
    "as_library_error",
    "connected",
    "emptied",
    "expectation",
]
