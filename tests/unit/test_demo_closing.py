"""What the demo says at its end."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from cli.demo.closing import problems_of, scoreboard
from cli.demo.deeds import Deeds
from cli.demo.figures import Figures, Receipt, quantile
from cli.demo.play import is_right
from cli.demo.watching import Snapshot
from cli.stack.rulebook import example_policy
from libs.events.policy import load


def line(key: str | None, cases: int, closed: int, overdue: int, met: int) -> Mapping[str, Any]:
    return {"key": key, "cases": cases, "closed": closed, "due": cases, "overdue": overdue, "met": met}


def text_of(*lines: Mapping[str, Any], figures: Figures | None = None) -> str:
    console = Console(width=110)
    with console.capture() as capture:
        console.print(scoreboard(lines, load(example_policy()), figures or Figures()))
    return capture.get()


def row_of(text: str, name: str) -> list[str]:
    return next(row for row in text.splitlines() if name in row).partition(name)[2].split()


def test_the_scoreboard_names_the_departments_the_most_punctual_first() -> None:
    text = text_of(line("power", 10, 8, 4, 6), line("water", 1_000, 900, 0, 900))
    assert text.index("Water and Drainage Company") < text.index("路灯管理所 Street Lighting Office")
    assert row_of(text, "Water and Drainage Company") == ["1,000", "900", "0", "900", "100", "–"]
    assert row_of(text, "合计 total") == ["1,010", "908", "4", "906", "100", "–"]


def test_departments_of_other_cities_are_counted_together() -> None:
    text = text_of(line("water", 1, 0, 0, 0), line("Boston PWD", 5, 4, 1, 3), line(None, 2, 0, 0, 0))
    assert row_of(text, "其他 others") == ["7", "4", "1", "3", "75", "–"]
    assert row_of(text, "Water and Drainage Company") == ["1", "0", "0", "0", "–", "–"]


def test_the_median_is_told_as_the_exercise_counts_time() -> None:
    figures = Figures(hours_to_close={"water": [1 / 1440, 2 / 1440, 5 / 1440]})
    assert row_of(text_of(line("water", 3, 3, 0, 3), figures=figures), "合计 total")[-2:] == ["2.0", "h"]


def test_only_what_does_not_add_up_is_a_problem() -> None:
    assert problems_of(Figures(), []) == []
    refused = Counter({("handle", "not_accepted"): 3, ("file", "already_merged"): 7})
    figures = Figures(reports_given_up=2, deeds=Deeds(refused=refused))
    assert [problem.split()[0] for problem in problems_of(figures, ["a", "b", "c", "d"])] == ["4", "2", "3"]


def test_the_time_to_assignment_is_that_of_this_runs_reports() -> None:
    figures = Figures(
        receipts={"a": Receipt("A", 1.0), "b": Receipt("B", 2.0), "c": Receipt("C", 3.0)},
        received_at={"a": 1.5, "b": 2.25, "another run's": 9.0},
    )
    assert figures.seconds_to_assignment() == [0.25, 0.5]


def test_quantiles_are_values_that_were_measured() -> None:
    assert quantile([], 0.5) is None
    assert quantile([7.0], 0.99) == 7.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert quantile([float(value) for value in range(1, 101)], 0.99) == 99.0


@pytest.mark.parametrize(
    ("case", "handled", "right"),
    [
        ({}, False, False),
        ({"department": "water"}, False, True),
        ({"department": "water"}, True, False),
        ({"department": "water", "handled_at": "then", "closed_at": "then"}, True, True),
        ({"department": "water", "handled_at": "then"}, True, False),
        ({"department": "water", "marks": [{"kind": "reworked"}]}, True, True),
        ({"department": "water", "handled_at": "then", "marks": [{"kind": "reworked"}]}, True, False),
        ({"rejected_at": "then"}, False, True),
        ({"merged_at": "then"}, False, True),
    ],
)
def test_a_report_is_lost_unless_somebody_cares_for_it(
    case: Mapping[str, Any], handled: bool, right: bool
) -> None:
    nothing = dict.fromkeys(("department", "rejected_at", "merged_at", "handled_at", "closed_at"))
    assert is_right({**nothing, "marks": [], **case}, handled=handled) is right


def test_a_service_that_does_not_say_how_far_it_is_counts_as_behind() -> None:
    assert Snapshot(lag={"dispatch": 0, "evaluation": 0, "notify": 0}).behind == 0
    assert Snapshot(lag={"dispatch": 3, "evaluation": 4}).behind == 8
