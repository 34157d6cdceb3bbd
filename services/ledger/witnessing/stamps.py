"""Time stamps of checkpoints by an authority (RFC 3161), each kept beside its checkpoint.

What is stamped is the text of the note, three lines: its SHA-256 is the imprint.  Whether the authority may be
believed, and its certificate, is for whoever checks the stamp.
"""

import asyncio
from typing import Final

import structlog
from rfc3161_client import HashAlgorithm, PKIStatus, TimestampRequestBuilder, decode_timestamp_response

from libs.events.errors import StoreUnavailable
from libs.events.ledger.archive import Archive
from libs.events.ledger.notes import Note, checkpoint_of
from services.ledger.witnessing.asking import Asker, Unheard
from services.ledger.witnessing.witnesses import Newest, Shelf

log = structlog.get_logger(__name__)

REQUEST_TYPE: Final = "application/timestamp-query"
AGAIN_SECONDS: Final = 60.0
"""After a stamp that was not given."""
_GRANTED: Final = frozenset({PKIStatus.GRANTED.value, PKIStatus.GRANTED_WITH_MODS.value})


class Stamping:
    """Asks one authority, for as long as the process lives."""

    def __init__(self, url: str, every_seconds: float, shelf: Shelf, asker: Asker, newest: Newest) -> None:
        self._url = url
        self._every_seconds = every_seconds
        self._shelf = shelf
        self._asker = asker
        self._newest = newest
        self._stamped: dict[str, int] = {}

    async def run(self) -> None:
        """Stamp the newest checkpoint of each stream, if it is a new one, in this rhythm; until cancelled."""
        while True:
            given = True
            for stream, note in tuple(self._newest.notes.items()):
                if checkpoint_of(note).size > self._stamped.get(stream, 0):
                    given = await self._stamp(stream, note) and given
            if not self._stamped and given:
                await self._newest.change(self._every_seconds)  # nothing is signed yet
            else:
                await asyncio.sleep(self._every_seconds if given else min(AGAIN_SECONDS, self._every_seconds))

    async def _stamp(self, stream: str, note: Note) -> bool:
        size = checkpoint_of(note).size
        archive = Archive(self._shelf.store, stream, f"{self._shelf.origin}/{stream}")
        name = f"{archive.checkpoint_path(size)}.tsr"
        try:
            if await self._shelf.store.get(name) is None:
                await self._shelf.store.put(name, await self._stamp_of(note))
        except (Unheard, StoreUnavailable) as error:
            log.warning("ledger_not_stamped", stream=stream, size=size, reason=str(error))
            return False
        self._stamped[stream] = size
        log.info("ledger_stamped", stream=stream, size=size)
        return True

    async def _stamp_of(self, note: Note) -> bytes:
        """The authority's whole answer.  Raises Unheard for one that is no stamp of this note."""
        text = note.text.encode()
        builder = TimestampRequestBuilder().data(text).hash_algorithm(HashAlgorithm.SHA256)
        request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
        reply = await self._asker.post(self._url, REQUEST_TYPE, request.as_bytes())
        if reply.status != 200:
            raise Unheard(f"answered {reply.status}")
        try:
            answer = decode_timestamp_response(reply.body)
            status = answer.status
            found = (
                (answer.tst_info.message_imprint.message, answer.tst_info.nonce)
                if status in _GRANTED
                else None
            )
        except ValueError as error:
            raise Unheard(f"what it answered is no time stamp: {error}"[:200]) from error
        if found is None:
            raise Unheard(f"it refused, with the status {status}")
        if found != (request.message_imprint.message, request.nonce):
            raise Unheard("its time stamp is of something else")
        return reply.body
