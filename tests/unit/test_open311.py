"""Open311 without servers: what is read, what everybody may see, how it is written."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cli.stack.rulebook import example_policy
from libs.events.contracts.base import Event, Place
from libs.events.contracts.evaluation import CaseClosed, Outcome, Rated
from libs.events.contracts.intake import CaseFiled, CaseMerged, CaseRejected, CaseReported
from libs.events.contracts.patrol import PatrolOrdered
from libs.events.envelope import Origin
from libs.events.policy import Choice, Datatype, Name, Question, RuleBook, load
from libs.events.problems import FieldProblem, problem
from libs.events.testing.examples import CASE_ID, EXAMPLES, OTHER_CASE_ID, PLACE, entry_of
from services.intake.answers import read_answers, unanswered
from services.intake.open311 import documents, filters
from services.intake.open311.documents import View
from services.intake.open311.errors import Open311Errors, errors_of, status_of
from services.intake.open311.filters import REQUESTS_MAX, WINDOW, selection
from services.intake.open311.forms import Unreadable, contact_in, form_in, report_in
from services.intake.open311.rendering import Format, xml
from services.intake.open311.rows import RequestRow, advance, step_of
from services.intake.open311.table import statement
from services.intake.open311.wordings import Words, language_of
from services.intake.places import Gazetteer, Stated
from tests.unit.specs import rule_book

BOOK: Final[RuleBook] = load(example_policy())
NOW: Final = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
ENGLISH: Final = Words(BOOK, "en")
SECRETS: Final = "张三, 13812345678, zhang@example.org"
NEVER: Final = ("13812345678", "zhang@example.org")


def row_of(*events: Event, origin: Origin = Origin.LIVE) -> RequestRow:
    row: RequestRow | None = None
    for version, event in enumerate(events, 1):
        entry = entry_of(event, version)
        row = advance(row, entry._replace(envelope=entry.envelope.model_copy(update={"origin": origin})))
    assert row is not None
    return row


def reported(category: str = "0101", **more: Any) -> CaseReported:
    said: dict[str, Any] = {"channel": "open311", "description": SECRETS, "place": PLACE} | more
    return CaseReported(category=category, **said)


FILED: Final = CaseFiled(category="0101", reason="rule")


def shown(*events: Event, **more: Any) -> dict[str, Any]:
    return documents.request(row_of(*events), more.pop("main", None), View(ENGLISH, **more))


# --- what is kept


def test_every_fact_is_taken_and_only_steps_move_the_time_of_the_change() -> None:
    row: RequestRow | None = None
    for version, event in enumerate(EXAMPLES.values(), 1):
        entry = entry_of(event, version)
        before, row = row, advance(row, entry)
        if before is not None and row is not None and step_of(entry) is None:
            assert row.updated_at == before.updated_at, entry.name
    assert row is not None


def test_an_order_to_patrol_is_no_request() -> None:
    assert advance(None, entry_of(EXAMPLES[PatrolOrdered], 1)) is None


def test_what_identifies_people_is_masked_before_it_is_kept() -> None:
    place = PLACE.model_copy(update={"address": SECRETS})
    row = row_of(reported(place=place), FILED, CaseRejected(reason=SECRETS))
    closed = row_of(reported(), FILED, CaseClosed(outcome=Outcome.RESOLVED, note=SECRETS))
    assert not any(secret in str((*row, *closed)) for secret in NEVER)


def test_a_rating_is_the_reporters_own_business_and_no_change() -> None:
    entry = entry_of(EXAMPLES[Rated], 9)
    assert step_of(entry) is None
    row = row_of(reported(), FILED, CaseClosed(outcome=Outcome.RESOLVED, note=""))
    assert advance(row, entry) == row


def test_imported_history_is_shown_by_where_it_comes_from() -> None:
    assert not row_of(reported(), FILED, origin=Origin.IMPORT).live


# --- what everybody may see


def test_words_are_shown_when_somebody_has_taken_them_for_a_case() -> None:
    assert shown(reported())["description"] is None
    assert shown(reported(), CaseRejected(reason="no"))["description"] is None
    assert shown(reported(), CaseRejected(reason="no"))["status_notes"] == "Not accepted as a case: no"
    assert shown(reported(), FILED)["description"] == "张三, ***, ***"


def test_a_case_that_others_have_too_is_told_with_the_case_that_it_was_joined_to() -> None:
    main = row_of(reported(), FILED)._replace(department="water", due_at=NOW)
    told = shown(reported(), CaseMerged(into=OTHER_CASE_ID, reason="rule"), main=main)
    assert told["status"] == "open"
    assert told["status_notes"].endswith(f"({CASE_ID}): Filed as a case")
    assert told["agency_responsible"] == "Water and Drainage Company"
    assert told["expected_datetime"] == "2026-03-02T08:30:00+08:00"


@pytest.mark.parametrize(
    ("category", "fields"),
    [
        ("0101", {"description", "address", "address_id", "lat", "long"}),
        ("1603", {"address", "address_id"}),
        ("1625", set[str]()),
        ("gone", {"address", "address_id"}),
    ],
)
def test_the_rule_book_says_what_of_a_case_is_public(category: str, fields: set[str]) -> None:
    told = shown(
        reported(category, photos=("https://example.org/1.jpg",)),
        CaseFiled(category=category, reason="rule"),
        CaseClosed(outcome=Outcome.RESOLVED, note="she is safe"),
        extended=True,
    )
    private = {"description", "address", "address_id", "lat", "long"}
    assert {field for field in private if told[field] is not None} == fields
    assert ("she is safe" in told["status_notes"]) == (category == "0101")
    assert told["media_url"] is None
    if category == "1603":
        assert (told["address"], told["address_id"]) == ("Qiaotou, Hebin Street", "qiaotou")
    more = told["extended_attributes"]
    assert (more["community"] is not None) == bool(fields)
    assert (more["grid"] is not None) == ("lat" in fields)


def test_photos_are_for_everybody_only_where_the_setting_says_so() -> None:
    events = (reported(photos=("before.jpg", "https://example.org/1.jpg")), FILED)
    assert shown(*events)["media_url"] is None
    assert shown(*events, media=True)["media_url"] == "https://example.org/1.jpg"
    assert shown(events[0], media=True)["media_url"] is None, "nobody has seen it yet"
    stored = (reported(photos=("sha256:" + "8f" * 32,)), FILED)
    told = shown(*stored, media=True, site="https://city.example/")["media_url"]
    assert told == f"https://city.example/attachments/{'8f' * 32}"


def test_hidden_categories_stand_in_no_list() -> None:
    hidden = documents.hidden(BOOK)
    assert "1625" in hidden
    sql, values = statement(filters.Selection(), hidden)
    assert "category <> ALL($1::text[])" in sql
    assert values == [hidden]
    assert "ALL(" not in statement(filters.Selection(ids=(CASE_ID,)), hidden)[0], "who knows the id may ask"


# --- what is asked


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"start_date": ["2026-01-01"]}, "start_date"),
        ({"start_date": ["2026-01-01T00:00:00"]}, "start_date"),
        ({"start_date": ["1767225600"]}, "start_date"),
        ({"start_date": ["-1767225600.5"]}, "start_date"),
        ({"start_date": ["2026-01-01T00:00:00Z"], "end_date": ["2025-12-01T00:00:00Z"]}, "end_date"),
        ({"start_date": ["2025-01-01T00:00:00Z"], "end_date": ["2025-04-01T00:00:01Z"]}, "end_date"),
        ({"end_date": ["0001-01-01T00:00:00Z"]}, "end_date"),
        ({"start_date": ["9999-12-31T00:00:00Z"]}, "start_date"),
        ({"updated_after": ["soon"]}, "updated_after"),
        (
            {"updated_after": ["2026-01-02T00:00:00Z"], "updated_before": ["2026-01-01T00:00:00Z"]},
            "updated_before",
        ),
        ({"status": ["open,odd"]}, "status"),
        ({"page": ["0"]}, "page"),
        ({"page": ["²"]}, "page"),
        ({"page_size": ["1001"]}, "page_size"),
        ({"page_size": ["1e3"]}, "page_size"),
        ({"service_code": [",".join(map(str, range(1001)))]}, "service_code"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_argument(
    arguments: dict[str, list[str]], field: str
) -> None:
    refused = selection(arguments, NOW)
    assert isinstance(refused, FieldProblem)
    assert refused.field == field


def test_the_window_is_90_days() -> None:
    def window(**dates: str) -> tuple[datetime, datetime] | None:
        asked = selection({name: [date] for name, date in dates.items()}, NOW)
        assert isinstance(asked, filters.Selection)
        return asked.requested

    assert window() == (NOW - WINDOW, NOW)
    then = datetime(2025, 1, 1, tzinfo=UTC)
    assert window(start_date="2025-01-01T00:00:00Z") == (then, then + WINDOW)
    assert window(end_date="2025-01-01T08:00:00 08:00") == (then - WINDOW, then), "a plus that nobody escaped"
    both = {"start_date": "2025-01-01T00:00:00Z", "end_date": "2025-04-01T00:00:00Z"}
    assert window(**both) == (then, then + WINDOW)
    assert window(updated_after="2025-01-01T00:00:00Z") is None, "what changed since may be older"


def test_empty_arguments_are_as_none_and_ids_override_all_others() -> None:
    empty = {name: [""] for name in ("service_request_id", "status", "start_date", "page", "service_code")}
    assert selection(empty, NOW) == selection({}, NOW)
    asked = selection({"service_request_id": [f"{CASE_ID}, x,{OTHER_CASE_ID}"], "status": ["odd"]}, NOW)
    assert asked == filters.Selection(ids=(CASE_ID, OTHER_CASE_ID))
    last = selection({"page": ["2", "3", ""], "page_size": [" 20 "]}, NOW)
    assert isinstance(last, filters.Selection)
    assert (last.page, last.page_size) == (3, 20)
    both = selection({"status": ["open,closed"], "service_code": ["0101,0102", "0103"]}, NOW)
    assert isinstance(both, filters.Selection)
    assert (both.closed, both.codes, both.page_size) == (None, ("0101", "0102", "0103"), REQUESTS_MAX)


# --- what is said


def gazetteer() -> Gazetteer:
    return Gazetteer.of(BOOK)


def posted(**fields: str) -> dict[str, Any] | list[FieldProblem]:
    category = BOOK.category("0101")
    assert category is not None
    return report_in(form_in(urlencode(fields).encode()), category, gazetteer())


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, ["lat"]),
        ({"lat": "118.78", "long": "31.98"}, ["lat"]),
        ({"lat": "nan", "long": "inf"}, ["lat", "long"]),
        ({"lat": "1_0", "long": "1"}, ["lat"]),
        ({"address_id": "nowhere"}, ["address_id"]),
        ({"address_string": "x", "media_url": "javascript:alert(1)"}, ["media_url"]),
        ({"address_string": "x", "media_url": "http:///nohost"}, ["media_url"]),
    ],
)
def test_what_cannot_be_reported_is_refused_with_its_field(fields: dict[str, str], wrong: list[str]) -> None:
    refused = posted(**fields)
    assert isinstance(refused, list)
    assert [each.field for each in refused] == wrong


def test_a_place_is_a_point_an_address_or_a_code() -> None:
    grid = BOOK.grids[0]
    for fields, place in (
        ({"lat": "31.98", "long": "118.78"}, {"latitude": 31.98, "longitude": 118.78}),
        ({"address_string": " 河滨街道 12 "}, {"address": "河滨街道 12"}),
        ({"address_id": grid.code}, {"grid": grid.code}),
        ({"address_id": grid.community}, {"community": grid.community}),
        ({"address_id": "hebin"}, {"street": "hebin"}),
    ):
        report = posted(**fields)
        assert isinstance(report, dict)
        assert report["place"] == place
        assert report["description"] == "上水井盖", "Open311 asks for none"


def test_a_form_is_text_in_utf8_and_has_a_bound() -> None:
    assert form_in(b"a=1&a=2&b=%E4%BA%95") == {"a": ["1", "2"], "b": ["井"]}
    for broken in (b"a=%FF", b"a=\xff", urlencode({str(number): "x" for number in range(201)}).encode()):
        with pytest.raises(Unreadable):
            form_in(broken)


def test_contact_is_kept_apart_from_the_report() -> None:
    form = form_in(
        urlencode({"first_name": "三", "last_name": "张", "email": "a@b.cn", "phone": ""}).encode()
    )
    assert contact_in(form) == {"name": "三 张", "mail": "a@b.cn"}


RED: Final = Choice(code="red", name=Name(zh="红", en="Red"))
BLUE: Final = Choice(code="blue", name=Name(zh="蓝", en="Blue"))
ASKED: Final = Name(zh="问", en="Asked")
QUESTIONS: Final = (
    Question(code="colour", ask=ASKED, datatype=Datatype.SINGLE, required=True, values=(RED, BLUE)),
    Question(code="colours", ask=ASKED, datatype=Datatype.MULTIPLE, values=(RED, BLUE)),
    Question(code="depth", ask=ASKED, datatype=Datatype.NUMBER),
    Question(code="since", ask=ASKED, datatype=Datatype.DATETIME),
    Question(code="plate", ask=ASKED),
    Question(code="read this", ask=ASKED, told=True),
)


@pytest.mark.parametrize(
    ("code", "values", "sound"),
    [
        ("colour", ["red"], True),
        ("colour", ["green"], False),
        ("colour", ["red", "blue"], False),
        ("colours", ["red", "blue"], True),
        ("colours", ["red", "red"], False),
        ("depth", ["-3.5"], True),
        ("depth", ["nan"], False),
        ("depth", ["deep"], False),
        ("since", ["2026-03-02T08:30:00+08:00"], True),
        ("since", ["2026-03-02T08:30:00"], False),
        ("since", ["yesterday"], False),
        ("since", ["2026-03-02"], False),
        ("since", ["1772411400"], False),
        ("plate", ["x" * 1000], True),
        ("plate", ["x" * 1001], False),
        ("plate", ["", " "], True),
        ("read this", ["yes"], False),
        ("unheard", ["x"], False),
    ],
)
def test_an_answer_is_what_the_question_asks_for(code: str, values: Sequence[str], sound: bool) -> None:
    answered = read_answers(QUESTIONS, {code: values})
    assert [each.field for each in answered.wrong] == ([] if sound else [f"answers.{code}"])


def test_answers_stand_in_the_order_of_the_questions_and_some_must_be_given() -> None:
    answered = read_answers(QUESTIONS, {"plate": ["x"], "colour": ["red"]})
    assert [each.question for each in answered.answers] == ["colour", "plate"]
    assert [each.field for each in unanswered(QUESTIONS, {"plate": ["x"], "colour": [""]})] == [
        "answers.colour"
    ]
    row = row_of(reported(answers=answered.answers), FILED)
    assert row.answers == (("colour", ("red",)), ("plate", ("x",)))


# --- how it is written

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.dictionaries(st.sampled_from(["code", "key", "name"]), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=4))
def test_law_whatever_is_written_as_xml_can_be_read(values: list[Any]) -> None:
    root = ET.fromstring(xml("services", values))
    assert root.tag == "services"
    assert [child.tag for child in root] == ["service"] * len(values)


@given(st.text())
def test_law_a_text_comes_back_from_xml_but_for_what_xml_cannot_hold(text: str) -> None:
    plain = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
    assert (ET.fromstring(xml("name", text)).text or "") == plain


def test_xml_says_its_encoding_and_knows_no_null() -> None:
    text = xml("service_requests", [{"status": "open", "address": None, "lat": 1.5}]).decode()
    assert text == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<service_requests><request><status>open</status>'
        "<address/><lat>1.5</lat></request></service_requests>"
    )


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "zh"),
        ("en", "en"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("zh-CN,en;q=0.5", "zh"),
        ("en;q=0", "zh"),
        ("fr, *;q=0.5", "zh"),
        ("en;q=nonsense", "zh"),
    ],
)
def test_the_language_that_is_liked_best(accepted: str | None, language: str) -> None:
    assert language_of(accepted, "zh") == language


# --- what is wrong


@pytest.mark.parametrize(
    ("status", "here"), [(401, 403), (404, 404), (405, 405), (409, 400), (413, 400), (422, 400), (503, 503)]
)
def test_open311_knows_few_statuses(status: int, here: int) -> None:
    assert status_of(status) == here


def test_fields_have_the_names_that_open311_gives_them() -> None:
    fields = ("place.longitude", "category", "photos.0", "answers.colour", "page")
    errors = [{"field": each, "reason": "no", "reason_zh": "否"} for each in fields]
    told = [each["description"] for each in errors_of({"status": 422, "errors": errors})]
    names = ("long", "service_code", "media_url", "attribute[colour]", "page")
    assert told == [f"{name}: no · 否" for name in names]


async def _answered(path: str, answer: Response) -> tuple[int, dict[bytes, bytes], bytes]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": "GET", "headers": []}
    await Open311Errors(app, "/open311")(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


async def test_problems_below_the_base_become_lists_of_errors_and_nothing_else_is_touched() -> None:
    gone = problem(404, "x", "Gone", "没有", headers={"Retry-After": "5"})
    status, headers, body = await _answered("/open311/v2/x.json", gone)
    assert (status, orjson.loads(body)) == (404, [{"code": 404, "description": "Gone · 没有"}])
    assert (headers[b"content-type"], headers[b"retry-after"]) == (b"application/json; charset=utf-8", b"5")
    assert int(headers[b"content-length"]) == len(body)
    _, headers, body = await _answered("/open311/v2/x.xml", gone)
    assert headers[b"content-type"] == b"text/xml; charset=utf-8"
    assert [each.tag for each in ET.fromstring(body)] == ["error"]
    assert await _answered("/cases/x", gone) == (404, dict(gone.raw_headers), gone.body)
    fine = Response(b"[]", 200)
    assert (await _answered("/open311/v2/x.json", fine))[2] == b"[]"


# --- where it is


def test_discovery_says_when_the_rule_book_was_published() -> None:
    book = BOOK.model_copy().published_as("liuhe@1", NOW)
    told = documents.discovery(book, "https://example.org/open311/v2", "us", "ask")
    [endpoint] = told["endpoints"]
    assert told["changeset"] == endpoint["changeset"] == "2026-03-02T08:30:00+08:00"
    assert endpoint["type"] == "test", "its clocks run faster"
    assert endpoint["formats"] == ["text/xml", "application/json"]
    assert {form.value for form in Format} == {"xml", "json"}


def test_times_are_those_of_the_city_to_the_second() -> None:
    place = Place(time_zone="Asia/Shanghai")
    told = shown(reported(place=place))
    assert told["requested_datetime"] == told["updated_datetime"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00", told["requested_datetime"])


def test_a_point_that_lies_here_with_its_numbers_swapped_is_refused() -> None:
    [grid] = rule_book().grids[:1]
    polygons = (((((8.0, 50.0), (8.1, 50.0), (8.1, 50.1), (8.0, 50.0))),),)
    there = Gazetteer.of(rule_book(grids=(grid.model_copy(update={"polygons": polygons}),)))
    right = there.place(Stated(longitude=8.09, latitude=50.05))
    assert isinstance(right, Place)
    assert right.located_by == "inside"
    swapped = there.place(Stated(longitude=50.05, latitude=8.09))
    assert isinstance(swapped, tuple)
    assert [each.field for each in swapped] == ["place.longitude"]
    far = there.place(Stated(longitude=8.09, latitude=60))
    assert isinstance(far, Place)
    assert far.located_by == "outside"
