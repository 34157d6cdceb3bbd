"""How commands name cases and moments, and print them."""

import io
import json
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from cli.output import (
    OFF_TERMINAL_COLUMNS,
    Column,
    UsageError,
    case_id_of,
    cloud_event,
    console,
    harmless,
    moment_in,
    parse_moment,
    print_json,
    reason_of,
    shown_time,
    table,
)
from libs.events.contracts.dispatch import Assigned, Handled
from libs.events.envelope import Context, Entry, seal
from libs.events.ids import case_id_of_import, case_id_of_tracking, new_tracking_number

BOSTON = ZoneInfo("America/New_York")
MOMENT = datetime(2011, 10, 1, 4, tzinfo=UTC)


def entry(event: Assigned | Handled) -> Entry:
    context = Context("department:water", MOMENT, causation_id="the-cause", policy_version="liuhe@1")
    envelope = seal(
        event, event_id="e-1", case_id="0123456789abcdefghjk", context=context, recorded_at=MOMENT
    )
    return Entry(7, "0123456789abcdefghjk", event.name(), 3, envelope)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2011-10-01T00:00:00-04:00", MOMENT),
        ("2011-10-01T04:00:00Z", MOMENT),
        ("2011-10-01 12:00:00.5+08:00", MOMENT + timedelta(seconds=0.5)),
        ("2011-10-01", date(2011, 10, 1)),
    ],
)
def test_reads_a_moment_with_its_offset_or_a_date(text: str, moment: datetime | date) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["2011-10-01T00:00:00", "2011-10-01T00", "20111001T000000"])
def test_a_time_without_an_offset_is_refused_since_it_may_mean_either_city(text: str) -> None:
    with pytest.raises(UsageError, match="names no zone"):
        parse_moment(text)
    assert parse_moment(text, zoned=False) == datetime(2011, 10, 1)  # noqa: DTZ001 - that is what was written


@pytest.mark.parametrize("text", ["", "yesterday", "2011-13-01", "2011-10-01T25:00:00Z"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="2011-10-01T00:00:00-04:00"):
        parse_moment(text)


def test_a_date_is_its_midnight_where_the_case_is() -> None:
    assert moment_in(date(2011, 10, 1), BOSTON) == MOMENT
    assert moment_in(MOMENT.replace(tzinfo=None), BOSTON) == datetime(2011, 10, 1, 4, tzinfo=BOSTON)
    assert moment_in(MOMENT, BOSTON) is MOMENT


def test_a_case_is_named_by_its_id_its_tracking_number_or_the_number_of_another_system() -> None:
    tracking = new_tracking_number()
    case_id = case_id_of_tracking(tracking)
    assert case_id_of(case_id) == case_id_of(case_id.upper()) == case_id_of(f" {case_id} ") == case_id
    assert case_id_of(tracking) == case_id_of(tracking.lower().replace("-", "")) == case_id
    assert case_id_of("boston311/101000295613") == case_id_of_import("boston311", "101000295613")
    assert case_id_of("paris/a/b") == case_id_of_import("paris", "a/b")


@pytest.mark.parametrize("named", ["", "/", "boston311/", "/1", "12", "case.>", "x" * 20 + "u"])
def test_what_names_no_case_is_refused_with_what_would(named: str) -> None:
    with pytest.raises(UsageError, match="a tracking number"):
        case_id_of(named)


def test_times_are_shown_by_the_clocks_of_the_place() -> None:
    assert shown_time(MOMENT, BOSTON) == "2011-10-01 00:00:00-04:00"
    assert shown_time(MOMENT.astimezone(timezone(timedelta(hours=8)))) == "2011-10-01 12:00:00+08:00"
    assert shown_time(None) == ""


def test_says_why_an_event_happened() -> None:
    assigned = entry(Assigned(department="water", rule="pipes"))
    assert reason_of(assigned, {"the-cause": "filed (2)"}) == "rule pipes, liuhe@1, after filed (2)"
    handled = entry(Handled(department="water", note="New pipe"))
    assert reason_of(handled, {}) == "liuhe@1, after the-cause, “New pipe”"


def test_json_has_the_whole_event_and_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    print_json(cloud_event(entry(Handled(department="水务", note=""))), indent=None)
    told = json.loads(out.getvalue())
    assert (told["sequence"], told["version"], told["specversion"]) == (7, 3, "1.0")
    assert (told["type"], told["data"]["department"]) == ("whistle.case.handled.v1", "水务")
    assert "水务" in out.getvalue()
    assert out.getvalue().count("\n") == 1


def test_off_a_terminal_a_table_has_no_colours_and_its_lines_are_not_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    cells = ["[red]x[/]", "y" * 120]
    console().print(table("title", (Column("a", "甲"), Column("b", "乙", right=True)), [cells], ("all", "2")))
    shown = out.getvalue()
    assert console().width == OFF_TERMINAL_COLUMNS
    assert "\x1b" not in shown
    assert "y" * 120 in shown
    assert all(text in shown for text in ("[red]x[/]", "甲", "all", "2"))


def test_what_strangers_write_cannot_steer_the_terminal() -> None:
    assert harmless("漏水 [bold]\n\x1b[2J\x07\u202e\x9b") == "漏水 [bold]\n\ufffd[2J\ufffd\ufffd\ufffd"
