"""Verification and closing: each command happens, is refused, is repeated, and meets a case that has moved on."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Deadline, Declined, Handled, Recalled
from libs.events.contracts.evaluation import CaseClosed, CaseReopened, HandlingReturned, Outcome, Rated
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseMerged, CaseRejected, ReportJoined
from libs.events.envelope import Origin
from libs.events.testing.examples import EXAMPLES, PLACE, REPORTED_AT, entry_of
from services.evaluation.decider import (
    REOPENINGS_MAX,
    REWORKS_MAX,
    Close,
    CloseHandled,
    CloseJoined,
    Command,
    IssueCard,
    RecordClosed,
    Refusal,
    ReopenForReport,
    SendBack,
    Unknown,
    Verify,
    decide,
    fold,
)
from services.evaluation.reactor import Reaction, is_heard, react
from services.evaluation.terms import windows
from tests.unit.evaluation_cases import (
    CLOSE,
    CLOSED_CASE,
    COMMANDS,
    EVALUATION,
    GOOD,
    HANDLED,
    JOINED,
    MAIN,
    OPEN,
    RECORD,
    REOPENED,
    REPORT,
    RETURNED,
    SEND_BACK,
    VERIFIED,
    VERIFY,
    WINDOWS,
)
from tests.unit.specs import (
    ANY_EVENT,
    ANY_HISTORY,
    CLOSED,
    FILED,
    NOW,
    assigned,
    handled,
    reported,
    rule_book,
)

BOOK = rule_book()
MERGED = (reported(), CaseMerged(into=MAIN, reason="rule"))
REJECTED = (reported(), CaseRejected(reason="Private ground"))

# --- verify


def test_what_somebody_else_finds_good_is_closed_in_the_same_moment() -> None:
    EVALUATION.given(*HANDLED).when(VERIFY).then(VERIFIED, GOOD)
    EVALUATION.given(*HANDLED).when(VERIFY).then_repeated_adds_nothing()


def test_the_windows_of_the_rule_book_begin_with_the_closing() -> None:
    found = windows(rule_book(time_lapse=7), NOW)
    assert found.rate_until == NOW + timedelta(days=1)
    assert found.reopen_until == NOW + timedelta(days=1)


def test_a_department_does_not_verify_what_departments_handled() -> None:
    for by in ("department:water", "department:roads"):
        EVALUATION.given(*HANDLED).when(replace(VERIFY, by=by)).then_refused(Refusal.VERIFIER_IS_HANDLER)
        EVALUATION.given(*HANDLED).when(replace(SEND_BACK, by=by)).then_refused(Refusal.VERIFIER_IS_HANDLER)


@pytest.mark.parametrize("command", [VERIFY, SEND_BACK])
@pytest.mark.parametrize(
    ("history", "refusal"),
    [
        ((), Refusal.UNKNOWN_CASE),
        (OPEN, Refusal.NOT_HANDLED),
        ((*HANDLED, assigned("roads")), Refusal.NOT_HANDLED),
        ((*HANDLED, Recalled(department="water", reason="")), Refusal.NOT_HANDLED),
        ((*HANDLED, CLOSED), Refusal.CASE_CLOSED),
        (REJECTED, Refusal.CASE_REJECTED),
        (MERGED, Refusal.CASE_MERGED),
    ],
)
def test_only_what_was_handled_is_looked_at(
    history: tuple[Event, ...], refusal: Refusal, command: Command
) -> None:
    EVALUATION.given(*history).when(command).then_refused(refusal)


def test_of_two_verifiers_the_second_hears_that_it_is_over() -> None:
    second = replace(VERIFY, by="community:qiaotou")
    EVALUATION.given(*HANDLED, VERIFIED, GOOD).when(second).then_refused(Refusal.CASE_CLOSED)


# --- send back


def test_what_is_not_good_goes_back_to_the_department() -> None:
    after = EVALUATION.given(*HANDLED).when(SEND_BACK).then(RETURNED)
    after.when(VERIFY).then_refused(Refusal.NOT_HANDLED)
    EVALUATION.given(*HANDLED).when(SEND_BACK).then_repeated_adds_nothing()


def test_sending_back_is_counted_over_reopenings() -> None:
    history = (*HANDLED, RETURNED, handled(), GOOD, REOPENED, assigned("roads"), handled("roads"))
    second = RETURNED.model_copy(update={"department": "roads", "count": 2})
    EVALUATION.given(*history).when(SEND_BACK).then(second)


def test_sending_back_has_a_bound_and_closing_by_hand_has_none() -> None:
    rounds = [
        event
        for count in range(1, REWORKS_MAX + 1)
        for event in (RETURNED.model_copy(update={"count": count}), handled())
    ]
    EVALUATION.given(*HANDLED, *rounds[:-2]).when(SEND_BACK).then(rounds[-2])
    EVALUATION.given(*HANDLED, *rounds).when(SEND_BACK).then_refused(Refusal.TOO_MANY_REWORKS)
    EVALUATION.given(*HANDLED, *rounds).when(CLOSE).then_repeated_adds_nothing()


# --- close by hand


@pytest.mark.parametrize(
    ("history", "department"),
    [
        ((reported(), FILED), None),
        (OPEN, "water"),
        (HANDLED, "water"),
        ((*OPEN, Declined(department="water", reason="", count=1)), None),
        ((*CLOSED_CASE, REOPENED), "water"),
    ],
)
@pytest.mark.parametrize("outcome", [Outcome.RESOLVED, Outcome.NOT_RESOLVED, Outcome.WITHDRAWN])
def test_closing_by_hand_says_how_it_ended(
    history: tuple[Event, ...], department: str | None, outcome: Outcome
) -> None:
    closed = CaseClosed(
        department=department,
        outcome=outcome,
        note="Nobody's ground",
        by="centre:hebin",
        rate_until=WINDOWS.rate_until,
        reopen_until=WINDOWS.reopen_until,
    )
    EVALUATION.given(*history).when(replace(CLOSE, outcome=outcome)).then(closed)
    EVALUATION.given(*history).when(replace(CLOSE, outcome=outcome)).then_repeated_adds_nothing()


@pytest.mark.parametrize(
    ("history", "refusal"),
    [
        ((), Refusal.UNKNOWN_CASE),
        ((reported(),), Refusal.NOT_FILED),
        (CLOSED_CASE, Refusal.CASE_CLOSED),
        (REJECTED, Refusal.CASE_REJECTED),
        (MERGED, Refusal.CASE_MERGED),
        ((reported(), CaseFiled(category="0101", reason="record")), Refusal.NOT_ADOPTED),
    ],
)
def test_what_is_no_open_case_is_not_closed_by_hand(history: tuple[Event, ...], refusal: Refusal) -> None:
    EVALUATION.given(*history).when(CLOSE).then_refused(refusal)


def test_an_imported_case_is_closed_by_hand_once_it_is_adopted() -> None:
    adopted = CaseAdopted(category="0101", place=PLACE)
    record = CaseFiled(category="0101", reason="record")
    EVALUATION.given(reported(), record, adopted).when(CLOSE).then_repeated_adds_nothing()


def test_no_department_closes_a_case() -> None:
    EVALUATION.given(*OPEN).when(replace(CLOSE, by="department:water")).then_refused(
        Refusal.NOT_FOR_DEPARTMENTS
    )


# --- close what was handled, where nobody must look


def test_without_verification_what_was_handled_is_closed() -> None:
    EVALUATION.given(*HANDLED).when(CloseHandled(WINDOWS)).then(GOOD)
    EVALUATION.given(*HANDLED).when(CloseHandled(WINDOWS)).then_repeated_adds_nothing()
    EVALUATION.given(*OPEN).when(CloseHandled(WINDOWS)).then_refused(Refusal.NOT_HANDLED)
    EVALUATION.given().when(CloseHandled(WINDOWS)).then_refused(Refusal.UNKNOWN_CASE)
    EVALUATION.given(*HANDLED, assigned("roads")).when(CloseHandled(WINDOWS)).then_refused(
        Refusal.NOT_HANDLED
    )


# --- close what was joined


def test_a_joined_report_ends_as_its_case_ended() -> None:
    closed = CaseClosed(
        outcome=Outcome.RESOLVED,
        note="Replaced",
        joined_to=MAIN,
        rate_until=WINDOWS.rate_until,
        reopen_until=WINDOWS.reopen_until,
    )
    EVALUATION.given(*MERGED).when(JOINED).then(closed)
    EVALUATION.given(*MERGED).when(JOINED).then_repeated_adds_nothing()


def test_only_the_case_that_it_was_joined_to_ends_a_report() -> None:
    elsewhere = CloseJoined(REPORT, Outcome.RESOLVED, "", WINDOWS)
    EVALUATION.given(*MERGED).when(elsewhere).then_refused(Refusal.NOT_JOINED_THERE)
    EVALUATION.given(*OPEN).when(JOINED).then_refused(Refusal.NOT_JOINED_THERE)
    EVALUATION.given().when(JOINED).then_refused(Refusal.UNKNOWN_CASE)
    EVALUATION.given(*REJECTED).when(JOINED).then_nothing()


# --- what another system states


@pytest.mark.parametrize(
    ("history", "department"),
    [((reported(), FILED), None), (OPEN, "water"), (HANDLED, "water")],
)
def test_what_another_system_states_is_recorded_whether_it_was_handled_or_not(
    history: tuple[Event, ...], department: str | None
) -> None:
    closed = CaseClosed(department=department, outcome=Outcome.UNKNOWN, note="Case closed")
    EVALUATION.given(*history).when(RECORD).then(closed)
    EVALUATION.given(*history).when(RECORD).then_repeated_adds_nothing()


def test_nothing_is_closed_before_it_was_reported() -> None:
    early = RecordClosed(at=REPORTED_AT - timedelta(microseconds=1), reported_at=REPORTED_AT, note="")
    at_once = RecordClosed(at=REPORTED_AT, reported_at=REPORTED_AT, note="")
    EVALUATION.given(*OPEN).when(early).then_refused(Refusal.CLOSED_BEFORE_REPORTED)
    EVALUATION.given(*OPEN).when(at_once).then_repeated_adds_nothing()
    EVALUATION.given().when(RECORD).then_refused(Refusal.UNKNOWN_CASE)


def test_what_a_source_first_said_of_an_end_stands() -> None:
    EVALUATION.given(*OPEN, CLOSED).when(RECORD).then_nothing()


# --- the reactor


def reactions_to(event: Event, *before: Event, origin: Origin = Origin.LIVE) -> tuple[Reaction, ...]:
    return react(entry_of(event, origin=origin), fold((*before, event)), BOOK, NOW)


OWN_CASE = entry_of(CLOSED).case_id
JOINED_REPORT = ReportJoined(report=REPORT, reported_at=NOW, channel="web")


def test_what_nobody_must_verify_is_closed_when_it_is_handled() -> None:
    expected = Reaction(OWN_CASE, CloseHandled(windows(BOOK, NOW)))
    assert reactions_to(handled(), *OPEN) == (expected,)
    to_verify = Handled(department="water", note="", verify=Deadline(due_at=NOW))
    assert reactions_to(to_verify, *OPEN) == ()


@pytest.mark.parametrize(("step", "colour"), [(1, "yellow"), (2, "red"), (3, None)])
def test_what_is_long_overdue_earns_the_card_of_its_step(step: int, colour: str | None) -> None:
    escalated = next(event for event in EXAMPLES.values() if event.name() == "escalated")
    late = escalated.model_copy(update={"step": step, "department": "water"})
    expected = (Reaction(OWN_CASE, IssueCard("water", step, colour)),) if colour else ()
    assert reactions_to(late, *OPEN) == expected
    assert reactions_to(late.model_copy(update={"department": None}), *OPEN) == ()
    assert reactions_to(late.model_copy(update={"reason": "not_handled"}), *OPEN) == ()


def test_the_end_of_a_case_is_the_end_of_every_report_joined_to_it() -> None:
    other = JOINED_REPORT.model_copy(update={"report": MAIN})
    closing = GOOD.model_copy(update={"outcome": Outcome.NOT_RESOLVED, "note": "why"})
    command = CloseJoined(OWN_CASE, Outcome.NOT_RESOLVED, "why", windows(BOOK, NOW))
    found = reactions_to(closing, *OPEN, JOINED_REPORT, other, JOINED_REPORT)
    assert found == (Reaction(REPORT, command), Reaction(MAIN, command))


def test_a_report_joined_after_the_end_is_closed_then() -> None:
    command = CloseJoined(OWN_CASE, Outcome.RESOLVED, "", windows(BOOK, NOW))
    assert reactions_to(JOINED_REPORT, *CLOSED_CASE) == (Reaction(REPORT, command),)
    assert reactions_to(JOINED_REPORT, *OPEN) == ()


def test_a_reopened_report_reopens_the_case_that_it_was_joined_to() -> None:
    closed = GOOD.model_copy(update={"joined_to": MAIN})
    expected = Reaction(MAIN, ReopenForReport(OWN_CASE, "It rattles"))
    assert reactions_to(REOPENED, *MERGED, closed) == (expected,)
    assert reactions_to(REOPENED, *CLOSED_CASE) == ()


def test_nothing_else_causes_anything() -> None:
    heard = {event.name() for event in EXAMPLES.values() if is_heard(entry_of(event))}
    assert heard == {"handled", "escalated", "closed", "joined", "reopened"}


@pytest.mark.parametrize("origin", [Origin.IMPORT, Origin.REPLAY])
@pytest.mark.parametrize("event", EXAMPLES.values())
def test_history_causes_nothing(event: Event, origin: Origin) -> None:
    assert reactions_to(event, *OPEN, JOINED_REPORT, origin=origin) == ()
    assert not is_heard(entry_of(event, origin=origin))


# --- laws


@given(history=ANY_HISTORY)
def test_law_the_fold_takes_any_order_of_any_events(history: tuple[Event, ...]) -> None:
    state = fold(history)
    assert isinstance(state, Unknown) == ("reported" not in {event.name() for event in history})


@given(history=ANY_HISTORY, command=COMMANDS)
def test_law_a_repeated_command_adds_no_facts(history: tuple[Event, ...], command: Command) -> None:
    outcome = decide(command, fold(history))
    if isinstance(outcome, tuple):
        assert decide(command, fold((*history, *outcome))) == ()


@given(history=ANY_HISTORY)
def test_law_no_department_judges_or_ends_a_case(history: tuple[Event, ...]) -> None:
    by = "department:water"
    commands: list[Command] = [
        Verify(by, WINDOWS),
        SendBack(by, "-"),
        Close(by, Outcome.RESOLVED, "-", WINDOWS),
    ]
    for command in commands:
        assert not decide(command, fold(history)) or isinstance(decide(command, fold(history)), Refusal)


WORK = ANY_EVENT.filter(lambda event: event.name() in {"assigned", "handled", "accepted", "joined"})


@given(steps=st.lists(st.one_of(COMMANDS, WORK), max_size=60))
def test_law_whatever_is_asked_ends_and_ratings_stay_counted(steps: list[Command | Event]) -> None:
    history: tuple[Event, ...] = (reported(), FILED)
    for step in steps:
        outcome = (step,) if isinstance(step, Event) else decide(step, fold(history))
        history += outcome if isinstance(outcome, tuple) else ()
    closings = [event for event in history if isinstance(event, CaseClosed)]
    reopenings = [event for event in history if isinstance(event, CaseReopened)]
    returns = [event for event in history if isinstance(event, HandlingReturned)]
    assert len(reopenings) <= len(closings) <= len(reopenings) + 1
    assert sum(isinstance(event, Rated) for event in history) <= len(closings)
    assert [event.count for event in reopenings] == list(range(1, len(reopenings) + 1))
    assert [event.count for event in returns] == list(range(1, len(returns) + 1))
    assert len(reopenings) <= REOPENINGS_MAX
    assert len(returns) <= REWORKS_MAX
