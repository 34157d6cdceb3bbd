"""Read models built anew from the log: equal to the old ones, which answer all along, and caught when they are not."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, Final

import asyncpg
import pytest

from cli.client import ask
from cli.stack.beside import PYTHON
from cli.stack.state import Stack, repository
from libs.events import rebuild as rebuild_module
from libs.events.comparing import Report
from libs.events.contracts.evaluation import CaseClosed
from libs.events.envelope import Entry
from libs.events.errors import RebuildRefused, SchemaMismatch
from libs.events.jetstream.reader import Credentials
from libs.events.projection import set_aside
from libs.events.readmodel import Connection, Pool, ReadModel, Table, asking, pool_of, prepare, writing
from libs.events.rebuild import Rebuild
from libs.events.rebuild_filling import PARKED_ANEW_MAX
from libs.events.rebuild_parts import PARTS_MAX, Together
from services.evaluation.views import MODEL
from tests.support.cases import act, caught_up, import_cases, report, until_in_log, verify
from tests.support.halting import halted
from tests.support.stack import environment, eventually, log_of, whistle

CASES: Final = 4_000
EVENTS: Final = 5 * CASES
RESIDENTS: Final = 8
SMALL: Final = 2 * PARKED_ANEW_MAX


# The command, on a running stack.


@pytest.fixture(scope="module")
def city(stack: Stack) -> Stack:
    """A stack with enough history to rebuild for a while."""

    async def fill() -> None:
        await import_cases(stack, [str(number) for number in range(CASES)])
        await caught_up(stack, "evaluation", "dispatch", "notify")

    asyncio.run(fill())
    return stack


def rebuilt(city: Stack, service: str, *options: str, code: int = 0) -> dict[str, Any]:
    done = whistle(city, "rebuild", service, "--json", *options)
    assert done.returncode == code, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def scores(city: Stack) -> Any:
    query = {"by": "department", "as_of": "2020-01-01T00:00:00Z"}
    return ask(city.service_url("evaluation"), "/scoreboard", query=query)


async def generations(city: Stack, service: str = "evaluation") -> dict[int, bool]:
    """The numbers of the generations there are, with whether they are active."""
    connection = await asyncpg.connect(city.postgres_dsn(f"whistle_{service}"))
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            rows = await connection.fetch(f"SELECT generation, active FROM {service}.generations")
            schemas = await connection.fetch(
                "SELECT nspname FROM pg_namespace WHERE nspname ~ $1", f"^{service}_g[0-9]+$"
            )
    finally:
        await connection.close()
    assert {row["nspname"] for row in schemas} == {f"{service}_g{row['generation']}" for row in rows}
    return {row["generation"]: row["active"] for row in rows}


@pytest.mark.parametrize(
    ("service", "tables"),
    [
        ("evaluation", ["cases", "renamed", "assignments", "undone", "marks", "patrols"]),
        (
            "dispatch",
            ["queue", "summons", "patrols", "patrol_points", "patrol_finds", "reported_by_others"],
        ),
        ("notify", []),
        ("intake", ["reports", "requests", "request_steps"]),
    ],
)
def test_a_rebuild_gives_equal_digests_and_switches(city: Stack, service: str, tables: list[str]) -> None:
    before = scores(city)
    told = rebuilt(city, service)
    assert told["switched"]
    assert told["events"] >= EVENTS
    assert told["new_generation"] == told["old_generation"] + 1
    assert [table["name"] for table in told["tables"]] == tables
    for table in told["tables"]:
        assert table["old_digest"] == table["new_digest"]
        assert (table["different_cases"], table["columns_not_compared"]) == (0, [])
    assert (told["cases_ahead"], told["cases_parked_anew"], told["differs"]) == (0, 0, False)
    kept = asyncio.run(generations(city, service))
    assert kept == {told["old_generation"]: False, told["new_generation"]: True}
    assert scores(city) == before


def test_a_person_sees_digests_and_what_was_switched(city: Stack) -> None:
    done = whistle(city, "rebuild", "evaluation")
    assert done.returncode == 0
    assert "cases" in done.stdout
    assert "yes · 一致" in done.stdout
    assert "switched from generation" in done.stdout
    assert f"{EVENTS:,} events in" in done.stdout


async def test_the_old_read_models_answer_all_along(city: Stack) -> None:
    before = scores(city)
    rebuilding = asyncio.create_task(asyncio.to_thread(rebuilt, city, "evaluation"))
    answers = 0
    while not rebuilding.done():
        assert await asyncio.to_thread(scores, city) == before
        answers += 1
    assert (await rebuilding)["switched"]
    assert answers > 5
    assert scores(city) == before


def started(city: Stack, service: str) -> "subprocess.Popen[str]":
    """The process that rebuilds, as the command starts it."""
    settings = environment(city.home) | {
        "WHISTLE_NATS_URL": city.nats_url,
        "WHISTLE_NATS_USER": service,
        "WHISTLE_NATS_PASSWORD": city.secret(service),
        "WHISTLE_POSTGRES_DSN": city.postgres_dsn(f"whistle_{service}"),
    }
    arguments = [*PYTHON, f"services.{service}.rebuild"]
    return subprocess.Popen(
        arguments, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


@contextmanager
def not_switched(city: Stack) -> Generator[None]:
    """Meanwhile a rebuild of evaluation comes as far as the switch, and waits there."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(city.postgres_dsn("whistle_evaluation")))
        runner.run(connection.execute("BEGIN"))
        runner.run(connection.execute("SELECT FROM evaluation.generations WHERE active FOR SHARE"))
        try:
            yield
        finally:
            runner.run(connection.close())


@pytest.mark.parametrize(
    "batches", [pytest.param(1, marks=pytest.mark.full), 2, pytest.param(3, marks=pytest.mark.full)]
)
def test_killed_in_the_middle_it_can_be_run_again(city: Stack, batches: int) -> None:
    before, kept = scores(city), asyncio.run(generations(city))
    with not_switched(city), started(city, "evaluation") as process:
        assert process.stdout is not None
        for _ in range(batches):
            assert "progress" in json.loads(process.stdout.readline())
        process.kill()
    assert process.returncode == -signal.SIGKILL
    left = asyncio.run(generations(city))
    assert [number for number, active in left.items() if active] == [max(kept)]
    assert len(left) == len(kept) + 1
    assert scores(city) == before
    told = rebuilt(city, "evaluation")
    assert told["switched"]
    assert told["old_generation"] == max(kept)
    assert set(asyncio.run(generations(city))) == {told["old_generation"], told["new_generation"]}
    assert scores(city) == before


def test_a_killed_command_takes_its_process_along(city: Stack) -> None:
    begun = len(asyncio.run(generations(city)))
    with (
        not_switched(city),
        subprocess.Popen(
            [*PYTHON, "cli", "rebuild", "evaluation", "--json"],
            env=environment(city.home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        asyncio.run(eventually(lambda: _more_generations(city, begun)))
        process.send_signal(signal.SIGKILL)
        assert process.stderr is not None
        process.stderr.read()  # ends when the last process that holds it has ended
    assert rebuilt(city, "evaluation")["switched"]


def test_an_interrupted_command_ends_without_a_word_too_many(city: Stack) -> None:
    begun = len(asyncio.run(generations(city)))
    with (
        not_switched(city),
        subprocess.Popen(
            [*PYTHON, "cli", "rebuild", "evaluation", "--json"],
            env=environment(city.home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        asyncio.run(eventually(lambda: _more_generations(city, begun)))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert rebuilt(city, "evaluation")["switched"]


async def _more_generations(city: Stack, begun: int) -> bool:
    return len(await generations(city)) > begun


def test_of_two_at_once_the_second_is_refused(city: Stack) -> None:
    with started(city, "evaluation") as first:
        assert first.stdout is not None
        with not_switched(city):
            first.stdout.readline()
            with halted(first.pid):
                second = whistle(city, "rebuild", "evaluation")
        lines = first.stdout.read().splitlines()
    assert second.returncode == 1
    assert "another rebuild of evaluation is running" in second.stderr
    assert json.loads(lines[-1])["report"]["switched"]


async def test_what_differs_is_named_and_not_switched_unless_it_is_accepted(city: Stack) -> None:
    [expected] = [score["overdue"] for score in scores(city) if score["key"] == "ISD"]
    async with pool_of(city.postgres_dsn("whistle_evaluation")) as pool, writing(pool, MODEL) as connection:
        changed = await connection.fetch(
            "UPDATE cases SET closed_at = closed_at + '1 day', handled_at = handled_at + '1 day' WHERE case_id IN"
            " (SELECT case_id FROM assignments WHERE department = 'ISD' ORDER BY case_id LIMIT 20)"
            " RETURNING case_id"
        )
    wrong = scores(city)
    told = await asyncio.to_thread(rebuilt, city, "evaluation", code=1)
    assert (told["switched"], told["differs"]) == (False, True)
    cases, assignments, *_ = told["tables"]
    assert (cases["different_cases"], assignments["different_cases"]) == (20, 0)
    assert cases["examples"] == sorted(record["case_id"] for record in changed)[:10]
    assert cases["old_digest"] != cases["new_digest"]
    assert scores(city) == wrong
    shown = whistle(city, "rebuild", "evaluation")
    assert shown.returncode == 1
    assert "20 cases differ" in shown.stdout
    assert "--accept-differences" in shown.stdout
    assert (await asyncio.to_thread(rebuilt, city, "evaluation", "--accept-differences"))["switched"]
    assert [score["overdue"] for score in scores(city) if score["key"] == "ISD"] == [expected]


def test_going_back_first_applies_what_has_happened_since(city: Stack) -> None:
    forth = rebuilt(city, "evaluation")
    since = [f"since-{number}" for number in range(1_500)]  # more than the switch does itself
    asyncio.run(import_cases(city, since))
    asyncio.run(caught_up(city, "evaluation"))
    before = scores(city)
    back = rebuilt(city, "evaluation", "--back")
    assert (back["switched"], back["differs"], back["cases_ahead"]) == (True, False, 0)
    assert (back["old_generation"], back["new_generation"]) == (
        forth["new_generation"],
        forth["old_generation"],
    )
    assert back["events"] == len(since)
    assert scores(city) == before
    asyncio.run(import_cases(city, ["and-it-goes-on"]))
    asyncio.run(caught_up(city, "evaluation"))
    assert sum(score["cases"] for score in scores(city)) == sum(score["cases"] for score in before) + 1
    gone = whistle(city, "rebuild", "evaluation", "--back")
    assert gone.returncode == 1
    assert "no generation before" in gone.stderr
    assert rebuilt(city, "evaluation")["switched"]


@pytest.mark.full
async def test_nothing_is_lost_while_events_flow_in(city: Stack) -> None:
    done = asyncio.Event()
    living = asyncio.gather(*(_live(city, done) for _ in range(RESIDENTS)))
    try:
        reports = [
            await asyncio.to_thread(rebuilt, city, service)
            for service in ("evaluation", "dispatch", "notify", "evaluation")
        ]
    finally:
        done.set()
        case_ids = [case_id for each in await living for case_id in each]
    assert all(told["switched"] for told in reports)
    assert len(case_ids) > 5 * RESIDENTS
    for case_id in case_ids:  # no reaction was lost at a switch
        history = await until_in_log(city, case_id, "closed")
        assert [entry.name for entry in history.entries].count("closed") == 1
    await caught_up(city, "evaluation", "dispatch", "notify")
    for service in ("evaluation", "dispatch"):
        told = await asyncio.to_thread(rebuilt, city, service)
        assert told["switched"]
        assert [table["old_digest"] for table in told["tables"]] == [
            table["new_digest"] for table in told["tables"]
        ]
    states = ask(city.service_url("evaluation"), "/states")
    assert states["cases"] == states["closed"] == CASES + len(case_ids)


async def _live(city: Stack, done: asyncio.Event) -> list[str]:
    """Live cases, reported and handled one after another until *done*; their ids."""
    case_ids: list[str] = []
    while not done.is_set():
        case_id = (await asyncio.to_thread(report, city))["case_id"]
        await until_in_log(city, case_id, "assigned")
        for verb in ("accept", "handle"):
            await asyncio.to_thread(act, city, "water", case_id, verb)
        await asyncio.to_thread(verify, city, case_id)
        case_ids.append(case_id)
    return case_ids


# The library, with read models of other code, where no service runs.


@asynccontextmanager
async def opened(servers: Stack) -> AsyncGenerator["Bench"]:
    """Evaluation's read models, up to date with some imported cases."""
    user = "evaluation"
    async with (
        pool_of(servers.postgres_dsn("whistle_evaluation")) as pool,
        log_of(servers, user) as (log, js),
    ):
        if not await log.last_position():
            await import_cases(servers, [str(number) for number in range(SMALL)])
        await prepare(pool, MODEL)
        credentials = Credentials(user, servers.secret(user))

        def make(model: ReadModel, together: Together | None = None) -> Rebuild:
            return Rebuild(model, pool, log, js, credentials, together=together)

        bench = Bench(pool, make)
        await bench.rebuild(MODEL, accept_differences=True)
        yield bench


class Bench:
    """Rebuilds with any model."""

    def __init__(self, pool: Pool, make: Callable[..., Rebuild]) -> None:
        self.pool = pool
        self.make = make

    async def rebuild(self, model: ReadModel, *, accept_differences: bool = False) -> Report:
        positions: list[int] = []
        report = await self.make(model).run(
            lambda progress: positions.append(progress.position), accept_differences=accept_differences
        )
        assert positions[-1] == report.events
        return report

    async def count(self, table: str) -> int:
        async with asking(self.pool, "evaluation") as connection:
            return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def forgetful(connection: Connection, fresh: Sequence[Entry]) -> None:
    """As the real one, but it overlooks every closure of one department."""
    await MODEL.apply(
        connection,
        [
            each
            for each in fresh
            if not (isinstance(each.event, CaseClosed) and each.event.department == "ISD")
        ],
    )


async def test_a_version_that_drops_something_is_caught(servers: Stack) -> None:
    async with opened(servers) as bench:
        told = await bench.rebuild(replace(MODEL, apply=forgetful))
        assert (told.switched, told.differs) == (False, True)
        by_name = {table.name: table for table in told.tables}
        assert by_name["cases"].different_cases == SMALL // 3 + (SMALL % 3 > 1)
        assert by_name["assignments"].different_cases == 0
        assert await bench.count("cases WHERE closed_at IS NULL") == 0


async def test_a_version_that_fails_for_one_case_is_caught(servers: Stack) -> None:
    async with opened(servers) as bench:
        async with asking(bench.pool, "evaluation") as connection:
            unlucky = await connection.fetchval("SELECT max(case_id) FROM cases")

        async def fragile(connection: Connection, fresh: Sequence[Entry]) -> None:
            if any(each.case_id == unlucky for each in fresh):
                raise ZeroDivisionError("a bug")
            await MODEL.apply(connection, fresh)

        told = await bench.rebuild(replace(MODEL, apply=fragile))
        assert (told.switched, told.cases_parked_anew, told.parked_examples) == (False, 1, (unlucky,))
        assert not any(table.different_cases for table in told.tables)


async def test_a_version_that_fails_for_every_case_is_ended_early(servers: Stack) -> None:
    async def broken(_connection: Connection, _fresh: Sequence[Entry]) -> None:
        raise ZeroDivisionError("a bug")

    async with opened(servers) as bench:
        with pytest.raises(RebuildRefused, match="ZeroDivisionError: a bug"):
            await bench.rebuild(replace(MODEL, apply=broken))
        assert await bench.count("cases") == SMALL
        assert (await bench.rebuild(MODEL)).switched


async def test_parked_cases_stay_parked_since_their_reactions_are_still_owed(servers: Stack) -> None:
    async with opened(servers) as bench:
        async with writing(bench.pool, MODEL) as connection:
            case_id = await connection.fetchval("SELECT min(case_id) FROM cases")
            error = RuntimeError("nobody answers for it")
            version, reason = await set_aside(connection, case_id, error, "evaluation")
        assert (await bench.rebuild(MODEL)).switched
        async with asking(bench.pool, "evaluation") as connection:
            [parked] = await connection.fetch("SELECT case_id, version, reason FROM parked")
            assert tuple(parked) == (case_id, version, reason)
            assert await connection.fetchval("SELECT parked FROM positions WHERE case_id = $1", case_id)
        async with writing(bench.pool, MODEL) as connection:
            await connection.execute("DELETE FROM parked")
            await connection.execute("UPDATE positions SET parked = false")


async def test_new_columns_are_named_and_do_not_hinder_and_old_code_writes_no_more(servers: Stack) -> None:
    schema = (
        MODEL.schema + "ALTER TABLE cases ADD COLUMN rating integer; CREATE TABLE ratings (case_id text);"
    )
    newer = replace(MODEL, schema=schema, tables=(*MODEL.tables, Table("ratings", ("case_id",))))
    async with opened(servers) as bench:
        told = await bench.rebuild(newer)
        assert told.switched
        cases, *_, ratings = told.tables
        assert (cases.columns_not_compared, cases.different_cases) == (("rating",), 0)
        assert (ratings.old_digest, ratings.different_cases) == (None, 0)
        with pytest.raises(SchemaMismatch, match="whistle rebuild evaluation"):
            async with writing(bench.pool, MODEL):
                pass
        with pytest.raises(SchemaMismatch):
            await prepare(bench.pool, MODEL)
        assert (await bench.rebuild(MODEL)).switched


async def test_what_the_old_tables_do_not_hold_yet_is_counted(servers: Stack) -> None:
    async with opened(servers) as bench:
        async with writing(bench.pool, MODEL) as connection:
            await connection.execute("DELETE FROM assignments; DELETE FROM cases; DELETE FROM positions")
        told = await bench.rebuild(MODEL)
        assert (told.switched, told.cases_ahead) == (True, SMALL)
        assert await bench.count("cases") == SMALL


async def test_without_read_models_there_is_nothing_to_rebuild(servers: Stack) -> None:
    async with opened(servers) as bench:
        with pytest.raises(RebuildRefused, match="start it first"):
            await bench.rebuild(replace(MODEL, service="evaluation_of_nobody"))


# Going back.


def unseen(_: object) -> None:
    """Progress that nobody looks at."""


async def test_going_back_passes_the_same_gate(servers: Stack) -> None:
    async with opened(servers) as bench:
        wrong = await bench.rebuild(replace(MODEL, apply=forgetful), accept_differences=True)
        assert wrong.switched
        assert await bench.count("cases WHERE closed_at IS NULL") > 0
        stays = await bench.make(MODEL).back(unseen)
        assert (stays.switched, stays.differs) == (False, True)
        assert await bench.count("cases WHERE closed_at IS NULL") > 0
        assert (await bench.make(MODEL).back(unseen, accept_differences=True)).switched
        assert await bench.count("cases WHERE closed_at IS NULL") == 0


async def test_only_the_code_that_made_it_goes_back_to_a_generation(servers: Stack) -> None:
    newer = replace(MODEL, schema=MODEL.schema + "ALTER TABLE cases ADD COLUMN rating integer;")
    async with opened(servers) as bench:
        assert (await bench.rebuild(newer)).switched
        with pytest.raises(RebuildRefused, match="made by other code"):
            await bench.make(newer).back(unseen)
        told = await bench.make(MODEL).back(unseen)
        assert (told.switched, told.differs) == (True, False)
        await prepare(bench.pool, MODEL)  # the older code is at home again


async def test_a_case_that_was_taken_up_since_is_not_parked_again_by_going_back(servers: Stack) -> None:
    async with opened(servers) as bench:
        async with writing(bench.pool, MODEL) as connection:
            case_id = await connection.fetchval("SELECT max(case_id) FROM cases")
            await connection.execute("DELETE FROM assignments WHERE case_id = $1", case_id)
            await connection.execute("DELETE FROM cases WHERE case_id = $1", case_id)
            await connection.execute("UPDATE positions SET version = 0 WHERE case_id = $1", case_id)
            await set_aside(connection, case_id, RuntimeError("nobody answers for it"), "evaluation")
        assert (await bench.rebuild(MODEL)).switched
        async with writing(bench.pool, MODEL) as connection:
            await connection.execute("DELETE FROM parked")
            await connection.execute("UPDATE positions SET parked = false")
        told = await bench.make(MODEL).back(unseen)
        assert (told.switched, told.differs, told.cases_parked_anew) == (True, False, 0)
        assert await bench.count("parked") == 0
        assert await bench.count("cases") == SMALL


# Several processes.


def part_of(servers: Stack, *prefix: str) -> tuple[str, ...]:
    """The command line of one that helps."""
    settings = {
        "PYTHONPATH": str(repository()),
        "WHISTLE_LOG_LEVEL": "error",
        "WHISTLE_NATS_URL": servers.nats_url,
        "WHISTLE_NATS_USER": "evaluation",
        "WHISTLE_NATS_PASSWORD": servers.secret("evaluation"),
        "WHISTLE_POSTGRES_DSN": servers.postgres_dsn("whistle_evaluation"),
    }
    told = [f"{name}={value}" for name, value in settings.items()]
    return "env", *told, *PYTHON, "services.evaluation.rebuild", *prefix


async def test_processes_share_the_cases_of_a_large_log(
    servers: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_module, "EVENTS_TOGETHER_MIN", 1)
    own: set[str] = set()

    async def counted(connection: Connection, fresh: Sequence[Entry]) -> None:
        own.update(each.case_id for each in fresh)
        await MODEL.apply(connection, fresh)

    async with opened(servers) as bench:
        helped = bench.make(replace(MODEL, apply=counted), Together(part_of(servers), PARTS_MAX))
        positions: list[int] = []
        told = await helped.run(lambda progress: positions.append(progress.position))
        assert (told.switched, told.differs, told.cases_ahead) == (True, False, 0)
        assert positions == sorted(positions)
        assert positions[-1] == told.events
        assert 0 < len(own) < SMALL / 2
        assert await bench.count("cases") == SMALL
        with pytest.raises(RebuildRefused, match="part 1 of the rebuild was ended"):
            await bench.make(MODEL, Together(("false",), 2)).run(unseen)
        assert (await bench.rebuild(MODEL)).switched


def helping(servers: Stack, *told: str) -> "subprocess.Popen[str]":
    """A part that reads, and ends with the pipe that it was given."""
    pipe = subprocess.PIPE
    return subprocess.Popen(part_of(servers, *told), stdin=pipe, stdout=pipe, text=True)


async def test_a_part_ends_with_the_one_that_started_it(servers: Stack) -> None:
    async with opened(servers) as bench:
        generation = await bench.pool.fetchval("SELECT generation FROM evaluation.generations WHERE active")
        beyond = ("--part", "1/2", "--generation", str(generation), "--last", "1000000000")
        process = helping(servers, *beyond)
        assert process.stdin is not None
        await eventually(lambda: _holds_the_lock(bench.pool))
        with pytest.raises(RebuildRefused, match="another rebuild"):
            await bench.rebuild(MODEL)
        process.stdin.close()
        assert await asyncio.to_thread(process.wait, 60) != 0
        assert process.stdout is not None
        process.stdout.close()
        assert (await bench.rebuild(MODEL)).switched


async def _holds_the_lock(pool: Pool) -> bool:
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted"
    return bool(await pool.fetchval(held))
