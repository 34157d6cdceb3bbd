"""Closing the books: what is sealed and proved may leave the log, and every case that goes on is carried forward.

`CASES` throws nothing away by itself.  Closing is one act: everything up to a position is compared with the sealed
files and their signed checkpoint, each case that has events there and goes on gets one `CaseCarriedForward`, and only
then is the server told to let go of what is as old.  It may be stopped at any moment and run again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

from libs.events.carrying import EVENT as CARRIED
from libs.events.carrying import Bare, packed, whole
from libs.events.contracts.base import Event
from libs.events.contracts.ledger import CaseCarriedForward
from libs.events.envelope import Context, Entry, Origin
from libs.events.errors import BooksRefused, LogUnavailable, VersionConflict
from libs.events.jetstream import JetStream, NotNow, Refused, Unknown, as_library_error
from libs.events.jetstream.reader import Credentials, RawEvent, read
from libs.events.ledger.archive import Archive
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.merkle import ProofInvalid, check_range, peaks_before
from libs.events.ledger.notes import Checkpoint
from libs.events.log import History, Log, entry_of, facts_of
from libs.events.subjects import CASES, case_id_in, parse_case_subject

CLOSING: Final = frozenset({"closed", "rejected", "merged", "patrol-ended"})
"""Events after which nothing is to be done any more ..."""
REOPENING: Final = frozenset({"reopened", "adopted", "assigned", "filed"})
"""... unless one of these follows."""
CARRIED_AT_ONCE: Final = 50
TELL_EVERY_EVENTS: Final = 20_000
CONFLICTS_MAX: Final = 20
"""So often may somebody else write to a case while it is carried forward."""


class Progress(NamedTuple):
    """How far it has come."""

    step: str
    """`comparing` with the sealed files, or `carrying` cases forward."""
    done: int
    of: int


@dataclass(slots=True)
class _Seen:
    """One case, as far as its events have been read."""

    early: bool = False
    """Whether it has events up to the position, other than in what carried it forward since."""
    late: bool = False
    over: bool = False


@dataclass(slots=True)
class Standing:
    """What stands in the log, case by case."""

    through: int
    cases: dict[str, _Seen] = field(default_factory=dict)

    def add(self, sequence: int, subject: str) -> None:
        """Take in the next event."""
        case_id, name, _ = parse_case_subject(subject)
        seen = self.cases.setdefault(case_id, _Seen())
        if name == CARRIED:
            seen.early = sequence <= self.through
        elif sequence <= self.through:
            seen.early = True
        if sequence > self.through:
            seen.late = True
        if name in CLOSING:
            seen.over = True
        elif name in REOPENING:
            seen.over = False

    def to_carry(self) -> list[str]:
        """The cases that go on, or have events on both sides of the position, and are not carried forward yet."""
        return sorted(
            case_id for case_id, seen in self.cases.items() if seen.early and (seen.late or not seen.over)
        )


class Closed(NamedTuple):
    """What was done."""

    first: int
    """The first event that was compared: where the books were open until now."""
    through: int
    cases: int
    """Cases with events up to there."""
    carried: int


class Closing:
    """One closing of the books."""

    def __init__(
        self,
        log: Log,
        jetstream: JetStream,
        credentials: Credentials,
        archive: Archive,
        checkpoint: Checkpoint,
    ) -> None:
        """*checkpoint* is signed by the ledger, which whoever calls has checked."""
        self._log = log
        self._jetstream = jetstream
        self._credentials = credentials
        self._archive = archive
        self._checkpoint = checkpoint

    async def run(self, through: int, tell: Callable[[Progress], None]) -> Closed:
        """Prove all up to *through*, and carry forward what goes on; the log may then let go of it.

        Raises BooksRefused, LogUnavailable, ArchiveBroken, StretchBroken, CaseUnreadable.
        """
        if through > self._checkpoint.size:
            raise BooksRefused(f"only {self._checkpoint.size} events are sealed and signed, not {through}")
        first = await self._log.first_position()
        if through < first:
            raise BooksRefused(f"the books are closed up to position {first - 1} already")
        standing = await self._compare(first, through, tell)
        carried = await self._carry(standing, tell)
        return Closed(first, through, sum(seen.early for seen in standing.cases.values()) + carried, carried)

    async def _compare(self, first: int, through: int, tell: Callable[[Progress], None]) -> Standing:
        """Every event of the log up to *through* is in the sealed files, and all of them under the checkpoint."""
        standing, last = Standing(through), await self._log.last_position()
        proof = await self._archive.range(first, through, self._checkpoint.size)
        sealed = self._sealed(first, through)
        try:
            peaks = peaks_before(first - 1, proof)
            async with aclosing(self._read(first, last)) as reading:
                async for event in reading:
                    if event.sequence <= through:
                        leaf = await anext(sealed)
                        _same(event, leaf)
                        peaks.push(leaf.hash())
                    standing.add(event.sequence, event.subject.decode())
                    if event.sequence % TELL_EVERY_EVENTS == 0 or event.sequence == last:
                        tell(Progress("comparing", event.sequence, last))
            check_range(peaks, self._checkpoint.size, proof, self._checkpoint.root)
        except ProofInvalid as error:
            raise BooksRefused(f"the sealed files are not those of the signed checkpoint: {error}") from error
        return standing

    async def _sealed(self, first: int, through: int) -> AsyncIterator[Leaf]:
        async for part in self._archive.events(first, through):
            for leaf, _ in part:
                yield leaf

    async def _read(self, start: int, stop: int) -> AsyncGenerator[RawEvent]:
        async with aclosing(read(self._jetstream, self._credentials, start=start, stop=stop)) as reading:
            async for events in reading:
                for event in events:
                    yield event

    async def _carry(self, standing: Standing, tell: Callable[[Progress], None]) -> int:
        """Until no case is left: others may have got events meanwhile, those of a case that was over among them."""
        carried, position = 0, await self._log.last_position()
        while waiting := standing.to_carry():
            for start in range(0, len(waiting), CARRIED_AT_ONCE):
                part = waiting[start : start + CARRIED_AT_ONCE]
                await asyncio.gather(*(self._carry_case(case_id, standing.through) for case_id in part))
                carried += len(part)
                tell(Progress("carrying", start + len(part), len(waiting)))
            last = await self._log.last_position()
            async for event in self._read(position + 1, last):
                standing.add(event.sequence, event.subject.decode())
            position = last
        return carried

    async def _carry_case(self, case_id: str, through: int) -> None:
        at_least = 0
        for _ in range(CONFLICTS_MAX):
            history = await self._log.load(case_id, at_least=at_least)
            if any(_carries(entry.event, through) for entry in history.entries):
                return  # somebody else who closes them was first
            events = await self._log.events(case_id, up_to=history.sequence)
            facts = facts_of((packed(events, through),), _context(history), cause=f"{case_id}/{through}")
            try:
                await self._log.append(history, facts)
            except VersionConflict as conflict:
                at_least = conflict.last_sequence
            else:
                return
        raise LogUnavailable(f"case {case_id} stayed contended for {CONFLICTS_MAX} attempts")


async def bring_back(log: Log, archive: Archive, case_id: str) -> Entry:
    """Carry a case forward that the log does not know any more; the event that did it.

    Raises BooksRefused when the log knows it, or no sealed file does.
    """
    if (await log.load(case_id)).entries:
        raise BooksRefused(f"the log has case {case_id}: nothing is to be brought back")
    events = [each async for each in in_files(archive, case_id)]
    if not events:
        raise BooksRefused(f"case {case_id} is in no sealed file either")
    past = whole(events)
    entries = tuple(entry_of(each.subject, each.sequence, each.payload) for each in past)
    history, through = History(case_id, entries, gone=True), past[-1].sequence
    facts = facts_of((packed(past, through),), _context(history), cause=f"{case_id}/{through}/back")
    [entry] = await log.append(history, facts)
    return entry


async def in_files(archive: Archive, case_id: str) -> AsyncIterator[Bare]:
    """The events of a case in the sealed files, oldest first; all files are gone through."""
    prefix = f"case.{case_id}."
    async for part in archive.events(1, archive.size):
        for leaf, _ in part:
            if leaf.subject.startswith(prefix):
                yield Bare(leaf.sequence, leaf.subject, leaf.payload)


async def cases_in_files(archive: Archive, before: int) -> frozenset[str]:
    """The cases with events before a position."""
    last = min(before - 1, archive.size)
    return frozenset([case_id_in(leaf.subject) async for part in archive.events(1, last) for leaf, _ in part])


def _carries(event: Event, through: int) -> bool:
    return isinstance(event, CaseCarriedForward) and event.through >= through


def _context(history: History) -> Context:
    """History of another system stays that: what carries it forward starts no work either."""
    imported = all(entry.envelope.origin is Origin.IMPORT for entry in history.entries)
    time = max(datetime.now(UTC), history.entries[-1].envelope.time)
    return Context("system:ledger", time, Origin.IMPORT if imported else Origin.LIVE)


def _same(event: RawEvent, leaf: Leaf) -> None:
    if (event.sequence, event.subject.decode(), event.payload) != (leaf.sequence, leaf.subject, leaf.payload):
        raise BooksRefused(
            f"event {event.sequence} of the log is not the one that was sealed: look at both (./whistle audit compare)"
        )


async def check_consumed(jetstream: JetStream, consumers: Iterable[str], through: int) -> None:
    """Raises BooksRefused when a consumer of the log has not finished with everything up to *through*."""
    for name in consumers:
        try:
            info = await jetstream.api(f"CONSUMER.INFO.{CASES}.{name}")
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
        finished = int(info["ack_floor"]["stream_seq"])
        if finished < through and int(info["num_pending"]) + int(info["num_ack_pending"]):
            raise BooksRefused(
                f"{name} has finished with the log up to position {finished} only: let it catch up first"
            )
