"""Shows each new checkpoint to the witnesses, and keeps what they sign.  A witness that is away holds up nothing."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from libs.events import faults, telemetry
from libs.events.errors import StoreUnavailable
from libs.events.ledger.archive import ArchiveBroken, opened
from libs.events.ledger.growing import keep_signatures
from libs.events.ledger.notes import Note, NoteInvalid, Verifier, checkpoint_of
from libs.events.storage import FileStore
from services.ledger.witnessing.asking import Asker, Unheard
from services.ledger.witnessing.protocol import (
    Answer,
    Contradicted,
    Cosigned,
    Elsewhere,
    NotHeard,
    answer_of,
    request_of,
)

log = structlog.get_logger(__name__)

AGAIN_FIRST_SECONDS: Final = 1.0
AGAIN_SECONDS_MAX: Final = 300.0
TRIES_MAX: Final = 3
"""For one checkpoint in a row, while the witness names another size each time."""
CONTENT_TYPE: Final = "text/plain; charset=utf-8"


class Witness(NamedTuple):
    """Who it is, and where it is asked."""

    verifier: Verifier
    url: str
    """Below which it takes `add-checkpoint`."""


class Shelf(NamedTuple):
    """Where the trees are kept, and under which name."""

    store: FileStore
    origin: str
    """Of all trees: that of one is `<origin>/<stream>`."""
    keeping: asyncio.Lock
    """A kept checkpoint gets one signature after the other."""


class Newest:
    """The newest checkpoint of each stream, and a call when there is another."""

    def __init__(self) -> None:
        self.notes: dict[str, Note] = {}
        self._changed = asyncio.Event()

    def tell(self, stream: str, note: Note) -> None:
        """There is a new one."""
        self.notes[stream] = note
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self, seconds_max: float | None) -> None:
        """Wait for the next one, or for so long."""
        changed = self._changed
        try:
            async with asyncio.timeout(seconds_max):
                await changed.wait()
        except TimeoutError:
            return


class Witnessing:
    """One witness, for as long as the process lives."""

    def __init__(self, witness: Witness, shelf: Shelf, asker: Asker, newest: Newest) -> None:
        self.name = witness.verifier.name
        self.contradicted: dict[str, str] = {}
        """By stream, why the witness says that history was forked."""
        self._witness = witness
        self._shelf = shelf
        self._asker = asker
        self._newest = newest
        self._seen: dict[str, int] = {}  # how many events of each stream it has seen, as far as it said

    async def run(self) -> None:
        """Until cancelled."""
        again = AGAIN_FIRST_SECONDS
        while True:
            heard = True
            for stream, note in tuple(self._newest.notes.items()):
                if self._behind(stream, note):
                    heard = await self._show(stream, note) and heard
            again = AGAIN_FIRST_SECONDS if heard else min(AGAIN_SECONDS_MAX, again * 2)
            if heard and any(self._behind(*each) for each in self._newest.notes.items()):
                continue  # there is a newer one already
            await self._newest.change(None if heard else again)

    def _behind(self, stream: str, note: Note) -> int:
        behind = max(0, checkpoint_of(note).size - self._seen.get(stream, 0))
        telemetry.set_ledger_witness_behind(stream, self.name, behind)
        return behind

    async def _show(self, stream: str, note: Note) -> bool:
        """Whether nothing has to be tried again."""
        try:
            answer = await self._asked(stream, note)
            if isinstance(answer, Cosigned):
                await self._keep(stream, note, answer)
        except (Unheard, StoreUnavailable, ArchiveBroken, NoteInvalid) as error:
            answer = NotHeard(str(error))
        telemetry.set_ledger_witness_contradicts(
            stream, self.name, contradicts=isinstance(answer, Contradicted)
        )
        if isinstance(answer, Contradicted):
            if self.contradicted.get(stream) != answer.reason:
                self.contradicted[stream] = answer.reason
                log.error(
                    "ledger_witness_contradicts", stream=stream, witness=self.name, reason=answer.reason
                )
        elif isinstance(answer, NotHeard):
            log.warning("ledger_witness_not_heard", stream=stream, witness=self.name, reason=answer.reason)
        else:
            self.contradicted.pop(stream, None)
        return isinstance(answer, Cosigned)

    async def _asked(self, stream: str, note: Note) -> Answer:
        size = checkpoint_of(note).size
        archive = await opened(self._shelf.store, stream, f"{self._shelf.origin}/{stream}")
        old = min(self._seen.get(stream, 0), size)
        for _ in range(TRIES_MAX):
            proof: Sequence[bytes] = await archive.consistency(old, size) if old else []
            body = request_of(old, proof, note)
            reply = await self._asker.post(f"{self._witness.url}/add-checkpoint", CONTENT_TYPE, body)
            found = answer_of(reply.status, reply.body, note, self._witness.verifier, old=old, size=size)
            if not isinstance(found, Elsewhere):
                return found
            old = found.size
        return NotHeard("it names another size each time")

    async def _keep(self, stream: str, note: Note, answer: Cosigned) -> None:
        checkpoint = checkpoint_of(note)
        async with self._shelf.keeping:
            archive = await opened(self._shelf.store, stream, checkpoint.origin)
            await keep_signatures(archive, checkpoint.size, answer.signatures)
        self._seen[stream] = checkpoint.size
        telemetry.set_ledger_witness_behind(stream, self.name, 0)
        log.info("ledger_witnessed", stream=stream, witness=self.name, size=checkpoint.size)
        await faults.reach("ledger.witnessed")


def witnesses_of(text: str) -> tuple[Witness, ...]:
    """Witnesses as a setting names them: `<public key> <address>`, separated by commas.  Raises ValueError."""
    found: list[Witness] = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        key, _, url = each.partition(" ")
        try:
            verifier = Verifier.of(key)
        except NoteInvalid as error:
            raise ValueError(f"{key[:60]}: {error}") from error
        if not url.strip().startswith(("https://", "http://")):
            raise ValueError(f"{verifier.name} needs an address, such as https://witness.example")
        found.append(Witness(verifier, url.strip().rstrip("/")))
    names = [each.verifier.name for each in found]
    if len(set(names)) != len(names):
        raise ValueError("names a witness twice")
    return tuple(found)
