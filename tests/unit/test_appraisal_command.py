"""`whistle appraisal`: months by the city's clocks, and the score of one."""

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cli.commands.appraisal import KEYS_ZH, month_in, score_of, show, show_reasons
from cli.output import UsageError
from libs.events.appraisal import Scheme, Subject
from services.evaluation.scoring import Span, appraise


@pytest.mark.parametrize(
    ("month", "zone", "since", "until"),
    [
        ("2026-03", "Asia/Shanghai", (2026, 2, 28, 16), (2026, 3, 31, 16)),
        ("2026-12", "Asia/Shanghai", (2026, 11, 30, 16), (2026, 12, 31, 16)),
        ("2026-03", "America/New_York", (2026, 3, 1, 5), (2026, 4, 1, 4)),  # the clocks change in between
    ],
)
def test_a_month_is_that_of_the_city(
    month: str, zone: str, since: tuple[int, int, int, int], until: tuple[int, int, int, int]
) -> None:
    first, last = month_in(month, ZoneInfo(zone))
    assert first.astimezone(UTC) == datetime(*since, tzinfo=UTC)
    assert last.astimezone(UTC) == datetime(*until, tzinfo=UTC)


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-00", "2026-3", "March", "0000-01", "9999-12", "2026-03-01", ""]
)
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(UsageError, match="write a month like 2026-03"):
        month_in(month, ZoneInfo("UTC"))


def test_who_was_not_appraised_is_told_who_was() -> None:
    result = {"scores": [{"key": "water"}, {"key": "police"}]}
    assert score_of(result, "water") == {"key": "water"}
    with pytest.raises(UsageError, match="who was: police, water"):
        score_of(result, "fire")


def test_every_subject_has_a_heading() -> None:
    assert set(KEYS_ZH) == {subject.value for subject in Subject}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read here must not be folded, however narrow the terminal is that the tests run in."""
    monkeypatch.setenv("COLUMNS", "200")


def result() -> dict[str, Any]:
    """What evaluation answers, by way of JSON."""
    named = {"zh": "按期结案率", "en": "In time"}
    item = {
        "code": "in-time",
        "name": named,
        "form": "share",
        "points": 40,
        "numerator": "closed",
        "denominator": "due",
    }
    grades = [{"name": {"zh": "优秀", "en": "excellent"}, "at_least": 30}]
    scheme = {"code": "month", "name": {"zh": "月度考核", "en": "Monthly"}, "items": [item], "grades": grades}
    counted = {
        "water": {"closed": 3, "due": 4},
        "police": {"closed": 0, "due": 0},
        "parks": {"closed": 1, "due": 2},
    }
    span = Span(since=datetime(2026, 3, 1, tzinfo=UTC), until=datetime(2026, 4, 1, tzinfo=UTC))
    found = appraise(Scheme.model_validate({**scheme, "note": "Weights are ours."}), counted, span)
    return found.model_dump(mode="json")


def test_the_table_ranks_them(capsys: pytest.CaptureFixture[str]) -> None:
    show(result(), "2026-03")
    shown = capsys.readouterr().out
    assert "Monthly · 月度考核, 2026-03" in shown
    assert "Weights are ours." in shown
    lines = {
        cells[2]: cells for line in shown.splitlines() if len(cells := re.split(r"\s*[│┃]\s*", line)) > 3
    }
    assert lines["water"][1:6] == ["1", "water", "30.00", "excellent · 优秀", "30.00"]
    assert lines["parks"][1:6] == ["2", "parks", "20.00", "", "20.00"]
    assert lines["police"][1:6] == ["-", "police", "no case · 无案件", "", "-"]


def test_a_score_is_explained_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    found = result()
    show_reasons(found, score_of(found, "water"))
    shown = capsys.readouterr().out
    assert "Monthly · 月度考核: water, 30.00, rank 1 of 3" in shown
    assert "closed / due = 3 / 4 = 75 %, of 40: 30.00" in shown
    assert "closed / due = 3 / 4 = 75 %，满分 40 分：30.00 分" in shown
    assert "closed 3, due 4" in shown


def test_who_had_no_case_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    found = result()
    show_reasons(found, score_of(found, "police"))
    assert "nothing to count: left out" in capsys.readouterr().out
