"""What can be wrong between parts that are right in themselves.  Each problem says where, in both languages."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.events.grid import GridTree
from libs.events.policy.base import ANY
from libs.events.policy.cases import Rule
from libs.events.policy.escalation import Rung

if TYPE_CHECKING:
    from libs.events.policy.book import RuleBook

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """One thing that is wrong."""

    path: Path
    """From the rule book's part: `("responsibility", 3, "lead")`."""
    text: str
    text_zh: str


def problems(book: "RuleBook", parts: Collection[str] | None = None) -> Iterator[Problem]:
    """Everything that contradicts something else; with *parts* only what these parts say."""
    for needed, check in _CHECKS:
        if parts is None or needed <= set(parts):
            yield from check(book)


def _repeated_areas(book: "RuleBook") -> Iterator[Problem]:
    """A rule names its area by the code alone."""
    streets = [(("city", "streets", number), each.code) for number, each in enumerate(book.city.streets)]
    communities = [
        (("city", "streets", number, "communities", position), each.code)
        for number, street in enumerate(book.city.streets)
        for position, each in enumerate(street.communities)
    ]
    yield from _twice([*streets, *communities, *_coded("grids", book.grids)], "area", "区域")


def _repeated_departments(book: "RuleBook") -> Iterator[Problem]:
    yield from _twice(_coded("departments", book.departments), "department", "部门")


def _repeated_categories(book: "RuleBook") -> Iterator[Problem]:
    yield from _twice(_coded("categories", book.categories), "category", "类别")


def _repeated_rules(book: "RuleBook") -> Iterator[Problem]:
    rules = [(("responsibility", number), rule.id) for number, rule in enumerate(book.responsibility)]
    yield from _twice(rules, "rule", "规则")


def _repeated_pauses(book: "RuleBook") -> Iterator[Problem]:
    pauses = [(("time_limits", "pauses", number), each.code) for number, each in enumerate(book.pauses)]
    yield from _twice(pauses, "pause", "暂停原因")


def _coded(part: str, things: Iterable[object]) -> list[tuple[Path, str]]:
    return [((part, number), str(getattr(thing, "code"))) for number, thing in enumerate(things)]  # noqa: B009


def _twice(coded: Iterable[tuple[Path, str]], what: str, what_zh: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for path, code in coded:
        if code in seen:
            yield Problem(path, f"{what} {code} stands twice", f"{what_zh} {code} 重复")
        seen.add(code)


def _unknown(path: Path, whose: str, what: str, what_zh: str, code: str) -> Problem:
    return Problem(path, f"{whose} names an unknown {what}: {code}", f"{whose} 引用了未知的{what_zh}：{code}")


def _of_grids(book: "RuleBook") -> Iterator[Problem]:
    communities, sound = book.city.street_of(), True
    for number, grid in enumerate(book.grids):
        if grid.community not in communities:
            sound = False
            yield _unknown(("grids", number), f"grid {grid.code}", "community", "社区", grid.community)
    numbers = {grid.code: number for number, grid in enumerate(book.grids)}
    if not sound or len(numbers) < len(book.grids):
        return
    metres = book.city.locating.outside_metres_max
    try:
        overlaps = GridTree(book.grids, communities, outside_metres_max=metres).overlaps()
    except ValueError as error:
        yield Problem(("grids",), str(error), f"网格图形有误：{error}")
        return
    for overlap in overlaps:
        area = f"{overlap.square_metres:.0f} m²"
        yield Problem(
            ("grids", numbers[overlap.other]),
            f"grids {overlap.grid} and {overlap.other} overlap by {area}",
            f"网格 {overlap.grid} 与 {overlap.other} 重叠 {area}",
        )


def _of_calendar(book: "RuleBook") -> Iterator[Problem]:
    if book.calendar.time_zone != book.city.time_zone:
        yield Problem(("calendar", "time_zone"), "is not the city's time zone", "与城市时区不一致")


def _of_departments(book: "RuleBook") -> Iterator[Problem]:
    communities = book.city.street_of()
    for number, department in enumerate(book.departments):
        for community in department.liaisons:
            if community not in communities:
                path = ("departments", number, "liaisons", community)
                yield _unknown(path, f"department {department.code}", "community", "社区", community)


def _of_categories(book: "RuleBook") -> Iterator[Problem]:
    kinds = {kind for department in book.departments for kind in department.unit_kinds}
    for number, category in enumerate(book.categories):
        whose = f"category {category.code}"
        if category.limits not in book.time_limits.sets:
            path = ("categories", number, "limits")
            yield _unknown(path, whose, "set of limits", "时限组", category.limits)
        if category.fast_lane is not None and category.fast_lane not in kinds:
            path = ("categories", number, "fast_lane")
            yield _unknown(path, whose, "kind of unit", "处置单元类型", category.fast_lane)


def _of_retention(book: "RuleBook") -> Iterator[Problem]:
    known = {category.code for category in book.categories}
    for code in book.retention.categories:
        if code not in known:
            path = ("retention", "categories", code)
            yield _unknown(path, "retention", "category", "类别", code)


def _of_rules(book: "RuleBook") -> Iterator[Problem]:
    departments = {department.code for department in book.departments}
    categories = {category.code for category in book.categories} | {ANY}
    areas = {ANY} | {grid.code for grid in book.grids}
    for street in book.city.streets:
        areas |= {street.code} | {community.code for community in street.communities}
    for number, rule in enumerate(book.responsibility):
        whose = f"rule {rule.id}"
        if rule.lead not in departments:
            yield _unknown(("responsibility", number, "lead"), whose, "department", "部门", rule.lead)
        if rule.category not in categories:
            yield _unknown(("responsibility", number, "category"), whose, "category", "类别", rule.category)
        if rule.area not in areas:
            yield _unknown(("responsibility", number, "area"), whose, "area", "区域", rule.area)
        if rule.limits is not None and rule.limits not in book.time_limits.sets:
            yield _unknown(
                ("responsibility", number, "limits"), whose, "set of limits", "时限组", rule.limits
            )
        yield from _of_supporting(rule, number, departments)


def _of_supporting(rule: Rule, number: int, departments: Collection[str]) -> Iterator[Problem]:
    whose = f"rule {rule.id}"
    for position, code in enumerate(rule.supporting):
        path = ("responsibility", number, "supporting", position)
        if code not in departments:
            yield _unknown(path, whose, "department", "部门", code)
        if code == rule.lead or code in rule.supporting[:position]:
            yield Problem(path, f"{whose} names {code} twice", f"{whose} 重复引用 {code}")


def _of_coverage(book: "RuleBook") -> Iterator[Problem]:
    everywhere = {rule.category for rule in book.responsibility if rule.area == ANY}
    if ANY in everywhere:
        return
    for number, category in enumerate(book.categories):
        if category.code not in everywhere:
            yield Problem(
                ("categories", number),
                f"nobody answers for category {category.code} in the whole city (responsibility.yaml)",
                f"全市范围内无部门负责类别 {category.code}（responsibility.yaml）",
            )


def _of_ladder(book: "RuleBook") -> Iterator[Problem]:
    ladder, start = book.escalation.ladder, ("escalation", "ladder")
    rungs: dict[str, Rung] = {}
    for number, rung in enumerate(ladder):
        if rung.level in rungs:
            yield Problem((*start, number), f"level {rung.level} stands twice", f"层级 {rung.level} 重复")
        rungs.setdefault(rung.level, rung)
    for number, rung in enumerate(ladder):
        if rung.next is not None and rung.next not in rungs:
            yield _unknown(
                (*start, number, "next"), f"level {rung.level}", "level of the ladder", "层级", rung.next
            )
        elif _goes_round(rung, rungs):
            text = f"from level {rung.level} the ladder goes round and never ends"
            yield Problem((*start, number, "next"), text, f"从层级 {rung.level} 起升级路径成环")
    for reason, level in book.escalation.reasons.items():
        if level not in rungs:
            yield _unknown(
                ("escalation", "reasons", reason.value),
                f"reason {reason}",
                "level of the ladder",
                "层级",
                level,
            )


def _goes_round(rung: Rung, rungs: dict[str, Rung]) -> bool:
    """Whether a case that goes up from here comes here again."""
    seen: set[str] = set()
    following = rung.next
    while following is not None and following in rungs and following not in seen:
        if following == rung.level:
            return True
        seen.add(following)
        following = rungs[following].next
    return False


def _of_rating(book: "RuleBook") -> Iterator[Problem]:
    if book.rating.satisfied_from > book.rating.stars_max:
        stars: Path = ("evaluation", "rating", "satisfied_from")
        yield Problem(stars, "nobody can give so many stars", "高于最高星级")


def _of_alerts(book: "RuleBook") -> Iterator[Problem]:
    colours = book.alerts.colours
    yield from _twice(
        [(("alerts", "colours", number), each.colour) for number, each in enumerate(colours)],
        "colour",
        "颜色",
    )
    for number in range(1, len(colours)):
        one, other = colours[number - 1], colours[number]
        grows = other.at_least >= one.at_least and other.ratio >= one.ratio
        if not grows or (one.at_least, one.ratio) == (other.at_least, other.ratio):
            text = f"colour {other.colour} does not lie above {one.colour}: at_least and ratio must grow"
            path = ("alerts", "colours", number)
            yield Problem(path, text, f"颜色 {other.colour} 未高于 {one.colour}：at_least 与 ratio 须递增")


_CHECKS: Final[tuple[tuple[frozenset[str], Callable[["RuleBook"], Iterator[Problem]]], ...]] = (
    (frozenset({"city", "grids"}), _repeated_areas),
    (frozenset({"departments"}), _repeated_departments),
    (frozenset({"categories"}), _repeated_categories),
    (frozenset({"responsibility"}), _repeated_rules),
    (frozenset({"time_limits"}), _repeated_pauses),
    (frozenset({"city", "grids"}), _of_grids),
    (frozenset({"city", "calendar"}), _of_calendar),
    (frozenset({"city", "departments"}), _of_departments),
    (frozenset({"categories", "departments", "time_limits"}), _of_categories),
    (frozenset({"responsibility", "city", "grids", "departments", "categories", "time_limits"}), _of_rules),
    (frozenset({"responsibility", "categories"}), _of_coverage),
    (frozenset({"escalation"}), _of_ladder),
    (frozenset({"evaluation"}), _of_rating),
    (frozenset({"alerts"}), _of_alerts),
    (frozenset({"retention", "categories"}), _of_retention),
)
"""Each check with the parts that it reads."""
