"""The deliveries of one consumer one after the other, in the order of the stream, by a single receiver.

What a receiver had in hand when it died comes again only when the server has waited for it, and meanwhile the server
would go on with what is newer. So at the beginning what is unfinished is waited for, and comes first.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, Self

import structlog

from libs.events.jetstream.client import JetStream, NotNow, Refused, Unknown
from libs.events.jetstream.pull import Delivery, PullConsumer

log = structlog.get_logger(__name__)

ACK_WAIT_SECONDS: Final = 30.0
"""As the consumers of departments have it."""
HOLD_EVERY_SECONDS: Final = ACK_WAIT_SECONDS / 3
UNFINISHED_SECONDS_MAX: Final = ACK_WAIT_SECONDS + 5.0
"""So long is waited for what is unfinished; another receiver may have it for ever."""
AGAIN_SECONDS: Final = 0.5


class Backlog:
    """Use it as an async context manager, and call `done` for each delivery before taking the next."""

    def __init__(self, jetstream: JetStream, pull: PullConsumer, stream: str, consumer: str) -> None:
        self._jetstream = jetstream
        self._pull = pull
        self._call = f"CONSUMER.INFO.{stream}.{consumer}"
        self._hand: dict[int, Delivery] = {}
        self._holding: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._holding = asyncio.create_task(self._hold(), name="hold-news")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let what is in hand come again at once.  Closing it twice does nothing."""
        if self._holding is None:
            return
        self._holding.cancel()
        await asyncio.gather(self._holding, return_exceptions=True)
        self._holding = None
        await self._pull.leave(self._hand.values())

    async def deliveries(self) -> AsyncGenerator[Delivery]:
        """In order, for ever; waits at the beginning for what is unfinished."""
        unfinished, up_to = await self._unfinished()
        try:
            async with asyncio.timeout(UNFINISHED_SECONDS_MAX):
                while sum(1 for sequence in self._hand if sequence <= up_to) < unfinished:
                    await self._receive()
        except TimeoutError:
            log.warning("unfinished_elsewhere", messages=unfinished)
        while True:
            while self._hand:
                yield self._hand[min(self._hand)]
            await self._receive()

    async def done(self, delivery: Delivery) -> None:
        """It need not come again."""
        await self._pull.acknowledge([self._hand.pop(delivery.sequence)])

    async def _receive(self) -> None:
        for delivery in await self._pull.next_batch():
            self._hand[delivery.sequence] = delivery  # the newest is what the server wants acknowledged

    async def _unfinished(self) -> tuple[int, int]:
        while True:
            try:
                info = await self._jetstream.api(self._call)
            except (NotNow, Unknown, Refused) as error:
                log.warning("backlog_not_known", reason=str(error))
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            return int(info["num_ack_pending"]), int(info["delivered"]["stream_seq"])

    async def _hold(self) -> None:
        while True:
            await asyncio.sleep(HOLD_EVERY_SECONDS)
            await self._pull.hold(tuple(self._hand.values()))
