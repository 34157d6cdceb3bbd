"""Intake, specialists: file, reject, merge, adopt, each in its four cases."""

from dataclasses import replace

import pytest

from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CaseReopened
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseMerged, CaseRejected, CaseReported
from libs.events.envelope import Origin
from libs.events.testing.examples import CASE_ID, EXAMPLES, OTHER_CASE_ID, PLACE, entry_of
from libs.events.testing.spec import Spec
from services.intake.decider import (
    INITIAL,
    Adopt,
    Command,
    File,
    Merge,
    Refusal,
    Reject,
    State,
    decide,
    evolve,
    fold,
)
from services.intake.reactor import react
from services.intake.refusals import FIELDS, REASONS
from tests.unit.specs import CLOSED, FILED, REFERENCE, category, reported, rule_book

INTAKE: Spec[Command, State] = Spec(decide, evolve, INITIAL)
RULES = rule_book(categories=(category(), category("0102", files_at_once=False)))
WAITS = reported("0102")
REJECTED = CaseRejected(reason="Private ground")
MERGED = CaseMerged(into=OTHER_CASE_ID, reason="specialist")
OPEN = fold((reported(), FILED))
FILE, REJECT = File(RULES), Reject("Private ground")
MERGE = Merge(CASE_ID, OTHER_CASE_ID, OPEN)
IMPORTED = CaseReported(category="Lights", channel="Call", description="Out", place=PLACE, external=REFERENCE)
RECORDED = (IMPORTED, CaseFiled(category="Lights", reason="record"))
ADOPT = Adopt(RULES, "0101", PLACE)
ADOPTED = CaseAdopted(category="0101", place=PLACE)


def test_a_specialist_files_a_report_as_it_was_reported_or_as_another_category() -> None:
    INTAKE.given(WAITS).when(FILE).then(CaseFiled(category="0102", reason="specialist"))
    INTAKE.given(WAITS).when(File(RULES, "0101")).then(CaseFiled(category="0101", reason="specialist"))


def test_a_specialist_rejects_a_report_with_a_reason() -> None:
    INTAKE.given(WAITS).when(REJECT).then(REJECTED)


def test_a_specialist_merges_a_report_into_an_open_case() -> None:
    INTAKE.given(WAITS).when(MERGE).then(MERGED)


def test_an_imported_case_that_is_open_is_adopted() -> None:
    INTAKE.given(*RECORDED).when(ADOPT).then(ADOPTED)
    INTAKE.given(*RECORDED).when(replace(ADOPT, system=REFERENCE.system)).then(ADOPTED)


@pytest.mark.parametrize("command", [FILE, File(RULES, "0101"), REJECT, MERGE])
def test_what_a_specialist_does_again_adds_nothing(command: Command) -> None:
    INTAKE.given(WAITS).when(command).then_repeated_adds_nothing()


@pytest.mark.parametrize("command", [FILE, File(RULES, "0101"), REJECT, MERGE])
def test_done_again_after_the_end_it_still_adds_nothing(command: Command) -> None:
    outcome = decide(command, fold((WAITS,)))
    assert isinstance(outcome, tuple)
    INTAKE.given(WAITS, *outcome, CLOSED).when(command).then_nothing()


def test_adopting_again_adds_nothing_also_under_another_category() -> None:
    INTAKE.given(*RECORDED).when(ADOPT).then_repeated_adds_nothing()
    INTAKE.given(*RECORDED, ADOPTED).when(replace(ADOPT, category="0102")).then_nothing()
    INTAKE.given(*RECORDED, ADOPTED, CLOSED).when(ADOPT).then_nothing()


@pytest.mark.parametrize("command", [FILE, REJECT, MERGE, ADOPT])
def test_what_was_never_reported_is_unknown(command: Command) -> None:
    INTAKE.given().when(command).then_refused(Refusal.NOT_REPORTED)


@pytest.mark.parametrize(
    ("settled", "command", "refusal"),
    [
        (FILED, File(RULES, "0102"), Refusal.ALREADY_FILED),
        (FILED, REJECT, Refusal.ALREADY_FILED),
        (FILED, MERGE, Refusal.ALREADY_FILED),
        (REJECTED, FILE, Refusal.ALREADY_REJECTED),
        (REJECTED, Reject("A joke"), Refusal.ALREADY_REJECTED),
        (REJECTED, MERGE, Refusal.ALREADY_REJECTED),
        (REJECTED, ADOPT, Refusal.ALREADY_REJECTED),
        (MERGED, FILE, Refusal.ALREADY_MERGED),
        (MERGED, REJECT, Refusal.ALREADY_MERGED),
        (MERGED, replace(MERGE, into="x" * 20), Refusal.ALREADY_MERGED),
        (MERGED, ADOPT, Refusal.ALREADY_MERGED),
    ],
)
def test_what_was_settled_is_not_settled_otherwise(
    settled: Event, command: Command, refusal: Refusal
) -> None:
    INTAKE.given(WAITS, settled).when(command).then_refused(refusal)


@pytest.mark.parametrize("command", [FILE, REJECT, MERGE])
def test_a_closed_report_is_settled_no_more_until_it_is_reopened(command: Command) -> None:
    INTAKE.given(WAITS, CLOSED).when(command).then_refused(Refusal.CASE_CLOSED)
    outcome = decide(command, fold((WAITS, CLOSED, EXAMPLES[CaseReopened])))
    assert isinstance(outcome, tuple)
    assert outcome


@pytest.mark.parametrize("command", [File(RULES, "unheard")])
def test_a_category_that_the_rule_book_does_not_have_is_refused(command: Command) -> None:
    INTAKE.given(WAITS).when(command).then_refused(Refusal.UNKNOWN_CATEGORY)
    INTAKE.given(*RECORDED).when(replace(ADOPT, category="Lights")).then_refused(Refusal.UNKNOWN_CATEGORY)


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        ((), Refusal.INTO_UNKNOWN),
        ((WAITS,), Refusal.INTO_NOT_FILED),
        ((WAITS, REJECTED), Refusal.INTO_NOT_FILED),
        ((WAITS, MERGED), Refusal.INTO_MERGED),
        ((reported(), FILED, CLOSED), Refusal.INTO_CLOSED),
        (RECORDED, Refusal.INTO_NOT_LIVE),
    ],
)
def test_nothing_is_merged_into_what_is_no_open_live_case(
    target: tuple[Event, ...], refusal: Refusal
) -> None:
    INTAKE.given(WAITS).when(replace(MERGE, target=fold(target))).then_refused(refusal)


def test_a_report_is_not_merged_into_itself() -> None:
    INTAKE.given(WAITS).when(replace(MERGE, into=CASE_ID)).then_refused(Refusal.INTO_ITSELF)


def test_an_adopted_case_takes_reports() -> None:
    INTAKE.given(WAITS).when(replace(MERGE, target=fold((*RECORDED, ADOPTED)))).then(MERGED)


def test_what_is_not_imported_or_not_open_is_not_adopted() -> None:
    INTAKE.given(reported(), FILED).when(ADOPT).then_refused(Refusal.NOT_IMPORTED)
    INTAKE.given(IMPORTED).when(ADOPT).then_refused(Refusal.NOT_FILED)
    INTAKE.given(*RECORDED, CLOSED).when(ADOPT).then_refused(Refusal.CASE_CLOSED)
    INTAKE.given(*RECORDED).when(replace(ADOPT, system="other")).then_refused(Refusal.OTHER_SYSTEM)


# --- the reactor, and what is told


def test_only_a_live_merge_is_told_to_the_case_that_it_went_into() -> None:
    told = {event.name(): react(entry_of(event)) for event in EXAMPLES.values()}
    assert {name: into for name, into in told.items() if into} == {"merged": OTHER_CASE_ID}


@pytest.mark.parametrize("origin", [Origin.IMPORT, Origin.REPLAY])
def test_history_joins_nothing(origin: Origin) -> None:
    assert react(entry_of(EXAMPLES[CaseMerged], origin=origin)) is None


def test_every_refusal_has_its_reason_in_both_languages() -> None:
    assert set(REASONS) == set(Refusal)
    assert all(reason.isascii() and not reason_zh.isascii() for reason, reason_zh in REASONS.values())
    assert set(FIELDS) <= set(Refusal)
