"""Dispatch: who is responsible, and what the responsible department says: happens, refused, repeated, moved on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Assigned,
    Declined,
    Escalated,
    EscalationReason,
    ExtensionRequested,
    Handled,
    ProgressNoted,
    Recalled,
)
from libs.events.contracts.intake import CaseMerged, CaseRejected
from libs.events.envelope import Origin
from libs.events.testing.examples import EXAMPLES, entry_of
from services.dispatch.decider import (
    Accept,
    Assign,
    Command,
    Handle,
    NoteProgress,
    Pause,
    RaiseFailed,
    Recall,
    RecordAssigned,
    RecordHandled,
    Refusal,
    Refuse,
    RequestExtension,
    decide,
    fold,
    fold_entries,
)
from services.dispatch.decider.assigning import ASSIGNMENTS_MAX, RETURNS_MAX
from services.dispatch.decider.departments import EXTENSION_DAYS_MAX, NOTES_MAX, REQUESTS_MAX
from services.dispatch.reactor import react
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
    RULES,
    WAITING,
    WHISTLE,
    after,
    assignment,
    by_hand,
    extend,
    grown,
    sent_back,
)
from tests.unit.specs import FILED, NOW, assigned, reported, rule_book

PROGRESS = NoteProgress("water", "half", ("half.jpg",))


def only(outcome: tuple[Event, ...] | Refusal, kind: type[Event]) -> Event:
    assert isinstance(outcome, tuple), outcome
    [fact] = [each for each in outcome if isinstance(each, kind)]
    return fact


# --- assigning by rule


def test_a_filed_case_goes_to_the_department_that_the_first_fitting_rule_names() -> None:
    DISPATCH.given(*WAITING).when(ASSIGN).then(assignment())


@pytest.mark.parametrize(("code", "community"), [("0102", "qiaotou"), ("0101", "elsewhere"), ("0101", None)])
def test_where_no_special_rule_fits_the_general_one_decides(code: str, community: str | None) -> None:
    filed = FILED.model_copy(update={"category": code})
    fact = only(decide(ASSIGN, fold((reported(code, community), filed))), Assigned)
    assert isinstance(fact, Assigned)
    assert (fact.department, fact.rule, fact.due_at) == ("roads", "rest", after(8))


def test_the_category_as_filed_decides_not_the_one_reported() -> None:
    fact = only(decide(ASSIGN, fold((reported("0102"), FILED))), Assigned)
    assert isinstance(fact, Assigned)
    assert fact.department == "water"


def test_the_time_limits_run_faster_in_an_exercise() -> None:
    fact = only(decide(Assign(rule_book(time_lapse=60), NOW), fold(WAITING)), Assigned)
    assert isinstance(fact, Assigned)
    assert fact.sign
    assert (fact.due_at, fact.sign.due_at) == (NOW + timedelta(minutes=4), NOW + timedelta(minutes=1))


def test_the_brief_knows_when_the_case_was_reported() -> None:
    entries = [entry_of(event, version) for version, event in enumerate(WAITING, 1)]
    fact = only(decide(ASSIGN, fold_entries(entries)), Assigned)
    assert isinstance(fact, Assigned)
    assert fact.brief
    assert fact.brief.reported_at == entries[0].envelope.time
    assert fact.due_at == after(4), "an ordinary limit runs from the assignment on"


def test_a_report_that_is_no_case_yet_is_not_assigned() -> None:
    DISPATCH.given(reported()).when(ASSIGN).then_refused(Refusal.NOT_FILED)
    DISPATCH.given().when(ASSIGN).then_refused(Refusal.NOT_FILED)


def test_a_category_that_the_rule_book_does_not_have_is_refused() -> None:
    filed = FILED.model_copy(update={"category": "unheard"})
    DISPATCH.given(reported(), filed).when(ASSIGN).then_refused(Refusal.UNKNOWN_CATEGORY)


@pytest.mark.parametrize(
    "more", [(assigned("roads"),), (assigned("roads"), CLOSED), grown(ASSIGN, DECLINE)[2:], (CLOSED,)]
)
def test_assigning_again_adds_nothing_whoever_has_it_and_however_it_ended(more: tuple[Event, ...]) -> None:
    DISPATCH.given(*WAITING).when(ASSIGN).then_repeated_adds_nothing()
    DISPATCH.given(*WAITING, *more).when(ASSIGN).then_nothing()


def test_a_reopened_case_comes_back_to_who_had_it_with_new_limits_and_goes_up() -> None:
    history = grown(ASSIGN, by_hand("power"), CLOSED, REOPENED)
    outcome = decide(Assign(RULES, after(24)), DISPATCH.fold(history))
    assert isinstance(outcome, tuple)
    back, raised = outcome
    assert isinstance(back, Assigned)
    assert isinstance(raised, Escalated)
    assert (back.department, back.reason, back.rule, back.due_at) == ("power", "reopened", None, after(28))
    assert (raised.reason, raised.level, raised.acts, raised.department) == (
        EscalationReason.REOPENED,
        "street",
        "street:hebin",
        "power",
    )
    DISPATCH.given(*history).when(ASSIGN).then_repeated_adds_nothing()


def test_a_report_that_was_joined_to_another_case_starts_no_work_of_its_own_when_that_one_is_reopened() -> (
    None
):
    joined = CaseMerged(into="other", reason="rule")
    DISPATCH.given(reported(), joined, CLOSED, REOPENED).when(ASSIGN).then_nothing()


@pytest.mark.parametrize(("imported", "kept"), [("power", "power"), ("No Q", "water"), (None, "water")])
def test_an_adopted_case_stays_with_a_department_that_the_rule_book_knows(
    imported: str | None, kept: str
) -> None:
    past = () if imported is None else (assigned(imported, due_at=after(-100)),)
    history = (*WAITING, *past, ADOPTED)
    fact = only(decide(ASSIGN, DISPATCH.fold(history)), Assigned)
    assert isinstance(fact, Assigned)
    assert (fact.department, fact.reason, fact.due_at) == (kept, "adopted", after(4))
    DISPATCH.given(*history).when(ASSIGN).then_repeated_adds_nothing()


def test_an_adopted_case_falls_under_the_category_that_it_was_adopted_as() -> None:
    adopted = ADOPTED.model_copy(update={"category": "0102"})
    fact = only(decide(ASSIGN, fold((*WAITING, assigned("No Q"), adopted))), Assigned)
    assert isinstance(fact, Assigned)
    assert fact.brief
    assert (fact.department, fact.brief.category) == ("roads", "0102")


# --- signing


def test_the_responsible_department_signs_for_it() -> None:
    DISPATCH.given(*grown(ASSIGN)).when(ACCEPT).then(Accepted(department="water"))


def test_signing_again_adds_nothing_however_far_the_case_is() -> None:
    DISPATCH.given(*grown(ASSIGN)).when(ACCEPT).then_repeated_adds_nothing()
    for more in ((), (CLOSED,), (sent_back(1),)):
        DISPATCH.given(*grown(ASSIGN, ACCEPT, HANDLE, *more)).when(ACCEPT).then_nothing()


# --- returning a case


def test_the_first_return_goes_by_rule_to_who_is_next() -> None:
    outcome = decide(DECLINE, DISPATCH.fold(grown(ASSIGN)))
    assert isinstance(outcome, tuple)
    returned, other = outcome
    assert returned == Declined(department="water", reason="not ours", count=1)
    assert isinstance(other, Assigned)
    assert (other.department, other.reason, other.rule, other.due_at) == (
        "roads",
        "returned",
        "rest",
        after(8),
    )
    DISPATCH.given(*grown(ASSIGN)).when(DECLINE).then_repeated_adds_nothing()


def test_the_second_return_goes_up_not_round() -> None:
    history = grown(ASSIGN, DECLINE)
    DISPATCH.given(*history).when(DECLINE_ROADS).then(
        Declined(department="roads", reason="nor ours", count=2),
        Escalated(
            reason=EscalationReason.RETURNED_TWICE, level="street", acts="street:hebin", note="nor ours"
        ),
    )
    DISPATCH.given(*history).when(DECLINE_ROADS).then_repeated_adds_nothing()


def test_a_first_return_that_nobody_else_answers_for_goes_up_too() -> None:
    filed = FILED.model_copy(update={"category": "0102"})
    history = grown(ASSIGN, start=(reported("0102"), filed))
    outcome = decide(DECLINE_ROADS, DISPATCH.fold(history))
    assert isinstance(outcome, tuple)
    assert [fact.name() for fact in outcome] == ["declined", "escalated"]
    assert isinstance(outcome[1], Escalated)
    assert outcome[1].acts == "street:hebin", "a case that nobody has has somebody who must act"


def test_who_returned_it_and_gets_it_again_by_hand_may_return_it_again() -> None:
    history = grown(ASSIGN, DECLINE, by_hand("water"))
    outcome = decide(DECLINE, DISPATCH.fold(history))
    assert isinstance(outcome, tuple)
    assert outcome[0] == Declined(department="water", reason="not ours", count=2)


def test_what_was_handled_is_not_returned() -> None:
    DISPATCH.given(*grown(ASSIGN, ACCEPT, HANDLE)).when(DECLINE).then_refused(Refusal.ALREADY_HANDLED)
    DISPATCH.given(*grown(ASSIGN, ACCEPT, HANDLE, CLOSED)).when(DECLINE).then_refused(Refusal.CASE_CLOSED)


def test_returns_are_bounded() -> None:
    history = grown(ASSIGN)
    for _ in range(RETURNS_MAX):
        history = grown(DECLINE, by_hand("water"), start=history)
    DISPATCH.given(*history).when(DECLINE).then_refused(Refusal.RETURNED_TOO_OFTEN)


def test_assignments_are_bounded_and_at_the_bound_nobody_gives_it_away() -> None:
    others = [by_hand("power" if number % 2 else "roads") for number in range(ASSIGNMENTS_MAX - 1)]
    history = grown(ASSIGN, *others)
    DISPATCH.given(*history).when(by_hand("water")).then_refused(Refusal.ASSIGNED_TOO_OFTEN)
    DISPATCH.given(*history).when(Recall("mine")).then_refused(Refusal.ASSIGNED_TOO_OFTEN)
    DISPATCH.given(*history).when(DECLINE_ROADS).then_refused(Refusal.RETURNED_TOO_OFTEN)


# --- working


def test_progress_is_noted_once_for_the_same_words() -> None:
    history = grown(ASSIGN, ACCEPT)
    DISPATCH.given(*history).when(PROGRESS).then(
        ProgressNoted(department="water", note="half", photos=("half.jpg",))
    )
    DISPATCH.given(*history).when(PROGRESS).then_repeated_adds_nothing()
    DISPATCH.given(*grown(ASSIGN, ACCEPT, HANDLE)).when(PROGRESS).then_refused(Refusal.ALREADY_HANDLED)


def test_notes_are_bounded() -> None:
    notes = [replace(PROGRESS, note=str(number)) for number in range(NOTES_MAX)]
    DISPATCH.given(*grown(ASSIGN, *notes)).when(PROGRESS).then_refused(Refusal.TOO_MANY_NOTES)


def test_more_time_is_asked_for() -> None:
    history = grown(ASSIGN, ACCEPT)
    DISPATCH.given(*history).when(extend(6)).then(
        ExtensionRequested(department="water", until=after(6), reason="parts")
    )
    DISPATCH.given(*history).when(extend(6)).then_repeated_adds_nothing()


@pytest.mark.parametrize(
    ("wish", "refusal"),
    [
        (extend(4), Refusal.UNTIL_NOT_LATER),
        (extend(3), Refusal.UNTIL_NOT_LATER),
        (extend(4 + 24 * EXTENSION_DAYS_MAX + 1), Refusal.UNTIL_TOO_LATE),
        (extend(6, now=4), Refusal.PAST_DUE),
        (replace(extend(6), department="roads"), Refusal.NOT_ASSIGNED_TO_YOU),
    ],
)
def test_not_every_wish_for_more_time_is_taken(wish: RequestExtension, refusal: Refusal) -> None:
    DISPATCH.given(*grown(ASSIGN, ACCEPT)).when(wish).then_refused(refusal)


def test_one_wish_at_a_time_before_it_is_handled_and_while_the_clock_runs() -> None:
    asked = DISPATCH.given(*grown(ASSIGN, ACCEPT, extend(6)))
    asked.when(extend(7)).then_refused(Refusal.EXTENSION_OPEN)
    DISPATCH.given(*grown(ASSIGN, ACCEPT, HANDLE)).when(extend(6)).then_refused(Refusal.ALREADY_HANDLED)
    paused = DISPATCH.given(*grown(ASSIGN, ACCEPT, Pause("weather", RULES)))
    paused.when(extend(6)).then_refused(Refusal.CLOCK_PAUSED)
    DISPATCH.given(*WAITING, assigned()).when(extend(6)).then_refused(Refusal.NO_CLOCK)


def test_wishes_are_bounded_though_all_are_refused() -> None:
    steps: list[Command] = []
    for number in range(REQUESTS_MAX):
        steps += [extend(6, reason=str(number)), Refuse(f"no {number}")]
    DISPATCH.given(*grown(ASSIGN, *steps)).when(extend(6)).then_refused(Refusal.NO_EXTENSION_LEFT)


# --- handling


def test_the_responsible_department_reports_it_handled_and_somebody_else_must_look() -> None:
    outcome = decide(HANDLE, DISPATCH.fold(grown(ASSIGN, ACCEPT)))
    fact = only(outcome, Handled)
    assert isinstance(fact, Handled)
    assert (fact.department, fact.note, fact.photos) == ("water", "done", ("after.jpg",))
    assert fact.verify
    assert fact.verify.due_at == after(2)


def test_handling_again_adds_nothing_however_far_the_case_is() -> None:
    DISPATCH.given(*grown(ASSIGN, ACCEPT)).when(HANDLE).then_repeated_adds_nothing()
    DISPATCH.given(*grown(ASSIGN, ACCEPT, HANDLE, CLOSED)).when(HANDLE).then_nothing()


def test_what_was_sent_back_is_handled_again() -> None:
    history = grown(ASSIGN, ACCEPT, HANDLE, sent_back(1))
    outcome = decide(HANDLE, DISPATCH.fold(history))
    assert isinstance(outcome, tuple)
    assert [fact.name() for fact in outcome] == ["handled"]


def test_what_was_not_signed_for_is_not_handled() -> None:
    DISPATCH.given(*grown(ASSIGN)).when(HANDLE).then_refused(Refusal.NOT_ACCEPTED)


def test_where_the_rule_book_wants_a_photo_there_must_be_one() -> None:
    filed = FILED.model_copy(update={"category": "0104"})
    history = grown(ASSIGN, Accept("roads"), start=(reported("0104"), filed))
    bare = Handle("roads", "done", RULES, NOW)
    DISPATCH.given(*history).when(bare).then_refused(Refusal.PHOTO_NEEDED)
    assert isinstance(decide(replace(bare, photos=("after.jpg",)), DISPATCH.fold(history)), tuple)


def test_only_the_lead_of_a_whistle_handles() -> None:
    history = grown(ASSIGN, WHISTLE, ACCEPT)
    helper = replace(HANDLE, department="roads")
    DISPATCH.given(*history).when(helper).then_refused(Refusal.ONLY_THE_LEAD)
    assert isinstance(decide(HANDLE, DISPATCH.fold(history)), tuple)


# --- who may not

BY_WATER: tuple[Command, ...] = (ACCEPT, HANDLE, DECLINE, PROGRESS, extend(6))


@pytest.mark.parametrize("command", BY_WATER)
@pytest.mark.parametrize(
    ("history", "refusal"),
    [
        ((), Refusal.UNKNOWN_CASE),
        ((reported(),), Refusal.NOT_ASSIGNED),
        (WAITING, Refusal.NOT_ASSIGNED),
        ((*WAITING, CLOSED.model_copy(update={"department": None})), Refusal.CASE_CLOSED),
        ((reported(), CaseRejected(reason="private")), Refusal.CASE_CLOSED),
        ((reported(), CaseMerged(into="other", reason="rule")), Refusal.CASE_CLOSED),
        (grown(ASSIGN, Recall("mine")), Refusal.NOT_ASSIGNED),
        (grown(ASSIGN, by_hand("power")), Refusal.NOT_ASSIGNED_TO_YOU),
    ],
)
def test_nobody_acts_on_a_case_that_they_do_not_have(
    command: Command, history: tuple[Event, ...], refusal: Refusal
) -> None:
    DISPATCH.given(*history).when(command).then_refused(refusal)


# --- by hand


def test_the_centre_gives_the_case_to_another_department_and_the_first_one_hears_of_it() -> None:
    outcome = decide(by_hand("power"), DISPATCH.fold(grown(ASSIGN, ACCEPT)))
    assert isinstance(outcome, tuple)
    taken, given = outcome
    assert taken == Recalled(department="water", reason="better so")
    assert given == assignment(
        department="power", reason="hand", note="better so", rule=None, supporting=("water", "roads")
    )
    DISPATCH.given(*grown(ASSIGN)).when(by_hand("power")).then_repeated_adds_nothing()


def test_the_centre_gives_a_case_that_nobody_has() -> None:
    for history in (WAITING, grown(ASSIGN, DECLINE, DECLINE_ROADS), grown(ASSIGN, Recall("mine"))):
        outcome = decide(by_hand("power"), DISPATCH.fold(history))
        assert isinstance(outcome, tuple)
        assert [fact.name() for fact in outcome] == ["assigned"]


@pytest.mark.parametrize(
    ("history", "department", "refusal"),
    [
        (grown(ASSIGN), "nobody", Refusal.UNKNOWN_DEPARTMENT),
        (grown(ASSIGN, ACCEPT, HANDLE), "power", Refusal.ALREADY_HANDLED),
        (grown(ASSIGN, CLOSED), "power", Refusal.CASE_CLOSED),
        ((reported(),), "power", Refusal.NOT_FILED),
        ((), "power", Refusal.UNKNOWN_CASE),
    ],
)
def test_not_everything_is_assigned_by_hand(
    history: tuple[Event, ...], department: str, refusal: Refusal
) -> None:
    DISPATCH.given(*history).when(by_hand(department)).then_refused(refusal)


def test_the_same_department_by_hand_adds_nothing() -> None:
    DISPATCH.given(*grown(ASSIGN, ACCEPT)).when(by_hand("water")).then_nothing()


def test_the_centre_takes_a_case_away() -> None:
    recall = Recall("mine")
    DISPATCH.given(*grown(ASSIGN)).when(recall).then(Recalled(department="water", reason="mine"))
    DISPATCH.given(*grown(ASSIGN)).when(recall).then_repeated_adds_nothing()
    DISPATCH.given(*WAITING).when(recall).then_refused(Refusal.NOT_ASSIGNED)
    DISPATCH.given(*grown(ASSIGN, DECLINE, DECLINE_ROADS)).when(recall).then_refused(Refusal.NOT_ASSIGNED)
    DISPATCH.given(*grown(ASSIGN, ACCEPT, HANDLE)).when(recall).then_refused(Refusal.ALREADY_HANDLED)
    DISPATCH.given(*grown(ASSIGN, CLOSED)).when(recall).then_refused(Refusal.CASE_CLOSED)
    DISPATCH.given().when(recall).then_refused(Refusal.UNKNOWN_CASE)


def test_what_fails_verification_twice_goes_up_once() -> None:
    once = grown(ASSIGN, ACCEPT, HANDLE, sent_back(1))
    DISPATCH.given(*once).when(RaiseFailed(RULES)).then_nothing()
    twice = DISPATCH.given(*grown(HANDLE, sent_back(2), start=once))
    twice.when(RaiseFailed(RULES)).then(
        Escalated(
            reason=EscalationReason.FAILED_VERIFICATION_TWICE,
            level="street",
            acts="street:hebin",
            department="water",
        )
    )
    twice.when(RaiseFailed(RULES)).then_repeated_adds_nothing()
    DISPATCH.given(*WAITING, CLOSED).when(RaiseFailed(RULES)).then_nothing()


# --- what other systems state


def test_what_another_system_states_of_an_assignment_is_recorded() -> None:
    DISPATCH.given(*WAITING).when(RecordAssigned("No Q", NOW)).then(Assigned(department="No Q", due_at=NOW))
    DISPATCH.given(*WAITING).when(RecordAssigned("No Q", None)).then_repeated_adds_nothing()


def test_a_source_that_names_another_department_later_is_refused() -> None:
    record = RecordAssigned("No Q", NOW)
    for history in ((assigned(),), (assigned(), CLOSED), grown(ASSIGN, Recall("mine"))[2:]):
        DISPATCH.given(*WAITING, *history).when(record).then_refused(Refusal.ASSIGNED_TO_ANOTHER)
    DISPATCH.given(reported()).when(record).then_refused(Refusal.NOT_FILED)


def test_what_another_system_states_of_handling_needs_no_signature() -> None:
    given_assigned = DISPATCH.given(*WAITING, assigned())
    given_assigned.when(RecordHandled("done")).then(Handled(department="water", note="done"))
    given_assigned.when(RecordHandled("done")).then_repeated_adds_nothing()
    DISPATCH.given(*WAITING, assigned(), CLOSED).when(RecordHandled("done")).then_nothing()
    for history in ((), (reported(),), WAITING):
        DISPATCH.given(*history).when(RecordHandled("done")).then_refused(Refusal.NOT_ASSIGNED)


# --- the reactor


def test_what_is_filed_adopted_or_reopened_is_to_be_assigned_under_the_rules_in_force() -> None:
    for event in (FILED, ADOPTED, REOPENED):
        assert react(entry_of(event, 2), RULES, NOW) == ASSIGN
    assert react(entry_of(sent_back(2), 9), RULES, NOW) == RaiseFailed(RULES)


@pytest.mark.parametrize("origin", [Origin.IMPORT, Origin.REPLAY])
@pytest.mark.parametrize("event", EXAMPLES.values())
def test_history_starts_no_work(event: Event, origin: Origin) -> None:
    assert react(entry_of(event, origin=origin), RULES, NOW) is None


def test_nothing_else_causes_a_command() -> None:
    reactions = {event.name(): react(entry_of(event), RULES, NOW) for event in EXAMPLES.values()}
    caused = {name for name, command in reactions.items() if command is not None}
    assert caused == {"filed", "adopted", "reopened", "handling-returned"}
