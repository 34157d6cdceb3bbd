"""A post acts in its own place: what that is, at every level, and where a case is not known exactly."""

import pytest

from cli.stack.rulebook import example_policy
from libs.events.access.places import covers, place_of
from libs.events.contracts.base import Place
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseReported
from libs.events.policy import RuleBook, load

ZONE = "Asia/Shanghai"
GRID = Place(time_zone=ZONE, grid="qiaotou-01", community="qiaotou", street="hebin")
COMMUNITY = Place(time_zone=ZONE, community="qiaotou", street="hebin")
STREET = Place(time_zone=ZONE, street="hebin")
FOREIGN = Place(time_zone=ZONE, community="Mattapan", address="Groveland St")


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return load(example_policy())


@pytest.mark.parametrize("kind", ["specialist", "centre", "community", "street", "grid-worker"])
@pytest.mark.parametrize(
    ("of", "place", "own"),
    [
        ("qiaotou-01", GRID, True),
        ("qiaotou", GRID, True),
        ("hebin", GRID, True),
        ("liuhe", GRID, True),
        ("qiaotou-02", GRID, False),
        ("matou", GRID, False),
        ("gulou", GRID, False),
        ("qiaotou-02", COMMUNITY, True),
        ("matou-01", COMMUNITY, False),
        ("matou", STREET, True),
        ("nanmen", STREET, False),
        ("gulou", STREET, False),
        ("nanmen", FOREIGN, True),
        ("nanmen", Place(time_zone=ZONE), True),
        ("nanmen", None, True),
    ],
)
def test_a_post_covers_what_lies_in_its_place(
    book: RuleBook, kind: str, of: str, place: Place | None, own: bool
) -> None:
    assert covers(f"{kind}:{of}", place, book) is own


def test_a_grid_alone_says_where_it_lies(book: RuleBook) -> None:
    alone = Place(time_zone=ZONE, grid="qiaotou-01")
    assert covers("specialist:qiaotou", alone, book)
    assert not covers("specialist:matou", alone, book)


def test_departments_and_the_operator_stand_for_no_place(book: RuleBook) -> None:
    assert covers("department:hebin", STREET, book)
    assert covers("operator:cli", GRID, book)


def test_a_case_is_where_it_was_reported_or_adopted_since() -> None:
    reported = CaseReported(category="0101", channel="web", description="x", place=GRID)
    filed = CaseFiled(category="0101", reason="specialist")
    adopted = CaseAdopted(category="0101", place=STREET)
    assert place_of(()) is None
    assert place_of((reported, filed)) == GRID
    assert place_of((reported, filed, adopted)) == STREET
