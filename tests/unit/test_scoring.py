"""Appraisals: published ones come out of their files; every rule of the engine; errors name the item."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.events.appraisal import MEASURES, Appraisal, Rounding, Scheme, Subject, Upward
from libs.events.errors import MeasureMissing
from libs.events.reasons import reason_zh
from services.evaluation.scoring import (
    AppraisalResult,
    Score,
    ServiceScore,
    Span,
    appraise,
    rate_upward,
    upward_measures,
)
from services.evaluation.scoring.arithmetic import rounded

PUBLISHED = sorted((Path(__file__).parents[1] / "data" / "appraisals").glob("*.yaml"))
EXAMPLE = Path(__file__).parents[2] / "policy" / "example" / "appraisal.yaml"
MARCH = Span(since=datetime(2026, 3, 1, tzinfo=UTC), until=datetime(2026, 4, 1, tzinfo=UTC))
NAME = {"zh": "项", "en": "item"}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def exact(value: float | str) -> Decimal:
    return Decimal(str(value))


def published() -> Iterator[Any]:
    for path in PUBLISHED:
        for subject, figures in read(path)["published"].items():
            for name, figure in figures.items():
                yield pytest.param(path, subject, name, exact(figure), id=f"{path.stem}-{subject}-{name}")


def scored(path: Path) -> dict[str, Score]:
    document = read(path)
    subjects = {
        key: {name: exact(value) for name, value in measures.items()}
        for key, measures in document["subjects"].items()
    }
    result = appraise(Scheme.model_validate(document["scheme"]), subjects, MARCH)
    return {score.key: score for score in result.scores}


@pytest.mark.parametrize(("path", "subject", "name", "figure"), list(published()))
def test_a_published_figure_comes_out(path: Path, subject: str, name: str, figure: Decimal) -> None:
    score = scored(path)[subject]
    items = {item.code: item.score for item in score.items}
    assert (score.total if name == "total" else items[name]) == figure


def test_the_districts_of_panjin_rank_as_their_marks_do() -> None:
    path = next(path for path in PUBLISHED if path.stem == "panjin-2023")
    ranks = {key: score.rank for key, score in scored(path).items()}
    assert ranks == {
        "高新技术开发区": 1,
        "大洼区": 2,
        "盘山县": 3,
        "兴隆台区": 4,
        "辽滨沿海经济技术开发区": 5,
        "双台子区": 6,
    }


def item(form: str, code: str = "it", **fields: Any) -> dict[str, Any]:
    rate = {"numerator": "closed", "denominator": "due"} if form in {"share", "steps", "bands"} else {}
    points = {} if form in {"bonus", "penalty"} else {"points": 20}
    return {"code": code, "name": NAME, "form": form, **points, **rate, **fields}


def scheme(*items: dict[str, Any], **fields: Any) -> Scheme:
    return Scheme.model_validate({"code": "scheme", "name": NAME, "items": items, **fields})


def one(given_scheme: Scheme, **measures: float) -> Score:
    return appraise(given_scheme, {"water": {k: exact(v) for k, v in measures.items()}}, MARCH).scores[0]


@pytest.mark.parametrize(
    ("rule", "measures", "expected", "applied"),
    [
        (item("share"), {"closed": 3, "due": 4}, "15.00", ("share",)),
        (item("share", lower_is_better=True), {"closed": 1, "due": 4}, "15.00", ("share",)),
        (item("share"), {"closed": 5, "due": 4}, "20.00", ("share", "cap")),
        (item("share", cap=25), {"closed": 5, "due": 4}, "25.00", ("share",)),
        (item("share", floor=5), {"closed": 0, "due": 4}, "5.00", ("share", "floor")),
        (item("share", digits=1), {"closed": 1, "due": 3}, "6.7", ("share",)),
        (item("share", rate_digits=0), {"closed": 1, "due": 3}, "6.60", ("share",)),
        (
            item("share", denominator=["due", "-pauses"]),
            {"closed": 3, "due": 5, "pauses": 1},
            "15.00",
            ("share",),
        ),
        (item("steps", full_at=95, each_point=1), {"closed": 95, "due": 100}, "20.00", ("steps",)),
        (item("steps", full_at=95, each_point=1), {"closed": 99, "due": 100}, "20.00", ("steps",)),
        (item("steps", full_at=95, each_point=2), {"closed": 90, "due": 100}, "10.00", ("steps",)),
        (item("steps", full_at=95, each_point=2), {"closed": 10, "due": 100}, "0.00", ("steps", "floor")),
        (
            item("steps", full_at=95, each_point=2, counting="started"),
            {"closed": 93.5, "due": 100},
            "16.00",
            ("steps",),
        ),
        (
            item("steps", full_at=95, each_point=2, counting="whole"),
            {"closed": 93.5, "due": 100},
            "18.00",
            ("steps",),
        ),
        (
            item("steps", full_at=1, each_point=2, lower_is_better=True),
            {"closed": 3, "due": 100},
            "16.00",
            ("steps",),
        ),
        (item("per_case", count="cards", each=1.5), {"cards": 3}, "15.50", ("per_case",)),
        (item("per_case", count="cards", each=1.5), {"cards": 30}, "0.00", ("per_case", "floor")),
        (item("given", value="marks"), {"marks": 17.5}, "17.50", ("given",)),
        (item("given", value="marks"), {"marks": 21}, "20.00", ("given", "cap")),
    ],
)
def test_each_form(
    rule: dict[str, Any], measures: dict[str, float], expected: str, applied: tuple[str, ...]
) -> None:
    found = one(scheme(rule), **measures).items[0]
    assert (found.score, found.applied) == (Decimal(expected), applied)


@pytest.mark.parametrize(
    ("percent", "lower", "expected"),
    [
        (98, False, 20),
        (97, False, 12),
        (80, False, 12),
        (79, False, 0),
        (80, True, 20),
        (98, True, 12),
        (99, True, 0),
    ],
)
def test_bands(percent: int, lower: bool, expected: int) -> None:
    limits = (80, 98) if lower else (98, 80)
    bands = [{"limit": limits[0], "score": 20}, {"limit": limits[1], "score": 12}]
    found = one(scheme(item("bands", bands=bands, lower_is_better=lower)), closed=percent, due=100)
    assert found.items[0].score == expected


def test_bonus_and_penalty_change_the_total_within_their_bounds() -> None:
    rules = scheme(
        item("share"),
        item("bonus", "praise", count="praised", each=2, at_most=5),
        item("penalty", "cards", count=["yellow", "2 * red"], each=3),
        total={"cap": 22},
    )
    assert one(rules, closed=1, due=1, praised=4, yellow=1, red=1).total == Decimal(16)
    capped = one(rules, closed=1, due=1, praised=1, yellow=0, red=0)
    assert (capped.total, capped.applied) == (Decimal(22), ())
    capped = one(rules, closed=1, due=1, praised=2, yellow=0, red=0)
    assert (capped.total, capped.applied) == (Decimal(22), ("cap",))
    assert one(rules, closed=0, due=1, praised=0, yellow=9, red=0).total == Decimal(0)


@pytest.mark.parametrize(("rule", "expected"), [("full", 30), ("none", 10), ("left_out", 15)])
def test_where_there_was_nothing_to_count_the_named_rule_decides(rule: str, expected: int) -> None:
    rules = scheme(
        item("share", when_nothing=rule),
        item("given", "other", points=10, value="marks"),
        total={"digits": 0},
    )
    halved = one(rules, closed=0, due=0, marks=5 if rule == "left_out" else 10)
    assert halved.total == expected
    assert halved.items[0].applied == (rule,)
    assert halved.applied == (("renormalised",) if rule == "left_out" else ())


def test_a_subject_without_any_case_has_no_total_and_no_rank() -> None:
    result = appraise(
        scheme(item("share")), {"b": {"closed": 0, "due": 0}, "a": {"closed": 1, "due": 2}}, MARCH
    )
    assert [(score.key, score.total, score.rank) for score in result.scores] == [
        ("a", Decimal(10), 1),
        ("b", None, None),
    ]


@pytest.mark.parametrize(("assigned", "total", "applied"), [(1, None, ("needs",)), (2, 20, ()), (3, 20, ())])
def test_who_had_less_than_the_scheme_needs_is_not_judged(
    assigned: int, total: int | None, applied: tuple[str, ...]
) -> None:
    rules = scheme(item("per_case", count="cards", each=1), needs={"count": "assigned", "at_least": 2})
    found = one(rules, cards=0, assigned=assigned)
    assert (found.total, found.applied) == (total, applied)
    assert found.rank == (None if total is None else 1)
    assert rules.measures() == {"cards", "assigned"}
    with pytest.raises(MeasureMissing, match="water: needs uses the measure assigned"):
        one(rules, cards=0)


@pytest.mark.parametrize(("ties", "ranks"), [("skip", [1, 1, 3]), ("dense", [1, 1, 2])])
def test_equal_totals_share_a_rank(ties: str, ranks: list[int]) -> None:
    counts = {"c": 1, "b": 2, "a": 2}
    rules = scheme(item("share"), ties=ties)
    result = appraise(rules, {key: {"closed": closed, "due": 2} for key, closed in counts.items()}, MARCH)
    assert [score.key for score in result.scores] == ["a", "b", "c"]
    assert [score.rank for score in result.scores] == ranks


def test_grades_name_the_total() -> None:
    grades = [
        {"name": {"zh": "优", "en": "good"}, "at_least": 15},
        {"name": {"zh": "差", "en": "bad"}, "at_least": 5},
    ]
    rules = scheme(item("share"), grades=grades)
    names = [one(rules, closed=closed, due=4).grade for closed in (3, 2, 0)]
    assert [name and name.en for name in names] == ["good", "bad", None]


@pytest.mark.parametrize(("sum_of", "expected"), [("rounded", "20.01"), ("exact", "20.00")])
def test_a_total_adds_up_what_is_shown_or_what_is_exact(sum_of: str, expected: str) -> None:
    thirds = [item("share", f"i{n}", points=10, numerator="closed", denominator="due") for n in range(3)]
    assert one(scheme(*thirds, total={"sum_of": sum_of}), closed=2, due=3).total == Decimal(expected)


def test_a_score_is_explained_down_to_the_cases() -> None:
    score = one(scheme(item("steps", full_at=95, each_point=2)), closed=911, due=972)
    found = score.items[0]
    assert (
        found.told.en
        == "closed / due = 911 / 972 = 93.7243 %, of 20, 1.2757 points short of 95 %, 2.5514 lost: 17.45"
    )
    assert [(step.name, str(step.value)) for step in found.steps] == [
        ("numerator", "911"),
        ("denominator", "972"),
        ("rate_percent", "93.72428"),
        ("points_missing", "1.27572"),
        ("lost", "2.55144"),
        ("before_bounds", "17.44856"),
    ]
    query = found.measures[0].query
    assert (query.measure, query.by, query.key) == ("closed", Subject.DEPARTMENT, "water")
    assert (query.since, query.until) == (MARCH.since, MARCH.until)


def test_a_result_goes_over_the_wire_and_back() -> None:
    result = appraise(scheme(item("share")), {"water": {"closed": 1, "due": 3}}, MARCH, "demo@1")
    assert AppraisalResult.model_validate_json(result.model_dump_json()) == result
    assert result.model_dump(mode="json")["scores"][0]["total"] == "6.67"


def test_a_measure_that_was_not_counted_is_named() -> None:
    with pytest.raises(MeasureMissing, match="water: it uses the measure due"):
        one(scheme(item("share")), closed=1)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (item("share", points=0), "item it: points: Input should be greater than 0"),
        (item("share", points=-1), "item it: points: Input should be greater than 0"),
        (item("share", floor=30), "item it: the floor 30 lies above the cap 20"),
        (
            item("share", numerator="closed; import os"),
            "item it: numerator.0: 'closed; import os' is no term",
        ),
        (item("share", numerator=[]), "item it: numerator: Value should have at least 1 item"),
        (item("share", weight=3), "item it: weight: Extra inputs are not permitted"),
        (
            item("steps", full_at=195, each_point=1),
            "item it: full_at: Input should be less than or equal to 100",
        ),
        (item("steps", full_at=95), "item it: each_point: Field required"),
        (
            item("bands", bands=[{"limit": 5, "score": 1}, {"limit": 9, "score": 2}]),
            "item it: the bands must stand",
        ),
        (item("formula"), "item it: Input tag 'formula'"),
        (item("penalty", count="cards", each=1), "no item has points"),
        ({"name": NAME}, "item (without a code): "),
    ],
)
def test_what_is_wrong_is_told_with_the_name_of_the_item(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as raised:
        scheme(wrong)
    (error,) = raised.value.errors()
    assert error["msg"].startswith(told)
    assert reason_zh(error) != reason_zh({"type": "anything else"})
    assert any("\u4e00" <= character <= "\u9fff" for character in reason_zh(error))


def test_a_reason_is_told_in_chinese_too() -> None:
    with pytest.raises(ValidationError) as raised:
        appraisal(scheme(item("share", numerator="closd")))
    assert reason_zh(raised.value.errors()[0]) == "考核项 it：没有名为 closd 的指标"
    with pytest.raises(ValidationError) as raised:
        scheme(item("share", points=0))
    assert reason_zh(raised.value.errors()[0]) == "考核项 it：points: 必须大于 0。"


def test_an_item_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="item it stands twice"):
        scheme(item("share"), item("share"))


def appraisal(*schemes: Scheme, upward: dict[str, Any] | None = None) -> Appraisal:
    return Appraisal.model_validate({"schemes": [each.model_dump() for each in schemes], "upward": upward})


def test_the_rule_book_takes_only_measures_that_are_counted() -> None:
    with pytest.raises(ValidationError, match="item it: no measure is called closd"):
        appraisal(scheme(item("share", numerator="closd")))
    with pytest.raises(ValidationError, match="needs: no measure is called asigned"):
        appraisal(scheme(item("share"), needs={"count": "asigned"}))
    with pytest.raises(ValidationError, match="needs the section `upward`"):
        appraisal(scheme(item("share", numerator="upward_earned", denominator="upward_possible")))
    with pytest.raises(ValidationError, match="a scheme by department stands twice"):
        appraisal(scheme(item("share")), scheme(item("share"), code="other"))


def test_a_city_need_not_appraise_anybody() -> None:
    assert Appraisal.model_validate({}).scheme_for(Subject.DEPARTMENT) is None


def test_the_example_city_has_a_scheme_for_departments_that_adds_up_to_a_hundred() -> None:
    book = Appraisal.model_validate(read(EXAMPLE))
    assert book == Appraisal.model_validate_json(book.model_dump_json())
    of_departments = book.scheme_for(Subject.DEPARTMENT)
    assert of_departments is not None
    assert of_departments.points == 100
    assert book.scheme_for(Subject.GRID) is None
    assert one(of_departments, **dict.fromkeys(MEASURES, 0)).total is None
    best = dict.fromkeys(MEASURES, 1) | dict.fromkeys(
        ("reworked", "returned", "extended", "yellow_cards", "red_cards"), 0
    )
    assert one(of_departments, **best).total == 100


UPWARD = Upward.model_validate({"code": "up", "name": NAME, "stars_max": 5})


def stars(*given_stars: tuple[str, int], department: str = "water") -> list[ServiceScore]:
    return [ServiceScore(department, who, count, f"case{n}") for n, (who, count) in enumerate(given_stars)]


@pytest.mark.parametrize(
    ("fields", "marks"),
    [
        ({}, "80"),  # one community gives 100, the other 60
        ({"average": "scores"}, "90"),  # three times 100, once 60
        ({"lowest_is_zero": True}, "75"),  # 100 and 50
        ({"scores_min": 5}, None),
    ],
)
def test_rating_upward(fields: dict[str, Any], marks: str | None) -> None:
    rules = UPWARD.model_validate({**UPWARD.model_dump(), **fields})
    rating = rate_upward(rules, stars(("a", 5), ("b", 3), ("a", 5), ("a", 5)))["water"]
    assert rating.marks == (None if marks is None else Decimal(marks))
    assert rating.scores == 4
    assert rating.case_ids == ("case0", "case1", "case2", "case3")


def test_the_upward_rating_enters_the_department_s_own_appraisal() -> None:
    rules = scheme(item("share", numerator="upward_earned", denominator="upward_possible"))
    rating = rate_upward(UPWARD, stars(("a", 4)))
    measures = {code: upward_measures(rating.get(code)) for code in ("water", "police")}
    totals = {score.key: score.total for score in appraise(rules, measures, MARCH).scores}
    assert totals == {"water": Decimal(16), "police": None}


def test_stars_off_the_scale_are_refused() -> None:
    with pytest.raises(ValueError, match="case0: 6 stars on a scale of 1 to 5"):
        rate_upward(UPWARD, stars(("a", 6)))


counts = st.integers(min_value=0, max_value=10**6)


@given(closed=counts, more=counts, due=counts, floor=st.integers(0, 20))
def test_a_score_stays_within_its_bounds_and_grows_with_the_rate(
    closed: int, more: int, due: int, floor: int
) -> None:
    rules = scheme(item("steps", full_at=95, each_point=0.5, floor=floor, when_nothing="full"))
    low, high = (one(rules, closed=value, due=due).total for value in (closed, closed + more))
    assert low is not None
    assert high is not None
    assert floor <= low <= high <= 20


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(counts, counts), min_size=1), st.randoms())
def test_the_order_in_which_subjects_come_changes_nothing(
    found: dict[str, tuple[int, int]], shuffle: Any
) -> None:
    subjects = [(key, {"closed": closed, "due": due}) for key, (closed, due) in found.items()]
    first = appraise(scheme(item("share")), dict(subjects), MARCH)
    shuffle.shuffle(subjects)
    assert appraise(scheme(item("share")), dict(subjects), MARCH) == first


@given(st.fractions(), st.integers(0, 6))
def test_rounding_is_never_more_than_half_a_digit_off(value: Fraction, digits: int) -> None:
    half = Fraction(1, 2 * 10**digits)
    for how in (Rounding.HALF_UP, Rounding.HALF_EVEN):
        assert abs(Fraction(rounded(value, digits, how)) - value) <= half
    assert abs(Fraction(rounded(value, digits, Rounding.DOWN))) <= abs(value)


@pytest.mark.parametrize(
    ("value", "up", "even", "down"),
    [("0.125", "0.13", "0.12", "0.12"), ("-0.125", "-0.13", "-0.12", "-0.12")],
)
def test_rounding_of_a_half(value: str, up: str, even: str, down: str) -> None:
    found = [
        str(rounded(Fraction(value), 2, how)) for how in (Rounding.HALF_UP, Rounding.HALF_EVEN, Rounding.DOWN)
    ]
    assert found == [up, even, down]
