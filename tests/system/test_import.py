"""The import, for real: what comes into the log, that it comes once, and that no kill loses or doubles anything."""

import asyncio
import json
import lzma
import os
import random
import signal
import statistics
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import yaml

from cli.importing.importer import import_file
from cli.importing.mapping import Mapping, load
from cli.importing.sample import write
from cli.importing.tally import Tally
from cli.stack.state import Stack, repository
from libs.events.contracts.dispatch import Assigned
from libs.events.contracts.intake import CaseReported
from libs.events.envelope import Entry
from libs.events.ids import case_id_of_import
from libs.events.jetstream import JetStream
from libs.events.jetstream.reader import Credentials, read
from libs.events.log import Log, typed
from tests.support.stack import COMMAND_SECONDS_MAX, command_line, eventually, log_of, whistle

DATA: Final = Path(__file__).parents[1] / "data"
SAMPLE: Final = DATA / "import_boston.csv"
MAPPING: Final = repository() / "mappings" / "boston311.yaml"
RecordProperty = Callable[[str, object], None]
ROWS_FOR_KILLS: Final = 6_000
AS_OF: Final = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def mapping_path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Boston's mapping under a name of the test's own, so that tests share a log without meeting each other."""
    content = yaml.safe_load(MAPPING.read_text(encoding="utf-8"))
    content["system"] = request.node.name.replace("_", "-")
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture
def mapping(mapping_path: Path) -> Mapping:
    return load(mapping_path)


@asynccontextmanager
async def importer(stack: Stack) -> AsyncGenerator[tuple[Log, JetStream]]:
    async with log_of(stack, "importer") as both:
        yield both


async def imported(stack: Stack, path: Path, mapping: Mapping, rejects: Path) -> Tally:
    async with importer(stack) as (log, jetstream):
        return await import_file(path, mapping, log, jetstream, rejects_path=rejects)


async def in_log(stack: Stack, system: str) -> dict[str, list[Entry]]:
    """All events of a source, by case, straight from the log."""
    cases: dict[str, list[Entry]] = defaultdict(list)
    async with log_of(stack, "auditor") as (log, jetstream):
        last = await log.last_position()
        if last:
            async for events in read(jetstream, Credentials("auditor", stack.secret("auditor")), stop=last):
                for entry in map(typed, events):
                    if entry.envelope.actor == f"import:{system}":
                        cases[entry.case_id].append(entry)
    return cases


async def position(stack: Stack) -> int:
    async with log_of(stack, "auditor") as (log, _):
        return await log.last_position()


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def replace_in(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def facts_only(cases: dict[str, list[Entry]]) -> list[str]:
    """What was said, whoever's name it was said in: to compare two imports of one file."""
    return sorted(
        (entry.event.external.key if isinstance(entry.event, CaseReported) and entry.event.external else "")
        + "|".join(
            f"{each.name} {each.version} {each.envelope.time.isoformat()} {each.event.model_dump(exclude={'external'})}"
            for each in entries
        )
        for entries in cases.values()
        for entry in entries[:1]
    )


def assert_whole(cases: dict[str, list[Entry]]) -> None:
    """No fact is lost and none doubled: each case's versions are 1, 2, 3 ..., and no id stands twice."""
    for entries in cases.values():
        assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
    ids = [entry.envelope.id for entries in cases.values() for entry in entries]
    assert len(ids) == len(set(ids))


async def test_each_row_becomes_what_it_proves(servers: Stack, tmp_path: Path, mapping: Mapping) -> None:
    tally = await imported(servers, SAMPLE, mapping, tmp_path / "rejects.csv")
    cases = await in_log(servers, mapping.system)
    assert (tally.rows, tally.rows_added, tally.rows_there, tally.rejected) == (300, 300, 0, 0)
    assert sum(map(len, cases.values())) == tally.events_added
    assert not (tmp_path / "rejects.csv").exists()
    assert_whole(cases)
    assert {entry.envelope.origin for entries in cases.values() for entry in entries} == {"import"}

    case = cases[case_id_of_import(mapping.system, "900000000003")]
    assert [entry.name for entry in case] == ["reported", "filed", "assigned", "handled", "closed"]
    assert [entry.envelope.time.isoformat() for entry in case] == [
        *["2011-11-05T14:41:27-04:00"] * 3,
        *["2011-11-07T03:07:27-05:00"] * 2,  # summer time ended in between
    ]
    assigned = case[2].event
    assert isinstance(assigned, Assigned)
    assert assigned.department == "No D"
    assert assigned.due_at is not None
    assert assigned.due_at.isoformat() == "2011-11-05T18:41:27-04:00"


async def test_importing_again_adds_nothing(servers: Stack, tmp_path: Path, mapping: Mapping) -> None:
    first = await imported(servers, SAMPLE, mapping, tmp_path / "rejects.csv")
    before = await position(servers)
    packed = tmp_path / "again.csv.xz"
    packed.write_bytes(lzma.compress(SAMPLE.read_bytes()))
    again = await imported(servers, packed, mapping, tmp_path / "rejects.csv")
    assert first.events_added > 0
    assert (again.events_added, again.rows_there, again.rejected, again.rows_reworded) == (0, 300, 0, 0)
    assert await position(servers) == before


async def test_two_imports_of_one_file_at_once_add_it_once(
    servers: Stack, tmp_path: Path, mapping: Mapping
) -> None:
    both = await asyncio.gather(
        imported(servers, SAMPLE, mapping, tmp_path / "one.csv"),
        imported(servers, SAMPLE, mapping, tmp_path / "other.csv"),
    )
    cases = await in_log(servers, mapping.system)
    assert_whole(cases)
    assert len(cases) == 300
    assert [tally.rejected for tally in both] == [0, 0]


async def test_a_row_that_changed_adds_only_what_is_new(
    servers: Stack, tmp_path: Path, mapping: Mapping
) -> None:
    later = tmp_path / "later.csv"
    content = SAMPLE.read_text(encoding="utf-8")
    still_open = "900000000000,2011-11-05 14:33:31,2011-11-05 18:33:31,,"
    assert still_open in content
    later.write_text(content.replace(still_open, f"{still_open[:-1]}2011-11-08 09:00:00,"), encoding="utf-8")
    await imported(servers, SAMPLE, mapping, tmp_path / "rejects.csv")
    tally = await imported(servers, later, mapping, tmp_path / "rejects.csv")
    assert (tally.events_added, tally.rows_added, tally.rows_there) == (2, 1, 299)
    case = (await in_log(servers, mapping.system))[case_id_of_import(mapping.system, "900000000000")]
    assert [entry.name for entry in case] == ["reported", "filed", "assigned", "handled", "closed"]


async def test_rows_of_one_case_are_taken_in_the_order_of_the_file(
    servers: Stack, tmp_path: Path, mapping: Mapping
) -> None:
    header, first, *_ = lines_of(SAMPLE)
    closed = first.replace("18:33:31,,", "18:33:31,2011-11-08 09:00:00,", 1)
    contradicting = first.replace("18:33:31,,", "18:33:31,2011-11-09 09:00:00,", 1)
    path = tmp_path / "history.csv"
    path.write_text(header + first + closed + first + contradicting + closed, encoding="utf-8")
    tally = await imported(servers, path, mapping, tmp_path / "rejects.csv")
    assert (tally.events_added, tally.rows_added, tally.rows_there, tally.rejected) == (5, 2, 2, 1)
    line, column, value, reason = lines_of(tmp_path / "rejects.csv")[1].strip().split(",")
    assert (line, column, value) == ("5", "closed_dt", "2011-11-09T09:00:00-05:00")
    assert "2011-11-08T09:00:00-05:00" in reason


async def test_what_cannot_be_taken_is_named_and_the_rest_is_in(
    servers: Stack, tmp_path: Path, mapping_path: Path
) -> None:
    rejects = tmp_path / "no.csv"
    arguments = ("import", str(DATA / "import_rejects.csv"), "--mapping", str(mapping_path), "--no-wait")
    done = whistle(servers, *arguments, "--rejects", str(rejects))
    assert done.returncode == 1, done.stderr
    assert f"10 rows rejected, with line, column and reason in {rejects}" in done.stderr
    found = sorted((line.split(",")[0:2] for line in lines_of(rejects)[1:]), key=lambda cells: int(cells[0]))
    assert found == [
        ["3", "open_dt"],
        ["4", "closed_dt"],
        ["6", ""],
        ["7", "case_enquiry_id"],
        ["8", "latitude"],
        ["9", "type"],
        ["10", "department"],
        ["11", "open_dt"],
        ["13", ""],
        ["15", "closed_dt"],
    ]
    allowed = whistle(servers, *arguments, "--rejects", str(rejects), "--allow-rejects", "--json")
    assert allowed.returncode == 0, allowed.stderr
    result = json.loads(allowed.stdout)
    assert result["rejected"] == 10
    assert result["rows_there"] == 3
    assert result["events_added"] == 0
    assert result["rejects_file"] == str(rejects)


async def test_what_cannot_be_read_is_refused_before_anything_is_written(
    servers: Stack, tmp_path: Path, mapping_path: Path
) -> None:
    before = await position(servers)
    header, *rows = lines_of(SAMPLE)
    files = {
        "missing.csv": (header.replace("open_dt", "opened") + "".join(rows)).encode(),
        "latin.csv": (header + "".join(rows)).encode("utf-8").replace("É".encode(), b"\xc9"),
        "broken.csv.xz": lzma.compress(SAMPLE.read_bytes())[:-20],
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        done = whistle(servers, "import", str(tmp_path / name), "--mapping", str(mapping_path))
        assert done.returncode == 2, (name, done.stderr)
        assert name in done.stderr
        assert len(done.stderr.splitlines()) == 1
    replace_in(mapping_path, "America/New_York", "America/Bostn")
    done = whistle(servers, "import", str(SAMPLE), "--mapping", str(mapping_path))
    assert done.returncode == 2
    assert "time_zone: no such time zone: 'America/Bostn'" in done.stderr
    assert await position(servers) == before


async def test_looking_writes_nothing(servers: Stack, mapping_path: Path) -> None:
    before = await position(servers)
    done = whistle(servers, "import", str(SAMPLE), "--mapping", str(mapping_path), "--check")
    assert done.returncode == 0, done.stderr
    assert "300 rows" in done.stdout
    assert "900000000000" in done.stdout
    assert await position(servers) == before


@pytest.mark.full  # tests/faults has it through the whole stack
async def test_an_import_that_is_killed_goes_on(
    servers: Stack, tmp_path: Path, mapping: Mapping, mapping_path: Path, record_property: RecordProperty
) -> None:
    path, seed = tmp_path / "many.csv", random.randrange(1_000_000)
    record_property("seed", seed)
    write(path, ROWS_FOR_KILLS)
    chance = random.Random(seed)
    for _ in range(2):
        aim = await position(servers) + chance.randint(500, ROWS_FOR_KILLS * 2)
        process = command_line(servers, "import", str(path), "--mapping", str(mapping_path), "--no-wait")

        async def is_there(aim: int = aim) -> bool:
            return await position(servers) >= aim

        await eventually(is_there)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it had ended before the kill"
    end = whistle(servers, "import", str(path), "--mapping", str(mapping_path), "--no-wait", "--json")
    assert end.returncode == 0, end.stderr
    assert json.loads(end.stdout)["rows_there"] > 0
    cases = await in_log(servers, mapping.system)
    assert_whole(cases)
    await assert_as_undisturbed(servers, tmp_path, mapping, path, cases)


@pytest.mark.full  # tests/faults has it through the whole stack
async def test_a_server_that_is_killed_is_waited_for(
    servers: Stack, tmp_path: Path, mapping: Mapping, mapping_path: Path, record_property: RecordProperty
) -> None:
    path, seed = tmp_path / "many.csv", random.randrange(1_000_000)
    record_property("seed", seed)
    write(path, ROWS_FOR_KILLS)
    aim = await position(servers) + random.Random(seed).randint(500, ROWS_FOR_KILLS * 3)
    process = command_line(
        servers, "import", str(path), "--mapping", str(mapping_path), "--no-wait", "--json"
    )

    async def is_there() -> bool:
        return await position(servers) >= aim

    await eventually(is_there)
    now = Stack.load(servers.home)
    os.kill(next(running.pid for running in now.processes if running.name == "nats"), signal.SIGKILL)
    out, err = process.communicate(timeout=COMMAND_SECONDS_MAX)
    assert process.returncode == 0, err
    result = json.loads(out)
    cases = await in_log(servers, mapping.system)
    assert_whole(cases)
    assert result["events_added"] == sum(map(len, cases.values())), "an unknown outcome was counted wrongly"
    assert result["rows_added"] == ROWS_FOR_KILLS
    await assert_as_undisturbed(servers, tmp_path, mapping, path, cases)


async def assert_as_undisturbed(
    servers: Stack, tmp_path: Path, mapping: Mapping, path: Path, cases: dict[str, list[Entry]]
) -> None:
    """The same file under another name, imported without any disturbance, says the same."""
    other = mapping.model_copy(update={"system": f"{mapping.system}-calm"})
    await imported(servers, path, other, tmp_path / "rejects.csv")
    assert facts_only(cases) == facts_only(await in_log(servers, other.system))


async def test_the_whole_of_a_real_city(servers: Stack, tmp_path: Path) -> None:
    place = os.environ.get("WHISTLE_BOSTON_CSV")
    if not place:
        pytest.skip("WHISTLE_BOSTON_CSV is not set: the city's file is not part of the project")
    real = Path(place)
    expected = json.loads(expected_beside(real))
    arguments = ("import", str(real), "--mapping", str(MAPPING), "--no-wait", "--json")
    first = json.loads(whistle(servers, *arguments, "--rejects", str(tmp_path / "rejects.csv")).stdout)
    assert (first["rows"], first["rows_added"], first["rejected"]) == (58_251, 58_251, 0)
    cases = await outlines(servers, "boston311")
    assert sum(case["events"] for case in cases.values()) == first["events_added"]
    assert scoreboard(cases.values()) == expected


async def outlines(stack: Stack, system: str) -> dict[str, dict[str, Any]]:
    """Each case's times and department, read as plain JSON: nothing of the program is between file and figures."""
    cases: dict[str, dict[str, Any]] = defaultdict(lambda: {"events": 0, "due": None, "closed": None})
    async with log_of(stack, "auditor") as (log, jetstream):
        last = await log.last_position()
        async for events in read(jetstream, Credentials("auditor", stack.secret("auditor")), stop=last):
            for event in map(orjson.loads, (raw.payload for raw in events)):
                if event["actor"] != f"import:{system}":
                    continue
                case, data = cases[event["subject"]], event["data"]
                case["events"] += 1
                match event["type"]:
                    case "whistle.case.reported.v1":
                        case["reported"] = datetime.fromisoformat(event["time"])
                    case "whistle.case.assigned.v1":
                        case["department"] = data["department"]
                        case["due"] = datetime.fromisoformat(data["due_at"]) if data.get("due_at") else None
                    case "whistle.case.closed.v1":
                        case["closed"] = datetime.fromisoformat(event["time"])
                    case _:
                        pass
    return cases


def expected_beside(real: Path) -> str:
    return (real.parent / f"{real.name.partition('.')[0]}.expected.json").read_text(encoding="utf-8")


def scoreboard(cases: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table by department as of AS_OF, in the plainest way."""
    rows: dict[str, dict[str, Any]] = {}
    hours: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        key, due = case["department"], case["due"]
        closed = case["closed"] if case["closed"] and case["closed"] <= AS_OF else None
        row = rows.setdefault(key, {"key": key, "cases": 0, "closed": 0, "due": 0, "overdue": 0, "met": 0})
        row["cases"] += 1
        if closed is not None:
            row["closed"] += 1
            hours[key].append((closed - case["reported"]).total_seconds() / 3600)
        if due is not None:
            row["due"] += 1
            met = closed is not None and closed <= due
            row["met"] += met
            row["overdue"] += not met and (closed or AS_OF) > due
    for key, row in rows.items():
        row["median_hours_to_close"] = round(statistics.median(hours[key]), 2) if hours[key] else None
    return [rows[key] for key in sorted(rows)]
