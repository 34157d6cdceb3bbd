"""The whole town at work on a running system, until every case has its answer."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cli.demo.doors import Doors, http_client
from cli.demo.offices import Office, Specialists, Verifiers
from cli.demo.photos import send_photos
from cli.demo.plan import PlannedReport, plan_day
from cli.demo.residents import send
from cli.departments.serving import enable, signed_in
from cli.simulate.departments import Department, Neighbours
from cli.simulate.habits import dealings, opinions
from cli.simulate.memory import Memory
from cli.simulate.offices import Centre, Communities, Reporters
from cli.simulate.patrol import Workers
from cli.simulate.units import Units
from cli.stack.state import Stack
from cli.tokens import Tokens
from libs.events.policy import RuleBook

REPORTS_AT_ONCE_MAX: Final = 24
ALIKE_SHARE: Final = 20
"""Every so many-th report is of a problem that somebody has just reported."""
LOOK_SECONDS: Final = 1.0
QUIET_LOOKS: Final = 3
"""So often in a row nothing is open, and nobody is doing anything, before the run is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """What is simulated."""

    cases: int
    rate: float
    """Reports a second, evenly."""
    seed: int
    stall_seconds_max: float
    """How long nothing may end before the rest is given up, beside the longest time limit."""


class Progress(NamedTuple):
    """How far it is."""

    reports: int
    left: int
    """Reports that are not answered yet."""


Tell = Callable[[Progress], None]


def planned(town: Town, book: RuleBook) -> list[PlannedReport]:
    """Who reports what, where and when, evenly: a rate is a rate.  Some report what another has just reported."""
    day = plan_day(book, cases=town.cases, seconds=town.cases / town.rate, seed=town.seed)
    plan = [replace(each, at_seconds=(each.number - 1) / town.rate) for each in day]
    for index in range(ALIKE_SHARE, len(plan), ALIKE_SHARE):
        plan[index] = _like(plan[index - 1], plan[index])
    return plan


def _like(before: PlannedReport, here: PlannedReport) -> PlannedReport:
    return replace(before, number=here.number, at_seconds=here.at_seconds, looks_up_after_seconds=None)


async def live(town: Town, stack: Stack, book: RuleBook, memory: Memory, tell: Tell) -> int:
    """Let the town live until everything is answered; how many reports were left without an answer."""
    # Residents have connections of their own: nobody's answer waits behind their reports.
    async with http_client() as http, http_client() as residents, AsyncExitStack() as connections:
        tokens = Tokens(stack)
        intake, dispatch, evaluation = (
            Doors(http, stack.service_urls(name), tokens) for name in ("intake", "dispatch", "evaluation")
        )
        photos = await send_photos(stack)
        centre = Centre(dispatch, book, memory, town.seed)
        neighbours = Neighbours(
            centre,
            Communities(dispatch, evaluation, book, memory, town.seed),
            Reporters(evaluation, opinions(town.seed), memory),
            photos.after,
        )
        await enable(stack, [each.code for each in book.departments])
        departments = [
            Department(
                each.code,
                await connections.enter_async_context(signed_in(stack, each.code)),
                dealings(each.code, town.seed),
                memory,
                neighbours,
                await _left_over(dispatch, each.code),
            )
            for each in book.departments
        ]
        offices: tuple[Office, ...] = (
            Specialists(intake, book.city.code, memory.deeds, town.seed),
            Verifiers(evaluation, book.city.code, memory.deeds, town.seed),
            centre,
        )
        async with asyncio.TaskGroup() as group:
            units = Units(dispatch, book, memory, town.seed)
            working = [group.create_task(each.work()) for each in departments]
            working += [group.create_task(each.work()) for each in offices]
            working.append(group.create_task(units.work()))
            workers = Workers(dispatch, intake, book, memory, town.seed)
            walking = group.create_task(workers.walk())
            waiting = _Waiting(evaluation, memory, departments, offices)
            looking = group.create_task(waiting.keep_telling(tell))
            web = Doors(residents, stack.service_urls("intake"), tokens)
            await _report_all(planned(town, book), web, memory, [photos.before])
            await walking
            left = await waiting.until_answered(stall_seconds(town, book))
            for task in (*working, looking):
                task.cancel()
    return left


async def _left_over(dispatch: Doors, department: str) -> list[str]:
    queue = await dispatch.get(f"/departments/{department}/queue", as_=f"department:{department}")
    return [line["case_id"] for line in queue if line["responsible"] == department]


def stall_seconds(town: Town, book: RuleBook) -> float:
    """For how long it may well be that nothing ends: what was left lying is only taken up when its time is over."""
    now = datetime.now(UTC)
    categories = [book.category(report.category) for report in planned(town, book)]
    sets = {category.limits for category in categories if category}
    longest = max(book.deadline(book.limits(name).handle, now).due_at - now for name in sets)
    return town.stall_seconds_max + longest.total_seconds()


async def _report_all(
    plan: list[PlannedReport], intake: Doors, memory: Memory, photos: Sequence[str]
) -> None:
    """Report everything in its time; returns when each report has its answer."""
    clock = asyncio.get_running_loop().time
    began, run = clock(), f"simulate-{uuid.uuid4().hex[:12]}"
    room = asyncio.Semaphore(REPORTS_AT_ONCE_MAX)

    async def report(planned: PlannedReport) -> None:
        try:
            answer = await send(intake, planned, run, photos)
        finally:
            room.release()
        if answer.refusal is not None:
            memory.deeds.refused["report", answer.refusal] += 1
            return
        receipt = answer.response.json()
        memory.tracking[receipt["case_id"]] = receipt["tracking_number"]

    async with asyncio.TaskGroup() as group:
        for planned in plan:
            await asyncio.sleep(max(0.0, began + planned.at_seconds - clock()))
            await room.acquire()
            group.create_task(report(planned))


class _Waiting:
    """Looks how much is open."""

    def __init__(
        self, evaluation: Doors, memory: Memory, departments: Sequence[Department], offices: Sequence[Office]
    ) -> None:
        self._evaluation = evaluation
        self._memory = memory
        self._departments = departments
        self._offices = offices
        self._since = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        self._left = 0

    async def keep_telling(self, tell: Tell) -> None:
        """Look and tell until cancelled."""
        while True:
            self._left = await self._open()
            tell(Progress(len(self._memory.tracking), self._left))
            await asyncio.sleep(LOOK_SECONDS)

    async def until_answered(self, seconds_max: float) -> int:
        """Wait until nothing is open, or nothing has ended for so long; how many reports are open then."""
        clock = asyncio.get_running_loop().time
        least, since, quiet = -1, clock(), 0
        while quiet < QUIET_LOOKS:
            await asyncio.sleep(LOOK_SECONDS)
            left = await self._open()
            quiet = quiet + 1 if left == 0 and not self._is_busy() else 0
            if least < 0 or left < least:
                least, since = left, clock()
            elif left and clock() - since > seconds_max:
                return left
        return 0

    def _is_busy(self) -> bool:
        return any(each.is_acting for each in self._departments) or not all(
            office.is_idle for office in self._offices
        )

    async def _open(self) -> int:
        """Reports of this run without an answer; what evaluation has not heard of yet is open, too."""
        lines = await self._evaluation.get("/scoreboard", by="channel", since=self._since)
        closed = sum(int(line["closed"]) for line in lines)
        return len(self._memory.tracking) - closed - len(self._memory.deeds.cases("rejected"))
