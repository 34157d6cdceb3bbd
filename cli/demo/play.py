"""The day itself: residents, departments and the view of it, and what must be true at its end."""

import asyncio
import sys
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
from rich.console import Console

from cli.demo.closing import print_figures, print_pointers, problems_of, scoreboard
from cli.demo.day import Day
from cli.demo.department import Department
from cli.demo.doors import Doors, http_client
from cli.demo.ending import Ending
from cli.demo.figures import Figures
from cli.demo.offices import Office, Specialists, Verifiers
from cli.demo.photos import send_photos
from cli.demo.plan import paces, plan_day
from cli.demo.residents import Residents
from cli.demo.screen import View, keep_showing
from cli.demo.watching import Watcher
from cli.departments.serving import enable, signed_in
from cli.stack.state import Stack
from cli.tokens import Tokens
from libs.events.policy import RuleBook

POLL_SECONDS: Final = 0.1
ACTS_SECONDS_MAX: Final = 120.0
STALL_SECONDS_MAX: Final = 120.0  # so long may catching up stand still before it is given up
CHECKS_AT_ONCE_MAX: Final = 10
STACK_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRequest:
    """What to play, and where."""

    home: Path
    cases: int
    seed: int
    seconds: float
    exits: bool
    ports: dict[str, int]


async def play(
    request: DemoRequest, stack: Stack, book: RuleBook, console: Console, ending: Ending, *, owns: bool
) -> bool:
    """Play the day and print how it went; True when everything adds up.

    `owns`: the stack ends with the demo.  Unless `request.exits`, departments then go on until asked to
    end, or until a stack that is not ours has gone.
    """
    plan = plan_day(book, cases=request.cases, seconds=request.seconds, seed=request.seed)
    figures, photos = Figures(), await send_photos(stack)
    day = Day.begin(request.seconds, book)
    async with (
        http_client() as http,
        _departments(stack, book, request.seed, day, figures, photos.after) as departments,
        _offices(stack, http, book, request.seed, figures) as offices,
    ):
        watcher, view = Watcher(http, stack, f"centre:{book.city.code}"), View(day, len(plan), figures)
        intake = Doors(http, stack.service_urls("intake"), Tokens(stack))
        residents = Residents(intake, uuid.uuid4().hex[:12], figures, photos.before)
        async with _shown(view, watcher, console):
            people = _People(residents.play(plan, day), departments, offices)
            lost = await _pass_day(people, watcher, view)
        figures.requests_again = intake.again
        console.print(scoreboard(await watcher.scoreboard(), book, figures))
        print_figures(console, figures, len(plan), len(lost))
        problems = problems_of(figures, lost)
        for problem in problems:
            console.print(f"[red]! {problem}[/]", soft_wrap=True)
        case_id = next(
            iter(figures.deeds.cases("handled") & figures.receipts.keys() or figures.receipts), None
        )
        print_pointers(console, stack, case_id, stays=not (request.exits and owns))
        if not request.exits:
            console.print("\nDepartments go on working; Ctrl-C ends · 各部门继续办理，按 Ctrl-C 结束")
            day.doors.set()
            await _stay(ending, request.home, owns=owns)
    return not problems


class _People(NamedTuple):
    """Who plays."""

    reports: Coroutine[Any, Any, None]
    departments: Sequence[Department]
    offices: Sequence[Office]

    def busy(self) -> int:
        """How many offices have something to do."""
        return sum(not office.is_idle for office in self.offices)


async def _pass_day(people: _People, watcher: Watcher, view: View) -> list[str]:
    """The day, and what remains to be done after it; case ids that the read models do not have right."""
    view.phase = "the day · 进行中"
    await people.reports
    await view.day.until(view.day.seconds)
    view.day.doors.clear()
    view.phase = "catching up · 同步中"
    await _finish_acts(people.departments)
    await _while_shrinking(lambda: people.busy() + view.snapshot.behind)
    return await _wrong_in_read_models(watcher, view.figures)


@asynccontextmanager
async def _departments(
    stack: Stack, book: RuleBook, seed: int, day: Day, figures: Figures, photo: str
) -> AsyncGenerator[list[Department]]:
    """All departments at work, each on a connection of its own; a failure of one ends the block."""
    async with AsyncExitStack() as connections, asyncio.TaskGroup() as group:
        departments: list[Department] = []
        codes = [department.code for department in book.departments]
        await enable(stack, codes)
        for code in codes:
            client = await connections.enter_async_context(signed_in(stack, code))
            departments.append(Department(code, client, paces(code, seed), day, figures, photo=photo))
        tasks = [group.create_task(department.work()) for department in departments]
        yield departments
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _offices(
    stack: Stack, http: httpx.AsyncClient, book: RuleBook, seed: int, figures: Figures
) -> AsyncGenerator[list[Office]]:
    """Specialists and verifiers at work; a failure of one ends the block."""
    tokens = Tokens(stack)
    intake, evaluation = (Doors(http, stack.service_urls(name), tokens) for name in ("intake", "evaluation"))
    offices: list[Office] = [
        Specialists(intake, book.city.code, figures.deeds, seed),
        Verifiers(evaluation, book.city.code, figures.deeds, seed),
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(office.work()) for office in offices]
        yield offices
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _shown(view: View, watcher: Watcher, console: Console) -> AsyncGenerator[None]:
    showing = asyncio.create_task(keep_showing(view, watcher, console))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _finish_acts(departments: Sequence[Department]) -> None:
    """Wait for the answers to what the departments have asked; what gets none is counted by them."""
    deadline = asyncio.get_running_loop().time() + ACTS_SECONDS_MAX
    while any(department.is_acting for department in departments):
        if asyncio.get_running_loop().time() > deadline:
            return
        await asyncio.sleep(POLL_SECONDS)


async def _wrong_in_read_models(watcher: Watcher, figures: Figures) -> list[str]:
    """Reports that nobody cares for and handled cases that nobody has looked at, after a bounded wait."""
    handled = figures.deeds.cases("handled")
    wrong = set(figures.receipts) | handled
    room = asyncio.Semaphore(CHECKS_AT_ONCE_MAX)

    async def check(case_id: str) -> None:
        async with room:
            case = await watcher.case(case_id)
        if case and is_right(case, handled=case_id in handled):
            wrong.discard(case_id)

    async def count() -> int:
        await asyncio.gather(*(check(case_id) for case_id in tuple(wrong)))
        return len(wrong)

    await _while_shrinking(count)
    return sorted(wrong)


def is_right(case: Mapping[str, Any], *, handled: bool) -> bool:
    """Whether a case is as it must be after the day; *handled*: a department was told that it has handled it."""
    cared_for = case["department"] or case["rejected_at"] or case["merged_at"]
    sent_back = any(mark["kind"] == "reworked" for mark in case["marks"])
    return bool(cared_for and (not handled or case["closed_at"] or (sent_back and not case["handled_at"])))


async def _while_shrinking(count: Callable[[], int] | Callable[[], Awaitable[int]]) -> None:
    """Wait until nothing is left, or it has not become less for STALL_SECONDS_MAX."""
    clock = asyncio.get_running_loop().time
    least, since = sys.maxsize, clock()
    while clock() - since < STALL_SECONDS_MAX:
        found = count()
        left = found if isinstance(found, int) else await found
        if not left:
            return
        if left < least:
            least, since = left, clock()
        await asyncio.sleep(POLL_SECONDS)


async def _stay(ending: Ending, home: Path, *, owns: bool) -> None:
    asked = asyncio.create_task(ending.asked())
    while not asked.done():
        if not owns and ((stack := Stack.read(home)) is None or not stack.supervisor.alive):
            asked.cancel()
            return
        await asyncio.wait((asked,), timeout=STACK_LOOK_SECONDS)
