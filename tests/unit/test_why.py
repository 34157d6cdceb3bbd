"""Why decisions came out as they did: decided again all come out the same, and what was changed is found and named."""

import json
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.output import UsageError
from cli.story import Narrator
from cli.travel.differing import changed, difference
from cli.travel.state import FIELDS, NAMES_ZH, CaseState, state_of
from cli.why.again import again, rules_of
from cli.why.decisions import Decision, decisions_of
from cli.why.rules import ByRule, Verdict
from cli.why.telling import Explained, cause_of, document, lines
from libs.events.contracts import EVENTS
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Assigned, Escalated, EscalationReason, Handled
from libs.events.contracts.intake import CaseFiled, CaseMerged, CaseReported, ReportJoined
from libs.events.envelope import Entry, Origin
from libs.events.log import History
from libs.events.testing.examples import PLACE
from services.dispatch import decider as dispatch
from services.intake import decider as intake
from tests.support.lives import CASE_ID, Life
from tests.unit.dispatch_cases import RULES
from tests.unit.specs import NOW

LIVES: Final = 120
STEPS: Final = 60
NOT_LIVED: Final = frozenset({"merged", "adopted", "carried-forward"})
"""They need another case, another system, or closed books; those that decide something are told below."""


def life(seed: int, steps: int = STEPS) -> History:
    return Life(random.Random(seed)).lives(steps)


def decided(history: History) -> list[Decision]:
    return list(decisions_of(history))


def decision_with(history: History, event: type[Event]) -> Decision:
    return next(each for each in decided(history) if any(isinstance(fact, event) for fact in each.facts))


def replaced(history: History, event: type[Event], **changes: Any) -> History:
    """The history with the first such fact changed."""
    entries = list(history.entries)
    number = next(number for number, entry in enumerate(entries) if isinstance(entry.event, event))
    old = entries[number]
    data = old.event.model_copy(update=changes)
    entries[number] = old._replace(envelope=old.envelope.model_copy(update={"data": data}))
    return History(history.case_id, tuple(entries))


# Decided again


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(1, 80))
def test_whatever_was_decided_comes_out_again(seed: int, steps: int) -> None:
    history = life(seed, steps)
    for decision in decisions_of(history):
        made = again(decision, RULES)
        assert made.verdict is Verdict.SAME, (decision.facts, made)


def test_every_kind_of_fact_is_decided_again_and_told() -> None:
    seen: set[str] = set()
    for seed in range(LIVES):
        history = life(seed)
        told = [
            Explained(each, rules_of(each, RULES), again(each, RULES), RULES) for each in decided(history)
        ]
        seen.update(entry.name for entry in history.entries)
        if seed < 20:
            json.dumps(document(history, told))
            narrator = Narrator(RULES, RULES.zone)
            assert all(list(lines(each, history, narrator, RULES.zone)) for each in told)
            assert all(rule.text.en and rule.text.zh for each in told for rule in each.rules)
    names = {event.name() for event in EVENTS if event.TYPE.startswith("whistle.case.")}
    assert names - seen == NOT_LIVED


def test_facts_of_one_append_are_one_decision() -> None:
    history = life(7)
    assert [entry for each in decided(history) for entry in each.entries] == list(history.entries)
    for decision in decided(history):
        assert decision.before.version == decision.entries[0].version - 1
    whistle = next(
        each for seed in range(100) for each in decided(life(seed)) if each.entries[0].name == "blown"
    )
    assert [entry.name for entry in whistle.entries][-2:] == ["summoned", "summoned"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"department": "power"}, "assigned.department"),
        ({"due_at": NOW + timedelta(days=9)}, "assigned.due_at"),
        ({"rule": "rest"}, "assigned.rule"),
    ],
)
def test_a_fact_that_says_otherwise_is_found_and_the_field_is_named(
    changes: dict[str, Any], field: str
) -> None:
    history = _assigned()
    tampered = replaced(history, Assigned, **changes)
    assert again(decision_with(history, Assigned), RULES).verdict is Verdict.SAME
    made = again(decision_with(tampered, Assigned), RULES)
    assert made.verdict is Verdict.DIFFERENT
    assert [each.field for each in made.differences] == [field]


def _assigned(category: str = "0101") -> History:
    one = Life(random.Random(1))
    place = PLACE.model_copy(update={"community": "qiaotou", "grid": None})
    one.takes((CaseReported(category=category, channel="web", description="-", place=place),), "resident")
    one.takes((CaseFiled(category=category, reason="rule"),), "system:intake")
    one.now += timedelta(minutes=1)
    state = dispatch.fold_entries(one.entries)
    one.takes(dispatch.decide(dispatch.Assign(RULES, one.now), state), "system:dispatch")
    return one.history


def test_under_other_rules_something_else_comes_out() -> None:
    limits = RULES.time_limits.sets["quick"].model_copy(
        update={"handle": RULES.time_limits.sets["usual"].handle}
    )
    sets = {**RULES.time_limits.sets, "quick": limits}
    other = RULES.model_copy(update={"time_limits": RULES.time_limits.model_copy(update={"sets": sets})})
    made = again(decision_with(_assigned(), Assigned), other)
    assert made.verdict is Verdict.DIFFERENT
    assert "assigned.due_at" in {each.field for each in made.differences}


def test_what_would_be_refused_is_said() -> None:
    history = replaced(_handled(), Handled, photos=())
    made = again(decision_with(history, Handled), RULES)
    assert made.verdict is Verdict.REFUSED
    assert "photo_needed" in made.text.en


def _handled() -> History:
    one = Life(random.Random(1))
    one.entries = list(_assigned("0104").entries)
    for command in (
        dispatch.Accept("roads"),
        dispatch.Handle("roads", "done", RULES, NOW + timedelta(hours=1), ("https://p.example.org/1.jpg",)),
    ):
        one.now = NOW + timedelta(hours=1)
        one.takes(dispatch.decide(command, dispatch.fold_entries(one.entries)), "department:roads")
    return one.history


def test_who_lost_a_race_decided_a_little_earlier_than_it_says() -> None:
    """The fact then has the time of the one before it, and its deadlines count from the decider's own clock."""
    one = Life(random.Random(1))
    one.entries = list(_assigned().entries)
    one.now = NOW + timedelta(hours=1)
    one.takes(
        dispatch.decide(dispatch.Accept("water"), dispatch.fold_entries(one.entries)), "department:water"
    )
    one.now -= timedelta(seconds=2)
    handle = dispatch.Handle("water", "done", RULES, one.now)
    one.takes(dispatch.decide(handle, dispatch.fold_entries(one.entries)), "department:water")
    decision = decided(one.history)[-1]
    assert decision.put_in_order
    made = again(decision, RULES)
    assert made.verdict is Verdict.SAME
    assert "2.000000 s before" in made.text.en


def test_imported_history_was_not_decided_here() -> None:
    one = Life(random.Random(1))
    reported = CaseReported(category="Lights", channel="Call", description="Out", place=PLACE)
    one.takes(
        (reported, CaseFiled(category="Lights", reason="record")), "import:boston311", origin=Origin.IMPORT
    )
    [decision] = decided(one.history)
    made = again(decision, None)
    assert (made.verdict, rules_of(decision, RULES)) == (Verdict.NOT_DECIDED, ())
    assert "another system" in made.text.en
    assert cause_of(decision, one.history).kind == "elsewhere"


def test_without_its_rules_nothing_is_decided_again() -> None:
    made = again(decision_with(_assigned(), Assigned), None)
    assert made.verdict is Verdict.NOT_DECIDED
    assert made.text.zh


# Joined reports


def _merged(distance: float = 0.0005) -> tuple[Decision, History]:
    """A report that was joined by rule, and the case that it was joined to."""
    place = PLACE.model_copy(update={"longitude": 118.705, "latitude": 36.405})
    other = Life(random.Random(1), case_id="f" * 20)
    text = "A broken manhole cover in front of number 12"
    other.takes((CaseReported(category="0101", channel="web", description=text, place=place),), "resident")
    other.takes((CaseFiled(category="0101", reason="rule"),), "system:intake")
    one = Life(random.Random(1))
    near = place.model_copy(update={"latitude": 36.405 + distance / 10})
    one.now += timedelta(minutes=10)
    one.takes((CaseReported(category="0101", channel="web", description=text, place=near),), "resident")
    candidate = intake.Candidate("f" * 20, "0101", text, 118.705, 36.405, NOW)
    sort = intake.Sort(RULES, one.now, (candidate,))
    one.takes(intake.decide(sort, intake.fold(one.events)), "system:intake")
    decision = decision_with(one.history, CaseMerged)
    return Decision(decision.before, decision.entries, {"f" * 20: other.history}), one.history


def test_a_report_that_was_joined_is_joined_again_by_radius_window_and_likeness() -> None:
    decision, _ = _merged()
    assert decision.other_cases() == ("f" * 20,)
    assert again(decision, RULES).verdict is Verdict.SAME
    [rule] = rules_of(decision, RULES)
    assert rule.name == "evaluation/duplicates"
    assert "alike" in rule.text.en
    alone = Decision(decision.before, decision.entries)
    assert again(alone, RULES).verdict is Verdict.DIFFERENT, "without the other case it would have been filed"


def test_the_case_learns_of_it_because_of_the_joined_report() -> None:
    decision, report = _merged()
    other = Life(random.Random(1), case_id="f" * 20)
    other.entries = list(decision.elsewhere["f" * 20].entries)
    joined = intake.Join(CASE_ID, report.entries[0].envelope.time, "web")
    other.takes(intake.decide(joined, intake.fold(other.events)), "system:intake")
    learned = decision_with(other.history, ReportJoined)
    cause = decision.entries[0]
    envelope = learned.envelope.model_copy(update={"causationid": cause.envelope.id})
    entry = learned.entries[0]._replace(envelope=envelope)
    found = cause_of(Decision(learned.before, (entry,), {CASE_ID: report}), other.history)
    assert (found.kind, found.case_id, found.position) == ("event", CASE_ID, cause.sequence)
    assert again(learned, RULES).verdict is Verdict.SAME


# Which rules


def named(rules: Sequence[Any]) -> list[str]:
    return [rule.name for rule in rules]


def test_an_assignment_names_row_limits_and_calendar() -> None:
    rules = rules_of(decision_with(_assigned(), Assigned), RULES)
    assert named(rules) == ["responsibility/covers", "time_limits/quick", "calendar"]
    row = rules[0].text.en
    assert "area qiaotou" in row
    assert "the first of 3 rows that fits" in row
    assert "named by responsibility" in rules[1].text.en


def test_rows_that_were_passed_over_are_named_with_the_reason() -> None:
    history = _assigned()
    one = Life(random.Random(1))
    one.entries, one.now = list(history.entries), NOW + timedelta(hours=1)
    decline = dispatch.Decline("water", "not ours", RULES, one.now)
    one.takes(dispatch.decide(decline, dispatch.fold_entries(one.entries)), "department:water")
    rules = rules_of(decided(one.history)[-1], RULES)
    row = next(rule for rule in rules if rule.name.startswith("responsibility/"))
    assert row.name == "responsibility/rest"
    assert "covers (water was passed over)" in row.text.en
    assert ByRule.HAND in rules, "that it was returned was somebody's decision"


def test_an_escalation_names_the_ladder() -> None:
    for seed in range(LIVES):
        for decision in decided(life(seed)):
            event = decision.facts[0]
            if isinstance(event, Escalated) and event.reason is EscalationReason.LONG_OVERDUE:
                rules = named(rules_of(decision, RULES))
                assert rules[0] == "escalation/reasons/long_overdue"
                assert rules[-1] == f"escalation/overdue/{event.step}"
                return
    pytest.fail("no life came so far")


def test_a_rule_that_is_not_in_this_version_is_said_to_be_missing() -> None:
    other = RULES.model_copy(update={"responsibility": RULES.responsibility[1:]})
    rules = rules_of(decision_with(_assigned(), Assigned), other)
    assert rules[0].name == "responsibility/covers"
    assert "no such row" in rules[0].text.en


# How a case stands, and what differs


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.data())
def test_the_changes_lead_from_one_moment_to_the_other(seed: int, data: st.DataObject) -> None:
    entries = life(seed).entries
    end = data.draw(st.integers(0, len(entries)))
    begin = data.draw(st.integers(0, end))
    before, after = state_of(entries[:begin]), state_of(entries[:end])
    moved = {name: getattr(before, name) for name in FIELDS}
    for change in changed(before, after):
        assert moved[change.field] == change.before
        assert change.before != change.after
        moved[change.field] = change.after
    assert CaseState(**moved) == after
    found = difference(History(CASE_ID, entries[:begin]), History(CASE_ID, entries[:end]))
    assert found.between == entries[begin:end]


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_a_state_says_what_the_facts_say(seed: int) -> None:
    """Against the plainest reading of the facts."""
    entries = life(seed).entries
    state = state_of(entries)
    names = [entry.name for entry in entries]
    assert state.assignments <= names.count("assigned")
    assert state.joined_reports == names.count("joined")
    assert state.cards == names.count("card-issued")
    assert state.scores == names.count("scored")
    last = next((name for name in reversed(names) if name in LAST), None)
    assert last is None or state.state == LAST[last]
    holder = _holder(entries)
    if state.state in {"assigned", "accepted", "handled"}:
        assert state.department == holder
        assert state.must_act is not None
    if state.state in {"closed", "rejected"}:
        assert state.must_act is None


LAST: Final = {
    "reported": "reported",
    "filed": "filed",
    "rejected": "rejected",
    "assigned": "assigned",
    "declined": "waiting",
    "recalled": "waiting",
    "accepted": "accepted",
    "handled": "handled",
    "handling-returned": "accepted",
    "closed": "closed",
    "reopened": "filed",
}


def _holder(entries: Sequence[Entry]) -> str | None:
    return next(
        (entry.event.department for entry in reversed(entries) if isinstance(entry.event, Assigned)), None
    )


def test_every_field_has_its_name_in_chinese() -> None:
    assert tuple(NAMES_ZH) == FIELDS


def test_the_later_moment_first_is_refused() -> None:
    history = life(3)
    with pytest.raises(UsageError, match="exchange them"):
        difference(history, History(CASE_ID, history.entries[:2]))
