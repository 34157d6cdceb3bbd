"""Who is told what: the reporter at each turn of a live case, offices when they must act, nobody about history."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Assigned, DueSoon, Escalated, EscalationReason, Step, Summoned
from libs.events.contracts.evaluation import CaseClosed, Outcome
from libs.events.contracts.intake import CaseFiled, CaseMerged, CaseRejected
from libs.events.contracts.ledger import CaseCarriedForward
from libs.events.envelope import Origin
from libs.events.policy import Card, Department, Name
from libs.events.testing.examples import EXAMPLES, REPORTED_AT, entry_of
from libs.events.wording import COLOURS, OUTCOMES, REASONS, STEPS
from services.notify.deciding.notices import Notice, Occasion, notice_about
from services.notify.deciding.texts import ENDINGS
from services.notify.delivery.planner import is_told
from tests.unit.specs import ANY_EVENT, FILED, reported, rule_book

WATER = Department(code="water", name=Name(zh="供排水公司", en="Water Company"))
ROADS = Department(code="roads", name=Name(zh="市政所", en="Roads"))
RULES = rule_book(departments=(WATER, ROADS))


def told(event: Event, version: int = 1, origin: Origin = Origin.LIVE) -> Notice | None:
    return notice_about(entry_of(event, version, origin=origin), RULES)


def text_of(event: Event) -> tuple[str, str]:
    notice = told(event)
    assert notice is not None
    return notice.text, notice.text_zh


def test_who_hears_of_what() -> None:
    notices = {event.name(): told(event) for event in EXAMPLES.values()}
    assert {
        name: (notice.recipient, notice.occasion.value) for name, notice in notices.items() if notice
    } == {
        "reported": ("reporter", "reported"),
        "rejected": ("reporter", "rejected"),
        "merged": ("reporter", "merged"),
        "assigned": ("reporter", "assigned"),
        "unit-sent": ("reporter", "unit_sent"),
        "extension-granted": ("reporter", "extension_granted"),
        "paused": ("reporter", "paused"),
        "handled": ("reporter", "handled"),
        "handling-returned": ("reporter", "handling_returned"),
        "closed": ("reporter", "closed"),
        "reopened": ("reporter", "reopened"),
        "summoned": ("department:No Q", "summoned"),
        "due-soon": ("department:No Q", "due_soon"),
        "card-issued": ("department:No Q", "card_issued"),
        "escalated": ("post:district:liuhe", "escalated"),
    }


def test_every_occasion_has_its_fact() -> None:
    events = (*EXAMPLES.values(), CaseFiled(category="0101", reason="specialist"))
    assert {notice.occasion for event in events if (notice := told(event))} == set(Occasion)


def test_what_is_filed_at_once_is_not_told_twice_at_once() -> None:
    assert told(FILED) is None
    assert told(CaseFiled(category="0101", reason="trusted")) is None


@pytest.mark.parametrize("origin", [Origin.IMPORT, Origin.REPLAY])
@pytest.mark.parametrize("event", EXAMPLES.values())
def test_nobody_is_told_about_history(event: Event, origin: Origin) -> None:
    assert told(event, origin=origin) is None


def test_what_carries_a_case_forward_goes_out_to_nobody() -> None:
    assert is_told(entry_of(FILED, 2))
    assert not is_told(entry_of(EXAMPLES[CaseCarriedForward], 2))


def test_a_notice_names_its_cause_and_is_the_same_whenever_it_is_made() -> None:
    entry = entry_of(EXAMPLES[Assigned], 3)
    notice = notice_about(entry, RULES)
    assert notice is not None
    assert (notice.case_id, notice.version, notice.cause_id) == (entry.case_id, 3, entry.envelope.id)
    assert notice == notice_about(entry, RULES)


def test_the_reporter_learns_who_and_by_when_in_both_languages() -> None:
    assert text_of(Assigned(department="water", due_at=REPORTED_AT + timedelta(hours=4))) == (
        "The department Water Company takes care of your report, by 2026-03-02 12:30.",
        "您的诉求已派遣至供排水公司，期限 2026-03-02 12:30。",
    )


def test_times_are_those_of_the_citys_clocks() -> None:
    zone = {"time_zone": "UTC"}
    elsewhere = rule_book(
        city=RULES.city.model_copy(update=zone), calendar=RULES.calendar.model_copy(update=zone)
    )
    notice = notice_about(entry_of(EXAMPLES[Assigned]), elsewhere)
    assert notice is not None
    assert "2026-03-02 04:30" in notice.text


def test_where_there_is_no_limit_none_is_named() -> None:
    text, text_zh = text_of(Assigned(department="roads"))
    assert text == "The department Roads takes care of your report."
    assert "期限" not in text_zh


def test_a_department_that_the_rule_book_does_not_have_any_more_goes_by_its_code() -> None:
    assert "No Q" in text_of(EXAMPLES[Assigned])[0]


def test_a_rejection_tells_why() -> None:
    text, text_zh = text_of(CaseRejected(reason="It lies on private ground."))
    assert text.endswith("It lies on private ground.")
    assert "It lies on private ground." in text_zh


def test_a_merged_report_is_promised_the_answer_of_its_case() -> None:
    assert "answer" in text_of(EXAMPLES[CaseMerged])[0]


def closing(outcome: Outcome, note: str = "", *, windows: bool = False) -> CaseClosed:
    until = REPORTED_AT + timedelta(days=7) if windows else None
    return CaseClosed(department="water", outcome=outcome, note=note, rate_until=until, reopen_until=until)


def test_an_end_tells_how_it_ended_and_what_the_reporter_may_still_do() -> None:
    text, text_zh = text_of(closing(Outcome.RESOLVED, "internal note", windows=True))
    assert text.startswith("Your report has been settled.")
    assert text.count("2026-03-09 08:30") == text_zh.count("2026-03-09 08:30") == 2
    assert "internal" not in text
    text, text_zh = text_of(closing(Outcome.NOT_RESOLVED, "The wall is private"))
    assert "without being settled: The wall is private" in text
    assert "The wall is private" in text_zh
    assert len({text_of(closing(outcome)) for outcome in Outcome}) == len(Outcome)


def test_whoever_must_act_learns_why_and_until_when() -> None:
    due = REPORTED_AT + timedelta(hours=4)
    escalated = Escalated(
        reason=EscalationReason.NOT_SIGNED,
        level="street",
        acts="street:hebin",
        department="water",
        due_at=due,
    )
    assert "not signed for in time, due 2026-03-02 12:30" in text_of(escalated)[0]
    centre = told(DueSoon(step=Step.VERIFY, due_at=due))
    assert centre is not None
    assert (centre.recipient, "verify it until 2026-03-02 12:30" in centre.text) == ("centre", True)
    text, text_zh = text_of(EXAMPLES[Summoned])
    assert "no-q-qiaotou" in text
    assert "no-q-qiaotou" in text_zh
    assert "2026-03-02 09:00" in text


def test_every_reason_step_and_outcome_has_its_words() -> None:
    assert (set(REASONS), set(STEPS), set(ENDINGS)) == (set(EscalationReason), set(Step), set(Outcome))
    assert (set(OUTCOMES), set(COLOURS)) == (set(Outcome), set(Card))


@pytest.mark.parametrize("event", EXAMPLES.values())
def test_no_notice_repeats_what_the_reporter_wrote(event: Event) -> None:
    notice = told(event)
    if notice is not None:
        assert "manhole" not in notice.text + notice.text_zh
        assert "sealed" not in notice.text + notice.text_zh


@pytest.mark.parametrize("event", EXAMPLES.values())
def test_every_notice_is_a_sentence_in_both_languages(event: Event) -> None:
    notice = told(event)
    if notice is not None:
        assert notice.text.endswith(".")
        assert re.search("[\u4e00-\u9fff]", notice.text_zh)
        assert notice.text_zh.endswith(("。", "."))


ENDS = st.one_of(
    st.text(min_size=1).map(lambda reason: CaseRejected(reason=reason)),
    st.sampled_from(Outcome).map(closing),
)


@given(middle=st.lists(ANY_EVENT, max_size=10), end=ENDS)
def test_law_every_live_reporter_gets_an_answer(middle: list[Event], end: Event) -> None:
    """Whatever happened between: the last thing that the reporter hears of is the end, and how it ended."""
    history = [reported(), FILED, *middle, end]
    heard = [
        notice
        for version, event in enumerate(history, 1)
        if (notice := told(event, version)) and notice.recipient == "reporter"
    ]
    assert heard[0].occasion is Occasion.REPORTED
    assert heard[-1].version == len(history)
    assert heard[-1].occasion in {Occasion.REJECTED, Occasion.CLOSED}
    assert len({notice.version for notice in heard}) == len(heard)
    if isinstance(end, CaseRejected):
        assert end.reason in heard[-1].text
