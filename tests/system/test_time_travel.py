"""Looking back on a running stack: cases, queues and figures as they were, what differs, and why it was so decided."""

import asyncio
import csv
import json
import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from cli.client import NotAnswered, ask
from cli.stack.state import Stack, repository
from libs.events.ids import case_id_of_import
from libs.events.log import History
from tests.support.cases import act, caught_up, live_case_to_its_end, report, until_in_log
from tests.support.nodes import seed_of_run
from tests.support.plain_queue import Raw, plain_queue
from tests.support.stack import log_of, whistle

SAMPLE: Final = Path(__file__).parents[1] / "data" / "import_boston.csv"
BOSTON: Final = ZoneInfo("America/New_York")
CITY: Final = ZoneInfo("Asia/Shanghai")
OPERATOR: Final = "operator:cli"
CAREFUL: Final = "1121"
"""A category whose reports wait for a specialist."""


@dataclass(frozen=True)
class City:
    """A stack with Boston's sample, a live case that went all its way, one that did not, and one that waits."""

    stack: Stack
    tracking: str
    history: History
    open_case: History
    waiting_id: str
    raw: tuple[Raw, ...]

    def get(self, service: str, path: str, **query: object) -> Any:
        asked = {name: str(value) for name, value in query.items()}
        return ask(self.stack.service_url(service), path, query=asked, as_=OPERATOR, home=self.stack.home)

    def out(self, *arguments: str, code: int = 0) -> str:
        done = whistle(self.stack, *arguments, COLUMNS="250")
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def until(self, as_of: datetime | int) -> list[Raw]:
        if isinstance(as_of, int):
            return [event for event in self.raw if event["sequence"] <= as_of]
        return [event for event in self.raw if datetime.fromisoformat(event["time"]) <= as_of]


@pytest.fixture(scope="module")
def city(stack: Stack) -> City:
    done = whistle(
        stack, "import", str(SAMPLE), "--mapping", str(repository() / "mappings" / "boston311.yaml")
    )
    assert done.returncode == 0, done.stderr
    return asyncio.run(_filled(stack))


async def _filled(stack: Stack) -> City:
    tracking, history = await live_case_to_its_end(stack)
    receipt = await asyncio.to_thread(report, stack)
    await until_in_log(stack, receipt["case_id"], "assigned")
    await asyncio.to_thread(act, stack, "water", receipt["case_id"], "accept")
    open_case = await until_in_log(stack, receipt["case_id"], "accepted")
    waits = await asyncio.to_thread(report, stack, CAREFUL)
    await until_in_log(stack, waits["case_id"], "reported")
    await caught_up(stack, "intake", "dispatch", "evaluation")
    async with log_of(stack, "auditor") as (log, _):
        last = await log.last_position()
    done = await asyncio.to_thread(whistle, stack, "watch", "--from-start", "--count", str(last), "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    raw = tuple(event | {"name": event["type"].split(".")[2]} for event in events)
    return City(stack, tracking, history, open_case, waits["case_id"], raw)


# The figures of Boston's rows, worked out from the raw file


def _figures(moment: datetime) -> dict[str | None, Counter[str]]:
    """Cases, closed, due, overdue and met of each department as of a moment, from the file alone."""
    found: dict[str | None, Counter[str]] = {}
    with SAMPLE.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            opened, due, closed = (_clock(row[name]) for name in ("open_dt", "target_dt", "closed_dt"))
            assert opened is not None
            if opened > moment:
                continue
            closed = closed if closed and closed <= moment else None
            count = found.setdefault(row["department"] or None, Counter())
            count.update(
                cases=1,
                closed=closed is not None,
                due=due is not None,
                overdue=due is not None and (closed or moment) > due,
                met=due is not None and closed is not None and closed <= due,
            )
    return found


def _first_row() -> dict[str, str]:
    with SAMPLE.open(encoding="utf-8", newline="") as rows:
        return next(csv.DictReader(rows))


def _clock(text: str) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=BOSTON).astimezone(UTC) if text else None


def _moments(trials: int) -> list[datetime]:
    chance = random.Random(seed_of_run())
    begin = datetime(2011, 11, 5, 14, 30, tzinfo=BOSTON).astimezone(UTC)
    return [begin + timedelta(seconds=chance.randrange(10 * 24 * 3600)) for _ in range(trials)]


def test_the_scoreboard_of_boston_as_of_any_moment_is_what_the_raw_file_says(city: City) -> None:
    names = ("cases", "closed", "due", "overdue", "met")
    for moment in _moments(40):
        scores = city.get("evaluation", "/scoreboard", as_of=moment.isoformat())
        expected = _figures(moment)
        assert {score["key"] for score in scores} == set(expected), moment
        for score in scores:
            assert {name: score[name] for name in names} == {
                name: expected[score["key"]][name] for name in names
            }, (moment, score["key"])


def test_the_scoreboard_as_of_a_position_is_that_of_the_log_up_to_it(city: City) -> None:
    chance = random.Random(seed_of_run())
    for position in (1, *(chance.randrange(1, len(city.raw) + 1) for _ in range(4)), len(city.raw)):
        scores = city.get("evaluation", "/scoreboard", by="channel", as_of=position)
        expected = Counter(
            event["data"]["channel"] for event in city.until(position) if event["name"] == "reported"
        )
        assert {score["key"]: score["cases"] for score in scores} == expected


# Queues


def _live_pasts(city: City) -> list[datetime | int]:
    live = [event for event in city.raw if event["origin"] == "live"]
    moments = [datetime.fromisoformat(event["time"]) for event in live]
    return [
        *(event["sequence"] for event in live),
        *moments,
        moments[0] - timedelta(microseconds=1),
        datetime(2011, 11, 6, tzinfo=BOSTON),
    ]


def test_a_departments_queue_at_every_step_of_its_cases(city: City) -> None:
    names = ("step", "responsible")
    lengths = set()
    for as_of in _live_pasts(city):
        asked = as_of if isinstance(as_of, int) else as_of.isoformat()
        found = city.get("dispatch", "/departments/water/queue", as_of=asked)
        expected = plain_queue(city.until(as_of), "water")
        assert {row["case_id"]: tuple(row[name] for name in names) for row in found} == {
            case_id: line[:2] for case_id, line in expected.items()
        }, as_of
        lengths.add(len(found))
    assert lengths == {0, 1}
    now = city.get("dispatch", "/departments/water/queue")
    assert [row["case_id"] for row in now] == [city.open_case.case_id]


def test_the_command_shows_each_list_as_it_was(city: City) -> None:
    handled = next(entry.sequence for entry in city.history.entries if entry.name == "handled")
    case_id = city.history.case_id
    assert case_id in city.out("queue", "--verify", "--as-of", str(handled))
    assert case_id not in city.out("queue", "--verify", "--as-of", str(city.history.sequence))
    assert city.open_case.case_id in city.out("queue", "water")
    begun = city.open_case.entries[0].envelope.time.astimezone(CITY).replace(tzinfo=None)
    shown = city.out("queue", "water", "--as-of", begun.isoformat())  # by the clocks of the city
    assert city.open_case.case_id not in shown
    assert begun.isoformat(sep=" ", timespec="seconds") + "+08:00" in shown
    waits = json.loads(city.out("queue", "--reports", "--json"))["reports"]
    assert city.waiting_id in {each["case_id"] for each in waits}
    assert json.loads(city.out("queue", "--centre", "--as-of", "2011-11-06", "--json")) == []
    assert "name a department" in city.out("queue", "water", "--centre", code=2)


# One case


def test_a_tracking_number_shows_where_the_case_stood(city: City) -> None:
    for entry in city.history.entries:
        stood = city.get("intake", f"/cases/{city.tracking}", as_of=entry.sequence)
        shown = [step["state"] for step in stood["steps"]]
        assert shown == [each.name for each in city.history.entries[: entry.version]]
        by_time = city.get("intake", f"/cases/{city.tracking}", as_of=entry.envelope.time.isoformat())
        until = [each for each in city.history.entries if each.envelope.time <= entry.envelope.time]
        assert [step["state"] for step in by_time["steps"]] == [each.name for each in until]
    early = city.history.entries[0].envelope.time - timedelta(microseconds=1)
    with pytest.raises(NotAnswered) as none_yet:
        city.get("intake", f"/cases/{city.tracking}", as_of=early.isoformat())
    assert none_yet.value.code == "unknown_tracking_number"


def test_evaluation_shows_a_case_as_it_saw_it(city: City) -> None:
    case_id, entries = city.history.case_id, city.history.entries
    assigned = next(entry for entry in entries if entry.name == "assigned")
    then = city.get("evaluation", f"/cases/{case_id}", as_of=assigned.sequence)
    assert (then["department"], then["handled_at"]) == ("water", None)
    assert city.get("evaluation", f"/cases/{case_id}")["closed_at"] is not None
    states = city.get("evaluation", "/states", as_of=assigned.envelope.time.isoformat())
    assert states["closed"] == sum(event["name"] == "closed" for event in city.until(assigned.envelope.time))


def test_appraisal_alerts_and_patrols_have_a_past_too(city: City) -> None:
    as_of = datetime(2011, 11, 8, tzinfo=BOSTON)
    result = city.get("evaluation", "/appraisal", as_of=as_of.isoformat())
    assert datetime.fromisoformat(result["span"]["until"]) == as_of
    assert city.get("evaluation", "/alerts", as_of=as_of.isoformat()) == []
    assert city.get("evaluation", "/patrols", as_of=1) == []
    assert city.get("dispatch", "/patrols", as_of=1) == []
    assert "2011-11" in city.out("appraisal", "--as-of", "2011-11-08")


# What cannot be answered


@pytest.mark.parametrize(
    ("as_of", "code", "told"),
    [
        ("99999999", "not_yet", "there is no position 99999999 yet"),
        ("2099-01-01T00:00:00Z", "not_yet", "lies ahead"),
        ("2026-03-02T08:30:00", "not_valid", "a time with its zone"),
        ("yesterday", "not_valid", "a position of the log"),
        ("0", "not_valid", "a position of the log"),
        ("-1", "not_valid", "a position of the log"),
    ],
)
@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("dispatch", "/departments/water/queue"),
        ("evaluation", "/scoreboard"),
        ("evaluation", "/states"),
        ("intake", "/waiting"),
    ],
)
def test_what_is_no_past_is_refused_and_the_field_is_named(
    city: City, service: str, path: str, as_of: str, code: str, told: str
) -> None:
    with pytest.raises(NotAnswered) as refused:
        city.get(service, path, as_of=as_of)
    assert refused.value.code == code
    assert told in str(refused.value)
    assert "as_of" in str(refused.value)


def test_a_department_sees_its_own_past_alone(city: City) -> None:
    query = urlencode({"as_of": 1})
    with pytest.raises(NotAnswered) as refused:
        ask(
            city.stack.service_url("dispatch"),
            f"/departments/water/queue?{query}",
            as_="department:roads",
            home=city.stack.home,
        )
    assert "for the department water alone" in str(refused.value)


# diff


def test_diff_tells_what_happened_and_each_field_that_changed(city: City) -> None:
    entries, case_id = city.history.entries, city.history.case_id
    filed, accepted = entries[1], next(entry for entry in entries if entry.name == "accepted")
    found = json.loads(
        city.out("diff", case_id, "--from", str(filed.sequence), "--to", str(accepted.sequence), "--json")
    )
    assert [event["version"] for event in found["events"]] == [3, 4]
    changes = {change["field"]: (change["before"], change["after"]) for change in found["changes"]}
    assert changes["state"] == ("filed", "accepted")
    assert changes["department"] == (None, "water")
    assert changes["must_act"] == (None, "department:water")
    assert changes["assignments"] == (0, 1)
    assert "sign_by" not in changes, "it was signed in between"
    since = entries[0].envelope.time - timedelta(seconds=1)
    shown = city.out("diff", city.tracking, "--from", since.isoformat())
    assert all(text in shown for text in ("unreported", "closed", "结案", "was closed", "field", "字段"))


def test_diff_by_the_clocks_of_the_place(city: City) -> None:
    row = _first_row()
    named = f"boston311/{row['case_enquiry_id']}"
    opened = datetime.fromisoformat(row["open_dt"])
    found = json.loads(
        city.out(
            *("diff", named, "--from", (opened - timedelta(seconds=1)).isoformat()),
            *("--to", opened.isoformat(), "--json"),
        )
    )
    assert found["case_id"] == case_id_of_import("boston311", row["case_enquiry_id"])
    assert (found["from"]["version"], found["to"]["version"]) == (0, len(found["events"]))
    assert len(found["events"]) >= 2
    assert "nothing happened" in city.out(
        "diff", named, "--from", opened.isoformat(), "--to", opened.isoformat()
    )


def test_diff_refuses_the_later_first(city: City) -> None:
    first, last = city.history.entries[0].sequence, city.history.sequence
    told = city.out("diff", city.tracking, "--from", str(last), "--to", str(first), code=2)
    assert "exchange them" in told
    assert "no position 99999999 yet" in city.out("diff", city.tracking, "--from", "99999999", code=2)


# why


def test_why_explains_every_decision_of_a_live_case_and_makes_it_again(city: City) -> None:
    found = json.loads(city.out("why", city.tracking, "--json"))
    decisions = found["decisions"]
    names = [[event["name"] for event in each["events"]] for each in decisions]
    assert names == [["reported"], ["filed"], ["assigned"], ["accepted"], ["handled"], ["verified", "closed"]]
    assert {each["again"]["verdict"] for each in decisions} == {"same"}
    assigned = decisions[2]
    assert (assigned["decided_by"]["actor"], assigned["cause"]["en"]) == ("system:dispatch", "filed (2)")
    assert assigned["saw"] | {"state": None} == {
        "version": 2,
        "position": found_position(city, 2),
        "state": None,
    }
    assert assigned["saw"]["state"]["state"] == "filed"
    rules = {rule["rule"].partition("/")[0] for rule in assigned["rules"]}
    assert rules == {"responsibility", "time_limits", "calendar"}
    assert assigned["policy_version"].startswith("liuhe@")
    assert decisions[-1]["decided_by"]["principal"]
    shown = city.out("why", city.history.case_id, "--event", "7")
    assert "the same comes out" in shown
    assert "结果一致" in shown
    assert "(6)" in shown
    assert "(3)" not in shown


def found_position(city: City, version: int) -> int:
    return city.history.entries[version - 1].sequence


def test_why_says_that_imported_history_was_not_decided_here(city: City) -> None:
    found = json.loads(city.out("why", f"boston311/{_first_row()['case_enquiry_id']}", "--json"))
    for each in found["decisions"]:
        assert each["again"]["verdict"] == "not_decided"
        assert "another system" in each["again"]["en"]
        assert each["rules"] == []


def test_why_goes_by_the_rules_of_then(city: City, tmp_path: Path) -> None:
    """Last of all: afterwards other rules are in force, under which the case would have had other limits."""
    assert "7 events" in city.out("why", city.tracking, "--event", "99", code=2)
    assert "the log has no case" in city.out("why", "boston311/none", code=1)
    folder = tmp_path / "policy"
    folder.mkdir()
    for path in (repository() / "policy" / "example").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    limits = folder / "limits.yaml"
    text = limits.read_text(encoding="utf-8")
    assert "warn_at: 0.8" in text
    limits.write_text(text.replace("warn_at: 0.8", "warn_at: 0.5"), encoding="utf-8")
    before = json.loads(city.out("why", city.tracking, "--json"))
    city.out("policy", "publish", str(folder))
    assert json.loads(city.out("why", city.tracking, "--json")) == before
    # And what judged then judges then: the appraisal names the version that was in force.
    closed = city.history.entries[-1].envelope
    result = city.get("evaluation", "/appraisal", as_of=closed.time.isoformat())
    assert result["policy_version"] == closed.policyversion
