"""Sealed events become a log again: the same subjects, payloads and ids in the same order, so the same sequences.

While a restore is under way, its streams forget ids at once (a short duplicate window) and take batches.  Both make
it fast, and right: a log may hold the same id twice, hours apart.  The window is also the mark of a log that is not
whole yet: nobody provisions or serves it, since it is not as declared, and a restore that was stopped knows its own.
Every batch expects the log to end just before it, so that a repetition, or a second restore beside this one, can
neither double nor swap an event.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from libs.events import faults
from libs.events.errors import BackupRefused, LogUnavailable
from libs.events.jetstream import (
    BATCH_MESSAGES_MAX,
    Code,
    JetStream,
    Message,
    NotNow,
    Refused,
    Stored,
    Unknown,
    as_library_error,
)
from libs.events.ledger.leaf import Leaf
from libs.events.streams import Stream, compare
from libs.events.subjects import CASES

BATCH_BYTES_MAX: Final = 8 * 1024**2
WINDOW_SECONDS: Final = 0.1
"""The least that the server takes."""
ANSWER_SECONDS_MAX: Final = 30.0
"""For one batch to be on the disk."""
ATTEMPTS_MAX: Final = 20
AGAIN_SECONDS: Final = 0.5
_WINDOW: Final = round(WINDOW_SECONDS * 1_000_000_000)


class Restoring:
    """One restore into the streams *wanted*, of which `CASES` is one.  Begin with `begin`, end with `finish`."""

    def __init__(self, jetstream: JetStream, wanted: Sequence[Stream]) -> None:
        # CASES is made first and finished last: it says whether a restore is under way.
        self._wanted = sorted(wanted, key=lambda each: each.name != CASES)
        self._jetstream = jetstream

    async def look(self) -> dict[str, int]:
        """How many events each stream holds: none, or those of a restore that was stopped.  Changes nothing.

        Raises BackupRefused for a log that holds something else, LogUnavailable or LogRefused.
        """
        there = {each.name: await self._info(each.name) for each in self._wanted}
        held = {name: int(info["state"]["last_seq"]) if info else 0 for name, info in there.items()}
        if not _is_marked(there[CASES]):
            for name, count in held.items():
                if count:
                    raise BackupRefused(
                        f"the log is not empty: {name} holds {count} events; restore into new servers, or move the "
                        f"folder of these away · 日志非空，{name} 已有 {count} 条事件"
                    )
        return held

    async def begin(self) -> dict[str, str]:
        """Make the streams, or mark those that are there; when the server made each.  Raises like `look`."""
        await self.look()
        created: dict[str, str] = {}
        for each in self._wanted:
            info = await self._info(each.name)
            if info is None:
                info = await self._api(f"STREAM.CREATE.{each.name}", _marked(each))
            elif not _is_marked(info):
                info = await self._api(f"STREAM.UPDATE.{each.name}", _marked(each))
            created[each.name] = info["created"]
        return created

    async def check_prefix(self, events: Sequence[Leaf]) -> None:
        """Raises BackupRefused unless the log holds just these where they belong; LogUnavailable."""
        at = 0
        while at < len(events):
            found = await self._stored(events[at].stream, events[at].sequence)
            for stored, leaf in zip(found, events[at:], strict=False):
                if (stored.sequence, stored.subject, stored.message_id or "", stored.payload) != (
                    leaf.sequence,
                    leaf.subject,
                    leaf.event_id,
                    leaf.payload,
                ):
                    raise BackupRefused(
                        f"event {leaf.sequence} of {leaf.stream} in the log is another one than in the backup: "
                        "this is not a log that a restore of this backup left behind · 日志与备份不符"
                    )
            at += len(found)

    async def write(self, events: Sequence[Leaf]) -> None:
        """Write the next events; when it comes back they are on the disk.

        Raises BackupRefused when somebody else writes there, LogUnavailable or LogRefused.
        """
        for batch in _batches(events):
            await self._write(batch)
            await faults.reach("restore.written")

    async def finish(self, sizes: dict[str, int]) -> None:
        """Give the streams their declared form, once each holds as many events as said.  Raises like `write`."""
        for each in reversed(self._wanted):
            info = await self._info(each.name)
            state = info["state"] if info else {}
            size = sizes.get(each.name, 0)
            if (state.get("messages"), state.get("last_seq")) != (size, size):
                raise BackupRefused(f"{each.name} should hold {size} events, and holds {state}: run it again")
        for each in reversed(self._wanted):
            await faults.reach("restore.finishing")
            answer = await self._api(f"STREAM.UPDATE.{each.name}", dict(each.config))
            compare(each, answer["config"])

    async def _write(self, batch: Sequence[Leaf]) -> None:
        stream, before, last = batch[0].stream, batch[0].sequence - 1, batch[-1].sequence
        reason = ""
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                await asyncio.sleep(AGAIN_SECONDS)
            try:
                if await self._send(batch) == last:
                    return
                reason = "an id stands twice within a moment"  # it is forgotten until the next attempt
            except Refused as refused:
                if refused.code == Code.DUPLICATE_IN_BATCH:
                    reason = str(refused)
                elif refused.code != Code.WRONG_LAST_SEQUENCE:
                    raise as_library_error(refused) from refused
            except (NotNow, Unknown) as error:
                reason = str(error)
            # No definite answer, or it was in already when it was sent again: the log says how far it is.
            reached = await self._reached(stream)
            if reached is not None and reached != before:
                batch, before = await self._rest(batch, reached), reached
                if not batch:
                    return
        raise LogUnavailable(f"{stream} does not take the events from {before + 1} on: {reason}")

    async def _rest(self, batch: Sequence[Leaf], reached: int) -> Sequence[Leaf]:
        """What of a batch is still to be written, where its first events stand already.  Raises BackupRefused."""
        done = reached - batch[0].sequence + 1
        if not 0 < done <= len(batch):
            raise BackupRefused(
                f"{batch[0].stream} ends with event {reached}, where {batch[0].sequence - 1} should be the last: "
                "somebody else writes to it · 有其他程序正在写入"
            )
        await self.check_prefix(batch[:done])
        return batch[done:]

    async def _send(self, batch: Sequence[Leaf]) -> int:
        messages = [_message(leaf) for leaf in batch]
        messages[0].headers["Nats-Expected-Last-Sequence"] = str(batch[0].sequence - 1)
        if len(messages) == 1:
            return await self._jetstream.publish(messages[0], ANSWER_SECONDS_MAX)
        return await self._jetstream.publish_batch(messages, ANSWER_SECONDS_MAX)

    async def _reached(self, stream: str) -> int | None:
        try:
            info = await self._info(stream)
        except LogUnavailable:
            return None
        return int(info["state"]["last_seq"]) if info else None

    async def _stored(self, stream: str, start: int) -> tuple[Stored, ...]:
        reason = "no replica has them"
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                await asyncio.sleep(AGAIN_SECONDS)
            try:
                page = await self._jetstream.stretch(stream, ">", start, BATCH_MESSAGES_MAX)
                if page.messages:
                    return page.messages
            except Unknown as error:
                reason = str(error)
        raise LogUnavailable(f"the events of {stream} from {start} on cannot be read: {reason}")

    async def _info(self, stream: str) -> dict[str, Any] | None:
        try:
            return await self._jetstream.api(f"STREAM.INFO.{stream}")
        except Refused as refused:
            if refused.code == Code.STREAM_NOT_FOUND:
                return None
            raise as_library_error(refused) from refused
        except (NotNow, Unknown) as error:
            raise as_library_error(error) from error

    async def _api(self, call: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._jetstream.api(call, body)
        except (Refused, NotNow, Unknown) as error:
            raise as_library_error(error) from error


def _marked(stream: Stream) -> dict[str, Any]:
    return {**stream.config, "duplicate_window": _WINDOW, "allow_atomic": True}


def _is_marked(info: dict[str, Any] | None) -> bool:
    return info is not None and info["config"]["duplicate_window"] == _WINDOW


def _message(leaf: Leaf) -> Message:
    headers = {"Nats-Msg-Id": leaf.event_id} if leaf.event_id else {}
    return Message(leaf.subject, leaf.payload, headers)


def _batches(events: Iterable[Leaf]) -> Iterator[list[Leaf]]:
    """In order, each of what one batch takes.  An id that stands twice begins a new one."""
    batch: list[Leaf] = []
    ids: set[str] = set()
    size = 0
    for leaf in events:
        size += len(leaf.payload)
        is_full = len(batch) == BATCH_MESSAGES_MAX or size > BATCH_BYTES_MAX or leaf.event_id in ids
        if batch and is_full:
            yield batch
            batch, size = [], len(leaf.payload)
            ids.clear()
        batch.append(leaf)
        if leaf.event_id:
            ids.add(leaf.event_id)
    if batch:
        yield batch
