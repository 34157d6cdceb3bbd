"""Dispatch: what a desk sees of a case is what the decider knows of it, and says who must act."""

import pytest
from hypothesis import example, given

from libs.events.contracts.base import Event
from libs.events.testing.examples import entry_of
from services.dispatch.decider import Escalate, Grant, InHands, Pause, RaiseFailed, Recall, Resume, fold
from services.dispatch.decider.states import Filed, Paused, Waiting
from services.dispatch.desk import Row, Step, advance
from tests.unit.dispatch_cases import (
    ACCEPT,
    ADOPTED,
    ASSIGN,
    CLOSED,
    DECLINE,
    DECLINE_ROADS,
    HANDLE,
    REPORT_IN,
    RULES,
    WAITING,
    WHISTLE,
    after,
    by_hand,
    extend,
    grown,
    sent_back,
    up,
)
from tests.unit.test_deciders_dispatch_laws import LIVES


def desk(history: tuple[Event, ...]) -> Row | None:
    row: Row | None = None
    for version, event in enumerate(history, 1):
        row = advance(row, entry_of(event, version))
    return row


@pytest.mark.parametrize(
    ("history", "step", "acts", "why"),
    [
        (WAITING, Step.FILED, None, "filed"),
        (grown(ASSIGN), Step.ASSIGNED, None, None),
        (grown(ASSIGN, up("sign", 1)), Step.ASSIGNED, "community:qiaotou", "not_signed"),
        (grown(ASSIGN, up("sign", 1), ACCEPT), Step.ACCEPTED, None, None),
        (grown(ASSIGN, up("handle", 4), ACCEPT), Step.ACCEPTED, "street:hebin", "not_handled"),
        (grown(ASSIGN, up("handle", 4), by_hand("power")), Step.ASSIGNED, None, None),
        (grown(ASSIGN, ACCEPT, up("handle", 4), HANDLE), Step.HANDLED, None, None),
        (grown(ASSIGN, ACCEPT, HANDLE, up("verify", 2)), Step.HANDLED, "street:hebin", "not_verified"),
        (grown(ASSIGN, WHISTLE, up("report-in-roads", 0.5), REPORT_IN), Step.ASSIGNED, None, None),
        (grown(ASSIGN, DECLINE, DECLINE_ROADS), Step.WAITING, "street:hebin", "returned_twice"),
        (grown(ASSIGN, Recall("mine")), Step.WAITING, "system:example", "recalled"),
        (grown(ASSIGN, Escalate("look", RULES)), Step.ASSIGNED, "community:qiaotou", "by_hand"),
        (
            grown(ASSIGN, ACCEPT, HANDLE, sent_back(1), HANDLE, sent_back(2), RaiseFailed(RULES)),
            Step.ACCEPTED,
            "street:hebin",
            "failed_verification_twice",
        ),
        (grown(ASSIGN, ADOPTED), Step.FILED, None, "adopted"),
    ],
)
def test_a_desk_sees_who_must_act_until_it_is_done(
    history: tuple[Event, ...], step: Step, acts: str | None, why: str | None
) -> None:
    row = desk(history)
    assert row
    assert (row.step, row.acts, row.why) == (step, acts, why)


def test_a_desk_sees_the_clock_stand_still_and_what_time_was_asked_for() -> None:
    asked = desk(grown(ASSIGN, ACCEPT, extend(6)))
    assert asked
    assert (asked.asked_until, asked.due_at) == (after(6), after(4))
    granted = desk(grown(ASSIGN, ACCEPT, extend(6), Grant(None, RULES, after(0))))
    assert granted
    assert (granted.asked_until, granted.due_at) == (None, after(6))
    paused = desk(grown(ASSIGN, Pause("weather", RULES)))
    assert paused
    assert paused.paused == "weather"
    runs = desk(grown(ASSIGN, Pause("weather", RULES), Resume(RULES, after(2))))
    assert runs
    assert (runs.paused, runs.due_at, runs.sign_by) == (None, after(6), after(3))


def test_what_is_over_is_on_no_desk() -> None:
    assert desk(grown(ASSIGN, WHISTLE, CLOSED)) is None


@given(history=LIVES)
@example(history=grown(ASSIGN, Recall("one"), sent_back(1)))
def test_law_desk_and_decider_say_the_same(history: tuple[Event, ...]) -> None:
    row, state = desk(history), fold(history)
    match state:
        case InHands(department=department, clocks=clocks, pause=pause, past=past):
            assert row
            assert (row.department, row.due_at) == (
                department,
                clocks.handle.due_at if clocks.handle else None,
            )
            assert row.paused == (pause.reason if isinstance(pause, Paused) else None)
            came = {each.department: each.reported_in for each in past.summons}
            assert {each.department: each.reported_in_at is not None for each in row.summons} == came
        case Waiting():
            assert row
            assert (row.department, row.step) == (None, Step.WAITING)
            assert row.acts, "a case that nobody has, and nobody must act"
        case Filed():
            assert row is None or row.department is None
        case _:
            assert row is None
