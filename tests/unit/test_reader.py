"""The reader's own bit of protocol: whole messages out of bytes, wherever they are cut."""

import asyncio
from typing import cast

import pytest

from libs.events.jetstream.reader import Credentials, KeptEvent, KeptWire, RawEvent, RawWire, Wire

pytestmark = pytest.mark.asyncio
INBOX = b"_INBOX_auditor.reader"
HEADERS = b"NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n"
FLOW_CONTROL = b"NATS/1.0 100 FlowControl Request\r\n\r\n"
HEARTBEAT = b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Stream: 3\r\n\r\n"
STALLED = b"NATS/1.0 100 Idle Heartbeat\r\nNats-Consumer-Stalled: $JS.FC.stalled\r\n\r\n"


def message(number: int, payload: bytes, *, headers: bytes = HEADERS) -> bytes:
    reply = b"$JS.ACK.CASES.reader.1.%d.%d.1700000000.0" % (number + 40, number)
    subject = b"case.a.filed.%d" % number
    if not headers:
        return b"MSG %b 1 %b %d\r\n%b\r\n" % (subject, reply, len(payload), payload)
    head = b"HMSG %b 1 %b %d %d\r\n" % (subject, reply, len(headers), len(headers) + len(payload))
    return head + headers + payload + b"\r\n"


def status(headers: bytes, reply: bytes = b"") -> bytes:
    return b"HMSG %b 1 %b%d %d\r\n%b\r\n" % (INBOX, reply, len(headers), len(headers), headers)


STREAM = b"".join(
    (
        b"INFO {}\r\nPONG\r\n",
        message(1, b'{"one": "\r\nHMSG "}'),
        message(2, b"two", headers=b""),
        b"PING\r\n",
        status(FLOW_CONTROL, b"$JS.FC.window "),
        message(3, b""),
        status(HEARTBEAT),
        status(STALLED),
        message(4, b"x" * 200),
    )
)
EXPECTED = [
    RawEvent(41, b"case.a.filed.1", b'{"one": "\r\nHMSG "}'),
    RawEvent(42, b"case.a.filed.2", b"two"),
    RawEvent(43, b"case.a.filed.3", b""),
    RawEvent(44, b"case.a.filed.4", b"x" * 200),
]


class Sent(asyncio.Transport):
    """Remembers what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.data += bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.data += b"(closed)"


def wire() -> tuple[RawWire, Sent]:
    sent = Sent()
    connected = RawWire(Credentials("auditor", "secret"), INBOX.decode())
    connected.connection_made(cast("asyncio.BaseTransport", sent))
    return connected, sent


async def everything(connected: Wire[RawEvent]) -> list[RawEvent]:
    found: list[RawEvent] = []
    while connected._arrived:  # pyright: ignore[reportPrivateUsage]  # take() would wait for more
        found.extend(await connected.take())
    return found


async def test_bytes_may_be_cut_anywhere() -> None:
    for cut in range(len(STREAM)):
        connected, _ = wire()
        connected.data_received(STREAM[:cut])
        connected.data_received(STREAM[cut:])
        assert await everything(connected) == EXPECTED, cut


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
async def test_bytes_may_come_in_pieces(size: int) -> None:
    connected, sent = wire()
    for start in range(0, len(STREAM), size):
        connected.data_received(STREAM[start : start + size])
    assert await everything(connected) == EXPECTED
    assert connected.ready.done()
    assert sent.data.count(b"PONG\r\n") == 1


async def test_flow_control_is_answered_when_what_came_before_it_was_taken() -> None:
    connected, sent = wire()
    connected.data_received(STREAM)
    assert b"$JS.FC" not in sent.data
    await connected.take()
    assert sent.data.endswith(b"PUB $JS.FC.window 0\r\n\r\n")
    await everything(connected)
    assert sent.data.endswith(b"PUB $JS.FC.stalled 0\r\n\r\n")


async def test_a_missing_delivery_ends_the_reading() -> None:
    connected, sent = wire()
    connected.data_received(message(1, b"one") + message(3, b"three"))
    assert sent.data.endswith(b"(closed)")
    with pytest.raises(Exception, match="a delivery is missing"):
        await everything_or_end(connected)


async def everything_or_end(connected: Wire[RawEvent]) -> None:
    while True:
        await connected.take()


async def test_an_error_of_the_server_ends_the_reading() -> None:
    connected, _ = wire()
    connected.data_received(b"INFO {}\r\nPONG\r\n-ERR 'Stale Connection'\r\n")
    with pytest.raises(Exception, match="Stale Connection"):
        await everything_or_end(connected)


async def test_whoever_keeps_evidence_gets_the_id_and_the_time() -> None:
    connected = KeptWire(Credentials("auditor", "secret"), INBOX.decode())
    more = b"NATS/1.0\r\nX: Nats-Msg-Id: no\r\nNats-Msg-Id:e-2 \r\ntraceparent: 00\r\n\r\n"
    found: list[KeptEvent] = []
    connected.data_received(
        message(1, b"\r\nNats-Msg-Id: 9\r\n")
        + message(2, b"two", headers=more)
        + message(3, b"\r\nNats-Msg-Id: 9\r\n", headers=b"")
    )
    found.extend(await connected.take())
    assert [(each.sequence, each.event_id, each.stored_at_ns) for each in found] == [
        (41, b"1", 1_700_000_000),
        (42, b"e-2", 1_700_000_000),
        (43, b"", 1_700_000_000),
    ]
