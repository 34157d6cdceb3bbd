"""A department on the bus, with its habits: it signs, returns, asks for more time, reports in, handles, is told."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from nats.aio.client import Client

from cli.demo.asking import Asking
from cli.simulate.habits import Dealing
from cli.simulate.memory import Memory
from cli.simulate.offices import Centre, Communities, Reporters
from libs.events.contracts.dispatch import (
    Assigned,
    Declined,
    DueSoon,
    Escalated,
    Recalled,
    Summoned,
)
from libs.events.contracts.evaluation import CaseClosed, HandlingReturned
from libs.events.envelope import Envelope, decode
from libs.events.jetstream import JetStream
from libs.events.jetstream.pull import PullConsumer
from libs.events.subjects import DEPARTMENTS, token

DELIVERIES_MAX: Final = 200
LIMIT_WITHOUT_DUE: Final = timedelta(seconds=10)
REWORK_SECONDS: Final = 0.3
BY_RULE: Final = frozenset({"rule", "returned"})
"""Assignments that a department returns now and then; what the centre has decided it takes."""


class Neighbours(NamedTuple):
    """Who learns through a department what becomes of a case: they live in the same town."""

    centre: Centre
    communities: Communities
    reporters: Reporters
    photo: str
    """What everybody shows of mended things."""


@dataclass(slots=True)
class _InHand:
    """One assignment as the department sees it."""

    assigned: Assigned
    since: datetime
    dealing: Dealing
    pressed: asyncio.Event
    """Set when the case went up: nobody leaves it lying then."""
    work: asyncio.Task[None] | None = None

    @property
    def limit(self) -> timedelta:
        """The time that there was at the assignment."""
        due_at = self.assigned.due_at
        return max(due_at - self.since, timedelta()) if due_at else LIMIT_WITHOUT_DUE

    @property
    def to_sign(self) -> timedelta:
        """The time that there was to sign."""
        sign = self.assigned.sign
        return max(sign.due_at - self.since, timedelta()) if sign else self.limit * 0.1


class Department:
    """One department with a connection of its own; `work` until cancelled."""

    def __init__(
        self,
        code: str,
        client: Client,
        dealings: Iterator[Dealing],
        memory: Memory,
        neighbours: Neighbours,
        left_over: Sequence[str] = (),
    ) -> None:
        """*left_over*: cases that an earlier run, which was stopped, left with this department."""
        self.code = code
        self._left_over = left_over
        self._neighbours = neighbours
        self._client = client
        self._dealings = dealings
        self._memory = memory
        self._asking = Asking(code, client, memory.deeds)
        self._heard: set[str] = set()
        self._in_hand: dict[str, _InHand] = {}
        self._communities: dict[str, str] = {}
        self._group = asyncio.TaskGroup()
        self._acting = 0

    @property
    def is_acting(self) -> bool:
        """Whether somebody here, or somebody who was told here, is doing something at this moment."""
        return self._acting > 0

    async def work(self) -> None:
        """Receive and act until cancelled."""
        jetstream = JetStream(self._client)
        consumer = PullConsumer(jetstream, DEPARTMENTS, token(self.code), batch_messages_max=DELIVERIES_MAX)
        async with consumer as pull, self._group:
            for case_id in self._left_over:
                self._start(self._finish(case_id))
            while True:
                deliveries = await pull.next_batch()
                for delivery in deliveries:
                    self._hear(decode(delivery.payload))
                # An agent lives no longer than the run, which ends when nothing is open: what it heard is safe.
                await pull.acknowledge(deliveries)

    def _hear(self, envelope: Envelope) -> None:
        if envelope.id in self._heard:
            return
        self._heard.add(envelope.id)
        case_id, event = envelope.subject, envelope.data
        match event:
            case Assigned():
                self._take_up(case_id, event, envelope.time)
            case Summoned():
                self._start(self._report_in(case_id, event, envelope.time))
            case HandlingReturned():
                self._start(self._do_again(case_id))
            case CaseClosed():
                self._memory.closings_heard += 1
                self._let_go(case_id)
                self._tell_closed(case_id)
            case Recalled() | Declined():
                self._let_go(case_id)
            case Escalated():
                self._memory.escalations_heard[event.reason] += 1
                if case_id in self._in_hand:
                    self._in_hand[case_id].pressed.set()
            case DueSoon():
                self._memory.warnings_heard += 1
            case _:
                pass

    def _take_up(self, case_id: str, assigned: Assigned, since: datetime) -> None:
        self._let_go(case_id)
        held = _InHand(assigned, since, next(self._dealings), asyncio.Event())
        self._in_hand[case_id] = held
        held.work = self._group.create_task(self._deal_with(case_id, held))
        place = assigned.brief.place if assigned.brief else None
        if place is None or place.community is None:
            return
        self._communities[case_id] = place.community
        if assigned.reason == "rule":
            neighbours = self._neighbours
            self._start(neighbours.communities.hear_assigned(case_id, self.code, place.community))
            self._group.create_task(neighbours.centre.hear_assigned(case_id, held.limit))

    def _tell_closed(self, case_id: str) -> None:
        self._start(self._neighbours.reporters.hear_closed(case_id, self.code))
        community = self._communities.get(case_id)
        if community is not None:
            self._start(self._neighbours.communities.hear_closed(case_id, self.code, community))

    def _let_go(self, case_id: str) -> None:
        held = self._in_hand.pop(case_id, None)
        if held is not None and held.work is not None:
            held.work.cancel()

    def _start(self, doing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do it to its end, whatever becomes of who wanted it."""

        async def done() -> None:
            self._acting += 1
            try:
                await doing
            finally:
                self._acting -= 1

        return self._group.create_task(done())

    async def _deal_with(self, case_id: str, held: _InHand) -> None:
        dealing = held.dealing
        if dealing.returns and held.assigned.reason in BY_RULE:
            await _until(held.since + held.to_sign * 0.5)
            if await self._act("decline", "declined", case_id, reason="Not ours · 不属于本部门职责"):
                return
        await _until(held.since + held.to_sign * dealing.sign_share)
        await self._act("accept", "accepted", case_id)
        await self._work_on(case_id, held)

    async def _work_on(self, case_id: str, held: _InHand) -> None:
        dealing, due_at = held.dealing, held.assigned.due_at
        if dealing.notes_progress:
            await _until(held.since + held.limit * dealing.handle_share * 0.5)
            await self._act("progress", "progress", case_id, note="On the way · 已到现场")
        if dealing.extends and due_at is not None:
            until = (due_at + held.limit * 0.5).isoformat()
            reason = "Parts are ordered · 等待配件"
            await self._act("extend", "extension-requested", case_id, until=until, reason=reason)
        if dealing.left_lying:
            await held.pressed.wait()
        else:
            await _until(held.since + held.limit * dealing.handle_share)
        await self._handle(case_id)

    async def _finish(self, case_id: str) -> None:
        await self._act("accept", "accepted", case_id)
        await self._handle(case_id)

    async def _do_again(self, case_id: str) -> None:
        await asyncio.sleep(REWORK_SECONDS)
        await self._handle(case_id)

    async def _handle(self, case_id: str) -> None:
        photos = [self._neighbours.photo]
        await self._act("handle", "handled", case_id, note="Done · 已处置", photos=photos)

    async def _report_in(self, case_id: str, summoned: Summoned, since: datetime) -> None:
        share = next(self._dealings).report_in_share
        if share is None:
            return
        await _until(since + (summoned.report_in.due_at - since) * share)
        officer = summoned.officer or f"{self.code}-duty"
        await self._act("report-in", "reported-in", case_id, officer=officer, note="On the spot · 已到达")

    async def _act(self, verb: str, deed: str, case_id: str, **said: Any) -> bool:
        """Whether it was done; remembered even if the case is taken away meanwhile."""
        done = False

        async def ask() -> None:
            nonlocal done
            reply = await self._asking.ask(verb, case_id=case_id, **said)
            done = reply is not None and reply.done
            if done:
                self._memory.deeds.add(deed, case_id, self.code)

        await asyncio.shield(self._start(ask()))
        return done


async def _until(moment: datetime) -> None:
    await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
