"""Rating, reopening, cards and scores: each happens, is refused, is repeated, and meets a case that moved on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Brief, Deadline, Summoned, WhistleBlown
from libs.events.contracts.evaluation import CardIssued, CaseReopened, Outcome, Rated, ServiceScored
from libs.events.contracts.intake import CaseFiled, CaseMerged, CaseRejected, ReportJoined
from libs.events.testing.examples import BRIEF
from services.evaluation.decider import REOPENINGS_MAX, Command, Refusal, ReopenForReport
from tests.unit.evaluation_cases import (
    CARD,
    CLOSED_CASE,
    COMMUNITY,
    EVALUATION,
    GOOD,
    HANDLED,
    MAIN,
    OPEN,
    RATE,
    RATED,
    REOPEN,
    REOPENED,
    REPORT,
    SCORE,
    WINDOWS,
)
from tests.unit.specs import CLOSED, FILED, assigned, handled, reported

MERGED = (reported(), CaseMerged(into=MAIN, reason="rule"))
REJECTED = (reported(), CaseRejected(reason="Private ground"))
BY_REPORTER = CaseReopened(department="water", by="reporter", reason="It rattles", count=1)
AND_REOPEN = replace(RATE, reopen=True)

# --- rate


@pytest.mark.parametrize(("stars", "satisfied"), [(1, False), (3, False), (4, True), (5, True)])
def test_the_rule_book_says_who_is_satisfied(stars: int, satisfied: bool) -> None:
    rated = RATED.model_copy(update={"stars": stars, "satisfied": satisfied})
    EVALUATION.given(*CLOSED_CASE).when(replace(RATE, stars=stars)).then(rated)
    EVALUATION.given(*CLOSED_CASE).when(replace(RATE, stars=stars)).then_repeated_adds_nothing()


@pytest.mark.parametrize(
    ("history", "refusal"),
    [
        ((), Refusal.UNKNOWN_CASE),
        (OPEN, Refusal.NOT_CLOSED),
        (HANDLED, Refusal.NOT_CLOSED),
        (MERGED, Refusal.NOT_CLOSED),
        (REJECTED, Refusal.CASE_REJECTED),
        ((*OPEN, CLOSED), Refusal.RATING_OVER),  # closed without a window, as imported cases are
        ((*CLOSED_CASE, RATED.model_copy(update={"stars": 3})), Refusal.RATED_ALREADY),
    ],
)
def test_only_what_is_closed_and_not_rated_is_rated(history: tuple[Event, ...], refusal: Refusal) -> None:
    EVALUATION.given(*history).when(RATE).then_refused(refusal)


@pytest.mark.parametrize("stars", [0, 6, -1])
def test_stars_outside_of_the_scale_are_refused(stars: int) -> None:
    EVALUATION.given(*CLOSED_CASE).when(replace(RATE, stars=stars)).then_refused(Refusal.STARS_OUT_OF_SCALE)


def test_the_window_ends_to_the_moment() -> None:
    last = replace(RATE, now=WINDOWS.rate_until)
    late = replace(RATE, now=WINDOWS.rate_until + timedelta(microseconds=1))
    EVALUATION.given(*CLOSED_CASE).when(last).then(RATED)
    EVALUATION.given(*CLOSED_CASE).when(late).then_refused(Refusal.RATING_OVER)


def test_each_closing_has_a_rating_of_its_own() -> None:
    history = (*CLOSED_CASE, RATED, REOPENED, handled(), GOOD)
    EVALUATION.given(*history).when(RATE).then(RATED)
    EVALUATION.given(*history, RATED).when(replace(RATE, stars=5)).then_refused(Refusal.RATED_ALREADY)


# --- a dissatisfied reporter


def test_a_dissatisfied_reporter_has_it_reopened_in_the_same_breath() -> None:
    EVALUATION.given(*CLOSED_CASE).when(AND_REOPEN).then(RATED, BY_REPORTER)
    EVALUATION.given(*CLOSED_CASE).when(AND_REOPEN).then_repeated_adds_nothing()


def test_who_has_said_the_same_before_may_still_have_it_reopened() -> None:
    EVALUATION.given(*CLOSED_CASE, RATED).when(AND_REOPEN).then(BY_REPORTER)


@pytest.mark.parametrize(
    "command",
    [replace(AND_REOPEN, solved=True), replace(AND_REOPEN, stars=5), AND_REOPEN],
    ids=["few stars", "not solved", "both"],
)
def test_unsolved_or_unsatisfied_is_enough(command: Command) -> None:
    EVALUATION.given(*CLOSED_CASE).when(command).then_repeated_adds_nothing()


def test_who_is_satisfied_does_not_have_it_reopened() -> None:
    content = replace(AND_REOPEN, solved=True, stars=4)
    EVALUATION.given(*CLOSED_CASE).when(content).then_refused(Refusal.SATISFIED)


def test_the_window_for_reopening_ends_to_the_moment() -> None:
    last = replace(AND_REOPEN, now=WINDOWS.reopen_until)
    late = replace(AND_REOPEN, now=WINDOWS.reopen_until + timedelta(microseconds=1))
    EVALUATION.given(*CLOSED_CASE).when(last).then(RATED, BY_REPORTER)
    EVALUATION.given(*CLOSED_CASE).when(late).then_refused(Refusal.REOPENING_OVER)


def test_a_reporter_has_it_reopened_once_and_the_centre_does_not_count() -> None:
    again = (*CLOSED_CASE, RATED, BY_REPORTER, handled(), GOOD)
    EVALUATION.given(*again).when(AND_REOPEN).then_refused(Refusal.REOPENED_ALREADY)
    by_centre = (*CLOSED_CASE, REOPENED, handled(), GOOD)
    second = BY_REPORTER.model_copy(update={"count": 2})
    EVALUATION.given(*by_centre).when(AND_REOPEN).then(RATED, second)


# --- reopen by the centre


def test_the_centre_reopens_what_is_closed() -> None:
    EVALUATION.given(*CLOSED_CASE).when(REOPEN).then(REOPENED)
    EVALUATION.given(*CLOSED_CASE).when(REOPEN).then_repeated_adds_nothing()


@pytest.mark.parametrize(
    ("history", "refusal"),
    [
        ((), Refusal.UNKNOWN_CASE),
        (OPEN, Refusal.NOT_CLOSED),
        (HANDLED, Refusal.NOT_CLOSED),
        (MERGED, Refusal.NOT_CLOSED),
        (REJECTED, Refusal.CASE_REJECTED),
        ((reported(), CaseFiled(category="0101", reason="record"), CLOSED), Refusal.NOT_ADOPTED),
    ],
)
def test_what_is_not_closed_is_not_reopened(history: tuple[Event, ...], refusal: Refusal) -> None:
    EVALUATION.given(*history).when(REOPEN).then_refused(refusal)


def test_no_department_reopens() -> None:
    by_department = replace(REOPEN, by="department:water")
    EVALUATION.given(*CLOSED_CASE).when(by_department).then_refused(Refusal.NOT_FOR_DEPARTMENTS)


def test_reopening_is_counted_and_bounded() -> None:
    rounds = [
        event
        for count in range(1, REOPENINGS_MAX + 1)
        for event in (REOPENED.model_copy(update={"count": count}), handled(), GOOD)
    ]
    EVALUATION.given(*CLOSED_CASE, *rounds[:-3]).when(REOPEN).then(rounds[-3])
    EVALUATION.given(*CLOSED_CASE, *rounds).when(REOPEN).then_refused(Refusal.TOO_MANY_REOPENINGS)
    EVALUATION.given(*CLOSED_CASE, *rounds).when(AND_REOPEN).then_refused(Refusal.TOO_MANY_REOPENINGS)


# --- reopen for a report that was joined

FOR_REPORT = ReopenForReport(REPORT, "It rattles")
JOINED = ReportJoined(report=REPORT, reported_at=WINDOWS.rate_until, channel="web")


def test_a_case_is_reopened_for_a_report_that_was_joined_to_it() -> None:
    reopened = REOPENED.model_copy(update={"by": f"report:{REPORT}"})
    EVALUATION.given(*CLOSED_CASE, JOINED).when(FOR_REPORT).then(reopened)
    EVALUATION.given(*CLOSED_CASE, JOINED).when(FOR_REPORT).then_repeated_adds_nothing()
    EVALUATION.given(*OPEN, JOINED).when(FOR_REPORT).then_nothing()


def test_other_reports_reopen_nothing() -> None:
    EVALUATION.given(*CLOSED_CASE).when(FOR_REPORT).then_refused(Refusal.NOT_JOINED_THERE)
    EVALUATION.given().when(FOR_REPORT).then_refused(Refusal.UNKNOWN_CASE)


def test_a_reopened_report_ends_with_its_case_again() -> None:
    closed = GOOD.model_copy(update={"department": None, "joined_to": MAIN})
    reopened = REOPENED.model_copy(update={"department": None})
    history = (*MERGED, closed, reopened)
    EVALUATION.given(*history).when(REOPEN).then_nothing()
    state = EVALUATION.fold(history)
    assert state.case.into == MAIN  # type: ignore[union-attr]  # it is known


# --- cards


def test_a_card_is_shown_once_for_each_step_and_department() -> None:
    yellow = CardIssued(department="water", colour="yellow", step=1)
    EVALUATION.given(*OPEN).when(CARD).then(yellow)
    EVALUATION.given(*OPEN).when(CARD).then_repeated_adds_nothing()
    red = replace(CARD, step=2, colour="red")
    EVALUATION.given(*OPEN, yellow).when(red).then(CardIssued(department="water", colour="red", step=2))
    other = replace(CARD, department="roads")
    EVALUATION.given(*OPEN, yellow).when(other).then(CardIssued(department="roads", colour="yellow", step=1))
    EVALUATION.given().when(CARD).then_refused(Refusal.UNKNOWN_CASE)


def test_after_a_reopening_cards_begin_anew() -> None:
    yellow = CardIssued(department="water", colour="yellow", step=1)
    EVALUATION.given(*OPEN, yellow, GOOD, REOPENED).when(CARD).then(yellow)


# --- scores

SCORED = ServiceScored(department="water", community="qiaotou", stars=4, by=COMMUNITY)


def summoned(department: str) -> Summoned:
    deadline = Deadline(due_at=WINDOWS.rate_until)
    brief = Brief.model_validate(BRIEF.model_dump())
    return Summoned(department=department, whistle=1, lead=False, report_in=deadline, brief=brief)


@pytest.mark.parametrize("history", [HANDLED, CLOSED_CASE, (*OPEN, GOOD), (*CLOSED_CASE, REOPENED)])
def test_a_community_scores_who_served_it(history: tuple[Event, ...]) -> None:
    EVALUATION.given(*history).when(SCORE).then(SCORED)
    EVALUATION.given(*history).when(SCORE).then_repeated_adds_nothing()


def test_a_community_scores_each_department_once() -> None:
    EVALUATION.given(*HANDLED, SCORED).when(replace(SCORE, stars=1)).then_refused(Refusal.SCORED_ALREADY)
    roads = replace(SCORE, department="roads")
    EVALUATION.given(*HANDLED, SCORED).when(roads).then_refused(Refusal.DID_NOT_SERVE)
    history = (*OPEN, summoned("roads"), handled(), SCORED)
    EVALUATION.given(*history).when(roads).then(SCORED.model_copy(update={"department": "roads"}))


def test_a_department_that_was_replaced_is_scored_too() -> None:
    history = (*OPEN, assigned("roads"), handled("roads"))
    EVALUATION.given(*history).when(SCORE).then(SCORED)


def test_only_a_community_of_the_case_scores() -> None:
    other = replace(SCORE, by="community:liuyuan")
    EVALUATION.given(*HANDLED).when(other).then_refused(Refusal.NOT_THEIR_CASE)
    EVALUATION.given(*HANDLED).when(replace(SCORE, by="centre:hebin")).then_refused(Refusal.NOT_A_COMMUNITY)
    blown = WhistleBlown(
        whistle=1, by="community:liuyuan", departments=("water",), lead="water", reason="Close the road"
    )
    EVALUATION.given(*HANDLED, blown).when(other).then_repeated_adds_nothing()
    nowhere = (reported(community=None), FILED, assigned(), handled())
    EVALUATION.given(*nowhere).when(other).then_repeated_adds_nothing()


def test_there_must_be_something_to_score() -> None:
    EVALUATION.given().when(SCORE).then_refused(Refusal.UNKNOWN_CASE)
    EVALUATION.given(*OPEN).when(SCORE).then_refused(Refusal.NOTHING_TO_SCORE)
    EVALUATION.given(*HANDLED).when(replace(SCORE, stars=6)).then_refused(Refusal.STARS_OUT_OF_SCALE)


def test_a_rating_is_told_to_the_department_of_the_end() -> None:
    closing = GOOD.model_copy(update={"department": None, "outcome": Outcome.WITHDRAWN})
    nobodys = RATED.model_copy(update={"department": None})
    after = EVALUATION.given(reported(), FILED, closing).when(RATE).then(nobodys)
    assert isinstance(after.events[-1], Rated)
