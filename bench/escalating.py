"""Many deadlines that are missed at the same moment: from that moment until the last escalation is in the log."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from bench.arena import Arena
from bench.figures import Figure
from bench.plan import Plan
from bench.work import Tell, shared
from cli.stack.rulebook import example_policy
from libs.events import policy
from libs.events.contracts.dispatch import Escalated
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.envelope import Context
from libs.events.handle import Handler
from libs.events.jetstream import JetStream
from libs.events.log import History, Log, facts_of, opened
from libs.events.policy import RuleBook
from libs.events.rules import Rules
from libs.events.runtime import Bus
from libs.events.testing.examples import EXAMPLES
from libs.events.timekeeping import Timekeeper
from libs.events.timers import Due, run_timers
from services.dispatch.decider import Assign, Refusal, decide, fold_entries
from services.dispatch.timekeeper import timekeeper

NAME: Final = "escalations due at the same moment, until the last is in the log"
TIME_LAPSE: Final = (
    240  # an hour to sign in 15 s: time to have all of them stand before the first reminder is due
)
WORKERS: Final = 500
BATCH_MESSAGES_MAX: Final = 500
WAIT_SECONDS_MAX: Final = 60.0


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """Seconds, by the deciders and the code of dispatch in this process; the reminders are due before."""
    book = policy.load(example_policy()).model_copy(update={"time_lapse": TIME_LAPSE})
    took: list[float] = []
    for repetition in range(plan.repetitions):
        tell(
            f"{plan.escalations:,} deadlines missed at once, repetition {repetition + 1} of {plan.repetitions}"
        )
        case_ids = [f"escalating{repetition}x{number}" for number in range(plan.escalations)]
        await _file(arena, case_ids)
        async with arena.connection("dispatch") as client, opened(client) as log:
            bus = Bus(JetStream(client), log, Handler(log))
            keeper = timekeeper(bus, Rules(bus.jetstream, book), lambda: datetime.now(UTC))
            took.append(await _missed(bus, book, keeper, case_ids))
    return [Figure("timers", NAME, "s", tuple(took), f"{plan.escalations:,} cases")]


async def _file(arena: Arena, case_ids: list[str]) -> None:
    context = Context(actor="bench", time=datetime.now(UTC))
    async with arena.connection("intake") as client, opened(client) as log:

        async def file(case_id: str) -> None:
            facts = facts_of((EXAMPLES[CaseReported], EXAMPLES[CaseFiled]), context)
            await log.append(History(case_id), facts)

        await shared(WORKERS, case_ids, file)


async def _missed(bus: Bus, book: RuleBook, keeper: Timekeeper, case_ids: list[str]) -> float:
    """Assign all of them at one moment, and let them be; the seconds from their deadline on."""
    waiting = set(case_ids)
    done = asyncio.Event()
    due_at = datetime.max.replace(tzinfo=UTC)

    async def fire(due: Due) -> None:
        nonlocal due_at
        await keeper.fire(due)
        # As dispatch does when it hears of the fact: the next deadline gets its timer.
        fact = (await bus.log.load(due.case_id)).entries[-1]
        await keeper.keep(fact)
        # By the fact, not by the timer: a reminder that comes after its deadline counts as that deadline.
        if isinstance(fact.event, Escalated) and fact.event.due_at is not None:
            due_at = min(due_at, fact.event.due_at)
            waiting.discard(due.case_id)
            if not waiting:
                done.set()

    async def park(_: str, reason: Exception) -> None:
        raise reason

    async def assign(case_id: str) -> None:
        await _assign(bus.log, bus.handler, book, keeper, case_id, now)

    now = book.local(datetime.now(UTC))
    await shared(WORKERS, case_ids, assign)
    listening = asyncio.create_task(
        run_timers(bus.jetstream, fire, park, batch_messages_max=BATCH_MESSAGES_MAX)
    )
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            all_missed = asyncio.ensure_future(done.wait())
            await asyncio.wait((all_missed, listening), return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            await listening  # says why it ended
        seconds = time.time() - due_at.timestamp()
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
    histories = await bus.log.load_many(case_ids)
    assert all(each.entries[-1].name == "escalated" for each in histories.values()), "each went up"
    return seconds


async def _assign(
    log: Log, handler: Handler, book: RuleBook, keeper: Timekeeper, case_id: str, now: datetime
) -> None:
    context = Context(actor="system:dispatch", time=now, policy_version=book.version)
    outcome: object = await handler.handle(
        case_id, lambda history: decide(Assign(book, now), fold_entries(history.entries)), context
    )
    assert not isinstance(outcome, Refusal), outcome
    await keeper.keep((await log.load(case_id)).entries[-1])
