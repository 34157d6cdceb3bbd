"""The simulation's bookkeeping: what the log, the agents and evaluation say must be the same."""

from pathlib import Path

import pytest

from cli.demo.deeds import Deeds
from cli.simulate.book import write_book
from cli.simulate.checking import (
    MEASURES,
    Truth,
    add_case,
    disagreements,
    figures_of,
    scoreboard_differences,
)
from cli.simulate.memory import Memory
from cli.simulate.promises import Judgement
from cli.simulate.town import ALIKE_SHARE, Town, planned
from cli.stack.rulebook import example_policy
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Escalated, Handled, WhistleBlown
from libs.events.contracts.evaluation import CardIssued
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.policy import load
from libs.events.testing.examples import CASE_ID, EXAMPLES, entry_of

DEPARTMENT = "No Q"
NOTHING = {"key": DEPARTMENT, **dict.fromkeys(MEASURES.values(), 0)}


def truth_of(*kinds: type[Event]) -> Truth:
    """What the log says of one case with an example of each of these facts."""
    truth = Truth()
    entries = [entry_of(EXAMPLES[kind], version) for version, kind in enumerate(kinds, 1)]
    add_case(truth, CASE_ID, entries, Judgement())
    return truth


def remembered(*names: str) -> Memory:
    """Agents who did these things to the reported case."""
    memory = Memory(tracking={CASE_ID: "T"}, deeds=Deeds())
    for name in names:
        memory.deeds.add(name, CASE_ID, DEPARTMENT)
    return memory


def test_the_same_on_both_sides_is_no_disagreement() -> None:
    assert disagreements(truth_of(CaseReported, CaseFiled, Handled), remembered("handled")) == []


def test_what_only_one_of_them_knows_is_told() -> None:
    filed = truth_of(CaseReported, CaseFiled)
    assert disagreements(filed, remembered("handled")) == [
        "handled of No Q: the log has 0, the agents remember 1"
    ]
    handled = truth_of(CaseReported, CaseFiled, Handled)
    assert disagreements(handled, remembered()) == ["handled of No Q: the log has 1, the agents remember 0"]


def test_deeds_in_cases_of_others_do_not_count() -> None:
    memory = remembered()
    memory.deeds.add("handled", "another", DEPARTMENT)
    assert disagreements(truth_of(CaseReported, CaseFiled), memory) == []


def test_a_report_that_is_neither_filed_nor_joined_nor_rejected_is_told() -> None:
    (found,) = disagreements(truth_of(CaseReported), remembered())
    assert found == "1 reports, of which 0 were filed, joined or rejected"


def test_long_overdue_without_a_card_is_told() -> None:
    assert truth_of(Escalated, CardIssued).broken == []
    (broken,) = truth_of(Escalated).broken
    assert "1 cards were not shown" in broken


@pytest.mark.parametrize(
    ("says", "differences"),
    [
        (1, []),
        (0, ["handled of No Q: evaluation says 0, the log 1"]),
        (2, ["handled of No Q: evaluation says 2, the log 1"]),
    ],
)
def test_the_scoreboard_grew_by_what_the_log_has(says: int, differences: list[str]) -> None:
    before, after = figures_of([{**NOTHING, "handled": 5}]), figures_of([{**NOTHING, "handled": 5 + says}])
    assert scoreboard_differences(truth_of(CaseReported, Handled), before, after) == differences


def test_a_whistle_counts_for_the_department_that_leads() -> None:
    after = figures_of([{**NOTHING, "whistles": 1}])
    assert scoreboard_differences(truth_of(WhistleBlown), {}, after) == []


@pytest.mark.parametrize("scale", [1, 60, 1_440, 86_400])
def test_the_rule_book_of_a_simulation_holds_at_every_scale(tmp_path: Path, scale: int) -> None:
    book = load(write_book(tmp_path / "policy", scale))
    assert book.city.time_lapse == scale
    assert book.calendar.holidays == ()
    assert len(book.calendar.working_weekdays) == 7


def test_a_rate_is_a_rate_and_some_reports_are_of_the_same_problem() -> None:
    book = load(example_policy())
    plan = planned(Town(cases=100, rate=20, seed=3, stall_seconds_max=1), book)
    assert plan == planned(Town(cases=100, rate=20, seed=3, stall_seconds_max=1), book)
    assert [report.at_seconds for report in plan] == [index / 20 for index in range(100)]
    for index in range(ALIKE_SHARE, 100, ALIKE_SHARE):
        before, again = plan[index - 1], plan[index]
        assert (before.category, before.description) == (again.category, again.description)
        assert (before.longitude, before.latitude) == (again.longitude, again.latitude)
