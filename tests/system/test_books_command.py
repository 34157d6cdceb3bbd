"""Closing the books of a whole city: read models are built anew across the border, and nothing is taken twice."""

import asyncio
import json
from typing import Any, Final

import pytest

from cli.client import ask
from cli.commands.books import KEEPER, LETS_GO, check_copies, check_parked, open_books
from cli.stack.state import Stack, repository
from libs.events.books import Closing
from libs.events.ids import case_id_of_import
from libs.events.jetstream import JetStream, connected
from libs.events.jetstream.expiring import let_go
from libs.events.subjects import CASES
from tests.support.cases import caught_up
from tests.support.stack import eventually, log_of, whistle

FILE: Final = repository() / "tests/data/import_boston.csv"
MAPPING: Final = repository() / "mappings/boston311.yaml"
SYSTEM: Final = "boston311"
OPEN: Final = case_id_of_import(SYSTEM, "900000000000")
OVER: Final = case_id_of_import(SYSTEM, "900000000001")
YOUNG_NS: Final = 100_000_000
"""A duplicate window that lets the server let go of what is as young as a test."""


def told(stack: Stack, *arguments: str) -> Any:
    done = whistle(stack, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def scores(stack: Stack) -> Any:
    query = {"by": "department", "as_of": "2020-01-01T00:00:00Z"}
    return ask(stack.service_url("evaluation"), "/scoreboard", query=query)


async def closed(stack: Stack) -> int:
    """What `./whistle books close` does, for events that it would find too young; the position."""
    async with open_books(stack) as books:
        through = await books.log.last_position()
        check_parked(stack)
        await check_copies(stack)
        assert books.checkpoint is not None
        closing = Closing(*(books.log, books.jetstream, books.credentials, books.archive), books.checkpoint)
        await closing.run(through, lambda _: None)
    async with connected(stack.nats_url, user=LETS_GO, password=stack.secret(LETS_GO)) as client:
        jetstream = JetStream(client)
        config = (await jetstream.api("STREAM.INFO.CASES"))["config"]
        await jetstream.api("STREAM.UPDATE.CASES", {**config, "duplicate_window": YOUNG_NS})
        assert await let_go(jetstream, CASES, through, margin_seconds=0) > 1
        await jetstream.api("STREAM.UPDATE.CASES", config)
    return through


async def signed(stack: Stack) -> None:
    """Wait until all of the log is under a checkpoint."""

    async def all_of_it() -> bool:
        async with open_books(stack) as books:
            return books.checkpoint is not None and books.checkpoint.size == await books.log.last_position()

    await eventually(all_of_it)


@pytest.fixture(scope="module")
def city(stack: Stack) -> Stack:
    assert told(stack, "import", str(FILE), "--mapping", str(MAPPING))["rejected"] == 0
    asyncio.run(caught_up(stack, "intake", "dispatch", "evaluation", "notify"))
    return stack


def watched(stack: Stack, *arguments: str) -> list[Any]:
    """What `./whistle watch` shows, one event a line."""
    done = whistle(stack, "watch", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_played_across_the_border(stack: Stack, before: list[Any]) -> None:
    """All that the log had, *before* its books were closed, is played and shown, from wherever one asks."""
    assert watched(stack, "--from-start", "--count", str(len(before))) == before
    of_case = [event for event in before if event["subject"] == OVER]
    found = watched(stack, "--from", f"{SYSTEM}/900000000001", "--count", "1")
    assert [event["sequence"] for event in found] == [of_case[0]["sequence"]]
    early = min(event["recordedtime"] for event in before)
    assert watched(stack, "--from", early, "--count", "1") == before[:1]
    assert whistle(stack, "room", "add", "school").returncode == 0
    last = len(before)
    played = told(stack, "replay", "--to-subject", "replay.school.>", "--to", str(last), "--speed", "max")
    assert (played["events"], played["waiting"]) == (last, last)


def test_a_city_whose_books_were_closed_goes_on_as_before(city: Stack) -> None:
    before, shown = scores(city), told(city, "show", OPEN)
    everything = watched(city, "--from-start", "--count", str(told(city, "books", "status")["last"]))
    asyncio.run(signed(city))
    as_of_then = told(city, "scoreboard", "--as-of", str(told(city, "books", "status")["last"]))
    assert told(city, "books", "close")["through"] == 0, "nothing is 90 days old"
    through = asyncio.run(closed(city))
    standing = told(city, "books", "status")
    assert 1 < standing["first"] <= through + 1
    assert standing["signed"] >= through

    # A case that was open is known as it was, one that was over no more.
    assert told(city, "show", OPEN)[: len(shown)] == shown
    assert whistle(city, "show", OVER).returncode != 0

    # Read models are built anew over the border, out of the sealed files and the log.
    rebuilt = told(city, "rebuild", "evaluation")
    assert (rebuilt["switched"], rebuilt["differs"]) == (True, False)
    assert all(table["old_digest"] == table["new_digest"] for table in rebuilt["tables"])
    assert scores(city) == before

    assert_played_across_the_border(city, everything)

    # As of a position before the border the answer comes out of both, too.
    assert told(city, "scoreboard", "--as-of", str(through)) == as_of_then

    # The same file again adds nothing, though the log does not know the cases.
    again = told(city, "import", str(FILE), "--mapping", str(MAPPING))
    assert (again["events_added"], again["rejected"]) == (0, 0)
    assert again["rows_in_books"] > 0

    # Whoever needs such a case brings it back, once.
    back = told(city, "books", "reopen", OVER)
    history = told(city, "show", OVER)
    assert len(history) == back["events"] + 1
    refused = whistle(city, "books", "reopen", OVER)
    assert refused.returncode == 1
    assert "nothing is to be brought back" in refused.stderr
    refused = whistle(city, "books", "reopen", "0" * 20)
    assert "is in no sealed file either" in refused.stderr
    asyncio.run(caught_up(city, "intake", "dispatch", "evaluation", "notify"))
    assert scores(city) == before


def test_the_keeper_of_the_books_may_read_and_carry_forward_alone(city: Stack) -> None:
    async def names() -> list[str]:
        async with log_of(city, KEEPER) as (log, _):
            return [entry.name for entry in (await log.load(OPEN)).entries]

    assert asyncio.run(names())[-1] == "carried-forward"
