"""Evaluation's read models in a real PostgreSQL: every figure, as of any moment, is what a plain count gives."""

import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from cli.stack.state import Stack
from libs.events.contracts.dispatch import (
    Accepted,
    Assigned,
)
from libs.events.envelope import Entry
from libs.events.readmodel import Connection, asking, pool_of, prepare, writing
from services.evaluation.judging import cases_behind, lines
from services.evaluation.views import MODEL, By, Span, scoreboard
from services.evaluation.views.measures import COUNTED, Key, Page
from tests.support.stories import (
    BOOK,
    MOMENTS,
    PLACE_ZONE,
    Plain,
    Story,
    plain_counts,
)

CASES: Final = 150
SEED: Final = 20260302


@asynccontextmanager
async def told(servers: Stack) -> AsyncGenerator[tuple[Connection, list[list[Entry]]]]:
    """Read models that hold some random cases, whose facts came in small batches, all mixed."""
    chance = random.Random(SEED)
    stories = [Story(number, chance).tell() for number in range(CASES)]
    async with pool_of(servers.postgres_dsn("whistle_evaluation")) as pool:
        await prepare(pool, MODEL)
        async with writing(pool, MODEL) as connection:
            await connection.execute("TRUNCATE cases, renamed, assignments, undone, marks, patrols")
        for batch in _mixed(stories, chance):
            async with writing(pool, MODEL) as connection:
                await MODEL.apply(connection, batch)
        async with asking(pool, "evaluation") as connection:
            yield connection, stories


def _mixed(stories: Sequence[Sequence[Entry]], chance: random.Random) -> Iterator[list[Entry]]:
    waiting = [list(entries) for entries in stories]
    while waiting:
        batch: list[Entry] = []
        for entries in chance.sample(waiting, min(20, len(waiting))):
            some = chance.randrange(1, 4)
            batch += entries[:some]
            del entries[:some]
        waiting = [entries for entries in waiting if entries]
        yield batch


SPANS: Final = [
    *(Span(moment) for moment in MOMENTS),
    Span(MOMENTS[-1], since=MOMENTS[1], until=MOMENTS[2]),
    Span(MOMENTS[3], since=MOMENTS[2]),
]


async def test_every_measure_is_what_a_plain_count_gives(servers: Stack) -> None:
    async with told(servers) as (connection, stories):
        for by in By:
            if by is By.ROLLING:
                continue
            for span in SPANS:
                found = {line["key"]: line for line in await lines(connection, BOOK, by, span)}
                expected = plain_counts(stories, by, span)
                assert set(found) == set(expected), (by, span)
                for key, line in found.items():
                    counts = {name: line[name] for name in COUNTED}
                    assert counts == {name: expected[key][name] for name in COUNTED}, (by, span, key)
                    assert line["rates"]["in_time"] == (
                        pytest.approx(100 * line["closed_in_time"] / line["due"], abs=0.005)
                        if line["due"]
                        else None
                    )
        whole = Counter[str]()
        for line in await lines(connection, BOOK, By.CATEGORY, SPANS[3]):
            whole.update({name: line[name] for name in COUNTED})
        never = {name for name in COUNTED if not whole[name]}
        assert never == {"merged", "extension_asked", "escalated", "red_cards"}, (
            "the stories tell of the rest"
        )


async def test_the_cases_behind_a_figure_are_those_that_it_counts(servers: Stack) -> None:
    span = Span(MOMENTS[4])
    async with told(servers) as (connection, stories):
        for line in await lines(connection, BOOK, By.DEPARTMENT, span):
            for measure in (*COUNTED, "responses_due", "responded"):
                found = await _all_pages(connection, measure, span, Key(every=False, value=line["key"]))
                assert sum(each["times"] for each in found) == line[measure], (measure, line["key"])
                case_ids = [each["case_id"] for each in found]
                assert case_ids == sorted(set(case_ids))
        everything = await _all_pages(connection, "reported", span, Key(every=True))
        reported = {each[0].case_id for each in stories if each[0].envelope.time <= span.as_of}
        assert {each["case_id"] for each in everything} == reported


async def _all_pages(connection: Connection, measure: str, span: Span, key: Key) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["case_id"] if found else ""
        page = await cases_behind(connection, BOOK, measure, By.DEPARTMENT, span, key, Page(7, after))
        found += page
        if len(page) < 7:
            return found


async def test_responses_count_by_the_rule_books_own_time(servers: Stack) -> None:
    span = Span(MOMENTS[5])
    limit = timedelta(hours=2)  # response_within of the test's rule book
    due, responded = 0, 0
    async with told(servers) as (connection, stories):
        found = await lines(connection, BOOK, By.COMMUNITY, span)
        for entries in stories:
            assigned_at: datetime | None = None
            for entry in entries:
                if isinstance(entry.event, Assigned) and entry.envelope.time <= span.as_of:
                    assigned_at = entry.envelope.time
                    due += assigned_at + limit <= span.as_of
                if isinstance(entry.event, Accepted) and assigned_at and entry.envelope.time <= span.as_of:
                    responded += entry.envelope.time <= assigned_at + limit
                    assigned_at = None
        assert (sum(line["responses_due"] for line in found), sum(line["responded"] for line in found)) == (
            due,
            responded,
        )
        assert 0 < responded < due


async def test_a_rolling_figure_is_that_of_the_thirty_days_that_end_with_the_day(servers: Stack) -> None:
    async with told(servers) as (connection, stories):
        found = {line["key"]: line for line in await lines(connection, BOOK, By.ROLLING, SPANS[5])}
        days = sorted(entries[0].envelope.time.astimezone(PLACE_ZONE).date() for entries in stories)
        assert sorted(found) == sorted({day.isoformat() for day in found_days(days)})
        for key, line in found.items():
            assert line["reported"] == sum(day.isoformat() <= key for day in days)


def found_days(days: Sequence[Any]) -> Iterator[Any]:
    day = days[0]
    while day <= days[-1]:
        yield day
        day += timedelta(days=1)


async def test_the_scoreboard_is_what_a_plain_count_gives(servers: Stack) -> None:
    async with told(servers) as (connection, stories):
        for moment in MOMENTS:
            found = {score.key: score for score in await scoreboard(connection, By.DEPARTMENT, Span(moment))}
            cases = [Plain(each, moment) for each in stories if each[0].envelope.time <= moment]
            assert set(found) == {case.department for case in cases}
            for key, score in found.items():
                ours = [case for case in cases if case.department == key]
                stops = [(case, case.paused or case.handled or case.closed) for case in ours]
                late = [case for case, stop in stops if case.due and (stop or moment) > case.due]
                met = [case for case, stop in stops if case.closed and stop and case.due and stop <= case.due]
                assert (score.cases, score.closed) == (len(ours), sum(bool(case.closed) for case in ours))
                assert (score.due, score.overdue) == (sum(bool(case.due) for case in ours), len(late))
                assert score.met == len(met)
