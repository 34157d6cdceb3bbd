"""Looking for near-duplicates is never in the way of a report: whatever goes wrong, it goes on without."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest

from libs.events.distance import metres_between
from libs.events.readmodel import Pool
from libs.events.testing.examples import PLACE
from services.intake.duplicates import PAUSE_SECONDS, Duplicates, box_around


class Away:
    """A pool whose database does what it does."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure
        self.asked = 0

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[Any]:
        self.asked += 1
        if self.failure is None:
            await asyncio.Event().wait()  # no answer, ever
        else:
            raise self.failure
        yield None


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionRefusedError("away"),
        asyncpg.CannotConnectNowError("starting"),
        asyncpg.InterfaceError("pool is closed"),
        asyncpg.UndefinedTableError("dropped"),
        None,
    ],
)
async def test_a_database_that_does_not_answer_costs_one_report_a_moment_and_the_next_ones_nothing(
    failure: Exception | None,
) -> None:
    pool, clock = Away(failure), [0.0]
    duplicates = Duplicates(lambda: cast(Pool, pool), lambda: clock[0], answer_seconds_max=0.05)
    assert await duplicates.near("0101", PLACE, 50, but="x") == ()
    for _ in range(10):
        assert await duplicates.near("0101", PLACE, 50, but="x") == ()
    assert pool.asked == 1
    clock[0] += PAUSE_SECONDS
    await duplicates.near("0101", PLACE, 50, but="x")
    assert pool.asked == 2


async def test_without_a_pool_or_a_point_nobody_is_asked() -> None:
    assert await Duplicates(lambda: None).near("0101", PLACE, 50, but="x") == ()
    pool = Away(OSError())
    nowhere = PLACE.model_copy(update={"longitude": None, "latitude": None})
    assert await Duplicates(lambda: cast(Pool, pool)).near("0101", nowhere, 50, but="x") == ()
    assert pool.asked == 0


@pytest.mark.parametrize("latitude", [0.0, 36.4, -60.0, 89.0])
def test_the_box_holds_every_point_within_the_radius(latitude: float) -> None:
    south, north, west, east = box_around(118.7, latitude, 150)
    assert metres_between((118.7, latitude), (118.7, south)) > 150
    assert metres_between((118.7, latitude), (118.7, north)) > 150
    assert metres_between((118.7, latitude), (west, latitude)) > 150
    assert metres_between((118.7, latitude), (east, latitude)) > 150
