"""What an import shows, and how long it waits for a log that is away."""

import asyncio
import io

import pytest
from rich.console import Console

from cli.importing.errors import ImportStalled
from cli.importing.patience import Patience
from cli.importing.progress import Pace, described, shown
from cli.importing.tally import Tally
from libs.events.errors import LogUnavailable


def test_the_pace_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    assert pace.rate(0.0, 0) == 0
    assert pace.rate(5.0, 1_000) == 200
    assert pace.rate(10.0, 11_000) == 2_000
    assert pace.rate(20.0, 11_000) == 0


def test_one_line_says_it_all() -> None:
    tally = Tally(rows=10_000, done=2_500, rejected=3, behind=1_200)
    assert described(tally, 500.0) == (
        "2,500 of 10,000 rows, 500/s, 15 s left, 3 rejected, read models 1,200 behind"
    )
    tally.waiting_for_log = True
    assert "waiting for the log" in described(tally, 500.0)
    assert described(Tally(rows=5, done=5), 0.0) == "5 of 5 rows"


async def test_the_bar_ends_at_the_end() -> None:
    tally = Tally(rows=5)
    screen = io.StringIO()
    async with shown(tally, Console(file=screen, force_terminal=True, width=80)):
        await asyncio.sleep(0)
        tally.done = 5
    assert "5 of 5 rows" in screen.getvalue()


async def test_a_log_that_stays_away_ends_the_import_with_what_to_do() -> None:
    async def unavailable() -> None:
        raise LogUnavailable("no answer")

    tally = Tally()
    with pytest.raises(ImportStalled, match=r"no answer.*run the same command again"):
        await Patience(0.05, tally)(unavailable)
    assert tally.waiting_for_log


async def test_a_log_that_comes_back_is_asked_again() -> None:
    answers = iter((LogUnavailable("away"), "there"))

    async def answer() -> str:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    tally = Tally()
    assert await Patience(10, tally)(answer) == "there"
    assert not tally.waiting_for_log
