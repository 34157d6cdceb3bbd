"""Facts that come on two ways: each is given out once, in order, whatever gets lost on the quick one."""

from collections import deque
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events import ahead
from libs.events.ahead import Order
from libs.events.subjects import AFTER_NOTHING

CASES: Final[tuple[str, ...]] = ("a", "b")
Told = tuple[str, str, str]
"""Case, id, and which fact of the case came before it."""


def facts(cases: list[str]) -> list[Told]:
    """Facts of these cases, one after the other."""
    last: dict[str, str] = dict.fromkeys(CASES, AFTER_NOTHING)
    told: list[Told] = []
    for number, case in enumerate(cases):
        told.append((case, str(number), last[case]))
        last[case] = str(number)
    return told


@given(st.data())
def test_each_once_and_in_the_order_of_its_case(data: st.DataObject) -> None:
    told = facts(data.draw(st.lists(st.sampled_from(CASES), max_size=12)))
    kept = deque(told)
    quick = deque(each for each in told if data.draw(st.booleans()))
    order, given_out = Order(), list[Told]()
    while kept or quick:
        if quick and (not kept or data.draw(st.booleans())):
            case, event, after = each = quick.popleft()
            if order.gives_ahead(case, event, after):
                given_out.append(each)
        else:
            case, event, _ = each = kept.popleft()
            if order.gives_kept(case, event):
                given_out.append(each)
    assert sorted(given_out) == sorted(told)
    for case in CASES:
        assert [each for each in given_out if each[0] == case] == [each for each in told if each[0] == case]


def test_what_is_next_is_given_ahead() -> None:
    order = Order()
    assert order.gives_ahead("a", "1", AFTER_NOTHING)
    assert order.gives_ahead("a", "2", "1")
    assert not order.gives_kept("a", "1")
    assert not order.gives_kept("a", "2")
    assert order.gives_kept("a", "3")
    assert order.gives_ahead("a", "4", "3")


def test_what_may_not_be_next_waits_for_the_certain_way() -> None:
    order = Order()
    assert not order.gives_ahead("a", "2", "1"), "the first was not heard"
    assert not order.gives_ahead("a", "2", None), "the writer does not say"
    assert order.gives_kept("a", "1")
    assert not order.gives_ahead("a", "1", AFTER_NOTHING), "it was given out"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "AHEAD_MAX", 2)
    monkeypatch.setattr(ahead, "CASES_KNOWN_MAX", 1)
    order = Order()
    assert order.gives_ahead("a", "1", AFTER_NOTHING)
    assert order.gives_ahead("b", "2", AFTER_NOTHING)
    assert not order.gives_ahead("c", "3", AFTER_NOTHING), "two are ahead of the certain way"
    assert not order.gives_kept("a", "1")
    assert order.gives_ahead("c", "3", AFTER_NOTHING)
    assert not order.gives_ahead("b", "4", "2"), "of this case nothing is known any more"
    assert order.gives_kept("b", "4")
