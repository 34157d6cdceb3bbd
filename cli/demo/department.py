"""A department on the bus: it receives on its own subject, signs for its cases and reports them handled."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final

from nats.aio.client import Client

from cli.demo.asking import Asking
from cli.demo.day import Day
from cli.demo.figures import Figures
from cli.demo.plan import Pace
from libs.events.contracts.dispatch import Assigned
from libs.events.contracts.evaluation import CaseClosed, HandlingReturned
from libs.events.envelope import Envelope, decode
from libs.events.jetstream import JetStream
from libs.events.jetstream.pull import Delivery, PullConsumer
from libs.events.subjects import DEPARTMENTS, token

DELIVERIES_MAX: Final = 200
CASES_IN_HAND_MAX: Final = 5_000
LIMIT_WITHOUT_DUE: Final = timedelta(seconds=10)
DEEDS: Final = {"accept": "accepted", "handle": "handled"}
REWORK_SECONDS: Final = 0.5
"""So soon a department does again what a verifier sent back."""


class Outcome(Enum):
    """What became of an act."""

    DONE = auto()
    REFUSED = auto()
    UNKNOWN = auto()


class Department:
    """One department with a connection of its own; `work` until cancelled."""

    def __init__(
        self, code: str, client: Client, paces: Iterator[Pace], day: Day, figures: Figures, *, photo: str
    ) -> None:
        """*photo* is what it shows of its work."""
        self.code = code
        self._photo = photo
        self._client = client
        self._paces = paces
        self._day = day
        self._figures = figures
        self._unsigned: dict[str, Delivery] = {}
        self._known: set[str] = set()
        self._reported_at: dict[str, datetime] = {}
        self._in_hand = asyncio.Semaphore(CASES_IN_HAND_MAX)
        self._asking = Asking(code, client, figures.deeds)
        self._acting = 0

    @property
    def is_acting(self) -> bool:
        """Whether an act is on its way at this moment."""
        return self._acting > 0

    async def work(self) -> None:
        """Receive and act until cancelled; what is not signed for comes again."""
        jetstream = JetStream(self._client)
        consumer = PullConsumer(jetstream, DEPARTMENTS, token(self.code), batch_messages_max=DELIVERIES_MAX)
        async with consumer as pull, asyncio.TaskGroup() as group:
            while True:
                for delivery in await pull.next_batch():
                    _, _, event, case_id = delivery.subject.split(".")
                    if event == Assigned.name():
                        await self._receive(case_id, delivery, pull, group)
                        continue
                    if event == CaseClosed.name():
                        self._hear_closed(case_id, decode(delivery.payload))
                    if event == HandlingReturned.name():
                        group.create_task(self._do_again(case_id))
                    await pull.acknowledge([delivery])

    async def _receive(
        self, case_id: str, delivery: Delivery, pull: PullConsumer, group: asyncio.TaskGroup
    ) -> None:
        """Take up a case, once: the bus may repeat."""
        if case_id in self._known:
            self._figures.redelivered += 1
            if case_id in self._unsigned:
                self._unsigned[case_id] = delivery  # acknowledged when the act has succeeded
            else:
                await pull.acknowledge([delivery])
            return
        self._known.add(case_id)
        self._unsigned[case_id] = delivery
        self._figures.received_at.setdefault(case_id, asyncio.get_running_loop().time())
        await self._in_hand.acquire()
        task = group.create_task(self._deal_with(case_id, decode(delivery.payload), pull))
        task.add_done_callback(lambda _: self._in_hand.release())

    def _hear_closed(self, case_id: str, envelope: Envelope) -> None:
        reported_at = self._reported_at.pop(case_id, None)
        if reported_at is not None:
            hours = (envelope.time - reported_at) / timedelta(hours=1)
            self._figures.hours_to_close.setdefault(self.code, []).append(hours)

    async def _deal_with(self, case_id: str, envelope: Envelope, pull: PullConsumer) -> None:
        assigned, pace = envelope.data, next(self._paces)
        assert isinstance(assigned, Assigned), "dept.*.assigned.* carries assignments"
        if assigned.brief is not None:
            self._reported_at[case_id] = assigned.brief.reported_at
        limit = self._day.limit(assigned.due_at - envelope.time if assigned.due_at else LIMIT_WITHOUT_DUE)
        await _until(envelope.time + limit * pace.accept_share)
        outcome = await self._act("accept", case_id)
        unsigned = self._unsigned.pop(case_id)
        if outcome is Outcome.UNKNOWN:
            self._known.discard(case_id)  # not acknowledged, so it comes again
            return
        # Only now: had this process died before, the bus would have given the case out again.
        await pull.acknowledge([unsigned])
        if outcome is Outcome.REFUSED:
            return
        if pace.handle_share is not None:
            await _until(envelope.time + limit * pace.handle_share)
            await self._handle(case_id, pace.note)

    async def _do_again(self, case_id: str) -> None:
        await asyncio.sleep(REWORK_SECONDS)
        await self._handle(case_id, "再次处置，已达标 · Done again")

    async def _handle(self, case_id: str, note: str) -> None:
        await self._act("handle", case_id, note=note, photos=[self._photo])

    async def _act(self, verb: str, case_id: str, **said: str | list[str]) -> Outcome:
        await self._day.doors.wait()
        self._acting += 1
        try:
            reply = await self._asking.ask(verb, case_id=case_id, **said)
        finally:
            self._acting -= 1
        if reply is None:
            return Outcome.UNKNOWN
        if reply.refusal is not None:
            return Outcome.REFUSED
        if reply.done:
            self._figures.deeds.add(DEEDS[verb], case_id, self.code)
        return Outcome.DONE


async def _until(moment: datetime) -> None:
    await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
