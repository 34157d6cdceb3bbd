"""Intake, reports: each command happens, is refused, is repeated, and meets a case that has moved on; and laws."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CaseReopened
from libs.events.contracts.intake import (
    CaseAdopted,
    CaseFiled,
    CaseMerged,
    CaseRejected,
    CaseReported,
    ReportJoined,
)
from libs.events.testing.examples import CASE_ID, EXAMPLES, OTHER_CASE_ID, PLACE
from libs.events.testing.spec import Spec
from services.intake.decider import (
    INITIAL,
    Adopt,
    Candidate,
    Command,
    File,
    Filed,
    Join,
    Merge,
    RecordFiled,
    RecordReported,
    Refusal,
    Reject,
    Report,
    Sort,
    State,
    Unreported,
    decide,
    evolve,
    fold,
)
from services.intake.decider.likeness import similarity
from tests.unit.specs import ANY_HISTORY, CLOSED, FILED, NOW, REFERENCE, assigned, category, rule_book

INTAKE: Spec[Command, State] = Spec(decide, evolve, INITIAL)
RULES = rule_book(categories=(category(), category("0102", files_at_once=False)))
REPORT = Report(RULES, NOW, "0101", "web", "Broken", PLACE, "sealed:x", ("before.jpg",))
REPORTED = CaseReported(
    category="0101",
    channel="web",
    description="Broken",
    place=PLACE,
    reporter="sealed:x",
    photos=("before.jpg",),
)
SORT = Sort(RULES, NOW)
CAREFUL = replace(REPORT, category="0102")
WAITS = REPORTED.model_copy(update={"category": "0102"})
RECORD = RecordReported("Lights", "Call", "Out", PLACE, REFERENCE)
RECORDED = CaseReported(category="Lights", channel="Call", description="Out", place=PLACE, external=REFERENCE)
JOIN = Join(OTHER_CASE_ID, NOW, "web")
JOINED = ReportJoined(report=OTHER_CASE_ID, reported_at=NOW, channel="web")
METRE = 1 / 111_195
"""In degrees of latitude."""


def near(
    case_id: str = OTHER_CASE_ID, *, metres: float = 10, text: str = "Broken", hours: float = 1
) -> Candidate:
    assert PLACE.longitude is not None
    assert PLACE.latitude is not None
    reported_at = NOW - timedelta(hours=hours)
    return Candidate(case_id, "0101", text, PLACE.longitude, PLACE.latitude + metres * METRE, reported_at)


def test_a_report_is_filed_at_once_where_the_rule_book_says_so() -> None:
    INTAKE.given().when(REPORT).then(REPORTED).when(SORT).then(FILED)


def test_a_report_waits_for_a_specialist_where_the_rule_book_says_so() -> None:
    INTAKE.given().when(CAREFUL).then(WAITS).when(SORT).then_nothing()


def test_a_trusted_channel_files_at_once() -> None:
    INTAKE.given(WAITS.model_copy(update={"channel": "patrol"})).when(SORT).then(
        CaseFiled(category="0102", reason="trusted")
    )


def test_what_is_not_a_new_live_report_is_not_sorted() -> None:
    INTAKE.given().when(SORT).then_refused(Refusal.NOT_REPORTED)
    INTAKE.given(RECORDED).when(SORT).then_nothing()
    INTAKE.given(REPORTED.model_copy(update={"category": "unheard"})).when(SORT).then_nothing()
    INTAKE.given(REPORTED).when(SORT).then_repeated_adds_nothing()
    INTAKE.given(REPORTED, FILED, assigned(), CLOSED).when(SORT).then_nothing()
    INTAKE.given(REPORTED, EXAMPLES[CaseRejected]).when(SORT).then_nothing()


def test_a_report_of_an_unknown_category_is_refused() -> None:
    INTAKE.given().when(replace(REPORT, category="unheard")).then_refused(Refusal.UNKNOWN_CATEGORY)


def test_a_repeated_report_adds_nothing_however_far_the_case_is() -> None:
    INTAKE.given().when(REPORT).then_repeated_adds_nothing()
    INTAKE.given(REPORTED, FILED, assigned(), CLOSED).when(REPORT).then_nothing()


def test_a_report_that_is_repeated_after_the_rule_book_has_moved_the_grids_is_the_same() -> None:
    elsewhere = PLACE.model_copy(update={"grid": "new-01", "community": "new", "located_by": "border"})
    INTAKE.given(REPORTED, FILED).when(replace(REPORT, place=elsewhere)).then_nothing()


@pytest.mark.parametrize(
    "other",
    [
        replace(REPORT, description="Something else"),
        replace(REPORT, channel="app"),
        replace(REPORT, photos=()),
        replace(REPORT, reporter=None),
        replace(REPORT, category="0102"),
        replace(REPORT, place=PLACE.model_copy(update={"address": "elsewhere"})),
        replace(REPORT, place=PLACE.model_copy(update={"latitude": 39.8})),
    ],
)
def test_another_report_of_the_same_case_is_refused(other: Report) -> None:
    INTAKE.given(REPORTED, FILED).when(other).then_refused(Refusal.REPORTED_DIFFERENTLY)


def test_the_same_person_sealed_anew_says_the_same() -> None:
    told = INTAKE.given(REPORTED.model_copy(update={"reporter": "sealed.v1.p1.AAAA"}), FILED)
    told.when(replace(REPORT, reporter="sealed.v1.p1.BBBB")).then_nothing()
    told.when(replace(REPORT, reporter="sealed.v1.p2.AAAA")).then_refused(Refusal.REPORTED_DIFFERENTLY)


# --- near-duplicates


def merged(*candidates: Candidate, report: CaseReported = REPORTED) -> CaseMerged | None:
    outcome = decide(replace(SORT, near=candidates), fold((report,)))
    assert isinstance(outcome, tuple)
    [fact] = outcome
    return fact if isinstance(fact, CaseMerged) else None


def test_a_report_of_an_open_case_is_joined_to_it_instead_of_being_filed() -> None:
    joined = CaseMerged(into=OTHER_CASE_ID, reason="rule", distance_metres=10.0, similarity=1.0)
    INTAKE.given(REPORTED).when(replace(SORT, near=(near(),))).then(joined).when(REPORT).then_nothing()
    INTAKE.given(REPORTED).when(replace(SORT, near=(near(),))).then_repeated_adds_nothing()
    INTAKE.given(REPORTED, FILED).when(replace(SORT, near=(near(),))).then_nothing()


@pytest.mark.parametrize(
    "other",
    [
        near(metres=50.5),
        near(hours=48.1),
        near(text="Something else"),
        replace(near(), category="0102"),
    ],
)
def test_what_is_too_far_too_old_too_different_or_of_another_kind_is_no_duplicate(other: Candidate) -> None:
    assert merged(other) is None


@pytest.mark.parametrize("other", [near(metres=49.5), near(hours=47.9), near(text="It is broken")])
def test_what_is_just_within_the_rule_books_bounds_is_one(other: Candidate) -> None:
    assert merged(other) is not None


def test_a_report_without_a_point_is_joined_to_nothing_by_rule() -> None:
    nowhere = PLACE.model_copy(update={"longitude": None, "latitude": None})
    assert merged(near(), report=REPORTED.model_copy(update={"place": nowhere})) is None


def test_the_best_match_is_the_most_alike_then_the_nearest_then_the_oldest() -> None:
    candidates = [
        near("a" * 20, metres=1, text="It is broken"),
        near("b" * 20, metres=20),
        near("c" * 20, metres=10, hours=1),
        near("d" * 20, metres=10, hours=2),
    ]
    for expected in ("d", "c", "b", "a"):
        found = merged(*candidates)
        assert found is not None
        assert found.into == expected * 20
        candidates = [each for each in candidates if each.case_id != found.into]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("井盖破损", "井盖破损", 1.0),
        ("井盖破损", "井盖 破损！", 1.0),
        ("井盖破损", "路灯不亮", 0.0),
        ("night", "nacht", 0.25),
        ("x", "x", 1.0),
        ("x", "xy", 0.0),
        ("!", "?", 1.0),
        ("aaaa", "aa", 0.5),
    ],
)
def test_likeness_is_dices_coefficient_of_pairs_of_characters(one: str, other: str, alike: float) -> None:
    assert similarity(one, other) == similarity(other, one) == alike


# --- joined reports


def test_a_case_learns_of_a_report_that_was_joined_to_it() -> None:
    INTAKE.given(REPORTED, FILED).when(JOIN).then(JOINED).when(JOIN).then_nothing()


def test_a_report_that_comes_after_the_end_is_joined_all_the_same() -> None:
    INTAKE.given(REPORTED, FILED, CLOSED).when(JOIN).then(JOINED).when(JOIN).then_nothing()
    INTAKE.given(REPORTED, FILED, JOINED, CLOSED).when(JOIN).then_nothing()


def test_nothing_is_joined_to_what_is_no_case() -> None:
    INTAKE.given().when(JOIN).then_refused(Refusal.NOT_REPORTED)
    INTAKE.given(WAITS).when(JOIN).then_refused(Refusal.NOT_FILED)
    INTAKE.given(WAITS, CaseMerged(into="x", reason="rule")).when(JOIN).then_refused(Refusal.ALREADY_MERGED)


# --- what other systems state


def test_what_another_system_states_is_recorded_without_asking_the_rule_book() -> None:
    INTAKE.given().when(RECORD).then(RECORDED)


def test_what_a_source_first_said_of_a_row_stands() -> None:
    INTAKE.given().when(RECORD).then_repeated_adds_nothing()
    INTAKE.given(RECORDED).when(replace(RECORD, description="Changed")).then_nothing()


def test_a_recorded_case_is_filed_as_it_was_reported() -> None:
    INTAKE.given(RECORDED).when(RecordFiled()).then(CaseFiled(category="Lights", reason="record"))


def test_nothing_is_filed_that_was_not_reported() -> None:
    INTAKE.given().when(RecordFiled()).then_refused(Refusal.NOT_REPORTED)


def test_filing_again_adds_nothing() -> None:
    INTAKE.given(RECORDED).when(RecordFiled()).then_repeated_adds_nothing()
    INTAKE.given(RECORDED, FILED).when(RecordFiled()).then_nothing()
    INTAKE.given(RECORDED, FILED, CLOSED).when(RecordFiled()).then_nothing()


# --- laws

COMMANDS: st.SearchStrategy[Command] = st.sampled_from(
    [
        REPORT,
        CAREFUL,
        replace(REPORT, description="other"),
        replace(REPORT, category="unheard"),
        SORT,
        replace(SORT, near=(near(),)),
        RECORD,
        RecordFiled(),
        JOIN,
        File(RULES),
        File(RULES, "0101"),
        File(RULES, "unheard"),
        Reject("Private ground"),
        Reject("A joke"),
        Merge(CASE_ID, OTHER_CASE_ID, Filed(REPORTED, "0101")),
        Merge(CASE_ID, OTHER_CASE_ID, Unreported()),
        Merge(CASE_ID, CASE_ID, Filed(REPORTED, "0101")),
        Adopt(RULES, "0101", PLACE),
        Adopt(RULES, "unheard", PLACE),
    ]
)
REOPENED = EXAMPLES[CaseReopened]


@given(history=ANY_HISTORY)
def test_law_the_fold_takes_any_order_of_any_events(history: tuple[Event, ...]) -> None:
    fold(history)


@given(history=ANY_HISTORY, command=COMMANDS)
def test_law_a_repeated_command_adds_no_facts(history: tuple[Event, ...], command: Command) -> None:
    outcome = decide(command, fold(history))
    if isinstance(outcome, tuple):
        assert decide(command, fold((*history, *outcome))) == ()


@given(steps=st.lists(st.one_of(COMMANDS, st.sampled_from([CLOSED, REOPENED])), max_size=15))
def test_law_a_case_is_reported_once_and_settled_at_most_once(steps: list[Command | Event]) -> None:
    history: tuple[Event, ...] = ()
    for step in steps:
        if isinstance(step, Event):
            history += (step,) if history else ()
            continue
        outcome = decide(step, fold(history))
        history += outcome if isinstance(outcome, tuple) else ()
    names = [event.name() for event in history]
    assert names.count("reported") == (1 if names else 0)
    assert names[:1] in ([], ["reported"])
    assert sum(names.count(name) for name in ("filed", "rejected", "merged")) <= 1
    assert names.count("adopted") <= 1
    if "adopted" in names:
        assert any(isinstance(event, CaseReported) and event.external for event in history)
        assert names.index("filed") < names.index("adopted")
    joined = [event.report for event in history if isinstance(event, ReportJoined)]
    assert len(joined) == len(set(joined))
    assert not joined or "filed" in names
    assert all(not isinstance(event, CaseAdopted) or event.category == "0101" for event in history)
