"""The rule book: read as a whole, and each way in which it can be wrong is named with its file and the reason."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cli.stack.rulebook import example_policy
from cli.stack.state import repository
from libs.events import policy
from libs.events.calendar import Limit, Unit
from libs.events.contracts.base import Place
from libs.events.errors import RuleBookInvalid
from libs.events.policy import Category, Level, Nearness, Question, Rule, RuleBook
from libs.events.testing.examples import PLACE
from tests.unit.specs import NOW, category, rule_book

HOUR = timedelta(hours=1)

CITY, GRIDS, CALENDAR = "city.yaml", "grids.geojson", "calendar.yaml"
DEPARTMENTS, LIMITS, CATEGORIES = "departments.yaml", "limits.yaml", "categories.yaml"
RESPONSIBILITY, ESCALATION, EVALUATION = "responsibility.yaml", "escalation.yaml", "evaluation.yaml"
FAST_LANE, PATROL, ALERTS, APPRAISAL = "fastlane.yaml", "patrol.yaml", "alerts.yaml", "appraisal.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(example_policy(), tmp_path / "policy"))


Change = Callable[[str], str]


def replaced(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text, f"the example has no {old!r} any more"
        return text.replace(old, new, 1)

    return change


def added(line: str) -> Change:
    return lambda text: f"{text}\n{line}\n"


def becomes(text: str) -> Change:
    return lambda _: text


def moved_onto(code: str, other: str) -> Change:
    """The ground of one grid given to another as well."""

    def change(text: str) -> str:
        collection = json.loads(text)
        by_code = {feature["properties"]["code"]: feature for feature in collection["features"]}
        by_code[other]["geometry"] = by_code[code]["geometry"]
        return json.dumps(collection, ensure_ascii=False, indent=1)

    return change


def with_rule(fields: str) -> Change:
    return added(f"- {{ id: x, {fields} }}")


NAME = "name: { zh: 名, en: name }"
TEXTS = f"{NAME}, filing: {{ zh: 立, en: file }}, closing: {{ zh: 结, en: close }}"
RULE = '- { id: x, category: "1401", lead: water }\n'
COLOUR = "- {{ colour: {}, at_least: {}, ratio: {} }}"
WRONG: list[tuple[str, str, Change, str]] = [
    (
        "no such zone",
        CITY,
        replaced("Asia/Shanghai", "Asia/Nowhere"),
        "time_zone: no such time zone: Asia/Now",
    ),
    (
        "a folder of zones",
        CITY,
        replaced("Asia/Shanghai", "America"),
        "time_zone: no such time zone: America",
    ),
    ("a path as zone", CITY, replaced("Asia/Shanghai", "../../etc/passwd"), "time_zone: no such time zone"),
    (
        "no lapse of time",
        CITY,
        replaced("time_lapse: 1440", "time_lapse: 0"),
        "time_lapse: .*than or equal to 1",
    ),
    ("a code that is a number", CITY, replaced("code: liuhe", "code: 7"), "code: .*valid string"),
    ("an empty code", CITY, replaced("code: liuhe", 'code: ""'), "code: .*at least 1 character"),
    ("no name", CITY, replaced("name: { zh: 柳河区, en: Liuhe District }", ""), "name: Field required"),
    ("one language", CITY, replaced(", en: Liuhe District", ""), r"name\.en: Field required"),
    ("an unknown field", CITY, added("colour: red"), "colour: Extra inputs are not permitted"),
    ("no YAML", CITY, added("streets: ["), "while parsing"),
    ("a key twice", CITY, added("code: liuhe"), "code: code stands twice"),
    ("nothing in it", CITY, becomes(""), "valid dictionary"),
    (
        "a community twice",
        CITY,
        replaced("{ code: qiaotou,", "{ code: liuyuan,"),
        "area liuyuan stands twice",
    ),
    (
        "a street called like a community",
        CITY,
        replaced("code: gulou", "code: liuyuan"),
        "liuyuan stands twice",
    ),
    ("a street without code", CITY, replaced("- code: hebin\n", "- \n"), r"streets\.0\.code: Field required"),
    ("no JSON", GRIDS, added("}"), "is no JSON"),
    ("no grids", GRIDS, becomes('{"type": "Point"}'), "valid tuple"),
    ("a grid that is a line", GRIDS, replaced('"Polygon"', '"LineString"'), "Polygon or a MultiPolygon"),
    ("a grid twice", GRIDS, replaced('"liuyuan-02"', '"liuyuan-01"'), "area liuyuan-01 stands twice"),
    (
        "a grid nowhere",
        GRIDS,
        replaced('"community": "liuyuan"', '"community": "moon"'),
        "unknown community: moon",
    ),
    ("a grid beyond the pole", GRIDS, replaced("36.4", "96.4"), "latitude 96"),
    (
        "overlapping grids",
        GRIDS,
        moved_onto("liuyuan-01", "liuyuan-02"),
        "grids liuyuan-01 and liuyuan-02 overlap by [0-9]+ m",
    ),
    ("an unknown country", CALENDAR, replaced("country: CN", "country: ZZ"), "holidays of ZZ are not known"),
    ("years that go back", CALENDAR, replaced("[2024, 2027]", "[2027, 2024]"), "first and the last year"),
    ("no hours", CALENDAR, replaced('"08:30-12:00"', '"12:00-08:30"'), "closes before it opens"),
    ("no weekday", CALENDAR, replaced("[mon,", "[monday,"), "monday is no weekday"),
    ("no date", CALENDAR, replaced("extra_holidays: []", "extra_holidays: [soon]"), "valid date"),
    (
        "a day on and off",
        CALENDAR,
        lambda text: text.replace("_days: []", "_days: [2026-11-23]").replace(
            "_holidays: []", "_holidays: [2026-11-23]"
        ),
        "2026-11-23 is both",
    ),
    (
        "a department twice",
        DEPARTMENTS,
        added(f"- {{ code: water, {NAME} }}"),
        "department water stands twice",
    ),
    ("a department without code", DEPARTMENTS, added(f'- {{ code: "", {NAME} }}'), "code: .*at least 1 char"),
    ("no list of departments", DEPARTMENTS, becomes("water: {}"), "valid tuple"),
    (
        "an officer nowhere",
        DEPARTMENTS,
        added(f"- {{ code: new, {NAME}, liaisons: {{ moon: new-moon }} }}"),
        "department new names an unknown community: moon",
    ),
    (
        "a limit of nothing",
        LIMITS,
        replaced("report_in: 30 minutes", "report_in: 0 minutes"),
        "leaves no time",
    ),
    ("a limit below nothing", LIMITS, replaced("report_in: 30", "report_in: -30"), "is no time limit"),
    (
        "a limit that is none",
        LIMITS,
        replaced("report_in: 30 minutes", "report_in: soon"),
        "is no time limit",
    ),
    ("a warning at the end", LIMITS, replaced("warn_at: 0.8", "warn_at: 1"), "warn_at: .*less than 1"),
    ("a set twice", LIMITS, replaced("urgent-4h:", "urgent-2h:"), "urgent-2h stands twice"),
    (
        "a set without handling",
        LIMITS,
        replaced("handle: 1 urgent hour, ", ""),
        r"sets\.instant\.handle: Field req",
    ),
    ("a pause twice", LIMITS, added(f"  - {{ code: weather, {NAME} }}"), "pause weather stands twice"),
    ("no list of categories", CATEGORIES, becomes("nothing"), "valid tuple"),
    (
        "a category twice",
        CATEGORIES,
        added(f'- {{ code: "0101", kind: part, limits: working-1d, {TEXTS} }}'),
        "category 0101 stands twice",
    ),
    (
        "a kind that is none",
        CATEGORIES,
        added(f'- {{ code: "x", kind: thing, limits: working-1d, {TEXTS} }}'),
        "kind: .*'part' or 'event'",
    ),
    (
        "the sign for all as a category",
        CATEGORIES,
        added(f'- {{ code: "*", kind: part, limits: working-1d, {TEXTS} }}'),
        r"\* is no code",
    ),
    (
        "an unknown set of limits",
        CATEGORIES,
        added(f'- {{ code: "x", kind: part, limits: some-day, {TEXTS} }}'),
        "category x names an unknown set of limits: some-day",
    ),
    (
        "a fast lane for no unit",
        CATEGORIES,
        added(f'- {{ code: "x", kind: part, limits: instant, fast_lane: airship, {TEXTS} }}'),
        "category x names an unknown kind of unit: airship",
    ),
    (
        "no closing condition",
        CATEGORIES,
        added(f'- {{ code: "x", kind: part, limits: instant, {NAME} }}'),
        "closing: Field required",
    ),
    ("a rule twice", RESPONSIBILITY, lambda text: f"{text}\n{2 * RULE}", "rule x stands twice"),
    (
        "an unknown department",
        RESPONSIBILITY,
        with_rule('category: "1401", lead: space'),
        "rule x names an unknown department: space",
    ),
    (
        "an unknown department beside it",
        RESPONSIBILITY,
        with_rule('category: "1401", lead: water, supporting: [space]'),
        "rule x names an unknown department: space",
    ),
    (
        "a department beside itself",
        RESPONSIBILITY,
        with_rule('category: "1401", lead: water, supporting: [water]'),
        "rule x names water twice",
    ),
    (
        "an unknown category",
        RESPONSIBILITY,
        with_rule('category: "9999", lead: water'),
        "rule x names an unknown category: 9999",
    ),
    (
        "an unknown area",
        RESPONSIBILITY,
        with_rule('category: "1401", area: moon, lead: water'),
        "rule x names an unknown area: moon",
    ),
    (
        "other limits that are unknown",
        RESPONSIBILITY,
        with_rule('category: "1401", lead: water, limits: some-day'),
        "rule x names an unknown set of limits: some-day",
    ),
    (
        "an unknown level",
        ESCALATION,
        replaced("level: city }", "level: moon }"),
        r"ladder\.4\.level: .*'grid'",
    ),
    (
        "a level above that is unknown",
        ESCALATION,
        replaced("  - { level: city }\n", ""),
        r"ladder\.3\.next: level district names an unknown level of the ladder: city",
    ),
    (
        "a loop in the ladder",
        ESCALATION,
        replaced("{ level: city }", "{ level: city, next: street }"),
        "from level street the ladder goes round and never ends",
    ),
    (
        "a level twice",
        ESCALATION,
        replaced("level: community,", "level: street,"),
        "level street stands twice",
    ),
    ("an unknown reason", ESCALATION, replaced("no_unit:", "bad_mood:"), "reasons.bad_mood"),
    ("a card that is none", ESCALATION, replaced("card: red", "card: black"), "'yellow' or 'red'"),
    (
        "a similarity above one",
        EVALUATION,
        replaced("similarity: 0.5", "similarity: 1.5"),
        "less than or equal to 1",
    ),
    (
        "a similarity below nothing",
        EVALUATION,
        replaced("similarity: 0.5", "similarity: -0.1"),
        "or equal to 0",
    ),
    ("no radius", EVALUATION, replaced("metres: 50", "metres: 0"), "duplicates.metres: .*greater than 0"),
    (
        "too many stars",
        EVALUATION,
        replaced("satisfied_from: 4", "satisfied_from: 6"),
        "nobody can give so many",
    ),
    (
        "no fast lane",
        FAST_LANE,
        replaced("acknowledge: 1 minute", "acknowledge: 0 minutes"),
        "leaves no time",
    ),
    (
        "a patrol without points",
        PATROL,
        replaced("points_per_order: 6", "points_per_order: 0"),
        "than or equal to 1",
    ),
    ("a colour too many", ALERTS, added("  " + COLOUR.format("black", 40, 20)), "at most 5"),
    ("a colour too few", ALERTS, replaced("  " + COLOUR.format("red", 20, 10), ""), "at least 5"),
    (
        "colours that do not grow",
        ALERTS,
        replaced("at_least: 20", "at_least: 9"),
        "red does not lie above orange",
    ),
    ("a colour twice", ALERTS, replaced("colour: red", "colour: orange"), "colour orange stands twice"),
    ("a measure that is none", APPRAISAL, replaced("denominator: due}", "denominator: luck}"), "luck"),
]


@pytest.mark.parametrize(
    ("file", "change", "reason"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG]
)
def test_what_is_wrong_is_named_with_its_file_its_line_and_the_reason(
    folder: Path, file: str, change: Change, reason: str
) -> None:
    path = folder / file
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    mistakes = policy.examine(folder).mistakes
    named = re.compile(rf"{re.escape(str(path))}:[0-9]+: .*{reason}", re.DOTALL)
    assert any(named.match(str(mistake)) for mistake in mistakes), mistakes
    assert all(re.search("[\u4e00-\u9fff]", mistake.text_zh) for mistake in mistakes)


def test_a_category_that_nobody_answers_for_is_named(folder: Path) -> None:
    (folder / RESPONSIBILITY).write_text(
        "- { id: one, category: '0101', lead: water }\n- { id: two, category: '*', area: qiaotou, lead: water }",
        encoding="utf-8",
    )
    mistakes = policy.examine(folder).mistakes
    assert len(mistakes) == len(policy.load(example_policy()).categories) - 1
    lines = (folder / CATEGORIES).read_text(encoding="utf-8").splitlines()
    for mistake in mistakes:
        assert mistake.file == folder / CATEGORIES
        found = re.fullmatch(
            r"nobody answers for category (\d+) in the whole city \(responsibility.yaml\)", mistake.text
        )
        assert found is not None
        assert mistake.line is not None
        assert found[1] in lines[mistake.line - 1]


def test_the_line_is_that_of_the_mistake(folder: Path) -> None:
    path = folder / LIMITS
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.startswith("report_in"))
    path.write_text(
        "\n".join(lines).replace("report_in: 30 minutes", "report_in: 0 minutes"), encoding="utf-8"
    )
    (mistake,) = policy.examine(folder).mistakes
    assert (mistake.line, mistake.where) == (number, "report_in")
    assert str(mistake).startswith(f"{path}:{number}: report_in: ")


def test_a_book_that_no_message_holds_is_refused(folder: Path) -> None:
    path = folder / DEPARTMENTS
    name = "名" * 1000
    many = [f"- {{ code: d{number}, name: {{ zh: {name}, en: name }} }}" for number in range(400)]
    path.write_text("\n".join([path.read_text(encoding="utf-8"), *many]), encoding="utf-8")
    with pytest.raises(RuleBookInvalid, match=r"bytes, 900000 at most"):
        policy.load(folder)


def test_holidays_that_end_soon_are_warned_of() -> None:
    book = policy.load(example_policy())
    known_until = book.calendar.known_until
    assert known_until is not None
    assert policy.examine(example_policy(), known_until - timedelta(days=60)).warnings == ()
    (warning,) = policy.examine(example_policy(), known_until - timedelta(days=59)).warnings
    assert str(known_until) in warning.text
    assert str(known_until) in warning.text_zh


@pytest.mark.parametrize("file", policy.FILES)
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(RuleBookInvalid, match=f"{file}: as a whole: No such file"):
        policy.load(folder)


@pytest.mark.parametrize("file", policy.FILES)
def test_a_file_that_is_no_text_is_named(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"code: \xff\xfe")
    with pytest.raises(RuleBookInvalid, match=file):
        policy.load(folder)


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    wrong = ((CITY, "colour: red"), (DEPARTMENTS, "- { code: 7 }"), (RESPONSIBILITY, 2 * RULE))
    for file, text in wrong:
        path = folder / file
        path.write_text(f"{path.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")
    with pytest.raises(RuleBookInvalid) as invalid:
        policy.load(folder)
    assert all(file in str(invalid.value) for file, _ in wrong)


def test_the_example_is_right_and_names_everybody_once() -> None:
    book = policy.load(example_policy())
    assert book.version.startswith("liuhe@")
    assert len({department.code for department in book.departments}) == len(book.departments)


def test_the_same_rules_have_the_same_version_and_others_another(folder: Path) -> None:
    before = policy.load(folder).version
    assert policy.load(folder).version == before
    path = folder / RESPONSIBILITY
    path.write_text(path.read_text(encoding="utf-8") + RULE, encoding="utf-8")
    assert policy.load(folder).version != before


def test_the_first_rule_that_fits_decides() -> None:
    book = rule_book()
    ruling = book.ruling("0101", PLACE)
    assert ruling == ("water", ("roads",), "covers", book.limits("quick"), book.version)
    elsewhere = book.ruling("0101", PLACE.model_copy(update={"community": None}))
    assert elsewhere == ("roads", (), "rest", book.limits("usual"), book.version)
    assert book.ruling("unheard", PLACE) is None


def test_who_returned_a_case_is_passed_over() -> None:
    book = rule_book()
    ruling = book.ruling("0101", PLACE, without={"water"})
    assert ruling is not None
    assert ruling.lead == "roads"
    assert book.ruling("0101", PLACE, without={"water", "roads"}) is None


def test_the_highest_priority_decides_in_whatever_area() -> None:
    rules = [
        Rule(id="all", category="*", lead="roads"),
        Rule(id="grid", category="*", area="qiaotou-01", lead="water", priority=2),
        Rule(id="street", category="*", area="hebin", lead="roads", priority=1),
    ]
    book = rule_book(responsibility=tuple(rules))
    there = {"street": "hebin", "community": "qiaotou", "grid": "qiaotou-01"}
    places = [{}, {"street": "hebin"}, there]
    nowhere = Place(time_zone="Asia/Shanghai")
    found = [book.ruling("0101", nowhere.model_copy(update=place)) for place in places]
    assert [ruling and ruling.rule for ruling in found] == ["all", "street", "grid"]


def test_a_case_goes_up_and_never_down() -> None:
    ladder = rule_book().ladder
    assert ladder.first("not_handled") == "street"
    assert ladder.first("by_hand") == "community"
    assert [ladder.above(level) for level in Level] == ["community", "street", "district", "city", "city"]
    assert ladder.goes_to("not_handled", None) == "street"
    assert ladder.goes_to("not_handled", "grid") == "street"
    assert ladder.goes_to("not_handled", "street") == "district"
    assert ladder.goes_to("not_signed", "district") == "city"
    assert ladder.goes_to("long_overdue", "city") == "city"


def test_who_must_act_is_a_post_of_the_place() -> None:
    book = rule_book()
    place = Place(time_zone="Asia/Shanghai", street="hebin", community="qiaotou", grid="qiaotou-01")
    posts = [book.acts(level, place) for level in Level]
    assert posts == ["grid:qiaotou-01", "community:qiaotou", "street:hebin", "district:test", "city:test"]
    assert book.acts("community", Place(time_zone="Asia/Shanghai", street="hebin")) == "street:hebin"
    assert book.acts("grid", Place(time_zone="Asia/Shanghai")) == "district:test"


def test_a_point_is_found_in_its_grid() -> None:
    book = rule_book()
    assert book.locate(118.705, 36.405) == ("qiaotou-01", "qiaotou", "hebin", "inside")
    assert book.locate(118.71, 36.405) == ("liuyuan-01", "liuyuan", "hebin", "border")
    assert book.locate(0, 0).by == "outside"


def test_a_deadline_is_warned_of_and_later_overdue() -> None:
    book = rule_book()
    deadline = book.deadline(Limit.parse("4 urgent hours"), NOW)
    assert (deadline.due_at - NOW, deadline.warn_at and deadline.warn_at - NOW) == (4 * HOUR, 3 * HOUR)
    assert book.overdue_at(deadline.due_at) == (NOW + 28 * HOUR, NOW + 76 * HOUR)
    faster = rule_book(time_lapse=60)
    assert faster.deadline(Limit.parse("4 urgent hours"), NOW).due_at - NOW == 4 * HOUR / 60
    assert faster.overdue_at(NOW)[0] - NOW == 24 * HOUR / 60


@pytest.mark.parametrize("time_lapse", [1, 60])
def test_a_pause_moves_what_is_due_and_the_warning(time_lapse: int) -> None:
    book, limit = rule_book(time_lapse=time_lapse), Limit.parse("4 urgent hours")
    scale = HOUR / time_lapse
    due_at = book.deadline(limit, NOW).due_at
    early = book.shifted(due_at, limit, NOW + scale, NOW + 11 * scale)
    assert (early.due_at - NOW, early.warn_at and early.warn_at - NOW) == (14 * scale, 13 * scale)
    late = book.shifted(due_at, limit, NOW + 3.5 * scale, NOW + 11 * scale)
    assert (late.due_at - NOW, late.warn_at and late.warn_at - NOW) == (11.5 * scale, 11 * scale)
    missed = book.shifted(due_at, limit, NOW + 5 * scale, NOW + 11 * scale)
    assert missed.due_at == due_at


def test_a_category_may_have_its_own_near_duplicates() -> None:
    own = Nearness(metres=10, within=Limit.parse("2 urgent hours"))
    book = rule_book(categories=(category(duplicate=own), category("0102")))
    assert (book.duplicates_of("0101").metres, book.duplicates_of("0101").similarity) == (10, 0.5)
    assert book.duplicates_of("0102").metres == 50


def test_a_book_that_was_published_keeps_its_version() -> None:
    book = policy.load(example_policy())
    later = RuleBook.model_validate_json(book.model_dump_json())
    assert later == book
    assert later.version == book.version
    assert later.published_at is None
    published = later.published_as("liuhe@before", NOW)
    assert (published.version, published.published_at) == ("liuhe@before", NOW)


def test_a_question_is_asked_in_a_way_that_can_be_answered() -> None:
    ask = {"zh": "颜色", "en": "Colour"}
    red = {"code": "red", "name": {"zh": "红", "en": "Red"}}
    sound: list[dict[str, object]] = [
        {},
        {"datatype": "singlevaluelist", "values": [red], "required": True},
        {"told": True, "datatype": "text"},
    ]
    for changes in sound:
        assert Question.model_validate({"code": "colour", "ask": ask, **changes}).code == "colour"
    unsound: list[dict[str, object]] = [
        {"datatype": "singlevaluelist"},
        {"values": [red]},
        {"told": True, "required": True},
        {"datatype": "multivaluelist", "values": [red, red]},
        {"datatype": "colour"},
    ]
    for changes in unsound:
        with pytest.raises(ValidationError):
            Question.model_validate({"code": "colour", "ask": ask, **changes})
    twice = {"questions": [{"code": "colour", "ask": ask}] * 2}
    with pytest.raises(ValidationError, match="colour stands twice"):
        Category.model_validate(category().model_dump() | twice)


@given(community=st.none() | st.text(), number=st.integers(0, 1))
def test_law_somebody_answers_for_every_category_everywhere(community: str | None, number: int) -> None:
    book = rule_book()
    place = PLACE.model_copy(update={"community": community})
    assert book.ruling(book.categories[number].code, place) is not None


def test_the_guide_names_every_file() -> None:
    guide = (repository() / "docs" / "rules.md").read_text(encoding="utf-8")
    assert [file for file in policy.FILES if f"| `{file}` |" not in guide] == []


def test_the_limits_of_the_guide_are_limits() -> None:
    guide = (repository() / "docs" / "rules.md").read_text(encoding="utf-8").partition("## Limits")[2]
    written = re.findall(r"^\| `(\d.*?)` \|", guide, re.MULTILINE)
    assert {Limit.parse(text).unit for text in written} == set(Unit)
