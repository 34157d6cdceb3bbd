"""The whole history: what the books were closed over out of the sealed files, the rest out of the log."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple

from pydantic import Field

from libs.events.errors import BooksClosed
from libs.events.jetstream import JetStream
from libs.events.jetstream.reader import Credentials, RawEvent, read
from libs.events.ledger.archive import Archive, opened_in
from libs.events.storage import S3Settings, store_at
from libs.events.subjects import CASES

SealedFiles = Callable[[], Awaitable[Archive]]
"""Opens the sealed files of the log, when they are needed."""


class SealedSettings(S3Settings):
    """Where the sealed files are, for whoever reads the whole history."""

    ledger_store: str = Field(
        default="",
        description="where the ledger's sealed files lie, a folder or s3://bucket/prefix; needed to build read models"
        " anew once the books were closed",
    )

    def files(self) -> SealedFiles | None:
        """What opens them; None where nothing is said of them."""
        location = self.ledger_store
        return (lambda: opened_in(store_at(location, self), CASES)) if location else None


class WholeLog(NamedTuple):
    """What the whole history is read with."""

    jetstream: JetStream
    credentials: Credentials
    sealed: SealedFiles | None = None

    def replayed(self, *, start: int = 1, stop: int | None = None) -> AsyncGenerator[list[RawEvent]]:
        """See `replayed`."""
        return replayed(self.jetstream, self.credentials, self.sealed, start=start, stop=stop)


async def replayed(
    jetstream: JetStream,
    credentials: Credentials,
    sealed: SealedFiles | None,
    *,
    start: int = 1,
    stop: int | None = None,
) -> AsyncGenerator[list[RawEvent]]:
    """As `reader.read`, from any position on, also one in closed books.

    Raises BooksClosed when it lies there and nothing is *sealed*; ArchiveBroken, StretchBroken, StoreUnavailable.
    """
    position = start - 1
    while stop is None or position < stop:
        try:
            async with aclosing(read(jetstream, credentials, start=position + 1, stop=stop)) as reading:
                async for events in reading:
                    yield events
                    position = events[-1].sequence
        except BooksClosed as closed:
            if sealed is None:
                raise
            last = closed.first - 1 if stop is None else min(closed.first - 1, stop)
            archive = await sealed()
            async for part in archive.events(position + 1, last):
                yield [RawEvent(leaf.sequence, leaf.subject.encode(), leaf.payload) for leaf, _ in part]
            position = last
        else:
            return
