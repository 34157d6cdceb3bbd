"""Dispatch: what holds of every case, whatever happens to it in whatever order."""

from collections import Counter
from datetime import datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Assigned,
    Declined,
    DueSoon,
    Escalated,
    EscalationReason,
    Handled,
    Recalled,
    ReportedIn,
    Summoned,
    WhistleBlown,
)
from libs.events.contracts.evaluation import CaseClosed
from libs.events.contracts.intake import CaseAdopted, CaseMerged, CaseRejected
from services.dispatch.clocks import QUIET, deadlines, deadlines_of, timer_of
from services.dispatch.decider import (
    Accept,
    Acknowledge,
    Assign,
    AssignByHand,
    BlowWhistle,
    Command,
    Decline,
    Escalate,
    Grant,
    Handle,
    InHands,
    MissUnit,
    NoteProgress,
    Over,
    Pause,
    RaiseFailed,
    Recall,
    RecordAssigned,
    RecordHandled,
    Refuse,
    ReportIn,
    RequestExtension,
    Resume,
    SendUnit,
    TimeUp,
    decide,
    evolve,
    fold,
)
from services.dispatch.decider.assigning import ASSIGNMENTS_MAX, RETURNS_MAX
from services.dispatch.decider.states import Filed, Waiting
from tests.unit.dispatch_cases import (
    ADOPTED,
    ALL,
    ASSIGN,
    CLOSED,
    DECLINE,
    HANDLE,
    REOPENED,
    RULES,
    WAITING,
    WHISTLE,
    after,
    by_hand,
    grown,
    sent_back,
)
from tests.unit.specs import ANY_EVENT, FILED, reported

POSTS = ("community:qiaotou", "street:hebin", "centre:hebin", "city:test")
NAMES = (
    *("sign", "handle", "verify", "acknowledge", "overdue-1", "overdue-2"),
    *(f"report-in-{code}" for code in ALL),
)
MOMENTS = st.sampled_from([after(each) for each in (0, 0.25, 0.5, 1, 2, 3.5, 4, 5, 8, 30, 100)])
WHO = st.sampled_from((*ALL, "nobody"))
REASONS = st.sampled_from(("one", "two"))


def live_commands(now: st.SearchStrategy[datetime]) -> st.SearchStrategy[Command]:
    rules = st.just(RULES)
    named = st.lists(WHO, max_size=4).map(tuple)
    return st.one_of(
        st.builds(Assign, rules, now),
        st.builds(RaiseFailed, rules),
        st.builds(TimeUp, st.sampled_from(NAMES), now, rules, now),
        st.builds(SendUnit, WHO, REASONS, st.just("van"), st.just(1.0), st.just(1.0), st.just(1)),
        st.builds(MissUnit, rules),
        st.builds(Accept, WHO),
        st.builds(Decline, WHO, REASONS, rules, now),
        st.builds(ReportIn, WHO, REASONS),
        st.builds(NoteProgress, WHO, REASONS),
        st.builds(RequestExtension, WHO, now, REASONS, rules, now),
        st.builds(Handle, WHO, REASONS, rules, now),
        st.builds(AssignByHand, WHO, REASONS, rules, now),
        st.builds(Recall, REASONS),
        st.builds(Escalate, REASONS, rules),
        st.builds(Grant, st.none() | now, rules, now),
        st.builds(Refuse, REASONS),
        st.builds(Pause, st.sampled_from(("weather", "waiting-for-reporter", "none")), rules),
        st.builds(Resume, rules, now),
        st.builds(BlowWhistle, st.sampled_from(POSTS), named, WHO, REASONS, rules, now),
        st.builds(Acknowledge, st.just("centre:hebin")),
    )


LIVE = live_commands(MOMENTS)
ANY_COMMAND = st.one_of(
    LIVE, st.builds(RecordAssigned, WHO, st.none() | MOMENTS), st.builds(RecordHandled, REASONS)
)
OWN: st.SearchStrategy[Event] = st.sampled_from(
    [
        *grown(ASSIGN, DECLINE, WHISTLE, by_hand("water"), Accept("water"), HANDLE, sent_back(1)),
        *(ADOPTED, REOPENED, CLOSED, sent_back(2)),
    ]
)
ANY_HISTORY = st.lists(st.one_of(ANY_EVENT, OWN), max_size=15).map(tuple)
OTHERS: st.SearchStrategy[Event] = st.sampled_from(
    [CLOSED, REOPENED, ADOPTED, sent_back(1), sent_back(2), CaseMerged(into="other", reason="rule")]
)
FILED_CASES = st.sampled_from(
    [
        WAITING,
        (reported("0102"), FILED.model_copy(update={"category": "0102"})),
        (reported("0103"), FILED.model_copy(update={"category": "0103"})),
    ]
)


def lived(start: tuple[Event, ...], steps: list[Command | Event]) -> tuple[Event, ...]:
    """What becomes of a case when all this is tried."""
    history, state = start, fold(start)
    for step in steps:
        outcome = (step,) if isinstance(step, Event) else decide(step, state)
        if isinstance(outcome, tuple):
            history += outcome
            for fact in outcome:
                state = evolve(state, fact, after(0))
    return history


LIVES = st.builds(
    lived,
    FILED_CASES,
    st.lists(st.one_of(LIVE, LIVE, LIVE, OTHERS), max_size=40).map(lambda steps: [ASSIGN, *steps]),
)


@given(history=ANY_HISTORY | LIVES)
def test_law_quiet_facts_move_no_deadline(history: tuple[Event, ...]) -> None:
    for number, event in enumerate(history):
        if event.name() in QUIET:
            assert deadlines_of(history[:number]) == deadlines_of(history[: number + 1])


@given(history=LIVES)
def test_law_one_timer_stands_for_the_next_deadline_as_long_as_there_is_one(
    history: tuple[Event, ...],
) -> None:
    standing = deadlines_of(history)
    assert list(timer_of(history).values()) == sorted(standing.values())[:1]
    assert timer_of(history).items() <= standing.items()


@given(history=ANY_HISTORY)
def test_law_the_fold_takes_any_order_of_any_events(history: tuple[Event, ...]) -> None:
    deadlines_of(history)


@given(history=ANY_HISTORY | LIVES, command=ANY_COMMAND)
def test_law_a_repeated_command_adds_no_facts(history: tuple[Event, ...], command: Command) -> None:
    outcome = decide(command, fold(history))
    if isinstance(outcome, tuple):
        assert decide(command, fold((*history, *outcome))) == ()


@given(history=LIVES)
def test_law_one_department_has_a_case_and_acts_in_order(history: tuple[Event, ...]) -> None:
    holder: str | None = None
    signed = False
    for event in history:
        match event:
            case Assigned(department=department):
                assert holder is None or department == holder, "taken away, returned or over before"
                holder, signed = department, False
            case Declined(department=department) | Recalled(department=department):
                assert department == holder
                holder = None
            case Accepted(department=department):
                assert department == holder
                signed = True
            case Handled(department=department):
                assert (department, signed) == (holder, True)
            case CaseClosed() | CaseRejected() | CaseMerged():
                holder = None
            case CaseAdopted():
                holder = None
            case _:
                pass


@given(history=LIVES)
def test_law_an_open_case_that_was_assigned_has_a_department_or_somebody_who_must_act(
    history: tuple[Event, ...],
) -> None:
    match fold(history):
        case InHands(department=department):
            assigned = [event.department for event in history if isinstance(event, Assigned)]
            assert department == assigned[-1]
        case Waiting():
            moved = [
                event for event in history if isinstance(event, Assigned | Declined | Recalled | Escalated)
            ]
            assert isinstance(moved[-1], Recalled | Escalated), "returned, and nobody was told"
        case _:
            pass


@given(history=LIVES)
def test_law_what_goes_round_is_bounded(history: tuple[Event, ...]) -> None:
    counts = [event.count for event in history if isinstance(event, Declined)]
    assert counts == list(range(1, len(counts) + 1))
    assert len(counts) <= RETURNS_MAX
    by_people = [
        event
        for event in history
        if isinstance(event, Assigned) and event.reason in {"hand", "whistle", "returned"}
    ]
    assert len(by_people) <= ASSIGNMENTS_MAX


@given(history=LIVES, moments=st.lists(MOMENTS, min_size=1, max_size=5))
def test_law_a_deadline_is_used_once_however_late_and_often_its_timer_fires(
    history: tuple[Event, ...], moments: list[datetime]
) -> None:
    before = deadlines(fold(history))
    for moment in moments:
        for name, due_at in before.items():
            outcome = decide(TimeUp(name, due_at, RULES, moment), fold(history))
            assert isinstance(outcome, tuple), "a timer is never refused"
            assert len(outcome) <= 1
            history += outcome
            stands = deadlines(fold(history)).get(name)
            assert stands != due_at or moment < due_at, "whoever fired it would fire it for ever"
    used = Counter(
        (event.reason, event.department, event.due_at, event.step, assignment)
        for event, assignment in _numbered(history)
        if isinstance(event, Escalated) and event.due_at is not None
    )
    assert not used or max(used.values()) == 1
    told = Counter(
        (event.step, event.department, event.due_at, assignment)
        for event, assignment in _numbered(history)
        if isinstance(event, DueSoon)
    )
    assert not told or max(told.values()) == 1


def _numbered(history: tuple[Event, ...]) -> list[tuple[Event, int]]:
    """Each event with how many assignments, whistles and reports of handling there were before it."""
    number = 0
    numbered: list[tuple[Event, int]] = []
    for event in history:
        number += isinstance(event, Assigned | WhistleBlown | Handled)
        numbered.append((event, number))
    return numbered


@given(
    history=LIVES,
    ending=st.sampled_from([CLOSED, CaseRejected(reason="no"), CaseMerged(into="x", reason="rule")]),
)
def test_law_what_is_over_has_no_deadlines(history: tuple[Event, ...], ending: Event) -> None:
    state = fold((*history, ending))
    assert isinstance(state, Over)
    assert deadlines(state) == {}


@given(history=LIVES)
def test_law_a_whistle_calls_each_department_once_and_each_comes_once(history: tuple[Event, ...]) -> None:
    called = Counter((event.whistle, event.department) for event in history if isinstance(event, Summoned))
    named = Counter(
        (event.whistle, department)
        for event in history
        if isinstance(event, WhistleBlown)
        for department in event.departments
    )
    assert called == named
    assert not called or max(called.values()) == 1
    came = Counter((event.whistle, event.department) for event in history if isinstance(event, ReportedIn))
    assert came.keys() <= called.keys()
    assert not came or max(came.values()) == 1
    late = Counter(
        (event.department, event.due_at)
        for event in history
        if isinstance(event, Escalated) and event.reason is EscalationReason.NOT_REPORTED_IN
    )
    for (department, _), times in late.items():
        assert times <= sum(who == department for _, who in called)


@given(history=LIVES)
def test_law_a_case_never_goes_down(history: tuple[Event, ...]) -> None:
    rank = {"grid": 0, "community": 1, "street": 2, "district": 3, "city": 4}
    levels = [rank[event.level] for event in history if isinstance(event, Escalated)]
    assert levels == sorted(levels)
    for one, other in pairwise(levels):
        assert one < other or one == rank["city"], "always up while there is an above"


@given(history=LIVES)
def test_law_what_is_filed_waits_for_its_assignment_only_until_it_is_asked_for(
    history: tuple[Event, ...],
) -> None:
    if isinstance(fold(history), Filed):
        outcome = decide(ASSIGN, fold(history))
        assert isinstance(outcome, tuple)
        assert any(isinstance(fact, Assigned) for fact in outcome)
