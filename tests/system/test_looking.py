"""Report, show, watch, scoreboard on a running stack, and every command that docs/commands.md shows."""

import asyncio
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from cli.stack.state import Stack, repository
from libs.events.log import History
from tests.support.cases import (
    VERIFIER,
    caught_up,
    import_cases,
    live_case_to_its_end,
    report,
    until_in_log,
)
from tests.support.stack import COMMAND_SECONDS_MAX, command_line, environment, log_of, whistle

IMPORTED = "boston311/101000295613"
STEPS = ["reported", "filed", "assigned", "accepted", "handled", "verified", "closed"]
KEYS = ["key", "cases", "closed", "due", "overdue", "met", "median_hours_to_close"]


@dataclass(frozen=True)
class City:
    """A stack with one live case that went all its way, and imported ones."""

    stack: Stack
    tracking: str
    history: History

    @property
    def case_id(self) -> str:
        return self.history.case_id

    def events(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.out("show", *arguments, "--json"))
        return found

    def out(self, *arguments: str) -> str:
        done = whistle(self.stack, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def city(stack: Stack) -> City:
    async def fill() -> City:
        await import_cases(stack, ["101000295613", *(str(number) for number in range(29))])
        tracking, history = await live_case_to_its_end(stack)
        await caught_up(stack, "evaluation")
        return City(stack, tracking, history)

    return asyncio.run(fill())


# report


def test_report_prints_what_a_reporter_keeps(city: City) -> None:
    told = city.out("report", "--category", "1401", "--description", "Leck", "--community", "matou")
    tracking = re.search(r"[0-9A-Z]{4}(-[0-9A-Z]{4}){3}", told)
    assert tracking is not None
    assert city.events(tracking[0])[0]["data"]["channel"] == "cli"


def test_report_as_json_has_tracking_number_and_case_id(city: City) -> None:
    receipt = json.loads(
        city.out(
            *("report", "--category", "1401", "--description", "x", "--community", "matou"),
            *("--address", "Hebin 1", "--lat", "39.9", "--lon", "116.4", "--json"),
        )
    )
    assert sorted(receipt) == ["case_id", "tracking_number"]
    place = city.events(receipt["case_id"])[0]["data"]["place"]
    assert (place["address"], place["latitude"], place["longitude"]) == ("Hebin 1", 39.9, 116.4)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--description", "x"), 2, "--category"),
        (("--category", "1401", "--description", "x", "--lat", "1"), 2, "both or none"),
        (("--category", "9999", "--description", "x"), 1, "no category '9999'"),
        (("--category", "1401", "--description", "x" * 4001), 1, "description"),
    ],
)
def test_report_refuses_with_a_reason(city: City, arguments: tuple[str, ...], code: int, told: str) -> None:
    done = whistle(city.stack, "report", *arguments)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


# show


def test_show_prints_every_step_with_who_and_why(city: City) -> None:
    shown = city.out("show", city.tracking)
    rows = [line for line in shown.splitlines() if line.startswith("│")]
    assert [row.split("│")[3].split()[0] for row in rows] == STEPS
    assert all("+08:00" in row.split("│")[1] for row in rows)
    assert [row.split("│")[4].strip() for row in rows] == [
        *("resident", "system:intake", "system:dispatch"),
        *("department:water", "department:water", VERIFIER, VERIFIER),
    ]
    assert "rule pipes" in rows[2]
    assert "after filed (2)" in rows[2]
    assert "water" in rows[2]
    assert rows[0].split("│")[2].strip() == ""
    assert all(float(row.split("│")[2]) >= 0 for row in rows[1:])


def test_show_as_json_gives_the_cloud_events_whole(city: City) -> None:
    events = city.events(city.case_id)
    assert [event["type"] for event in events] == [f"whistle.case.{step}.v1" for step in STEPS]
    assert [event["version"] for event in events] == list(range(1, 8))
    assert [event["sequence"] for event in events] == [entry.sequence for entry in city.history.entries]
    assert [event["id"] for event in events] == [entry.envelope.id for entry in city.history.entries]
    for event in events:
        assert event["specversion"] == "1.0"
        assert event["subject"] == city.case_id
        assert event["origin"] == "live"


def test_show_finds_an_imported_case_by_its_own_number_and_speaks_the_time_of_its_place(city: City) -> None:
    shown = city.out("show", IMPORTED)
    assert "2011-07-01 01:32:33-04:00" in shown
    assert "3,600.0" in shown
    assert "import:boston311" in shown


@pytest.mark.parametrize(
    ("as_of", "steps"),
    [
        ("2011-07-01T02:32:32-04:00", 3),
        ("2011-07-01T02:32:33-04:00", 5),
        ("2011-07-01T05:32:33Z", 3),
        ("2011-07-02", 5),
    ],
)
def test_show_as_of_goes_by_the_events_own_time(city: City, as_of: str, steps: int) -> None:
    assert len(city.events(IMPORTED, "--as-of", as_of)) == steps


def test_show_by_position_goes_by_the_log(city: City) -> None:
    third = city.history.entries[2].sequence
    assert len(city.events(city.case_id, "--position", str(third))) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("boston311/0000",), 1, "the log has no case boston311/0000"),
        (("7K3M-9QXP-V2TB-HW4D",), 1, "the log has no case"),
        ((IMPORTED, "--as-of", "2011-07-01"), 1, "by then"),
        ((IMPORTED, "--position", "1"), 0, ""),
        (("nonsense",), 2, "tracking number"),
        ((IMPORTED, "--as-of", "2011-07-01T00:00:00"), 1, "by then"),
        ((IMPORTED, "--as-of", "2011-07-01T01:32:33"), 0, ""),
        ((IMPORTED, "--as-of", "99999999"), 2, "no position 99999999 yet"),
        ((IMPORTED, "--as-of", "2099-01-01"), 2, "lies ahead"),
        ((IMPORTED, "--as-of", "0"), 2, "begin at 1"),
        ((IMPORTED, "--as-of", "2011-07-01", "--position", "1"), 2, "one of both"),
    ],
)
def test_show_says_what_it_does_not_find(
    city: City, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = whistle(city.stack, "show", *arguments, COLUMNS="200")
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr


# watch


def watched(city: City, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in city.out("watch", "--json", *arguments).splitlines()]


async def end_of_log(city: City) -> int:
    async with log_of(city.stack, "auditor") as (log, _):
        return await log.last_position()


def test_watch_reads_the_whole_log_in_order(city: City) -> None:
    events = watched(city, "--from-start", "--count", "150")
    assert [event["sequence"] for event in events] == list(range(1, 151))
    assert [event["sequence"] for event in watched(city, "--from", "42", "--count", "2")] == [42, 43]


def test_watch_filters_by_event_department_origin_and_case(city: City) -> None:
    assigned = watched(city, "--from-start", "--event", "assigned", "--event", "closed", "--count", "60")
    assert {event["type"] for event in assigned} == {"whistle.case.assigned.v1", "whistle.case.closed.v1"}
    [first] = watched(city, "--from-start", "--department", "No Q", "--count", "1")
    assert first["data"]["department"] == "No Q"
    live = watched(city, "--from-start", "--origin", "live", "--department", "water", "--count", "5")
    assert [event["type"].split(".")[2] for event in live] == STEPS[2:]
    of_case = watched(city, "--from-start", "--case", IMPORTED, "--count", "5")
    assert [event["version"] for event in of_case] == [1, 2, 3, 4, 5]


def test_watch_knows_community_and_category_of_a_case_that_began_before(city: City) -> None:
    start = str(city.history.entries[2].sequence)  # neither reported nor filed is seen
    events = watched(city, "--from", start, "--community", "qiaotou", "--category", "1401", "--count", "4")
    assert [event["subject"] for event in events] == [city.case_id] * 4
    assert [event["version"] for event in events] == [3, 4, 5, 6]


def test_watch_begins_at_a_time_or_with_a_case(city: City) -> None:
    second = city.history.entries[1]
    for where in (second.envelope.recordedtime.isoformat(), city.case_id):
        events = watched(city, "--from", where, "--case", city.case_id, "--count", "6")
        assert [event["version"] for event in events][-2:] in ([5, 6], [6, 7])
    [event] = watched(city, "--from", second.envelope.recordedtime.isoformat(), "--count", "1")
    assert datetime.fromisoformat(event["recordedtime"]) >= second.envelope.recordedtime
    [event] = watched(city, "--from", city.case_id, "--count", "1")
    assert (event["subject"], event["version"]) == (city.case_id, 1)


@pytest.mark.parametrize(
    ("where", "code", "told"),
    [
        ("99999999", 1, "lies in the future"),
        ("2999-01-01T00:00:00Z", 1, "nothing was recorded"),
        ("nosys/0", 1, "the log has no case"),
        ("soon", 2, "or a case"),
    ],
)
def test_watch_says_where_it_cannot_begin(city: City, where: str, code: int, told: str) -> None:
    done = whistle(city.stack, "watch", "--from", where, COLUMNS="200")
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_watch_follows_what_comes_next(city: City) -> None:
    process = command_line(city.stack, "watch", "--json", "--event", "reported", "--origin", "live")
    assert process.stdout is not None
    try:
        last = asyncio.run(end_of_log(city))
        case_ids: list[str] = []
        for _ in range(1_000):  # until the watch has begun, which nothing tells
            case_ids.append(report(city.stack)["case_id"])
            if _readable(process):
                break
        event = json.loads(process.stdout.readline())
        assert event["subject"] in case_ids
        assert event["sequence"] > last
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=COMMAND_SECONDS_MAX)
    assert process.returncode == 0, err
    assert "Traceback" not in err + out


def _readable(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], 0.2)[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_ends_cleanly_when_it_is_stopped(city: City, number: signal.Signals) -> None:
    process = command_line(city.stack, "watch", "--from-start")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=COMMAND_SECONDS_MAX)
    assert (process.returncode, err) == (0, "")


def test_watch_ends_when_nobody_reads_any_more(city: City) -> None:
    process = command_line(city.stack, "watch", "--from-start", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    asyncio.run(_report_until_it_ends(city, process))
    assert process.returncode == 0
    assert process.stderr.read() == ""
    process.stderr.close()


async def _report_until_it_ends(city: City, process: subprocess.Popen[str]) -> None:
    for _ in range(1_000):
        receipt = await asyncio.to_thread(report, city.stack)
        await until_in_log(city.stack, receipt["case_id"], "assigned")
        if process.poll() is not None:
            return
    process.kill()


# scoreboard


def test_scoreboard_as_json_is_a_list_of_exactly_these_fields(city: City) -> None:
    scores = json.loads(city.out("scoreboard", "--json", "--as-of", "2012-01-01T00:00:00Z"))
    assert [list(score) for score in scores] == [KEYS] * 3
    assert {score["key"]: score["cases"] for score in scores} == {"ISD": 10, "No Q": 10, "PWDx": 10}
    assert sum(score["overdue"] for score in scores) == 10
    assert sum(score["met"] for score in scores) == 20


def test_scoreboard_as_it_was_then(city: City) -> None:
    def cases(as_of: str) -> int:
        return sum(score["cases"] for score in json.loads(city.out("scoreboard", "--json", "--as-of", as_of)))

    assert cases("2011-07-01T01:32:32-04:00") == 0
    assert cases("2011-07-01T01:32:33-04:00") == 1
    assert cases("2011-07-01T13:41:33+08:00") == 10  # the + arrives as a +
    assert cases("2011-07-01T05:41:33Z") == 10
    assert cases("2011-07-01") == 0
    assert cases("2011-07-02") == 30


def test_scoreboard_table_has_the_largest_first_and_a_total(city: City) -> None:
    shown = city.out("scoreboard", "--as-of", "2012-01-01T00:00:00-05:00", "--by", "channel")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]
    assert rows == [
        ["Call", "30", "30", "30", "10", "20", "3.50"],
        ["all · 合计", "30", "30", "30", "10", "20", ""],
    ]
    assert all(
        heading in shown for heading in ("channel", "渠道", "overdue", "超时", "median hours to close")
    )
    assert "2012-01-01 00:00:00-05:00" in shown


def test_scoreboard_names_what_has_no_key(city: City) -> None:
    receipt = report_without_community(city)
    asyncio.run(until_in_log(city.stack, receipt["case_id"], "assigned"))
    asyncio.run(caught_up(city.stack, "evaluation"))
    by_community = json.loads(city.out("scoreboard", "--by", "community", "--json"))
    assert by_community[0]["key"] is None
    assert "none · 无" in city.out("scoreboard", "--by", "community")


def report_without_community(city: City) -> dict[str, Any]:
    receipt: dict[str, Any] = json.loads(
        city.out("report", "--category", "1401", "--description", "x", "--address", "somewhere", "--json")
    )
    return receipt


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--as-of", "0"), "begin at 1"),
        (("--as-of", "soon"), "2011-10-01T00:00:00-04:00"),
        (("--by", "weather"), "department"),
    ],
)
def test_scoreboard_refuses_what_could_mean_two_things(
    city: City, arguments: tuple[str, ...], told: str
) -> None:
    done = whistle(city.stack, "scoreboard", *arguments, COLUMNS="200")
    assert done.returncode == 2
    assert told in done.stderr


# where nothing runs, and what the guide shows


@pytest.mark.parametrize(
    "command", [("scoreboard",), ("show", IMPORTED), ("watch",), ("rebuild", "evaluation")]
)
def test_says_what_to_do_when_nothing_runs(city: City, command: tuple[str, ...], tmp_path: object) -> None:
    done = whistle(city.stack, *command, WHISTLE_HOME=str(tmp_path))
    assert done.returncode == 3
    assert "./whistle up" in done.stderr
    assert not done.stdout


def shown_commands() -> list[object]:
    """The lines of the guide; in an ordinary run those for people, the same for programs in the long one."""
    guide = (repository() / "docs" / "commands.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [
        pytest.param(line, marks=[pytest.mark.full] if line.endswith("--json") else [], id=line)
        for line in lines
    ]


@pytest.mark.parametrize("command", shown_commands())
def test_every_command_of_the_guide_works(city: City, command: str) -> None:
    assert command.startswith("./whistle ")
    whistle_here = shlex.join([sys.executable, "-P", "-m", "cli"])
    done = subprocess.run(
        ["sh", "-c", command.replace("./whistle", whistle_here, 1)],
        env=environment(city.stack.home)
        | {
            "TRACKING": city.tracking,
            "CASE": city.case_id,
            "POSITION": str(city.history.entries[1].sequence),
        },
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        stdin=subprocess.DEVNULL,
        cwd=os.sep,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
