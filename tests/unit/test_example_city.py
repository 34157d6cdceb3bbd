"""The example city is whole: counted, said in both languages, answered for by somebody, and on the map."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
import shapely
import yaml

from cli.stack.rulebook import example_policy
from libs.events import policy
from libs.events.contracts.base import Place
from libs.events.errors import RuleBookInvalid
from libs.events.policy import Kind, Name, RuleBook

FOLDER: Final = example_policy()
TEXT_CHARACTERS_MIN: Final = {"zh": 6, "en": 12}
"""A filing or closing condition that is shorter says nothing."""
KEPT: Final = {
    "0101": ("Water supply manhole cover", "water"),
    "0103": ("Street lamp", "power"),
    "0301": ("Public toilet", "sanitation"),
    "0401": ("Street tree", "greenery"),
    "1101": ("Exposed litter", "sanitation"),
    "1401": ("Burst water pipe", "water"),
    "1402": ("Collapsed road", "roads"),
    "1501": ("Stall in the road", "urban-management"),
    "1502": ("Illegal parking", "traffic-police"),
    "1603": ("Property services", "housing"),
}
"""Codes are for ever: some of those that were given out first, and who answers."""
CLASSES: Final = {
    "01": 14, "02": 7, "03": 5, "04": 5, "05": 2,
    "11": 24, "12": 8, "13": 12, "14": 20, "15": 20, "16": 28,
}  # fmt: skip
"""How many small classes each big class has."""


@pytest.fixture(scope="module")
def book() -> RuleBook:
    return policy.load(FOLDER)


def places(book: RuleBook) -> list[tuple[str, str, str]]:
    """Grid, community and street of each grid."""
    streets = book.city.street_of()
    return [(grid.code, grid.community, streets[grid.community]) for grid in book.grids]


def test_it_has_the_size_of_a_district_of_two_streets(book: RuleBook) -> None:
    kinds = Counter(category.kind for category in book.categories)
    communities = [len(street.communities) for street in book.city.streets]
    assert communities == [4, 4]
    assert (len(book.grids), len(book.departments)) == (28, 39)
    assert (kinds[Kind.PART], kinds[Kind.EVENT]) == (33, 112)


def test_codes_are_a_big_class_and_a_small_class(book: RuleBook) -> None:
    assert Counter(category.code[:2] for category in book.categories) == CLASSES
    for category in book.categories:
        assert len(category.code) == 4
        assert category.code.isdigit()
        assert (category.kind is Kind.PART) == category.code.startswith("0")
    numbers = {
        big: sorted(int(c.code[2:]) for c in book.categories if c.code.startswith(big)) for big in CLASSES
    }
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values()), "a number was left out"


@pytest.mark.parametrize("code", KEPT)
def test_a_code_that_was_given_out_keeps_its_meaning(book: RuleBook, code: str) -> None:
    category = book.category(code)
    ruling = book.ruling(code, Place(time_zone=book.city.time_zone))
    assert category is not None
    assert ruling is not None
    assert (category.name.en, ruling.lead) == KEPT[code]


def texts(book: RuleBook) -> Iterable[tuple[str, Name]]:
    """All that people read."""
    yield book.city.code, book.city.name
    for street in book.city.streets:
        yield street.code, street.name
        yield from ((community.code, community.name) for community in street.communities)
    yield from ((grid.code, grid.name) for grid in book.grids)
    yield from ((department.code, department.name) for department in book.departments)
    yield from ((category.code, category.name) for category in book.categories)
    yield from ((pause.code, pause.name) for pause in book.pauses)


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def test_everything_has_a_name_in_both_languages(book: RuleBook) -> None:
    wrong = [
        code for code, name in texts(book) if not is_chinese(name.zh) or is_chinese(name.en) or not name.en
    ]
    assert wrong == []
    assert [
        code for code, name in texts(book) if name.en != name.en.strip() or name.zh != name.zh.strip()
    ] == []


def test_every_category_says_in_both_languages_when_it_is_filed_and_closed(book: RuleBook) -> None:
    for category in book.categories:
        for condition in (category.filing, category.closing):
            assert is_chinese(condition.zh), category.code
            assert not is_chinese(condition.en), category.code
            assert len(condition.zh) >= TEXT_CHARACTERS_MIN["zh"], category.code
            assert len(condition.en) >= TEXT_CHARACTERS_MIN["en"], category.code


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_two_things_of_a_kind_are_called_or_described_alike(book: RuleBook, language: str) -> None:
    conditions = [text for each in book.categories for text in (each.filing, each.closing)]
    for names in (
        [each.name for each in book.categories],
        [each.name for each in book.departments],
        [each.name for each in book.grids],
        conditions,
    ):
        counted = Counter(getattr(name, language).casefold() for name in names)
        assert [text for text, times in counted.items() if times > 1] == []


def test_somebody_answers_for_every_category_in_every_grid_and_outside_of_them(book: RuleBook) -> None:
    nowhere = Place(time_zone=book.city.time_zone)
    for category in book.categories:
        assert book.ruling(category.code, nowhere) is not None, category.code
        for grid, community, street in places(book):
            place = Place(time_zone=book.city.time_zone, grid=grid, community=community, street=street)
            assert book.ruling(category.code, place) is not None, (category.code, grid)


def test_every_rule_decides_somewhere(book: RuleBook) -> None:
    """A rule that another always outdoes, and that nobody is ever passed over for, is a slip."""
    decided = set[str]()
    for category in book.categories:
        for grid, community, street in [*places(book), (None, None, None)]:
            place = Place(time_zone=book.city.time_zone, grid=grid, community=community, street=street)
            first = book.ruling(category.code, place)
            assert first is not None
            following = book.ruling(category.code, place, without={first.lead})
            decided |= {ruling.rule for ruling in (first, following) if ruling is not None}
    assert {rule.id for rule in book.responsibility} - decided == set()


def test_every_department_has_something_to_do(book: RuleBook) -> None:
    busy = {code for rule in book.responsibility for code in (rule.lead, *rule.supporting)}
    assert {department.code for department in book.departments} == busy


def test_every_department_has_a_liaison_officer_wherever_it_may_be_sent(book: RuleBook) -> None:
    liaisons = {department.code: department.liaisons for department in book.departments}
    for category in book.categories:
        for grid, community, street in places(book):
            place = Place(time_zone=book.city.time_zone, grid=grid, community=community, street=street)
            ruling = book.ruling(category.code, place)
            assert ruling is not None
            assert community in liaisons[ruling.lead], (ruling.rule, community)
    officers = [officer for each in liaisons.values() for officer in each.values()]
    assert len(officers) == len(set(officers)), "one officer answers for two departments or communities"


def test_every_set_of_limits_exists_and_is_used(book: RuleBook) -> None:
    used = {category.limits for category in book.categories}
    used |= {rule.limits for rule in book.responsibility if rule.limits is not None}
    assert used == set(book.time_limits.sets)


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        ("1101", "4 working hours"),
        ("1102", "2 working hours"),
        ("1103", "4 working hours"),
        ("1104", "7 working days"),
        ("1106", "4 working hours"),
        ("1107", "5 working days"),
        ("0101", "6 urgent hours"),
        ("0105", "6 urgent hours"),
        ("1407", "2 urgent hours"),
    ],
)
def test_limits_are_those_that_cities_publish(book: RuleBook, code: str, limit: str) -> None:
    category = book.category(code)
    assert category is not None
    assert str(book.limits(category.limits).handle) == limit


def test_time_to_sign_is_shorter_than_time_to_handle(book: RuleBook) -> None:
    begin = datetime(2026, 3, 3, 10, tzinfo=book.zone)  # a Tuesday
    for name in book.time_limits.sets:
        limits = book.limits(name)
        sign, handle = (book.calendar.due(limit, begin) for limit in (limits.sign, limits.handle))
        assert sign < handle, name


def test_a_unit_of_the_right_kind_belongs_to_somebody_who_is_called(book: RuleBook) -> None:
    owners = {department.code: set(department.unit_kinds) for department in book.departments}
    fast = [category for category in book.categories if category.fast_lane is not None]
    assert len(fast) > 15
    for category in fast:
        ruling = book.ruling(category.code, Place(time_zone=book.city.time_zone))
        assert ruling is not None
        assert category.fast_lane in set().union(
            *(owners[each] for each in (ruling.lead, *ruling.supporting))
        )


# On the map.


def shapes(book: RuleBook) -> dict[str, shapely.Polygon]:
    return {grid.code: shapely.Polygon(grid.polygons[0][0]) for grid in book.grids}


def test_grids_tile_the_ground_without_gap_or_overlap(book: RuleBook) -> None:
    drawn = shapes(book)
    whole = shapely.union_all(list(drawn.values()))
    assert isinstance(whole, shapely.Polygon), "the ground falls apart"
    assert len(whole.interiors) == 0, "a hole that no grid covers"
    assert sum(each.area for each in drawn.values()) == pytest.approx(whole.area, rel=1e-9), "grids overlap"


def test_communities_and_streets_are_in_one_piece(book: RuleBook) -> None:
    drawn, streets = shapes(book), book.city.street_of()
    for area in {*streets, *streets.values()}:
        mine = [drawn[grid.code] for grid in book.grids if area in {grid.community, streets[grid.community]}]
        assert len(mine) >= 3, area
        assert isinstance(shapely.union_all(mine), shapely.Polygon), area


def test_a_point_in_each_grid_is_found_in_it(book: RuleBook) -> None:
    for grid in book.grids:
        inside = shapely.Polygon(grid.polygons[0][0]).representative_point()
        street = book.city.street_of()[grid.community]
        assert book.locate(inside.x, inside.y) == (grid.code, grid.community, street, "inside")


def test_a_corner_between_grids_belongs_to_the_lowest_code(book: RuleBook) -> None:
    corners: dict[tuple[float, float], list[str]] = {}
    for grid in book.grids:
        for corner in set(grid.polygons[0][0]):
            corners.setdefault(corner, []).append(grid.code)
    shared = {corner: codes for corner, codes in corners.items() if len(codes) > 1}
    assert len(shared) > 28
    for (longitude, latitude), codes in shared.items():
        found = book.locate(longitude, latitude)
        assert (found.grid, found.by) == (min(codes), "border")


def test_grids_are_as_large_as_some_streets_of_houses_and_no_chessboard(book: RuleBook) -> None:
    square_degrees = [each.area for each in shapes(book).values()]
    square_metres = [area * 111_000 * 89_600 for area in square_degrees]
    assert 5e6 < sum(square_metres) < 7e6
    assert all(1e5 < area < 4e5 for area in square_metres)
    assert all(len(grid.polygons[0][0]) > 8 for grid in book.grids)


# The published document stays small, and the folder says what is wrong in it.


def test_the_folder_is_checked_without_a_mistake() -> None:
    assert policy.examine(FOLDER).mistakes == ()
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(policy.FILES)


def shifted(features: dict[str, Any]) -> None:
    ring = features["features"][0]["geometry"]["coordinates"][0]
    features["features"][0]["geometry"]["coordinates"][0] = [[x + 0.001, y] for x, y in ring]


def crossed(features: dict[str, Any]) -> None:
    ring = features["features"][0]["geometry"]["coordinates"][0]
    ring[2], ring[5] = ring[5], ring[2]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(shifted, "grids .*liuyuan-01.* overlap by"), (crossed, "liuyuan-01 is no area: Self-intersection")],
)
def test_a_spoilt_map_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], reason: str
) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "policy"))
    drawn = json.loads((folder / "grids.geojson").read_text())
    spoil(drawn)
    (folder / "grids.geojson").write_text(json.dumps(drawn))
    with pytest.raises(RuleBookInvalid, match=reason):
        policy.load(folder)


def test_a_category_without_a_rule_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "policy"))
    rules = yaml.safe_load((folder / "responsibility.yaml").read_text())
    kept = [rule for rule in rules if rule["category"] != "1613"]
    (folder / "responsibility.yaml").write_text(yaml.safe_dump(kept))
    with pytest.raises(RuleBookInvalid, match="nobody answers for category 1613"):
        policy.load(folder)
