"""Where checkpoints are shown to everybody on the bus: the stream LEDGER, one subject for each sealed stream."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Final, NamedTuple

import orjson

from libs.events.contracts.base import contract_uri
from libs.events.ids import derived_event_id
from libs.events.jetstream import (
    Code,
    JetStream,
    Message,
    NotNow,
    Refused,
    Unknown,
    as_library_error,
    expectation,
)
from libs.events.ledger.notes import Note, NoteInvalid, checkpoint_of, parsed
from libs.events.subjects import LEDGER, ledger_subject

TYPE: Final = "whistle.ledger.sealed.v1"
SOURCE: Final = "/ledger"


class Shown(NamedTuple):
    """The newest checkpoint of a stream on the bus, not checked, and where it stands there."""

    note: Note | None
    position: int
    at: datetime | None = None
    """When it was shown."""


class Outrun(Exception):
    """Another ledger has shown a checkpoint since."""


class Board:
    """Shows checkpoints, one behind the other."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream

    async def newest(self, stream: str) -> Shown:
        """As the stream's leader knows it.  Raises LogUnavailable, LogRefused, or NoteInvalid for what is none."""
        try:
            found = await self._jetstream.last_on_leader(LEDGER, ledger_subject(stream))
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
        if found is None:
            return Shown(None, 0)
        try:
            document = orjson.loads(found.payload)
            text: str = document["data"]["note"]
            return Shown(parsed(text.encode()), found.sequence, datetime.fromisoformat(document["time"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"event {found.sequence} of {LEDGER} holds no checkpoint"
            raise NoteInvalid(reason) from error

    async def show(self, stream: str, note: Note, position: int) -> int:
        """Put *note* behind what stands at *position*; where it stands then.

        Raises Outrun when something else stands there meanwhile, LogUnavailable, LogRefused.
        """
        subject = ledger_subject(stream)
        event_id, document = document_of(note, datetime.now(UTC))
        message = Message(subject, document, expectation(event_id, subject, position))
        try:
            return await self._jetstream.publish(message)
        except Refused as refused:
            if refused.code == Code.WRONG_LAST_SEQUENCE:
                raise Outrun from refused
            raise as_library_error(refused) from refused
        except (NotNow, Unknown) as error:
            raise as_library_error(error) from error


def document_of(note: Note, now: datetime) -> tuple[str, bytes]:
    """The event that shows a checkpoint, and its id: the same for the same checkpoint."""
    checkpoint = checkpoint_of(note)
    # With the root: a server that took another tree for a repetition would say nothing.
    event_id = derived_event_id("ledger", checkpoint.origin, str(checkpoint.size), checkpoint.root.hex())
    document = {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": TYPE,
        "subject": checkpoint.origin,
        "time": now,
        "datacontenttype": "application/json",
        "dataschema": contract_uri(TYPE),
        "data": {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": b64encode(checkpoint.root).decode(),
            "note": note.encode().decode(),
        },
    }
    return event_id, orjson.dumps(document)
