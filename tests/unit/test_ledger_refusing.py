"""What the ledger must see before it seals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.ledger.notes import Checkpoint
from services.ledger.refusing import LogState, Refusal, check_log, check_root, check_size, spots

MADE = "2026-11-28T20:00:00.123456789Z"


@pytest.mark.parametrize(
    ("first", "last", "sealed", "created"),
    [
        (1, 0, 0, None),
        (0, 0, 0, MADE),
        (1, 9, 9, MADE),
        (1, 12, 9, MADE),
        (10, 9, 9, MADE),
        (10, 20, 9, MADE),
    ],
)
def test_a_log_that_can_be_the_one_that_is_sealed(
    first: int, last: int, sealed: int, created: str | None
) -> None:
    check_log("CASES", LogState(MADE, first, last), sealed, created)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (LogState("2026-11-29T00:00:00Z", 1, 9), "deleted and made anew"),
        (LogState(MADE, 1, 8), "ends at event 8, and 9 are sealed"),
        (LogState(MADE, 12, 20), "events 10 to 11 are gone"),
    ],
)
def test_a_log_that_cannot(state: LogState, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        check_log("CASES", state, 9, MADE)


def test_what_was_signed_must_follow_from_the_files() -> None:
    known = Checkpoint("city.example/CASES", 9, bytes(32))
    check_size("city.example/CASES", 9, known, "on the bus")
    check_root(known, bytes(32), "on the bus")
    with pytest.raises(Refusal, match="on the bus has 9 events, the sealed files have 8"):
        check_size("city.example/CASES", 8, known, "on the bus")
    with pytest.raises(Refusal, match=r"the root 0{64} at 9 events, the sealed files give 01{0,1}"):
        check_root(known, b"\x01" + bytes(31), "on the bus")


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(1, 40))
def test_spots_are_where_something_can_be_compared(size: int, first: int, number: int) -> None:
    found = spots(size, first, number)
    assert len(found) <= number
    assert all(first <= each <= size for each in found)
    assert bool(found) == (first <= size)
    if found:
        assert found[-1] == size
        assert len(found) == min(number, size - first + 1)
