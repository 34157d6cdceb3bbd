"""The tree of one stream: opened with every check, grown, and signed.

The order of what is laid down makes a death at any moment harmless: hashes, events, the checkpoint on the bus, the
checkpoint in the store.  Whoever comes next finds the first two ahead of the checkpoints, or the bus ahead of the
store, and goes on from there.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from libs.events import faults
from libs.events.jetstream import Code, JetStream, NotNow, Refused, Unknown, as_library_error
from libs.events.ledger.archive import Archive, opened
from libs.events.ledger.growing import Growing, growing
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.merkle import Node
from libs.events.ledger.notes import Checkpoint, Note, Signer, checked
from libs.events.ledger.stretches import Sealed
from libs.events.storage import FileStore
from services.ledger.board import Board, Outrun, Shown
from services.ledger.refusing import LogState, Refusal, check_log, check_root, check_size, spots
from services.ledger.standing import Standing

SPOTS: Final = 16
"""Sealed events that are compared with the log when a tree is opened; the last one is always among them."""
ON_BUS: Final = "on the bus"
IN_STORE: Final = "in the store"


@dataclass(frozen=True, slots=True)
class Office:
    """What the trees of all streams have in common."""

    jetstream: JetStream
    store: FileStore
    signer: Signer
    board: Board
    keeping: asyncio.Lock
    """Held by whoever writes a checkpoint into the store: the newest one is not put back by an older one."""
    reseal: bool = False
    """Whether files that are gone are made again from the log."""

    def origin(self, stream: str) -> str:
        """Whose tree that of a stream is."""
        return f"{self.signer.name}/{stream}"

    def checked(self, note: Note) -> Checkpoint:
        """The checkpoint of a note that this key signed.  Raises NoteInvalid."""
        return checked(note, self.signer.verifier).checkpoint


class Known(NamedTuple):
    """A checkpoint that was signed before."""

    checkpoint: Checkpoint
    where: str


class Tree:
    """One stream's tree.  Open it with `open_tree`."""

    def __init__(
        self, office: Office, archive: Archive, grows: Growing, standing: Standing, known: Known | None
    ) -> None:
        self._office = office
        self._archive = archive
        self._growing = grows
        self._standing = standing
        self._known = known  # the newest that was signed; what is signed next must hold it

    @property
    def size(self) -> int:
        """Events that are sealed."""
        return self._growing.size

    @property
    def signed(self) -> int:
        """Events under the newest checkpoint."""
        return self._known.checkpoint.size if self._known else 0

    def newest(self) -> Note | None:
        """The newest checkpoint, without what others signed of it."""
        return self._office.signer.sign(self._known.checkpoint) if self._known else None

    async def look(self) -> None:
        """See that the log is still the one that is sealed.  Raises Refusal, LogUnavailable, LogRefused."""
        stream = self._archive.stream
        state = await state_of(self._office.jetstream, stream)
        check_log(stream, state, self.size, await self._archive.created())
        self._standing.looked(state.last)

    async def seal(self, events: Sequence[Sealed]) -> None:
        """Add the next events.  Raises StoreUnavailable: then open it anew."""
        await self._growing.seal(events)
        self._standing.grown(self.size, len(events))

    async def sign(self) -> Note | None:
        """Sign what is sealed, show it and keep it; None while it does not reach the newest checkpoint yet.

        Raises Refusal, and Outrun when another ledger was faster: then open it anew.
        """
        await self.look()
        shown = await self._office.board.newest(self._archive.stream)
        await self._hold_to(shown)
        if self.size < self.signed:
            return None
        checkpoint = await self._checkpoint()
        note = self._office.signer.sign(checkpoint)
        await faults.reach("ledger.signed")
        if self._known is None or self._known.checkpoint != checkpoint:  # else files were made again, no more
            await self._office.board.show(self._archive.stream, note, shown.position)
        await faults.reach("ledger.published")
        async with self._office.keeping:
            await self._growing.keep(note, checkpoint.size)
        await faults.reach("ledger.kept")
        self._known = Known(checkpoint, IN_STORE)
        self._standing.signed(checkpoint, datetime.now(UTC))
        return note

    async def _hold_to(self, shown: Shown) -> None:
        """What another ledger has shown meanwhile must be true of this tree too."""
        if shown.note is None:
            return
        checkpoint = self._office.checked(shown.note)
        if self._known and checkpoint == self._known.checkpoint:
            return
        if checkpoint.size > max(self.size, self.signed):
            raise Outrun
        if checkpoint.size <= self.size:
            check_root(checkpoint, await self._archive.root(checkpoint.size), ON_BUS)

    async def _checkpoint(self) -> Checkpoint:
        """What the files say now; they must say what was signed, and what was reckoned."""
        if self._known:
            root = await self._archive.root(self.signed)
            check_root(self._known.checkpoint, root, self._known.where)
        checkpoint = Checkpoint(self._archive.origin, self.size, await self._archive.root(self.size))
        check_root(checkpoint, self._growing.root(), "just made")
        return checkpoint


async def open_tree(office: Office, stream: str, standing: Standing) -> Tree:
    """The tree as its files are, once everything that is known agrees with them.

    Raises Refusal, ArchiveBroken, NoteInvalid, LogUnavailable, LogRefused or StoreUnavailable.
    """
    state = await state_of(office.jetstream, stream)
    archive = await opened(office.store, stream, office.origin(stream))
    grows, created = await growing(archive), await archive.created()
    standing.grown(archive.size)
    check_log(stream, state, archive.size, created)
    shown, kept = await office.board.newest(stream), await archive.checkpoint()
    newest: Known | None = None
    for note, where in ((shown.note, ON_BUS), (kept, IN_STORE)):
        if note is not None:
            known = Known(office.checked(note), where)
            await _check_known(office, archive, known)
            newest = known if newest is None or known.checkpoint.size > newest.checkpoint.size else newest
    await _check_spots(office.jetstream, archive, state)
    if created is None:
        await archive.keep_created(state.created)
    await _level(office, archive, grows, shown, kept)
    standing.looked(state.last)
    if newest and shown.at:
        standing.signed(newest.checkpoint, shown.at)
    return Tree(office, archive, grows, standing, newest)


async def state_of(jetstream: JetStream, stream: str) -> LogState:
    """The stream as its server describes it.  Raises Refusal, LogUnavailable or LogRefused."""
    try:
        info = await jetstream.api(f"STREAM.INFO.{stream}")
    except Refused as refused:
        if refused.code == Code.STREAM_NOT_FOUND:
            raise Refusal(f"stream {stream} is gone") from refused
        raise as_library_error(refused) from refused
    except (NotNow, Unknown) as error:
        raise as_library_error(error) from error
    state = info["state"]
    return LogState(info["created"], int(state["first_seq"]), int(state["last_seq"]))


async def _check_known(office: Office, archive: Archive, known: Known) -> None:
    checkpoint = known.checkpoint
    if checkpoint.origin != archive.origin:
        raise Refusal(f"the checkpoint {known.where} is of {checkpoint.origin}, this is {archive.origin}")
    if not office.reseal:
        check_size(archive.origin, archive.size, checkpoint, known.where)
    if checkpoint.size <= archive.size:
        check_root(checkpoint, await archive.root(checkpoint.size), known.where)


async def _check_spots(jetstream: JetStream, archive: Archive, state: LogState) -> None:
    sequences = spots(archive.size, max(1, state.first), SPOTS)
    hashes = await archive.hashes([Node(0, sequence - 1) for sequence in sequences])
    for sequence in sequences:
        try:
            stored = await jetstream.at_on_leader(archive.stream, sequence)
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
        if stored is None:
            raise Refusal(f"event {sequence} of {archive.stream} is sealed, and gone from the log")
        leaf = Leaf(archive.stream, sequence, stored.subject, stored.message_id or "", stored.payload)
        if leaf.hash() != hashes(Node(0, sequence - 1)):
            raise Refusal(
                f"event {sequence} of {archive.stream} in the log (id {leaf.event_id}, subject {leaf.subject}) is not"
                " the one that is sealed"
            )


async def _level(office: Office, archive: Archive, grows: Growing, shown: Shown, kept: Note | None) -> None:
    """Bus and store know the same newest checkpoint: one of them may have missed the last step before a death."""
    on_bus = office.checked(shown.note) if shown.note else None
    in_store = office.checked(kept) if kept else None
    if on_bus and shown.note and (in_store is None or in_store.size < on_bus.size):
        if on_bus.size <= archive.size:  # else the files are made again first
            await grows.keep(shown.note, on_bus.size)
    elif in_store and (on_bus is None or on_bus.size < in_store.size):
        await office.board.show(archive.stream, office.signer.sign(in_store), shown.position)
