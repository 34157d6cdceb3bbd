"""`kill -9` in the middle of an import: of each service, of both servers, of the importer.  Nothing comes of it.

Everything is imported a second time into a stack that nobody disturbs; both must hold and say the same.
"""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from cli.stack.state import Stack
from tests.support.faults import (
    QUICK,
    SECONDS_MAX,
    Blow,
    Import,
    Source,
    assert_whole,
    caught_up,
    digests,
    events,
    imported,
    kill,
    made_up,
    nobody_parked,
    position,
    restarts,
    said,
    scoreboards,
    seeded,
    strike,
    under_name,
    until_restarted,
)
from tests.support.stack import log_of, running

ROWS: Final = 2_000
EVENTS_MIN: Final = 4 * ROWS
"""Fewer than the rows make: a row is reported, filed and assigned, and nine of ten are handled and closed."""
ENDINGS: Final = 300
SERVICES: Final = ("dispatch", "evaluation", "notify", "intake")


@pytest.fixture(scope="module")
def calm() -> Iterator[Stack]:
    """A stack that nobody disturbs."""
    with running() as stack:
        yield stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The one that is struck."""
    with running(settings=QUICK) as struck:
        yield struck


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    return seeded(request.node.name)


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest, chance: random.Random) -> Source:
    system = "".join(each if each.isalnum() else "-" for each in request.node.name)
    return made_up(tmp_path, system, ROWS, chance.randrange(1_000_000))


@asynccontextmanager
async def as_undisturbed(stack: Stack, calm: Stack, source: Source) -> AsyncGenerator[int]:
    """What the block does to *stack* must leave it like *calm*; gives the end of its log before that."""
    before = await position(stack)
    yield before
    await caught_up(stack)
    await imported(calm, source)
    found = await events(stack)
    assert_whole(found)
    assert said(found) == said(await events(calm))
    assert await digests(stack) == await digests(calm)
    assert await scoreboards(stack) == await scoreboards(calm)
    await nobody_parked(stack)


async def imported_through(
    stack: Stack, source: Source, blows: Sequence[Blow], before: int
) -> dict[str, Any]:
    """Import while the blows fall; each must fall before the import has ended."""
    importing = Import(stack, source)
    await strike(stack, blows, after=before, during=importing)
    return await importing.ended()


def kills(stack: Stack, names: Sequence[str], before: int, chance: random.Random) -> list[Blow]:
    return [
        Blow(before + chance.randint(EVENTS_MIN // 20, EVENTS_MIN * 4 // 5), name, partial(kill, stack, name))
        for name in names
    ]


@pytest.mark.parametrize(
    "victims",
    [
        (*SERVICES, "nats", "postgres"),
        pytest.param(SERVICES, marks=pytest.mark.full),
        pytest.param(("nats",), marks=pytest.mark.full),
        pytest.param(("postgres",), marks=pytest.mark.full),
    ],
    ids=["everything", "services", "nats", "postgres"],
)
async def test_an_import_goes_on_by_itself(
    stack: Stack, calm: Stack, source: Source, chance: random.Random, victims: tuple[str, ...]
) -> None:
    async with as_undisturbed(stack, calm, source) as before:
        earlier = restarts(stack)
        blows = kills(stack, victims, before, chance)
        result = await imported_through(stack, source, blows, before)
        assert result["rows_added"] == ROWS
        assert result["events_added"] == await position(stack) - before
        await until_restarted(stack, victims, earlier)
        later = restarts(stack)
        assert {name for name in later if later[name] > earlier[name]} == set(victims)


@pytest.mark.full
async def test_an_importer_that_was_killed_is_run_again(
    stack: Stack, calm: Stack, source: Source, chance: random.Random
) -> None:
    async with as_undisturbed(stack, calm, source) as before:
        first = Import(stack, source)

        async def end_it() -> None:
            first.kill()

        aim = before + chance.randint(EVENTS_MIN // 20, EVENTS_MIN * 4 // 5)
        await strike(stack, [Blow(aim, "importer", end_it)], after=before, during=first)
        result = await imported(stack, source)
        assert result["rows_added"] < ROWS


async def test_whoever_asks_the_log_again_and_again_can_be_ended(calm: Stack) -> None:
    async with log_of(calm, "auditor") as (_, jetstream):

        async def ask_for_ever() -> None:
            while True:
                await jetstream.api("STREAM.INFO.CASES")

        for _ in range(ENDINGS):
            asking = asyncio.create_task(ask_for_ever())
            await jetstream.api("STREAM.INFO.CASES")  # the other's answer comes at about the same moment
            asking.cancel()
            ended, _ = await asyncio.wait([asking], timeout=SECONDS_MAX)
            assert ended, "it forgot that it was cancelled"


@pytest.mark.full
async def test_a_whole_city_through_kills_of_everything(
    stack: Stack, calm: Stack, tmp_path: Path, chance: random.Random
) -> None:
    place = os.environ.get("WHISTLE_BOSTON_CSV")
    if not place:
        pytest.skip("WHISTLE_BOSTON_CSV is not set: the city's file is not part of the project")
    source = under_name(tmp_path, "boston-struck", Path(place))
    names = [*SERVICES, "nats", "postgres"] * 3
    async with as_undisturbed(stack, calm, source) as before:
        blows = [
            Blow(before + chance.randint(5_000, 220_000), name, partial(kill, stack, name)) for name in names
        ]
        result = await imported_through(stack, source, blows, before)
        assert result["rows_added"] == 58_251
