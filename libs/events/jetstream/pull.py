"""The receiving end of a durable pull consumer.

One subscription with a callback and pull requests by hand: `fetch` of nats-py is several times slower and hides a
lost server. Here a missed heartbeat or a reconnection makes the next request at once.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from libs.events.jetstream.client import JetStream, NotNow, Refused, Unknown

log = structlog.get_logger(__name__)

PULL_SECONDS: Final = 30
PINNED_PULL_SECONDS: Final = 2  # below the time after which the server takes a silent receiver's turn away
HEARTBEAT_SECONDS: Final = 1
SILENCE_SECONDS_MAX: Final = 3.0  # no message and no heartbeat for so long: the request is lost
REFUSED_PAUSE_SECONDS: Final = 0.25  # a cluster without a leader refuses at once, as often as one asks
_NANOSECONDS: Final = 1_000_000_000
_SHORT_FORM_TOKENS: Final = (
    9  # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
)
_LONG_FORM_EXTRA: Final = 2  # the long form has the domain and the account's hash before the stream
_DELIVERIES_TOKEN: Final = 4
_SEQUENCE_TOKEN: Final = 5
_TIME_TOKEN: Final = 7
_PENDING_TOKEN: Final = 8
_WRONG_PIN: Final = "423"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it was handed to this process; it comes again unless it is acknowledged."""

    subject: str
    sequence: int
    payload: bytes
    traceparent: str | None
    reply: str
    pending: int
    """How many messages the consumer still had to deliver after this one."""
    stored_nanoseconds: int = 0
    """When the server stored it, since 1970."""
    deliveries: int = 1
    """How often it was handed out by now."""


class PullConsumer:
    """Deliveries of one durable consumer, at most two times *batch_messages_max* in hand.

    With *group* (ADR-42) one receiver among all replicas gets messages, until it falls silent or gives up its turn.
    """

    def __init__(
        self,
        jetstream: JetStream,
        stream: str,
        name: str,
        *,
        batch_messages_max: int,
        group: str | None = None,
    ) -> None:
        self._jetstream = jetstream
        self._client = jetstream.client
        self._place = f"{stream}.{name}"
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._place}"
        self._batch_messages_max = batch_messages_max
        self._group = group
        self.pin: str | None = None
        """The turn that this receiver has; another one begins whenever somebody else may have had it meanwhile."""
        self._inbox = self._client.new_inbox()
        self._outstanding: dict[
            str, int
        ] = {}  # by the last token of a request's inbox: what it may still bring
        self._arrived: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        self._requests = 0
        self._reconnects = 0
        self._heard_at = 0.0
        self._ask_again_at = 0.0
        self._left = False

    async def __aenter__(self) -> Self:
        self._subscription = await self._client.subscribe(
            f"{self._inbox}.*", cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave(())

    async def next_batch(self) -> list[Delivery]:
        """What has arrived, in order, up to *batch_messages_max*; waits for at least one."""
        while True:
            await self._request_more()
            if self._arrived:
                size = min(len(self._arrived), self._batch_messages_max)
                return [self._arrived.popleft() for _ in range(size)]
            self._wake.clear()
            pause = self._ask_again_at - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(pause if pause > 0 else HEARTBEAT_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue  # time to look whether the requests are still alive

    async def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Say that they are done.  One that is lost on the way makes its message come again, and be skipped."""
        await self._answer(deliveries, b"+ACK")

    async def hold(self, deliveries: Iterable[Delivery]) -> None:
        """Ask for more time, so that nobody else gets them meanwhile."""
        await self._answer(deliveries, b"+WPI")

    async def give_back(self, deliveries: Iterable[Delivery]) -> None:
        """Let somebody else have them at once."""
        await self._answer(deliveries, b"-NAK")

    async def leave(self, deliveries: Iterable[Delivery]) -> None:
        """Hear no more, and let somebody else have *deliveries* and the turn at once.  Done twice it does nothing."""
        if self._left or not self._client.is_connected:
            return
        self._left = True
        # First: else what is given back would come to the requests of this receiver again.
        await self._hear_no_more()
        await self.give_back((*deliveries, *self._arrived))
        if self.pin is None:
            return
        try:
            await self._jetstream.api(f"CONSUMER.UNPIN.{self._place}", {"group": self._group})
        except (Refused, NotNow, Unknown) as error:  # it passes when the server misses the next request
            log.info("turn_not_given_up", reason=str(error))

    async def _hear_no_more(self) -> None:
        try:
            await self._subscription.drain()  # type: ignore[no-untyped-call]  # so nats-py has it
        except (
            NatsError,
            OSError,
            TimeoutError,
        ) as error:  # what was on its way comes again when its time is up
            log.info("receiver_not_drained", reason=str(error) or type(error).__name__)

    async def _answer(self, deliveries: Iterable[Delivery], answer: bytes) -> None:
        try:
            for delivery in deliveries:
                await self._client.publish(delivery.reply, answer)
        except (NatsError, OSError) as error:
            log.info("acknowledgement_lost", reason=str(error) or type(error).__name__)

    async def _request_more(self) -> None:
        self._forget_lost_requests()
        expected = len(self._arrived) + sum(self._outstanding.values())
        # One batch in hand and one on its way: otherwise the server has nothing to do while a batch is handled.
        if expected > self._batch_messages_max or not self._client.is_connected:
            return
        if asyncio.get_running_loop().time() < self._ask_again_at:
            return
        self._requests += 1
        key, size = str(self._requests), 2 * self._batch_messages_max - expected
        self._outstanding[key] = size
        self._heard_at = asyncio.get_running_loop().time()
        try:
            await self._client.publish(
                self._next_subject, json.dumps(self._request(size)).encode(), reply=f"{self._inbox}.{key}"
            )
        except (NatsError, OSError):
            del self._outstanding[key]

    def _request(self, size: int) -> dict[str, object]:
        seconds = PULL_SECONDS if self._group is None else PINNED_PULL_SECONDS
        request: dict[str, object] = {
            "batch": size,
            "expires": seconds * _NANOSECONDS,
            "idle_heartbeat": HEARTBEAT_SECONDS * _NANOSECONDS,
        }
        if self._group is not None:
            request["group"] = self._group
            if self.pin is not None:
                request["id"] = self.pin
        return request

    def _forget_lost_requests(self) -> None:
        silent = asyncio.get_running_loop().time() - self._heard_at > SILENCE_SECONDS_MAX
        reconnects = self._client.stats["reconnects"]
        if silent or reconnects != self._reconnects:
            self._reconnects = reconnects
            self._outstanding.clear()

    async def _on_message(self, message: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        headers = message.headers
        # A message comes on its own subject with an acknowledgement subject; a status on the request's inbox.
        if message.reply.startswith("$JS.ACK."):
            self._arrived.append(_delivery(message))
            if self._group is not None and headers and "Nats-Pin-Id" in headers:
                self.pin = headers["Nats-Pin-Id"]
            self._count_down()
            self._wake.set()
        elif headers and (status := headers.get("Status")) not in {None, "100"}:
            self._outstanding.pop(message.subject.rpartition(".")[2], None)
            if status == _WRONG_PIN:
                self.pin = None  # somebody else has the turn: from here on this receiver waits for its own
            elif status != "408":  # anything but the request's ordinary end
                self._ask_again_at = self._heard_at + REFUSED_PAUSE_SECONDS
            self._wake.set()

    def _count_down(self) -> None:
        # nats-py hides which request a message answers, so the oldest is counted down; a status corrects it.
        for key, size in self._outstanding.items():
            if size > 1:
                self._outstanding[key] = size - 1
            else:
                del self._outstanding[key]
            return


def _delivery(message: Msg) -> Delivery:
    tokens = message.reply.split(".")
    shift = 0 if len(tokens) == _SHORT_FORM_TOKENS else _LONG_FORM_EXTRA
    return Delivery(
        subject=message.subject,
        sequence=int(tokens[_SEQUENCE_TOKEN + shift]),
        payload=message.data,
        traceparent=message.headers.get("traceparent") if message.headers else None,
        reply=message.reply,
        pending=int(tokens[_PENDING_TOKEN + shift]),
        stored_nanoseconds=int(tokens[_TIME_TOKEN + shift]),
        deliveries=int(tokens[_DELIVERIES_TOKEN + shift]),
    )
