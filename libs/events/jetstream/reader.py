"""Reading a whole stream fast: replay, rebuild, watch, seal.

nats-py parses every header of every message, which costs more than decoding the event. This reader speaks just
enough of the NATS protocol to receive one push consumer and skips the headers unread, or looks for the one that
names the event; all requests still go through the ordinary connection. Reading the log is what the product exists
for: nothing else may use a protocol of its own.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast
from uuid import uuid4

import structlog

from libs.events.errors import BooksClosed, LogUnavailable
from libs.events.jetstream.client import JetStream, NotNow, Refused, Unknown, as_library_error
from libs.events.subjects import CASES

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS: Final = 2
SILENCE_SECONDS_MAX: Final = 5.0  # no event and no heartbeat for so long: the consumer is gone
INACTIVE_SECONDS: Final = 30
CLOSE_SECONDS_MAX: Final = 0.5  # tidying up must not hold back the next reading: what is left behind expires
REOPEN_WAIT_SECONDS: Final = 0.5
REOPEN_ATTEMPTS_MAX: Final = 60
_NANOSECONDS: Final = 1_000_000_000
_SEQUENCE_TOKEN: Final = (
    5  # of $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
)
_DELIVERY_TOKEN: Final = 6
_TIME_TOKEN: Final = 7
_MESSAGE_ID: Final = b"\r\nNats-Msg-Id:"


class RawEvent(NamedTuple):
    """One stored event, not decoded."""

    sequence: int
    subject: bytes
    payload: bytes


class KeptEvent(NamedTuple):
    """One stored event with all that belongs to it as evidence, not decoded."""

    sequence: int
    subject: bytes
    payload: bytes
    event_id: bytes
    """The header Nats-Msg-Id; empty without one."""
    stored_at_ns: int
    """When the server stored it, nanoseconds since 1970."""


E = TypeVar("E", RawEvent, KeptEvent)


class Credentials(NamedTuple):
    """Who reads."""

    user: str
    password: str


def read(
    jetstream: JetStream,
    credentials: Credentials,
    *,
    stream: str = CASES,
    start: int = 1,
    stop: int | None = None,
) -> AsyncGenerator[list[RawEvent]]:
    """The events of a stream in order from position *start*, in lists as they arrive.

    Ends after position *stop*; without one it goes on for ever, following the stream. A lost connection, a lost
    consumer or a missing delivery is repaired by starting again behind the last event that was given out.
    Raises LogUnavailable after REOPEN_ATTEMPTS_MAX openings in a row that brought nothing, LogRefused for a stream
    that is not there or may not be read, BooksClosed when it does not have these events any more.
    """
    return _read(lambda: _Reading(jetstream, credentials, stream, RawWire), start, stop)


def read_kept(
    jetstream: JetStream,
    credentials: Credentials,
    *,
    stream: str = CASES,
    start: int = 1,
    stop: int | None = None,
) -> AsyncGenerator[list[KeptEvent]]:
    """As `read`, each event with its id and the server's time."""
    return _read(lambda: _Reading(jetstream, credentials, stream, KeptWire), start, stop)


async def _read(
    opening: Callable[[], "_Reading[E]"], start: int, stop: int | None
) -> AsyncGenerator[list[E]]:
    position, failures = start - 1, 0
    while stop is None or position < stop:
        reading = opening()
        try:
            await reading.open(position + 1)
            async for events in reading.batches():
                failures = 0
                if events[0].sequence != position + 1:
                    # No event is ever missing: the server began with the first that it still has.
                    raise BooksClosed(events[0].sequence)
                if stop is not None and events[-1].sequence >= stop:
                    yield [event for event in events if event.sequence <= stop]
                    return
                position = events[-1].sequence
                yield events
        except _Interrupted as error:
            failures += 1
            log.info("reader_reopened", stream=reading.stream, position=position, reason=str(error))
            if failures > REOPEN_ATTEMPTS_MAX:
                reason = f"{reading.stream} cannot be read past position {position}: {error}"
                raise LogUnavailable(reason) from error
            await asyncio.sleep(REOPEN_WAIT_SECONDS)
        finally:
            await reading.close()


class _Interrupted(Exception):
    """This reading is over; another may go on where it stopped."""


class _Reading(Generic[E]):
    """One push consumer, from its creation to its first trouble."""

    def __init__(
        self,
        jetstream: JetStream,
        credentials: Credentials,
        stream: str,
        wire: Callable[[Credentials, str], "Wire[E]"],
    ) -> None:
        self.stream = stream
        self._jetstream = jetstream
        self._credentials = credentials
        self._consumer = f"reader-{uuid4().hex}"
        self._wire_of: Callable[[Credentials, str], Wire[E]] = wire
        self._wire: Wire[E] | None = None

    async def open(self, start: int) -> None:
        url = self._jetstream.client.connected_url
        if url is None or url.hostname is None or url.port is None:
            raise _Interrupted("not connected")
        inbox = f"_INBOX_{self._credentials.user}.{self._consumer}"
        try:
            _, self._wire = await asyncio.get_running_loop().create_connection(
                lambda: self._wire_of(self._credentials, inbox), url.hostname, url.port
            )
            async with asyncio.timeout(SILENCE_SECONDS_MAX):
                await self._wire.ready
            await self._jetstream.api(
                f"CONSUMER.CREATE.{self.stream}.{self._consumer}", self._request(inbox, start)
            )
        except (OSError, TimeoutError, NotNow, Unknown) as error:
            raise _Interrupted(str(error) or type(error).__name__) from error
        except Refused as error:
            raise as_library_error(error) from error

    def _request(self, inbox: str, start: int) -> dict[str, Any]:
        return {
            "stream_name": self.stream,
            "config": {
                "name": self._consumer,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": start,
                "ack_policy": "none",
                "replay_policy": "instant",
                "deliver_subject": inbox,
                "flow_control": True,
                "idle_heartbeat": HEARTBEAT_SECONDS * _NANOSECONDS,
                "inactive_threshold": INACTIVE_SECONDS * _NANOSECONDS,
                "mem_storage": True,
                "num_replicas": 1,
            },
        }

    async def batches(self) -> AsyncIterator[list[E]]:
        assert self._wire is not None, "open comes first"
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS_MAX):
                    events = await self._wire.take()
            except TimeoutError as error:
                raise _Interrupted("neither event nor heartbeat") from error
            if events:
                yield events

    async def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._jetstream.is_connected:
            try:
                async with asyncio.timeout(CLOSE_SECONDS_MAX):
                    await self._jetstream.api(f"CONSUMER.DELETE.{self.stream}.{self._consumer}")
            except (NotNow, Refused, Unknown, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                log.debug("reader_left_behind", reason=reason, expires_seconds=INACTIVE_SECONDS)


class Wire(asyncio.Protocol, ABC, Generic[E]):
    """The receiving end of a push consumer: messages out of bytes, flow control answered when they were taken."""

    def __init__(self, credentials: Credentials, inbox: str) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self._credentials = credentials
        self._inbox = inbox
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._arrived: deque[tuple[list[E], bytes | None]] = deque()
        self._wake = asyncio.Event()
        self._delivered = 0
        self._lost: str | None = None

    async def take(self) -> list[E]:
        """The next events; an empty list is a sign of life.  Raises _Interrupted."""
        while not self._arrived:
            if self._lost is not None:
                raise _Interrupted(self._lost)
            self._wake.clear()
            await self._wake.wait()
        events, flow_control = self._arrived.popleft()
        if flow_control is not None:
            # Answering only now bounds what waits in this process by the server's window.
            self._send(b"PUB %b 0\r\n\r\n" % flow_control)
        return events

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(str(exc) if exc else "the server closed the connection")

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        try:
            self._rest = data[self._parse(data) :]
        except _Interrupted as error:
            self._fail(str(error))
            self.close()
        self._wake.set()

    def _parse(self, data: bytes) -> int:
        """Take every whole message out of *data*; how many bytes were used."""
        events: list[E] = []
        position, size = 0, len(data)
        while (end := data.find(b"\r\n", position)) >= 0:
            line = data[position:end]
            if not line.startswith((b"HMSG", b"MSG")):
                self._control(line)
                position = end + 2
                continue
            parts = line.split(b" ")
            total = int(parts[-1])
            body = end + 2
            if body + total + 2 > size:
                break
            position = body + total + 2
            headers = int(parts[-2]) if line[0] == 72 else 0  # 72 is the H of HMSG
            reply = parts[3] if len(parts) == 6 - (not headers) else b""
            if reply.startswith(b"$JS.ACK"):
                events.append(self._event(parts[1], reply, data, body, body + headers, body + total))
            else:
                events = self._status(events, reply, data[body : body + headers])
        if events:
            self._arrived.append((events, None))
        return position

    @abstractmethod
    def _event(self, subject: bytes, reply: bytes, data: bytes, headers: int, payload: int, end: int) -> E:
        """The event whose headers and payload begin there in *data*."""

    def _next(self, reply: bytes) -> list[bytes]:
        """The tokens of the next delivery's reply subject."""
        tokens = reply.split(b".")
        self._delivered += 1
        if int(tokens[_DELIVERY_TOKEN]) != self._delivered:
            raise _Interrupted("a delivery is missing")
        return tokens

    def _status(self, events: list[E], reply: bytes, headers: bytes) -> list[E]:
        """A heartbeat or a flow control: it comes after the *events* before it, and is answered after them."""
        _, stalled, rest = headers.partition(b"Nats-Consumer-Stalled: ")
        flow_control = rest.partition(b"\r\n")[0] if stalled else reply or None
        self._arrived.append((events, flow_control))
        return []

    def _control(self, line: bytes) -> None:
        if line.startswith(b"PING"):
            self._send(b"PONG\r\n")
        elif line.startswith(b"INFO"):
            self._introduce()
        elif line.startswith(b"PONG"):
            if not self.ready.done():
                self.ready.set_result(None)
        elif line.startswith(b"-ERR"):
            text = line.decode(errors="replace")
            if b"Authorization" in line and not self.ready.done():
                self.ready.set_exception(Refused(0, text))  # asking again would not help
            raise _Interrupted(text)

    def _introduce(self) -> None:
        if self.ready.done():
            return  # a later INFO tells of cluster changes
        hello = {
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "lang": "python",
            "version": "1",
            "protocol": 1,
            "name": "whistle-reader",
            "user": self._credentials.user,
            "pass": self._credentials.password,
        }
        self._send(b"CONNECT %b\r\nSUB %b 1\r\nPING\r\n" % (json.dumps(hello).encode(), self._inbox.encode()))

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _fail(self, reason: str) -> None:
        self._lost = self._lost or reason
        if not self.ready.done():
            self.ready.set_exception(OSError(reason))
        self._wake.set()


class RawWire(Wire[RawEvent]):
    """Skips the headers unread."""

    def _event(
        self, subject: bytes, reply: bytes, data: bytes, headers: int, payload: int, end: int
    ) -> RawEvent:
        del headers
        return RawEvent(int(self._next(reply)[_SEQUENCE_TOKEN]), subject, data[payload:end])


class KeptWire(Wire[KeptEvent]):
    """Looks for the event's id among the headers."""

    def _event(
        self, subject: bytes, reply: bytes, data: bytes, headers: int, payload: int, end: int
    ) -> KeptEvent:
        tokens = self._next(reply)
        event_id, found = b"", data.find(_MESSAGE_ID, headers, payload)
        if found >= 0:
            begin = found + len(_MESSAGE_ID)
            event_id = data[begin : data.index(b"\r\n", begin)].strip(b" ")
        return KeptEvent(
            int(tokens[_SEQUENCE_TOKEN]), subject, data[payload:end], event_id, int(tokens[_TIME_TOKEN])
        )
