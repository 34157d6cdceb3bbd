"""The demo's process: a stack of its own or the one that runs, the day on it, and an end that leaves nothing."""

import asyncio
import logging
from typing import Final, TextIO

import structlog
from rich.console import Console

from cli.demo.ending import Ending
from cli.demo.exercise import provision_example, rule_book
from cli.demo.play import DemoRequest, play
from cli.embedded.process import rotate
from cli.stack.plan import StackPlan
from cli.stack.rulebook import example_policy
from cli.stack.state import Stack
from cli.stack.supervisor import running_stack

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130


async def demo(request: DemoRequest, console: Console) -> int:
    """Play the demo; the exit code.  Raises StackError or WhistleError with what is in the way."""
    task = asyncio.current_task()
    assert task is not None, "runs as a task"
    ending = Ending(task)
    ending.listen()
    log = request.home / "log" / "demo.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    with log.open("a", encoding="utf-8") as file:
        log_to(file)
        try:
            return 0 if await _on_a_stack(request, console, ending) else EXIT_FAILED
        except asyncio.CancelledError:
            return EXIT_INTERRUPTED
        except BaseExceptionGroup as group:
            structlog.get_logger(__name__).exception("demo_failed")
            raise first_of(group) from group


async def _on_a_stack(request: DemoRequest, console: Console, ending: Ending) -> bool:
    running = Stack.read(request.home)
    if running is not None and running.supervisor.alive:
        stack = Stack.load(request.home)  # raises NotRunning while it starts or stops
        book = await rule_book(stack.nats_url, stack.secret)
        console.print("beside what runs here already · 使用正在运行的系统", style="dim")
        return await play(request, stack, book, console, ending, owns=False)
    policy_dir = example_policy()
    plan = StackPlan.from_environment(
        home=request.home,
        policy_dir=policy_dir,
        provision=provision_example,
        asked_ports=request.ports,
    )
    async with running_stack(plan, lambda step: console.print(f"  {step}", style="dim")) as stack:
        book = await rule_book(stack.nats_url, stack.secret)
        return await play(request, stack, book, console, ending, owns=True)


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that ended the others."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


def log_to(file: TextIO) -> None:
    """Log into *file*: what the libraries log would spoil the live view."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file),
    )
