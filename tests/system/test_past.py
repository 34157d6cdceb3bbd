"""Questions about the past: at random moments and positions each answer is what a plain fold of the raw log gives."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from cli.stack.state import Stack
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Assigned
from libs.events.contracts.intake import CaseAdopted, CaseFiled
from libs.events.envelope import Context, Entry
from libs.events.errors import NotYet, PastTooLong
from libs.events.history import WholeLog
from libs.events.jetstream.reader import Credentials, read
from libs.events.log import Fact, History, Log
from libs.events.past import PAST_EVENTS_MAX, Pasts, Seen
from libs.events.readmodel import ReadModel, Table, asking, pool_of, prepare, writing
from libs.events.testing.examples import BRIEF, PLACE
from services.dispatch.views import MODEL as QUEUES
from services.dispatch.views import OVER, queue_of
from services.evaluation.judging import lines
from services.evaluation.views import MODEL as FIGURES
from services.evaluation.views import By, Span
from services.evaluation.views.measures import COUNTED
from services.intake.views import MODEL as REPORTS
from services.intake.views import SETTLED, waiting
from tests.support.cases import facts_of_import
from tests.support.nodes import seed_of_run
from tests.support.plain_queue import Raw, plain_queue
from tests.support.stack import log_of
from tests.support.stories import BEGIN, BOOK, DEPARTMENTS, Story, plain_counts

CASES: Final = 60
TRIALS: Final = 25
MODELS: Final = (QUEUES, FIGURES, REPORTS)
NOW: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""When all of it was long ago."""


@dataclass(frozen=True)
class Written:
    """What stands in the log, as anybody may read it."""

    stack: Stack
    raw: Sequence[Raw]
    """The CloudEvents, by their positions."""
    entries: Sequence[Entry]

    def until(self, as_of: datetime | int) -> list[Raw]:
        """The events of that past."""
        if isinstance(as_of, int):
            return list(self.raw[:as_of])
        return [event for event in self.raw if datetime.fromisoformat(event["time"]) <= as_of]


@pytest.fixture(scope="module")
def written(servers: Stack) -> Written:
    return asyncio.run(_written(servers))


async def _written(stack: Stack) -> Written:
    """Stories that go on at the same time, imported history, and imported cases that were adopted."""
    chance = random.Random(seed_of_run())
    stories: list[list[tuple[str, Fact]]] = [
        [_fact(entry.event, entry.envelope.time, entry.envelope.id) for entry in Story(number, chance).tell()]
        for number in range(CASES)
    ]
    stories += [[("importer", fact) for fact in facts_of_import(str(number), number)] for number in range(5)]
    stories += [_adopted(number) for number in range(5)]
    histories = [History(f"{number:020}") for number in range(len(stories))]
    async with (
        log_of(stack, "intake") as (intake, _),
        log_of(stack, "dispatch") as (dispatch, _),
        log_of(stack, "evaluation") as (evaluation, _),
        log_of(stack, "importer") as (importer, _),
        log_of(stack, "auditor") as (_, jetstream),
    ):
        logs: dict[str, Log] = {
            "/intake": intake,
            "/dispatch": dispatch,
            "/evaluation": evaluation,
            "importer": importer,
        }
        entries: list[Entry] = []
        while left := [number for number, story in enumerate(stories) if story]:
            number = chance.choice(left)
            writer, fact = stories[number].pop(0)
            done = await logs[writer].append(histories[number], [fact])
            entries += done
            history = histories[number]
            histories[number] = replace(history, entries=(*history.entries, *done))
        raw: list[Raw] = []
        credentials = Credentials("auditor", stack.secret("auditor"))
        async for events in read(jetstream, credentials, stop=len(entries)):
            raw += [
                json.loads(each.payload) | {"name": each.subject.decode().split(".")[2]} for each in events
            ]
    assert [event["id"] for event in raw] == [entry.envelope.id for entry in entries]
    return Written(stack, raw, entries)


def _fact(event: Event, moment: datetime, event_id: str) -> tuple[str, Fact]:
    return event.SOURCE, Fact(event, Context(actor="story", time=moment), event_id)


def _adopted(number: int) -> list[tuple[str, Fact]]:
    """Imported, still open, taken into live work, and given to a department."""
    imported = [("importer", fact) for fact in facts_of_import(f"open-{number}", number)[:2]]
    moment = BEGIN + timedelta(hours=10 * number)
    adopted = CaseAdopted(category="0101", place=PLACE)
    assigned = Assigned(department="water", due_at=moment + timedelta(hours=30), brief=BRIEF)
    return [
        *imported,
        _fact(adopted, moment, f"adopted-{number}"),
        _fact(assigned, moment + timedelta(hours=1), f"assigned-{number}"),
    ]


@asynccontextmanager
async def pasts(written: Written, model: ReadModel) -> AsyncGenerator[Pasts]:
    """The service of *model*, with read models that hold nothing: what it says of the past comes from the log."""
    stack, service = written.stack, model.service
    async with (
        pool_of(stack.postgres_dsn(f"whistle_{service}")) as pool,
        log_of(stack, service) as (log, jetstream),
    ):
        await prepare(pool, model)
        history = WholeLog(jetstream, Credentials(service, stack.secret(service)))
        yield Pasts(model, lambda: pool, log, history, lambda: NOW)


def some_pasts(written: Written, trials: int = TRIALS) -> Iterator[datetime | int]:
    """Moments and positions that nobody thought of, and the ends."""
    chance = random.Random(seed_of_run())
    moments = [datetime.fromisoformat(event["time"]) for event in written.raw]
    first, last = min(moments), max(moments)
    yield from (first - timedelta(microseconds=1), first, last, 1, len(written.raw))
    for _ in range(trials):
        yield chance.choice(moments) + timedelta(microseconds=chance.choice((-1, 0, 1)))
        yield BEGIN + timedelta(seconds=chance.randrange(20 * 24 * 3600))
        yield chance.randrange(1, len(written.raw) + 1)


# A department's queue


def line_of(row: Mapping[str, Any]) -> tuple[object, ...]:
    names = ("step", "responsible", "due_at", "sign_by", "report_by", "reported_in_at")
    return tuple(row[name] for name in names)


async def test_the_queue_of_a_department_as_it_was(written: Written) -> None:
    lengths: set[int] = set()
    async with pasts(written, QUEUES) as past:
        for as_of in some_pasts(written):
            async with past.asking(as_of, forgetting=OVER) as seen:
                for department in DEPARTMENTS:
                    rows = await queue_of(seen.connection, department)
                    expected = plain_queue(written.until(as_of), department)
                    assert {row["case_id"]: line_of(row) for row in rows} == expected, (as_of, department)
                    urgent = [min(filter(None, _urgent(row)), default=None) for row in rows]
                    limits = [each for each in urgent if each is not None]
                    assert urgent == sorted(limits) + [None] * (len(urgent) - len(limits))
                    lengths.add(len(rows))
    assert len(lengths) > 5, "queues of many lengths were seen"


def _urgent(row: Mapping[str, Any]) -> tuple[datetime | None, ...]:
    return row["sign_by"], row["due_at"], None if row["reported_in_at"] else row["report_by"]


async def test_what_may_be_forgotten_changes_nothing(written: Written) -> None:
    async with pasts(written, QUEUES) as past:
        for as_of in some_pasts(written, trials=3):
            found = []
            for forgetting in (OVER, frozenset[str]()):
                async with past.asking(as_of, forgetting=forgetting) as seen:
                    found.append([await queue_of(seen.connection, each) for each in DEPARTMENTS])
            assert found[0] == found[1]


# Reports that wait


async def test_the_reports_that_waited_for_a_specialist(written: Written) -> None:
    seen_some = 0
    async with pasts(written, REPORTS) as past:
        for as_of in some_pasts(written):
            async with past.asking(as_of, forgetting=SETTLED) as seen:
                rows = await waiting(seen.connection, None, None, 1_000, until=seen.now)
            open_cases: dict[str, datetime] = {}
            for event in written.until(as_of):
                if event["name"] == "reported" and event["origin"] == "live":
                    open_cases[event["subject"]] = datetime.fromisoformat(event["time"])
                elif event["name"] in {"filed", "rejected", "merged"}:
                    open_cases.pop(event["subject"], None)
            assert {row["case_id"]: row["reported_at"] for row in rows} == open_cases, as_of
            seen_some += bool(rows)
    assert seen_some > 5


# Figures


async def test_figures_out_of_kept_times_are_those_of_a_fold_and_of_a_plain_count(written: Written) -> None:
    """The scoreboard and its like answer as of a time from the read models, as of a position from the log."""
    async with pasts(written, FIGURES) as past, pool_of(_dsn(written, FIGURES)) as pool:
        async with writing(pool, FIGURES) as connection:
            await FIGURES.apply(connection, written.entries)
        for number, as_of in enumerate(some_pasts(written, trials=8)):
            by = (By.CATEGORY, By.DEPARTMENT, By.COMMUNITY, By.DAY)[number % 4]
            async with past.asking(as_of) as seen:
                span = Span(seen.now)
                folded = await lines(seen.connection, BOOK, by, span)
            if isinstance(as_of, datetime):
                assert seen.now == as_of
                async with asking(pool, FIGURES.service) as connection:
                    assert await lines(connection, BOOK, by, span) == folded, (as_of, by)
            known = written.entries[:as_of] if isinstance(as_of, int) else written.entries
            counted = plain_counts(_by_case(known), by, span)
            assert {line["key"] for line in folded} == set(counted)
            for line in folded:
                counts = {name: line[name] for name in COUNTED}
                assert counts == {name: counted[line["key"]][name] for name in COUNTED}, (as_of, by)


def _by_case(entries: Sequence[Entry]) -> list[list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.case_id, []).append(entry)
    return list(found.values())


def _dsn(written: Written, model: ReadModel) -> str:
    return written.stack.postgres_dsn(f"whistle_{model.service}")


# The whole read models


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.service)
async def test_a_fold_up_to_the_end_is_what_the_service_keeps(written: Written, model: ReadModel) -> None:
    async with pasts(written, model) as past, pool_of(_dsn(written, model)) as pool:
        async with writing(pool, model) as connection:
            for table in model.tables:
                await connection.execute(f"TRUNCATE {table.name}")
            for case in _by_case(written.entries):
                if any(entry.envelope.origin in model.origins for entry in case):
                    await model.apply(connection, case)
        async with asking(pool, model.service) as connection:
            kept = [await _rows(Seen(connection, NOW), table) for table in model.tables]
        async with past.asking(len(written.raw)) as seen:
            assert [await _rows(seen, table) for table in model.tables] == kept
    assert any(kept)


async def _rows(seen: Seen, table: Table) -> list[tuple[object, ...]]:
    order = ", ".join(table.key)
    return [tuple(row) for row in await seen.connection.fetch(f"SELECT * FROM {table.name} ORDER BY {order}")]


async def test_one_case_alone_is_as_it_is_among_all(written: Written) -> None:
    chance = random.Random(seed_of_run())
    async with pasts(written, FIGURES) as past:
        for as_of in some_pasts(written, trials=4):
            case_id = chance.choice(written.entries).case_id
            async with past.asking(as_of, case_id=case_id) as seen:
                alone = [tuple(row) for row in await seen.connection.fetch("SELECT * FROM cases")]
            async with past.asking(as_of) as seen:
                query = "SELECT * FROM cases WHERE case_id = $1"
                assert [tuple(row) for row in await seen.connection.fetch(query, case_id)] == alone
                assert isinstance(as_of, int) or seen.now == as_of


# What is no past, and what goes wrong


@pytest.mark.parametrize("as_of", [10**9, NOW + timedelta(minutes=2)])
async def test_what_lies_ahead_is_refused(written: Written, as_of: datetime | int) -> None:
    async with pasts(written, QUEUES) as past:
        with pytest.raises(NotYet):
            async with past.asking(as_of):
                pytest.fail("nobody knows it")
        async with past.asking(len(written.raw)) as seen:  # the turn was given back
            assert seen.now == max(datetime.fromisoformat(event["recordedtime"]) for event in written.raw)


async def test_more_than_can_be_held_is_refused(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PAST_EVENTS_MAX >= 100_000
    monkeypatch.setattr("libs.events.past.PAST_EVENTS_MAX", 50)
    async with pasts(written, QUEUES) as past:
        with pytest.raises(PastTooLong):
            async with past.asking(len(written.raw)):
                pytest.fail("too much")


async def test_nothing_stays_behind(written: Written) -> None:
    async with pasts(written, QUEUES) as past, pool_of(_dsn(written, QUEUES)) as pool:
        async with past.asking(5):
            pass
        left = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"
        assert await pool.fetchval(left) == 0


async def test_a_case_that_cannot_be_folded_ends_where_it_was_parked_and_the_rest_goes_on(
    written: Written,
) -> None:
    filed = Fact(CaseFiled(category="0101", reason="rule"), Context(actor="story", time=BEGIN), "no-report")
    async with log_of(written.stack, "intake") as (log, _):
        [broken] = await log.append(History("z" * 20), [filed])
    async with pasts(written, FIGURES) as past, past.asking(broken.sequence) as seen:
        cases = await seen.connection.fetchval("SELECT count(*) FROM cases")
    assert cases == len(_by_case(written.entries))
