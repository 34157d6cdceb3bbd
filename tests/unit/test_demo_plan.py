"""The demo's day is a function of its seed."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.demo.plan import DONE_SHARES, LATE_SHARES, clock_at, paces, plan_day
from cli.demo.texts import DESCRIPTIONS
from cli.stack.rulebook import example_policy
from libs.events.policy import RuleBook, load

BOOK: RuleBook = load(example_policy())


@given(seed=st.integers(), cases=st.integers(1, 60), seconds=st.floats(1, 3600))
@settings(max_examples=50, deadline=None)
def test_the_same_seed_gives_the_same_day(seed: int, cases: int, seconds: float) -> None:
    plan = plan_day(BOOK, cases=cases, seconds=seconds, seed=seed)
    assert plan == plan_day(BOOK, cases=cases, seconds=seconds, seed=seed)
    assert [report.number for report in plan] == list(range(1, cases + 1))
    moments = [report.at_seconds for report in plan]
    assert moments == sorted(moments)
    assert 0 <= moments[0] <= moments[-1] <= seconds


def test_another_seed_gives_another_day() -> None:
    assert plan_day(BOOK, cases=5, seconds=60, seed=1) != plan_day(BOOK, cases=5, seconds=60, seed=2)


def test_a_day_has_every_kind_of_case_everywhere_in_two_peaks() -> None:
    plan = plan_day(BOOK, cases=2_000, seconds=24, seed=1)
    assert {report.category for report in plan} == set(DESCRIPTIONS)
    assert {report.community for report in plan} == BOOK.communities()
    assert all(
        report.community in {community.code for community in street.communities}
        for report in plan
        for street in BOOK.city.streets
        if street.code == report.street
    )
    by_hour = Counter(int(clock_at(report.at_seconds / 24)[:2]) for report in plan)
    assert by_hour[8] > 2 * by_hour[12]
    assert by_hour[18] > 2 * by_hour[22]


def test_every_report_lies_in_the_community_that_it_names() -> None:
    for report in plan_day(BOOK, cases=2_000, seconds=24, seed=1):
        assert report.longitude is not None
        assert report.latitude is not None
        found = BOOK.locate(report.longitude, report.latitude)
        assert (found.street, found.community, found.by) == (report.street, report.community, "inside")


def test_without_a_map_reports_name_only_their_community() -> None:
    (report,) = plan_day(BOOK.model_copy(update={"grids": ()}), cases=1, seconds=24, seed=1)
    assert (report.longitude, report.latitude) == (None, None)
    assert report.community in BOOK.communities()


def test_what_is_reported_is_due_within_two_days() -> None:
    """Who watches the demo waits for minutes, not for weeks."""
    begin = datetime(2026, 3, 3, 10, tzinfo=BOOK.zone)
    for code in DESCRIPTIONS:
        category = BOOK.category(code)
        assert category is not None
        assert BOOK.calendar.due(BOOK.limits(category.limits).handle, begin) - begin < timedelta(days=2)


def test_every_category_of_the_demo_is_described_in_both_languages() -> None:
    assert set(DESCRIPTIONS) <= {category.code for category in BOOK.categories}
    for zh, en in (text for texts in DESCRIPTIONS.values() for text in texts):
        assert not zh.isascii()
        assert en.isascii()


def test_a_category_without_descriptions_is_described_by_its_name() -> None:
    category = BOOK.categories[0].model_copy(update={"code": "9999"})
    book = BOOK.model_copy(update={"categories": (category,)})
    described = {report.description for report in plan_day(book, cases=50, seconds=60, seed=1)}
    assert described == {category.name.zh, category.name.en}


@given(seed=st.integers(), department=st.sampled_from([each.code for each in BOOK.departments]))
@settings(max_examples=20, deadline=None)
def test_a_department_has_its_own_pace_for_each_seed(seed: int, department: str) -> None:
    first = list(islice(paces(department, seed), 200))
    assert first == list(islice(paces(department, seed), 200))
    for pace in first:
        assert 0 < pace.accept_share < DONE_SHARES[0], "signed for before it is handled"
        if pace.handle_share is not None:
            assert any(low <= pace.handle_share <= high for low, high in (DONE_SHARES, LATE_SHARES))


def test_some_cases_are_late_and_some_are_left_lying() -> None:
    shares = [pace.handle_share for each in BOOK.departments for pace in islice(paces(each.code, 1), 250)]
    assert 0.03 < sum(share is not None and share > 1 for share in shares) / len(shares) < 0.3
    assert 0.005 < shares.count(None) / len(shares) < 0.05


@pytest.mark.parametrize(("share", "clock"), [(0, "06:00"), (0.5, "18:00"), (0.75, "00:00"), (1, "06:00")])
def test_the_day_begins_in_the_morning(share: float, clock: str) -> None:
    assert clock_at(share) == clock
