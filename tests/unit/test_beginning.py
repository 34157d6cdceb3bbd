"""A service's process waits for the servers it needs, and for nothing else."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from cli.stack.state import repository
from libs.events import runtime
from libs.events.errors import LogUnavailable, NotProvisioned

ENDS = """
import asyncio
from libs.events import runtime
from libs.events.errors import LogUnavailable
from libs.events.settings import TelemetrySettings

runtime.BEGIN_AGAIN_SECONDS = 0
beginnings = []

async def main():
    beginnings.append(1)
    raise {error}

try:
    runtime.run("example", TelemetrySettings(log_format="json"), main)
finally:
    print("beginnings", len(beginnings))
"""


def ended(error: str) -> tuple[int, str, str]:
    """How a process ends whose every beginning raises this: code, output, and the last line of what it logs."""
    environment = {**os.environ, "PYTHONPATH": str(repository())}
    done = subprocess.run(
        [sys.executable, "-c", ENDS.format(error=error)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def beginnings(*errors: BaseException) -> tuple[Callable[[], Awaitable[None]], list[int]]:
    """A `main` that raises these, one each time, then serves; and its list of beginnings."""
    begun: list[int] = []

    async def main() -> None:
        begun.append(len(begun))
        if len(begun) <= len(errors):
            async with asyncio.TaskGroup() as group:

                async def part() -> None:
                    raise errors[len(begun) - 1]

                group.create_task(part())

    return main, begun


@pytest.mark.parametrize(
    "away",
    [
        LogUnavailable("no leader yet"),
        ConnectionRefusedError(111, "refused"),
        TimeoutError(),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        asyncpg.AdminShutdownError("terminating connection"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_server_that_is_away_is_waited_for(away: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "BEGIN_AGAIN_SECONDS", 0)
    main, begun = beginnings(away, away)
    await runtime.with_patience(main)
    assert len(begun) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        NotProvisioned("no stream CASES"),
        FileNotFoundError(2, "no such file", "city-key"),
        OSError(98, "address already in use"),
        asyncpg.InvalidPasswordError("password authentication failed"),
        ValueError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_else_is_wrong_is_said_at_once(wrong: Exception) -> None:
    main, begun = beginnings(wrong, wrong)
    with pytest.RaisesGroup(type(wrong)):
        await runtime.with_patience(main)
    assert len(begun) == 1


async def test_a_bug_beside_a_server_that_is_away_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "BEGIN_AGAIN_SECONDS", 0)
    both = ExceptionGroup("both", [LogUnavailable("away"), ValueError("a bug")])
    main, begun = beginnings(both)
    with pytest.RaisesGroup(pytest.RaisesGroup(ValueError)):
        await runtime.with_patience(main)
    assert len(begun) == 1


def test_patience_has_an_end_and_says_what_is_away() -> None:
    code, out, logged = ended('LogUnavailable("nobody answers at that address")')
    assert code == 1
    assert out.split() == ["beginnings", str(runtime.BEGINNINGS_MAX)]
    *again, last = logged.splitlines()
    assert len(again) == runtime.BEGINNINGS_MAX - 1
    assert all("service_begins_again" in line and "nobody answers" in line for line in again)
    assert "service_cannot_run" in last
    assert "nobody answers at that address" in last


def test_a_database_that_stays_away_ends_the_process_with_its_error() -> None:
    code, out, logged = ended('ConnectionRefusedError(111, "refused")')
    assert code == 1
    assert out.split() == ["beginnings", str(runtime.BEGINNINGS_MAX)]
    assert "ConnectionRefusedError: [Errno 111] refused" in logged
