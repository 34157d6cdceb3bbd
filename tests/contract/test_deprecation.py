"""What goes is announced long before, names what takes its place, and stays readable."""

from datetime import date

import pytest

from libs.events.contracts.deprecation import ANNOUNCED_DAYS_MIN, DEPRECATIONS, Deprecation
from tests.contract.asyncapi import document
from tests.contract.compatibility import breaks
from tests.contract.contract_page import page
from tests.contract.direction import Direction
from tests.contract.published import schemas, with_deprecations

GOES, COMES = "whistle.case.rated.v1", "whistle.case.scored.v1"
MADE_UP = Deprecation(GOES, COMES, announced=date(2026, 1, 1), until=date(2026, 7, 1))


def test_a_schema_that_goes_says_so_and_breaks_nobody() -> None:
    before = schemas()
    now = with_deprecations(before, [MADE_UP])
    assert now[GOES]["deprecated"] is True
    assert now[GOES]["x-deprecation"] == {"instead": COMES, "announced": "2026-01-01", "until": "2026-07-01"}
    assert breaks(before[GOES], now[GOES], Direction.PUBLISHED) == ()
    assert {name for name in now if now[name] != before[name]} == {GOES}


def test_the_page_says_until_when_and_what_instead() -> None:
    told = document()
    told["components"]["schemas"] = with_deprecations(told["components"]["schemas"], [MADE_UP])
    assert f'until 2026-07-01, then <a href="#schema-{COMES}">' in page(told)
    assert "Deprecated" not in page(document()) or DEPRECATIONS


def test_nothing_goes_within_fewer_days_than_promised() -> None:
    assert ANNOUNCED_DAYS_MIN == 180
    with pytest.raises(AssertionError):
        Deprecation(GOES, COMES, announced=date(2026, 1, 1), until=date(2026, 6, 29))


def test_what_goes_and_what_comes_are_both_described() -> None:
    made = schemas()
    for each in DEPRECATIONS:
        assert {each.contract, each.instead} <= made.keys()
