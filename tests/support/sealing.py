"""A real log sealed into files, as the ledger does it."""

from collections.abc import Iterable, Sequence
from typing import Final

from libs.events.jetstream import JetStream
from libs.events.ledger.archive import opened
from libs.events.ledger.growing import growing
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.notes import Checkpoint, Signer
from libs.events.ledger.stretches import Sealed
from libs.events.storage import FileStore
from libs.events.streams import LEDGER_STREAMS

DEPLOYMENT: Final = "city.example"
STORED_AT_NS: Final = 1_700_000_000_000_000_000


async def events_of(jetstream: JetStream, stream: str) -> list[Leaf]:
    """All that stands in a stream, as it is proved."""
    found: list[Leaf] = []
    while page := (await jetstream.stretch(stream, ">", len(found) + 1, 1_000)).messages:
        found += [
            Leaf(stream, each.sequence, each.subject, each.message_id or "", each.payload) for each in page
        ]
    return found


async def seal(
    store: FileStore, signer: Signer, stream: str, events: Sequence[Leaf], ends: Iterable[int] = ()
) -> None:
    """Seal the events of one stream, with a checkpoint at each of *ends*, and at the last."""
    archive = await opened(store, stream, f"{DEPLOYMENT}/{stream}")
    writer = await growing(archive)
    for end in (*ends, len(events)):
        new = events[archive.size : end]
        if new:
            await writer.seal([Sealed(leaf, STORED_AT_NS + leaf.sequence) for leaf in new])
            await writer.keep(signer.sign(Checkpoint(archive.origin, end, writer.root())), end)


async def seal_all(jetstream: JetStream, store: FileStore, signer: Signer) -> dict[str, list[Leaf]]:
    """Seal all evidence of a log; what stands in each stream."""
    found = {stream: await events_of(jetstream, stream) for stream in LEDGER_STREAMS}
    for stream, events in found.items():
        await seal(store, signer, stream, events)
    return found
