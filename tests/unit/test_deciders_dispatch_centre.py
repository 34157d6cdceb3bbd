"""Dispatch: what the centre decides, the whistle, the fast lane: happens, refused, repeated, moved on."""

from dataclasses import replace

import pytest

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Acknowledged,
    Assigned,
    ClockPaused,
    ClockResumed,
    Deadline,
    Escalated,
    EscalationReason,
    ExtensionGranted,
    ExtensionRefused,
    Handled,
    Recalled,
    ReportedIn,
    Summoned,
    UnitSent,
    WhistleBlown,
)
from services.dispatch.clocks import deadlines
from services.dispatch.decider import (
    Accept,
    Acknowledge,
    BlowWhistle,
    Command,
    Escalate,
    Grant,
    MissUnit,
    Pause,
    Recall,
    Refusal,
    Refuse,
    ReportIn,
    Resume,
    SendUnit,
    decide,
    evolve,
)
from services.dispatch.decider.centre import GRANT_DAYS_MAX, PAUSES_MAX, RAISES_MAX
from services.dispatch.decider.whistle import WHISTLE_DEPARTMENTS_MAX, WHISTLES_MAX
from tests.unit.dispatch_cases import (
    ACCEPT,
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
    assignment,
    by_hand,
    extend,
    grown,
    up,
)
from tests.unit.specs import FILED, assigned, reported

ASKED = grown(ASSIGN, ACCEPT, extend(6))
PAUSE = Pause("weather", RULES, "storm")
RESUME = Resume(RULES, after(2))
LANE = grown(ASSIGN, start=(reported("0103"), FILED.model_copy(update={"category": "0103"})))
SEND = SendUnit("roads", "van-3", "repair-van", 640.5, 12.0, 4)


def grant(until: float | None = None, *, now: float = 0) -> Grant:
    return Grant(None if until is None else after(until), RULES, after(now), "well")


# --- more time


@pytest.mark.parametrize(("given", "until"), [(None, 6), (5, 5), (8, 8)])
def test_the_centre_gives_as_much_time_as_was_asked_for_or_another_measure(
    given: float | None, until: float
) -> None:
    DISPATCH.given(*ASKED).when(grant(given)).then(
        ExtensionGranted(
            department="water",
            due_at=after(until),
            warn_at=after(until * 0.75),
            overdue_at=(after(until + 24), after(until + 72)),
            note="well",
        )
    )
    DISPATCH.given(*ASKED).when(grant(given)).then_repeated_adds_nothing()


@pytest.mark.parametrize(
    ("history", "command", "refusal"),
    [
        (ASKED, grant(4), Refusal.UNTIL_NOT_LATER),
        (ASKED, grant(now=7), Refusal.UNTIL_NOT_LATER),
        (ASKED, grant(4 + 24 * GRANT_DAYS_MAX + 1), Refusal.UNTIL_TOO_LATE),
        (grown(grant(), start=ASKED), grant(9), Refusal.NO_EXTENSION_OPEN),
        (grown(ASSIGN, ACCEPT), grant(), Refusal.NO_EXTENSION_OPEN),
        (grown(HANDLE, start=ASKED), grant(), Refusal.ALREADY_HANDLED),
        (grown(PAUSE, start=ASKED), grant(), Refusal.CLOCK_PAUSED),
        (grown(CLOSED, start=ASKED), grant(), Refusal.CASE_CLOSED),
        (grown(Recall("mine"), start=ASKED), grant(), Refusal.NOT_ASSIGNED),
        ((), grant(), Refusal.UNKNOWN_CASE),
    ],
)
def test_not_everything_is_granted(history: tuple[Event, ...], command: Grant, refusal: Refusal) -> None:
    DISPATCH.given(*history).when(command).then_refused(refusal)


def test_a_department_gets_more_time_so_often_as_the_rule_book_says_in_each_assignment() -> None:
    granted = grown(grant(), start=ASKED)
    DISPATCH.given(*granted).when(extend(9)).then_refused(Refusal.NO_EXTENSION_LEFT)
    anew = grown(by_hand("power"), by_hand("water"), start=granted)
    assert isinstance(decide(extend(9), DISPATCH.fold(anew)), tuple)


def test_the_centre_gives_no_more_time() -> None:
    no = Refuse("the hole is deep")
    DISPATCH.given(*ASKED).when(no).then(ExtensionRefused(department="water", reason="the hole is deep"))
    DISPATCH.given(*ASKED).when(no).then_repeated_adds_nothing()
    DISPATCH.given(*grown(ASSIGN)).when(no).then_refused(Refusal.NO_EXTENSION_OPEN)
    DISPATCH.given(*grown(grant(), start=ASKED)).when(no).then_refused(Refusal.NO_EXTENSION_OPEN)
    DISPATCH.given(*WAITING).when(no).then_refused(Refusal.NOT_ASSIGNED)
    assert deadlines(DISPATCH.fold(grown(no, start=ASKED))) == deadlines(DISPATCH.fold(ASKED))


# --- pause and resume


def test_the_clock_stands_still_for_a_reason_of_the_rule_book() -> None:
    history = grown(ASSIGN)
    DISPATCH.given(*history).when(PAUSE).then(ClockPaused(department="water", reason="weather", note="storm"))
    DISPATCH.given(*history).when(PAUSE).then_repeated_adds_nothing()
    assert deadlines(DISPATCH.fold(grown(PAUSE, start=history))) == {}


@pytest.mark.parametrize(
    ("history", "command", "refusal"),
    [
        (grown(ASSIGN), Pause("no wish to work", RULES), Refusal.UNKNOWN_PAUSE),
        (grown(ASSIGN, PAUSE), Pause("waiting-for-reporter", RULES), Refusal.PAUSED_OTHERWISE),
        (grown(ASSIGN, ACCEPT, HANDLE), PAUSE, Refusal.ALREADY_HANDLED),
        ((*WAITING, assigned()), PAUSE, Refusal.NO_CLOCK),
        (WAITING, PAUSE, Refusal.NOT_ASSIGNED),
        (grown(ASSIGN, CLOSED), PAUSE, Refusal.CASE_CLOSED),
        (grown(ASSIGN, *((PAUSE, RESUME) * PAUSES_MAX)), PAUSE, Refusal.PAUSED_TOO_OFTEN),
        (WAITING, RESUME, Refusal.NOT_ASSIGNED),
    ],
)
def test_not_every_pause_is_taken(history: tuple[Event, ...], command: Command, refusal: Refusal) -> None:
    DISPATCH.given(*history).when(command).then_refused(refusal)


def test_the_stretch_that_the_clock_stood_still_does_not_count() -> None:
    unsigned = DISPATCH.given(*grown(ASSIGN, PAUSE))
    unsigned.when(RESUME).then(
        ClockResumed(
            department="water",
            due_at=after(6),
            warn_at=after(5),
            overdue_at=(after(30), after(78)),
            sign=Deadline(due_at=after(3), warn_at=after(2.75)),
        )
    )
    unsigned.when(RESUME).then_repeated_adds_nothing()
    DISPATCH.given(*grown(ASSIGN)).when(RESUME).then_nothing()


def test_a_deadline_that_was_missed_before_the_pause_stays_missed_and_what_comes_of_it_moves() -> None:
    late = grown(ASSIGN, ACCEPT, up("handle", 4))
    paused = evolve(DISPATCH.fold(late), ClockPaused(department="water", reason="weather"), after(5))
    resumed = ClockResumed(
        department="water", due_at=after(4), warn_at=after(4), overdue_at=(after(31), after(79))
    )
    assert decide(Resume(RULES, after(8)), paused) == (resumed,)
    assert deadlines(evolve(paused, resumed)) == {"overdue-1": after(31), "overdue-2": after(79)}


def test_handling_ends_the_pause_and_its_stretch_does_not_count() -> None:
    outcome = decide(replace(HANDLE, now=after(2)), DISPATCH.fold(grown(ASSIGN, ACCEPT, PAUSE)))
    assert isinstance(outcome, tuple)
    resumed, handled = outcome
    assert isinstance(resumed, ClockResumed)
    assert isinstance(handled, Handled)
    assert resumed.due_at == after(6)


# --- up by hand


def test_the_centre_hands_a_case_up_one_level_at_a_time_and_at_the_top_it_stays() -> None:
    history = grown(ASSIGN)
    levels: list[tuple[str, str]] = []
    for number in range(5):
        command = Escalate(f"reason {number}", RULES)
        DISPATCH.given(*history).when(command).then_repeated_adds_nothing()
        history = grown(command, start=history)
        raised = history[-1]
        assert isinstance(raised, Escalated)
        assert (raised.reason, raised.note) == (EscalationReason.BY_HAND, f"reason {number}")
        levels.append((raised.level, raised.acts))
    assert levels == [
        ("community", "community:qiaotou"),
        ("street", "street:hebin"),
        ("district", "district:test"),
        ("city", "city:test"),
        ("city", "city:test"),
    ]


def test_going_up_by_hand_is_bounded_and_for_open_cases() -> None:
    steps = [Escalate(str(number), RULES) for number in range(RAISES_MAX)]
    more = Escalate("more", RULES)
    DISPATCH.given(*grown(*steps)).when(more).then_refused(Refusal.ESCALATED_TOO_OFTEN)
    DISPATCH.given().when(more).then_refused(Refusal.UNKNOWN_CASE)
    DISPATCH.given(reported()).when(more).then_refused(Refusal.NOT_FILED)
    DISPATCH.given(*grown(ASSIGN, CLOSED)).when(more).then_refused(Refusal.CASE_CLOSED)


# --- the whistle


def summoned(department: str, *, lead: bool = False) -> Summoned:
    brief = assignment().brief
    assert brief
    return Summoned(
        department=department,
        whistle=1,
        lead=lead,
        officer=f"{department}-qiaotou",
        report_in=Deadline(due_at=after(0.5), warn_at=after(0.375)),
        brief=brief,
    )


def blown(lead: str) -> WhistleBlown:
    return WhistleBlown(
        whistle=1, by="community:qiaotou", departments=("water", "roads"), lead=lead, reason="both"
    )


def test_a_whistle_calls_each_department_with_a_clock_and_an_officer_of_its_own() -> None:
    given = DISPATCH.given(*grown(ASSIGN, ACCEPT))
    given.when(WHISTLE).then(blown("water"), summoned("water", lead=True), summoned("roads"))
    given.when(WHISTLE).then_repeated_adds_nothing()


def test_the_lead_of_a_whistle_answers_for_the_case_from_then_on() -> None:
    whistle = replace(WHISTLE, lead="roads")
    outcome = decide(whistle, DISPATCH.fold(grown(ASSIGN)))
    assert isinstance(outcome, tuple)
    assert outcome[:2] == (blown("roads"), Recalled(department="water", reason="both"))
    assert isinstance(outcome[2], Assigned)
    assert (outcome[2].department, outcome[2].reason) == ("roads", "whistle")
    assert outcome[3:] == (summoned("water"), summoned("roads", lead=True))
    DISPATCH.given(*grown(ASSIGN)).when(whistle).then_repeated_adds_nothing()


def test_a_whistle_gives_a_case_that_nobody_has_to_its_lead() -> None:
    for history in (WAITING, grown(ASSIGN, DECLINE, DECLINE_ROADS)):
        outcome = decide(WHISTLE, DISPATCH.fold(history))
        assert isinstance(outcome, tuple)
        assert [each.name() for each in outcome] == ["blown", "assigned", "summoned", "summoned"]


def test_a_department_that_is_named_twice_is_called_once() -> None:
    twice = replace(WHISTLE, departments=("water", "roads", "water", "roads"))
    assert decide(twice, DISPATCH.fold(grown(ASSIGN))) == decide(WHISTLE, DISPATCH.fold(grown(ASSIGN)))


MANY = tuple(f"d{number}" for number in range(WHISTLE_DEPARTMENTS_MAX + 1))


@pytest.mark.parametrize(
    ("history", "command", "refusal"),
    [
        (grown(ASSIGN), replace(WHISTLE, by="city:test"), Refusal.POST_MAY_NOT_WHISTLE),
        (grown(ASSIGN), replace(WHISTLE, departments=("water", "water")), Refusal.TOO_FEW_DEPARTMENTS),
        (grown(ASSIGN), replace(WHISTLE, departments=MANY), Refusal.TOO_MANY_DEPARTMENTS),
        (grown(ASSIGN), replace(WHISTLE, departments=("water", "nobody")), Refusal.UNKNOWN_SUMMONED),
        (grown(ASSIGN), replace(WHISTLE, lead="power"), Refusal.LEAD_NOT_SUMMONED),
        (grown(ASSIGN, ACCEPT, HANDLE), WHISTLE, Refusal.ALREADY_HANDLED),
        (grown(ASSIGN, CLOSED), WHISTLE, Refusal.CASE_CLOSED),
        ((reported(),), WHISTLE, Refusal.NOT_FILED),
        ((), WHISTLE, Refusal.UNKNOWN_CASE),
        (
            grown(ASSIGN, *(replace(WHISTLE, reason=str(number)) for number in range(WHISTLES_MAX))),
            WHISTLE,
            Refusal.WHISTLED_TOO_OFTEN,
        ),
    ],
)
def test_not_every_whistle_is_blown(
    history: tuple[Event, ...], command: BlowWhistle, refusal: Refusal
) -> None:
    DISPATCH.given(*history).when(command).then_refused(refusal)


def test_a_department_that_was_called_reports_in_once_for_each_whistle() -> None:
    history = grown(ASSIGN, WHISTLE)
    there = ReportedIn(department="roads", whistle=1, officer="roads-qiaotou", note="here")
    DISPATCH.given(*history).when(REPORT_IN).then(there)
    DISPATCH.given(*history).when(REPORT_IN).then_repeated_adds_nothing()
    again = grown(REPORT_IN, replace(WHISTLE, reason="once more"), start=history)
    DISPATCH.given(*again).when(REPORT_IN).then(there.model_copy(update={"whistle": 2}))


def test_who_was_not_called_has_nothing_to_report() -> None:
    stranger = ReportIn("power", "somebody")
    DISPATCH.given(*grown(ASSIGN, WHISTLE)).when(stranger).then_refused(Refusal.NOT_SUMMONED)
    DISPATCH.given(*grown(ASSIGN)).when(REPORT_IN).then_refused(Refusal.NOT_SUMMONED)
    DISPATCH.given(*grown(ASSIGN, WHISTLE, CLOSED)).when(REPORT_IN).then_refused(Refusal.CASE_CLOSED)
    DISPATCH.given(*grown(ASSIGN, WHISTLE, REPORT_IN, CLOSED)).when(REPORT_IN).then_nothing()
    DISPATCH.given(reported()).when(REPORT_IN).then_refused(Refusal.NOT_SUMMONED)
    DISPATCH.given().when(REPORT_IN).then_refused(Refusal.UNKNOWN_CASE)


def test_the_same_whistle_is_blown_anew_when_the_case_was_reopened() -> None:
    history = grown(ASSIGN, WHISTLE, CLOSED, REOPENED, ASSIGN)
    outcome = decide(WHISTLE, DISPATCH.fold(history))
    assert isinstance(outcome, tuple)
    assert isinstance(outcome[0], WhistleBlown)
    assert outcome[0].whistle == 2


# --- the fast lane


def test_the_fast_lane_has_its_own_minutes_from_the_report_on() -> None:
    [fact] = [each for each in LANE if isinstance(each, Assigned)]
    assert fact.sign
    assert fact.lane == "repair-van"
    minute = 1 / 60
    assert (fact.sign.due_at, fact.due_at) == (after(minute), after(5 * minute))
    filed = FILED.model_copy(update={"category": "0103"})
    late = decide(replace(ASSIGN, now=after(1)), DISPATCH.fold((reported("0103"), filed)))
    assert isinstance(late, tuple)
    assert isinstance(late[0], Assigned)
    assert late[0].due_at == after(5 * minute)


def test_the_duty_desk_acknowledges_once() -> None:
    seen = Acknowledge("centre:hebin")
    DISPATCH.given(*LANE).when(seen).then(Acknowledged(department="roads", by="centre:hebin"))
    DISPATCH.given(*LANE).when(seen).then_repeated_adds_nothing()
    DISPATCH.given(*grown(ASSIGN)).when(seen).then_refused(Refusal.NO_FAST_LANE)
    DISPATCH.given(*WAITING).when(seen).then_refused(Refusal.NOT_ASSIGNED)
    DISPATCH.given(*LANE, CLOSED).when(seen).then_refused(Refusal.CASE_CLOSED)


def test_one_unit_is_sent_once() -> None:
    DISPATCH.given(*LANE).when(SEND).then(
        UnitSent(
            department="roads",
            unit="van-3",
            kind="repair-van",
            distance_metres=640.5,
            position_age_seconds=12.0,
            considered=4,
        )
    )
    DISPATCH.given(*LANE).when(SEND).then_repeated_adds_nothing()
    DISPATCH.given(*grown(SEND, start=LANE)).when(replace(SEND, unit="van-4")).then_nothing()
    DISPATCH.given(*grown(ASSIGN)).when(SEND).then_refused(Refusal.NO_FAST_LANE)


def test_a_case_that_no_unit_is_free_for_goes_up_once() -> None:
    none = MissUnit(RULES, "all are out")
    DISPATCH.given(*LANE).when(none).then(
        Escalated(
            reason=EscalationReason.NO_UNIT,
            level="street",
            acts="street:hebin",
            department="roads",
            note="all are out",
        )
    )
    DISPATCH.given(*LANE).when(none).then_repeated_adds_nothing()
    DISPATCH.given(*grown(SEND, start=LANE)).when(none).then_nothing()
    handled = grown(Accept("roads"), replace(HANDLE, department="roads"), start=LANE)
    DISPATCH.given(*handled).when(none).then_nothing()
    DISPATCH.given(*handled).when(SEND).then_refused(Refusal.ALREADY_HANDLED)
