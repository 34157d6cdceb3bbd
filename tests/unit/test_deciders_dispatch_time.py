"""Dispatch: which deadlines stand, and what becomes of each when it is here."""

from dataclasses import replace

import pytest

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Assigned, DueSoon, Escalated, EscalationReason, Step
from libs.events.contracts.intake import CaseMerged, CaseRejected
from services.dispatch.clocks import deadlines, deadlines_of
from services.dispatch.decider import (
    Accept,
    Acknowledge,
    Command,
    Escalate,
    Grant,
    Pause,
    Recall,
    Resume,
)
from tests.unit.dispatch_cases import (
    ACCEPT,
    ADOPTED,
    ASSIGN,
    CLOSED,
    DECLINE,
    DECLINE_ROADS,
    DISPATCH,
    HANDLE,
    REOPENED,
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
from tests.unit.specs import FILED, assigned, handled, reported

PAUSE = Pause("weather", RULES)
MINUTE = 1 / 60
LANE = grown(ASSIGN, start=(reported("0103"), FILED.model_copy(update={"category": "0103"})))
HANDLING = {"handle": 4.0, "handle-soon": 3.0, "overdue-1": 28.0, "overdue-2": 76.0}
SIGNING = {"sign": 1.0, "sign-soon": 0.75}
VERIFYING = {"verify": 2.0, "verify-soon": 1.5}
WATER_COMES = {"report-in-water": 0.5, "report-in-water-soon": 0.375}
ROADS_COME = {"report-in-roads": 0.5, "report-in-roads-soon": 0.375}


@pytest.mark.parametrize(
    ("history", "hours"),
    [
        ((), {}),
        ((reported(),), {}),
        (WAITING, {}),
        (grown(ASSIGN), SIGNING | HANDLING),
        (grown(ASSIGN, ACCEPT), HANDLING),
        (grown(ASSIGN, PAUSE), {}),
        (grown(ASSIGN, ACCEPT, HANDLE), VERIFYING),
        (grown(ASSIGN, ACCEPT, HANDLE, sent_back(1)), HANDLING),
        (grown(ASSIGN, WHISTLE, ACCEPT), WATER_COMES | ROADS_COME | HANDLING),
        (grown(ASSIGN, WHISTLE, REPORT_IN, ACCEPT), WATER_COMES | HANDLING),
        (grown(ASSIGN, WHISTLE, PAUSE), WATER_COMES | ROADS_COME),
        (grown(ASSIGN, WHISTLE, Recall("mine")), WATER_COMES | ROADS_COME),
        (grown(ASSIGN, WHISTLE, ACCEPT, HANDLE), VERIFYING),
        (grown(ASSIGN, WHISTLE, CLOSED, REOPENED, ASSIGN), SIGNING | HANDLING),
        (grown(ASSIGN, DECLINE, DECLINE_ROADS), {}),
        (grown(ASSIGN, Recall("mine")), {}),
        (grown(ASSIGN, ACCEPT, CLOSED), {}),
        (grown(ASSIGN, CaseRejected(reason="no")), {}),
        (grown(ASSIGN, CaseMerged(into="other", reason="rule")), {}),
        ((*WAITING, assigned(due_at=after(1))), {}),
        ((*WAITING, assigned(due_at=after(1)), handled()), {}),
        (grown(assigned(due_at=after(1)), ADOPTED, ASSIGN), SIGNING | HANDLING),
    ],
)
def test_these_deadlines_stand(history: tuple[Event, ...], hours: dict[str, float]) -> None:
    assert deadlines_of(history) == {name: after(each) for name, each in hours.items()}


def test_in_the_fast_lane_the_desk_acknowledges_against_its_own_minutes() -> None:
    names = deadlines(DISPATCH.fold(LANE))
    assert names["acknowledge"] == after(MINUTE)
    assert "sign" not in names
    for command in (Acknowledge("centre:hebin"), Accept("roads")):
        assert "acknowledge" not in deadlines(DISPATCH.fold(grown(command, start=LANE)))


def test_an_extension_moves_every_later_moment() -> None:
    history = grown(ASSIGN, ACCEPT, extend(6), Grant(None, RULES, after(0)))
    assert deadlines_of(history) == {
        "handle": after(6),
        "handle-soon": after(4.5),
        "overdue-1": after(30),
        "overdue-2": after(78),
    }


def test_after_a_pause_the_same_deadlines_stand_later() -> None:
    history = grown(ASSIGN, up("sign-soon", 0.75), PAUSE, Resume(RULES, after(2)))
    moved = {"sign": 3.0, "handle": 6.0, "handle-soon": 5.0, "overdue-1": 30.0, "overdue-2": 78.0}
    assert deadlines_of(history) == {name: after(each) for name, each in moved.items()}


def test_what_was_used_before_a_pause_is_not_used_again_after_it() -> None:
    history = grown(
        ASSIGN, ACCEPT, up("handle", 4), up("overdue-1", 28), PAUSE, Resume(RULES, after(2)), start=WAITING
    )
    assert deadlines_of(history).keys() == {"overdue-2"}


def test_what_was_said_of_an_earlier_deadline_does_not_use_the_new_one() -> None:
    missed = escalated(EscalationReason.NOT_HANDLED, "street", due_at=after(4))
    history = grown(ASSIGN, ACCEPT, extend(6), Grant(None, RULES, after(0)), missed)
    assert deadlines_of(history)["handle"] == after(6)


def escalated(reason: EscalationReason, level: str, **more: object) -> Escalated:
    posts = {"community": "community:qiaotou", "street": "street:hebin", "district": "district:test"}
    usual = {"reason": reason, "level": level, "acts": posts[level], "department": "water"}
    return Escalated.model_validate(usual | more)


@pytest.mark.parametrize(
    ("history", "name", "hours", "fact"),
    [
        (
            grown(ASSIGN),
            "sign",
            1.0,
            escalated(EscalationReason.NOT_SIGNED, "community", due_at=after(1)),
        ),
        (
            grown(ASSIGN),
            "handle",
            4.0,
            escalated(EscalationReason.NOT_HANDLED, "street", due_at=after(4)),
        ),
        (
            grown(ASSIGN, ACCEPT),
            "overdue-2",
            76.0,
            escalated(EscalationReason.LONG_OVERDUE, "district", due_at=after(4), step=2),
        ),
        (
            grown(ASSIGN, ACCEPT, HANDLE),
            "verify",
            2.0,
            escalated(EscalationReason.NOT_VERIFIED, "street", due_at=after(2)),
        ),
        (
            grown(ASSIGN, WHISTLE),
            "report-in-roads",
            0.5,
            escalated(EscalationReason.NOT_REPORTED_IN, "street", department="roads", due_at=after(0.5)),
        ),
        (
            LANE,
            "acknowledge",
            MINUTE,
            escalated(EscalationReason.NOT_ACKNOWLEDGED, "street", department="roads", due_at=after(MINUTE)),
        ),
        (grown(ASSIGN), "sign-soon", 0.75, DueSoon(step=Step.SIGN, due_at=after(1), department="water")),
        (grown(ASSIGN), "handle-soon", 3.0, DueSoon(step=Step.HANDLE, due_at=after(4), department="water")),
        (grown(ASSIGN, ACCEPT, HANDLE), "verify-soon", 1.5, DueSoon(step=Step.VERIFY, due_at=after(2))),
        (
            grown(ASSIGN, WHISTLE),
            "report-in-roads-soon",
            0.375,
            DueSoon(step=Step.REPORT_IN, due_at=after(0.5), department="roads"),
        ),
        (LANE, "acknowledge-soon", 0.75 * MINUTE, DueSoon(step=Step.ACKNOWLEDGE, due_at=after(MINUTE))),
    ],
)
def test_what_is_missed_goes_up_once_and_what_is_soon_is_told_once(
    history: tuple[Event, ...], name: str, hours: float, fact: Event
) -> None:
    given = DISPATCH.given(*history)
    given.when(up(name, hours)).then(fact)
    given.when(up(name, hours, now=hours + MINUTE / 10)).then_repeated_adds_nothing()
    given.when(up(name, hours, now=hours - MINUTE / 1000)).then_nothing()
    given.when(up(name, hours + MINUTE / 1000, now=hours + 1)).then_nothing()
    used = deadlines(DISPATCH.fold((*history, fact)))
    assert name not in used
    assert not name.endswith("-soon") or used[name.removesuffix("-soon")] == fact.due_at  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("done", "name", "hours"),
    [
        ((ACCEPT,), "sign", 1.0),
        ((ACCEPT, HANDLE), "handle", 4.0),
        ((ACCEPT, HANDLE), "overdue-1", 28.0),
        ((PAUSE,), "handle", 4.0),
        ((PAUSE, Resume(RULES, after(2))), "handle", 4.0),
        ((extend(6), Grant(None, RULES, after(0))), "handle", 4.0),
        ((WHISTLE, REPORT_IN), "report-in-roads", 0.5),
        ((DECLINE, DECLINE_ROADS), "handle", 4.0),
        ((CLOSED,), "handle", 4.0),
    ],
)
def test_what_was_done_moved_or_paused_meanwhile_is_not_late(
    done: tuple[Command | Event, ...], name: str, hours: float
) -> None:
    DISPATCH.given(*grown(ASSIGN, *done)).when(up(name, hours, now=hours + 1)).then_nothing()


def test_a_reminder_that_comes_after_the_deadline_is_the_deadline() -> None:
    missed = escalated(EscalationReason.NOT_HANDLED, "street", due_at=after(4))
    given = DISPATCH.given(*grown(ASSIGN, ACCEPT))
    after_it = given.when(up("handle-soon", 3, now=5)).then(missed)
    after_it.when(up("handle", 4, now=5)).then_nothing()
    after_it.when(up("handle-soon", 3, now=5)).then_nothing()


def test_a_case_never_goes_down_and_always_up_while_there_is_an_above() -> None:
    history = grown(
        ASSIGN,
        Escalate("by hand", RULES),
        up("sign", 1),
        up("handle", 4),
        up("overdue-1", 28),
        up("overdue-2", 76),
    )
    levels = [each.level for each in history if isinstance(each, Escalated)]
    assert levels == ["community", "street", "district", "city", "city"]


def test_a_department_that_comes_late_was_late_once() -> None:
    history = grown(ASSIGN, WHISTLE, up("report-in-roads", 0.5), REPORT_IN)
    assert "report-in-roads" not in deadlines_of(history)
    second = grown(replace(WHISTLE, reason="again", now=after(1)), start=history)
    assert deadlines_of(second)["report-in-roads"] == after(1.5)
    DISPATCH.given(*second).when(up("report-in-roads", 0.5, now=2)).then_nothing()


def test_who_is_called_to_a_second_whistle_only_does_not_free_those_of_the_first() -> None:
    second = replace(WHISTLE, departments=("water", "power"), reason="power too", now=after(0.1))
    names = deadlines_of(grown(ASSIGN, WHISTLE, second))
    assert {
        name: at for name, at in names.items() if name.startswith("report-in") and "soon" not in name
    } == {
        "report-in-roads": after(0.5),
        "report-in-water": after(0.6),
        "report-in-power": after(0.6),
    }


def test_the_handling_that_was_sent_back_late_is_late_at_once() -> None:
    history = grown(ASSIGN, ACCEPT, replace(HANDLE, now=after(3.5)), sent_back(1))
    assert deadlines_of(history)["handle"] == after(4), "the clock ran on"
    DISPATCH.given(*history).when(up("handle", 4, now=5)).then(
        escalated(EscalationReason.NOT_HANDLED, "street", due_at=after(4))
    )


def test_every_assignment_has_clocks_of_its_own() -> None:
    history = grown(ASSIGN, up("sign", 1), replace(by_hand("power"), now=after(2)))
    assert isinstance(history[-1], Assigned)
    names = deadlines_of(history)
    assert (names["sign"], names["handle"]) == (after(3), after(6))
