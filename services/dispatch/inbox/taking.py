"""What departments sent, taken one after the other for each department and case, side by side for all others.

One replica at a time has the turn (the server sees to it), so that two acts on one case are never with two of them.
What the one before had not finished comes again, in any order; so the first thing in a turn is to wait until all that
is unfinished is here, and to sort it. What is in hand is told to be in hand again and again; what comes twice all the
same was lost on the way, and doing it again adds nothing.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

import structlog

from libs.events import telemetry
from libs.events.consume import AGAIN_FIRST_SECONDS, AGAIN_SECONDS_MAX
from libs.events.jetstream import JetStream, NotNow, Refused, Unknown
from libs.events.jetstream.pull import Delivery, PullConsumer
from libs.events.streams import ACT_CONSUMER, ACT_GROUP
from libs.events.subjects import ACTS, act_sender
from services.dispatch.inbox.clerk import Outcome
from services.dispatch.inbox.documents import Act, Unclear, read_act

log = structlog.get_logger(__name__)

PULLED_AT_ONCE_MAX: Final = 500
SETTLED_AT_ONCE_MAX: Final = 100
OF_ONE_DEPARTMENT_AT_ONCE_MAX: Final = 20
"""So that a department that sends much does not take the places of the others."""
LOOK_AGAIN_SECONDS: Final = 0.05
LOOKS_AT_ONE_ANSWER: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HELD_OF_ACK_WAIT: Final = 3
"""What is in hand is told so this many times in the time after which it would come again."""


class Settles(Protocol):
    """Carries out or refuses an act."""

    async def settle(self, act: Act | Unclear, received_at: datetime, *, again: bool) -> Outcome:
        """Raises what passes, or what must be tried again in any case."""
        ...


class _Taken(NamedTuple):
    """One act in hand."""

    delivery: Delivery
    act: Act | Unclear
    received_at: datetime


_Key = tuple[str, str | None]
"""Department and case: what is done in order."""


class Inbox:
    """The receiving end of `ACTS`."""

    def __init__(self, jetstream: JetStream, clerk: Settles, *, ack_wait_seconds: float) -> None:
        self._jetstream = jetstream
        self._clerk = clerk
        self._hold_every_seconds = ack_wait_seconds / _HELD_OF_ACK_WAIT
        self._hand: dict[int, Delivery] = {}
        self._waiting: list[Delivery] = []
        self._queues: dict[_Key, deque[_Taken]] = {}
        self._arrived = asyncio.Event()
        self._room = asyncio.Semaphore(SETTLED_AT_ONCE_MAX)
        self._rooms: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(OF_ONE_DEPARTMENT_AT_ONCE_MAX)
        )
        self._turn: str | None = None
        self._pending = 0

    async def run(self) -> None:
        """Take acts until cancelled; what is in hand then goes to another replica."""
        async with PullConsumer(
            self._jetstream, ACTS, ACT_CONSUMER, batch_messages_max=PULLED_AT_ONCE_MAX, group=ACT_GROUP
        ) as pull:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._receive(pull))
                    group.create_task(self._hold(pull))
                    await self._hand_out(pull, group.create_task)
            finally:
                await pull.leave(self._hand.values())

    async def _receive(self, pull: PullConsumer) -> None:
        while True:
            deliveries = await pull.next_batch()
            for delivery in deliveries:
                if delivery.sequence not in self._hand:
                    self._waiting.append(delivery)
                self._hand[delivery.sequence] = delivery  # the newest is what the server wants acknowledged
            self._pending = deliveries[-1].pending
            self._show_lag()
            self._arrived.set()

    def _show_lag(self) -> None:
        telemetry.set_lag(ACT_CONSUMER, self._pending + len(self._hand))

    async def _hold(self, pull: PullConsumer) -> None:
        while True:
            await asyncio.sleep(self._hold_every_seconds)
            await pull.hold(tuple(self._hand.values()))

    async def _hand_out(
        self, pull: PullConsumer, start: Callable[[Coroutine[None, None, None]], object]
    ) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if pull.pin != self._turn:
                await self._begin_turn(pull)
            waiting, self._waiting = sorted(self._waiting, key=lambda each: each.sequence), []
            for delivery in waiting:
                await self._enqueue(pull, delivery, start)

    async def _begin_turn(self, pull: PullConsumer) -> None:
        while pull.pin != self._turn:
            turn = pull.pin
            if turn is None:
                # Somebody else has the turn, and waits for what is here.
                lost, self._waiting, self._turn = self._waiting, [], None
                await pull.give_back(self._hand.pop(delivery.sequence) for delivery in lost)
            elif await self._is_all_here():
                self._turn = turn
                log.info("acts_taken_up", unfinished=len(self._hand))

    async def _is_all_here(self) -> bool:
        try:
            info = await self._jetstream.api(f"CONSUMER.INFO.{ACTS}.{ACT_CONSUMER}")
        except (NotNow, Unknown, Refused) as error:
            log.info("acts_not_looked_at", reason=str(error))
            await asyncio.sleep(AGAIN_FIRST_SECONDS)
            return False
        unfinished, up_to = int(info["num_ack_pending"]), int(info["delivered"]["stream_seq"])
        for _ in range(LOOKS_AT_ONE_ANSWER):
            if sum(1 for sequence in self._hand if sequence <= up_to) >= unfinished:
                return True
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return False

    async def _enqueue(
        self, pull: PullConsumer, delivery: Delivery, start: Callable[[Coroutine[None, None, None]], object]
    ) -> None:
        received_at = _EPOCH + timedelta(microseconds=delivery.stored_nanoseconds // 1_000)
        try:
            act = read_act(act_sender(delivery.subject), delivery.payload, received_at)
        except ValueError:  # no department has such an account, so nobody waits for an answer
            log.error("act_without_sender", subject=delivery.subject)  # noqa: TRY400 - the subject says all
            await pull.acknowledge([self._hand.pop(delivery.sequence)])
            return
        key = (act.department, act.case_id)
        if key not in self._queues:
            self._queues[key] = deque()
            start(self._work(pull, key))
        self._queues[key].append(_Taken(delivery, act, received_at))

    async def _work(self, pull: PullConsumer, key: _Key) -> None:
        queue = self._queues[key]
        while queue:
            taken = queue.popleft()
            outcome = await self._until_settled(taken)
            telemetry.count_consumed(ACT_CONSUMER, outcome)
            await pull.acknowledge([self._hand.pop(taken.delivery.sequence)])
            self._show_lag()
        del self._queues[key]

    async def _until_settled(self, taken: _Taken) -> Outcome:
        act, again = taken.act, taken.delivery.deliveries > 1
        delay = AGAIN_FIRST_SECONDS
        while True:
            try:
                async with self._rooms[act.department], self._room:
                    return await self._clerk.settle(act, taken.received_at, again=again)
            except Exception as error:  # it stays here, unacknowledged, and only its own case waits for it
                reason = str(error) or type(error).__name__
                log.warning("act_again_later", case_id=act.case_id, delay_seconds=delay, reason=reason)
            await asyncio.sleep(delay)
            delay, again = min(delay * 2, AGAIN_SECONDS_MAX), True
