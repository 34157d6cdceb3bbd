"""What cannot be is refused by status, code, field and reason in both languages, and the case's log stays as it was."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import httpx
import orjson
import pytest
import pytest_asyncio

from cli.stack.rulebook import example_in
from cli.stack.state import Stack
from libs.events.contracts.evaluation import CaseClosed
from tests.support.people import CENTRE, PHOTO, SPECIALIST, People, Receipt, at, done
from tests.support.stack import running

COVER, BUILDING = "0101", "1104"
"""Water's; and one that a specialist must confirm."""
COMMUNITY: Final = "community:qiaotou"
OWN: Final = {"by": "department:water"}
BY: Final = {"by": COMMUNITY}
NOWHERE: Final = Receipt("7K3M-9QXP-V2TB-HW4D", "0" * 20)
SHORT_OF_ENDLESS: Final = "9999-12-31T23:59:59Z"
"""In the city's zone it is a day that no calendar has."""
Said = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cases:
    """Cases at each of their turns; `late` is closed, and rated by nobody."""

    waiting: Receipt
    rejected: Receipt
    fresh: Receipt
    returned: Receipt
    signed: Receipt
    paused: Receipt
    whistled: Receipt
    handled: Receipt
    closed: Receipt
    late: Receipt
    nowhere: Receipt = NOWHERE


class Row(NamedTuple):
    """Something that cannot be, and the answer."""

    case: str
    verb: str
    said: Said
    status: int
    code: str
    field: str | None
    department: str = "water"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """Time for everything, so that nothing happens by itself; but the time to rate is over in seconds."""

    def evaluation(content: Said) -> Said:
        return content | {"rating": content["rating"] | {"within": "2 minutes"}}

    def limits(content: Said) -> Said:
        slow = {"sign": "20 natural days", "handle": "30 natural days", "verify": "20 natural days"}
        return content | {"sets": dict.fromkeys(content["sets"], slow), "report_in": "20 natural days"}

    folder = tmp_path_factory.mktemp("policy") / "city"
    with running(policy_dir=example_in(folder, time_lapse=20, evaluation=evaluation, limits=limits)) as stack:
        yield stack


@pytest_asyncio.fixture
async def people(city: Stack) -> AsyncGenerator[People]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield People(city, http)


@pytest.fixture(scope="module")
def cases(city: Stack) -> Cases:
    """One case at each turn."""
    return asyncio.run(_made(city))


async def _made(city: Stack) -> Cases:
    async with httpx.AsyncClient(timeout=60) as http:
        people = People(city, http)
        receipts = [await people.report(BUILDING, "搭建") for _ in range(2)]
        receipts += await asyncio.gather(*(people.assigned(COVER, f"井盖 {number}") for number in range(8)))
        cases = Cases(*receipts)
        done(await people.staff(cases.rejected.case_id, "reject", reason="不属实"))
        for department in ("water", "roads"):
            done(await people.department(department, cases.returned.case_id, "decline", reason="不是"))
        for case_id in (cases.signed.case_id, cases.paused.case_id, cases.whistled.case_id):
            done(await people.department("water", case_id, "accept"))
        done(await people.centre(cases.paused.case_id, "pause", reason="weather"))
        called: Said = {"departments": ["water", "roads"], "lead": "water", "reason": "一起"}
        done(await people.centre(cases.whistled.case_id, "whistle", **called))
        for receipt in (cases.handled, cases.late, cases.closed):
            await people.handled("water", receipt.case_id)
        for receipt in (cases.late, cases.closed):
            done(await people.judge(receipt.case_id, "verify"))
        done(await people.rate(cases.closed.tracking_number, stars=4))
        scored: Said = {"department": "water", "stars": 4}
        done(await people.judge(cases.closed.case_id, "score", by=COMMUNITY, **scored))
        return cases


class Unchanged:
    """How far each case is in the log, which what is refused does not move."""

    def __init__(self, people: People, cases: Cases) -> None:
        self._people = people
        self._ids = sorted({getattr(cases, name).case_id for name in Cases.__slots__})
        self._before: list[int] = []

    async def __aenter__(self) -> None:
        self._before = await self._versions()

    async def __aexit__(self, *_: object) -> None:
        assert await self._versions() == self._before, "something was added"

    async def _versions(self) -> list[int]:
        return [(await self._people.history(case_id)).version for case_id in self._ids]


def wrong_with(answer: httpx.Response, status: int, code: str, field: str | None) -> list[str]:
    """In what an answer differs from the refusal that was to be; nothing when it is that one."""
    if answer.headers["content-type"] != "application/problem+json":
        return [f"{answer.status_code} {answer.text}"]
    document: Said = answer.json()
    wrong = [] if (answer.status_code, document["code"]) == (status, code) else [answer.text]
    fields = [each["field"] for each in document["errors"]]
    if field is not None and field not in fields:
        wrong.append(f"{field} is not in {fields}")
    for each in (
        document | {"reason": document["title"], "reason_zh": document["title_zh"]},
        *document["errors"],
    ):
        wrong += _one_language(each)
    return wrong


def _one_language(said: Said) -> list[str]:
    english, chinese = said["reason"], said["reason_zh"]
    return (
        []
        if english and english.isascii() and chinese and not chinese.isascii()
        else [f"{english} / {chinese}"]
    )


def assert_all_refused(rows: Sequence[object], wrong: Sequence[list[str]]) -> None:
    assert len(rows) == len(wrong)
    assert [(row, each) for row, each in zip(rows, wrong, strict=True) if each] == []


# --- reporting

LONG: Final = "长" * 4_001
PLACE: Final[Said] = {"community": "qiaotou"}
REPORTS: Final[tuple[tuple[Said, str, str], ...]] = (
    ({"category": "9999"}, "unknown_category", "category"),
    ({"category": ""}, "not_valid", "category"),
    ({"category": 101}, "not_valid", "category"),
    ({"description": ""}, "not_valid", "description"),
    ({"description": LONG}, "not_valid", "description"),
    ({"description": "a\u0000b"}, "not_valid", "description"),
    ({"channel": ""}, "not_valid", "channel"),
    ({"place": {"community": "nowhere"}}, "not_valid", "place.community"),
    ({"place": {"grid": "nowhere"}}, "not_valid", "place.grid"),
    ({"place": {"street": "nowhere"}}, "not_valid", "place.street"),
    ({"place": {"grid": "liuyuan-01", "community": "qiaotou"}}, "not_valid", "place.community"),
    ({"place": {"longitude": 118.7}}, "not_valid", "place.latitude"),
    ({"place": {"longitude": 181, "latitude": 0}}, "not_valid", "place.longitude"),
    ({"place": {"longitude": 1, "latitude": float("nan")}}, "not_valid", "place.latitude"),
    ({"place": {"longitude": float("inf"), "latitude": 1}}, "not_valid", "place.longitude"),
    ({"place": {"address": "长" * 501}}, "not_valid", "place.address"),
    ({"place": {"address": "\u0000"}}, "not_valid", "place.address"),
    ({"place": {"house": "1"}}, "not_valid", "place.house"),
    ({"place": None}, "not_valid", "place"),
    ({"photos": ["https://x"] * 11}, "not_valid", "photos"),
    ({"photos": [""]}, "not_valid", "photos.0"),
    ({"photos": ["\u0000"]}, "not_valid", "photos.0"),
    ({"photos": "x.jpg"}, "not_valid", "photos"),
    ({"photos": ["x.jpg"]}, "not_valid", "photos.0"),
    ({"photos": ["https://me:secret@x"]}, "not_valid", "photos.0"),
    ({"photos": ["https://x", "sha256:" + "0" * 64]}, "unknown_photo", "photos.1"),
    ({"phone": "1"}, "not_valid", "phone"),
)


async def test_a_report_that_cannot_be_is_refused(people: People) -> None:
    whole: Said = {"category": COVER, "description": "x", "place": PLACE}
    url = f"{people.stack.service_url('intake')}/cases"
    wrong: list[list[str]] = []
    for changed, code, field in REPORTS:
        # NaN and Infinity are not JSON, but Python writes and reads them.
        body = json.dumps({**whole, **changed})
        answer = await people.http.post(url, content=body, headers={"Content-Type": "application/json"})
        wrong.append(wrong_with(answer, 422, code, field))
    assert_all_refused(REPORTS, wrong)


STAFF: Final = (
    Row("nowhere", "file", {}, 404, "unknown_case", None),
    Row("waiting", "shout", {}, 422, "not_valid", "verb"),
    Row("waiting", "reject", {}, 422, "not_valid", "reason"),
    Row("waiting", "reject", {"reason": ""}, 422, "not_valid", "reason"),
    Row("waiting", "reject", {"reason": "长" * 1_001}, 422, "not_valid", "reason"),
    Row("waiting", "reject", {"reason": "\u0000"}, 422, "not_valid", "reason"),
    Row("waiting", "file", {"category": "9999"}, 422, "unknown_category", "category"),
    Row("waiting", "file", {"by": "department:water"}, 403, "role_needed", None),
    Row("waiting", "file", {"by": "specialist:matou"}, 403, "not_your_place", "by"),
    Row("waiting", "file", {"by": "specialist:nowhere"}, 422, "not_valid", "by"),
    Row("waiting", "file", {"by": "me"}, 422, "not_valid", "by"),
    Row("waiting", "file", {"more": 1}, 422, "not_valid", "more"),
    Row("waiting", "merge", {"into": "x"}, 422, "not_valid", "into"),
    Row("waiting", "merge", {"into": NOWHERE.case_id}, 409, "into_unknown", "into"),
    Row("rejected", "file", {}, 409, "already_rejected", None),
    Row("rejected", "reject", {"reason": "另一个"}, 409, "already_rejected", None),
    Row("fresh", "reject", {"reason": "不属实"}, 409, "already_filed", None),
    Row("fresh", "adopt", {"category": COVER}, 409, "not_imported", None),
    Row("closed", "reject", {"reason": "不属实"}, 409, "case_closed", None),
)


async def test_what_a_specialist_cannot_do_is_refused(people: People, cases: Cases) -> None:
    wrong: list[list[str]] = []
    async with Unchanged(people, cases):
        for row in STAFF:
            answer = await people.staff(getattr(cases, row.case).case_id, row.verb, **row.said)
            wrong.append(wrong_with(answer, row.status, row.code, row.field))
    assert_all_refused(STAFF, wrong)


# --- departments, at both doors

UNTIL: Final = "2030-01-01T00:00:00+08:00"
DEPARTMENTS: Final = (
    Row("nowhere", "accept", {}, 404, "unknown_case", "case_id"),
    Row("fresh", "fly", {}, 404, "unknown_verb", "verb"),
    Row("fresh", "accept", {"note": "x"}, 422, "not_valid", "note"),
    Row("fresh", "accept", {}, 409, "not_assigned_to_you", "department", "roads"),
    Row("fresh", "decline", {"reason": "x"}, 409, "not_assigned_to_you", "department", "roads"),
    Row("fresh", "progress", {"note": "x"}, 409, "not_assigned_to_you", "department", "roads"),
    Row("fresh", "handle", PHOTO, 409, "not_assigned_to_you", "department", "roads"),
    Row("fresh", "handle", PHOTO, 409, "not_accepted", "case_id"),
    Row("fresh", "decline", {}, 422, "not_valid", "reason"),
    Row("fresh", "decline", {"reason": ""}, 422, "not_valid", "reason"),
    Row("fresh", "decline", {"reason": LONG}, 422, "not_valid", "reason"),
    Row("fresh", "decline", {"reason": "\u0000"}, 422, "not_valid", "reason"),
    Row("fresh", "report-in", {"officer": "x"}, 409, "not_summoned", "department"),
    Row("waiting", "accept", {}, 409, "not_assigned", "case_id"),
    Row("waiting", "report-in", {"officer": "x"}, 409, "not_summoned", "department"),
    Row("rejected", "handle", PHOTO, 409, "case_closed", "case_id"),
    Row("returned", "accept", {}, 409, "not_assigned", "case_id"),
    Row("signed", "handle", {}, 422, "photo_needed", "photos"),
    Row("signed", "handle", {"photos": []}, 422, "photo_needed", "photos"),
    Row("signed", "handle", {"photos": ["https://x"] * 11}, 422, "not_valid", "photos"),
    Row("signed", "handle", {"photos": [""]}, 422, "not_valid", "photos.0"),
    Row("signed", "handle", {"photos": ["http://x/after.jpg"]}, 422, "not_valid", "photos.0"),
    Row("signed", "handle", {"photos": ["sha256:" + "0" * 64]}, 422, "unknown_photo", "photos"),
    Row("signed", "handle", {"photos": ["https://" + "长" * 501]}, 422, "not_valid", "photos.0"),
    Row("signed", "handle", {**PHOTO, "note": LONG}, 422, "not_valid", "note"),
    Row("signed", "handle", {**PHOTO, "note": "a\u0000"}, 422, "not_valid", "note"),
    Row("signed", "progress", {"note": ""}, 422, "not_valid", "note"),
    Row("signed", "progress", {"note": 5}, 422, "not_valid", "note"),
    Row("signed", "extend", {"until": UNTIL}, 422, "not_valid", "reason"),
    Row("signed", "extend", {"until": "soon", "reason": "x"}, 422, "not_valid", "until"),
    Row("signed", "extend", {"until": "2030-01-01T00:00:00", "reason": "x"}, 422, "not_valid", "until"),
    Row(
        "signed", "extend", {"until": "2020-01-01T00:00:00Z", "reason": "x"}, 422, "until_not_later", "until"
    ),
    Row("signed", "extend", {"until": UNTIL, "reason": "x"}, 422, "until_too_late", "until"),
    Row("signed", "extend", {"until": SHORT_OF_ENDLESS, "reason": "x"}, 422, "not_valid", "until"),
    Row(
        "signed",
        "extend",
        {"until": "0001-01-01T00:00:00+14:00", "reason": "x"},
        422,
        "not_valid",
        "until",
    ),
    Row("paused", "extend", {"until": UNTIL, "reason": "x"}, 409, "clock_paused", "case_id"),
    Row("whistled", "handle", PHOTO, 409, "only_the_lead", "department", "roads"),
    Row("whistled", "accept", {}, 409, "not_assigned_to_you", "department", "roads"),
    Row("whistled", "report-in", {"officer": "x"}, 409, "not_summoned", "department", "power"),
    Row("whistled", "report-in", {"officer": ""}, 422, "not_valid", "officer", "roads"),
    Row("whistled", "report-in", {}, 422, "not_valid", "officer", "roads"),
    Row("handled", "decline", {"reason": "x"}, 409, "already_handled", "case_id"),
    Row("handled", "progress", {"note": "x"}, 409, "already_handled", "case_id"),
    Row("handled", "extend", {"until": UNTIL, "reason": "x"}, 409, "already_handled", "case_id"),
    Row("closed", "decline", {"reason": "x"}, 409, "case_closed", "case_id"),
    Row("closed", "handle", PHOTO, 409, "case_closed", "case_id", "roads"),
)
UNKNOWN_DEPARTMENT: Final = Row("fresh", "accept", {}, 422, "unknown_department", "department", "space")


async def test_what_a_department_cannot_do_is_refused_on_its_page(people: People, cases: Cases) -> None:
    rows, wrong = (*DEPARTMENTS, UNKNOWN_DEPARTMENT), list[list[str]]()
    async with Unchanged(people, cases):
        for row in rows:
            case_id = getattr(cases, row.case).case_id
            answer = await people.department(row.department, case_id, row.verb, **row.said)
            wrong.append(wrong_with(answer, row.status, row.code, row.field))
    assert_all_refused(rows, wrong)


async def test_what_a_department_cannot_do_is_refused_on_the_bus(people: People, cases: Cases) -> None:
    wrong: list[list[str]] = []
    async with Unchanged(people, cases):
        for row in DEPARTMENTS:
            case_id = getattr(cases, row.case).case_id
            answer = await people.ask(row.department, case_id, row.verb, **row.said)
            wrong.append(wrong_on_the_bus(answer, row.code, row.field))
    assert_all_refused(DEPARTMENTS, wrong)


def wrong_on_the_bus(answer: Said, code: str, field: str | None) -> list[str]:
    """In what an answer on the bus differs from the refusal that was to be; nothing when it is that one."""
    if answer["ok"] is not False or answer.keys() != {"ok", "error"}:
        return [str(answer)]
    error = answer["error"]
    wrong = [] if (error["code"], error["field"]) == (code, field) else [str(error)]
    return wrong + _one_language(error)


async def test_acts_that_were_done_add_nothing_a_second_time(people: People, cases: Cases) -> None:
    done_before: tuple[tuple[str, str, Said], ...] = (
        ("signed", "accept", {}),
        ("handled", "accept", {}),
        ("handled", "handle", PHOTO),
        ("closed", "accept", {}),
        ("closed", "handle", PHOTO),
        ("returned", "decline", {"reason": "又退"}),
    )
    async with Unchanged(people, cases):
        for case, verb, said in done_before:
            case_id = getattr(cases, case).case_id
            answer = done(await people.department("water", case_id, verb, **said))
            assert answer == {"case_id": case_id, "event_ids": []}, (case, verb)
            assert (await people.ask("water", case_id, verb, **said)) == {"ok": True, **answer}
        again: Said = {"department": "water", "stars": 4}
        for other in (
            await people.staff(cases.rejected.case_id, "reject", reason="不属实"),
            await people.centre(cases.paused.case_id, "pause", reason="weather"),
            await people.centre(cases.signed.case_id, "resume"),
            await people.centre(cases.signed.case_id, "assign", department="water", reason="x"),
            await people.judge(cases.closed.case_id, "verify"),
            await people.judge(cases.closed.case_id, "score", by=COMMUNITY, **again),
            await people.rate(cases.closed.tracking_number, stars=4),
        ):
            assert done(other)["event_ids"] == [], other.url


# --- the centre

WHISTLE: Final[Said] = {"departments": ["water", "roads"], "lead": "water", "reason": "一起"}
CENTRES: Final = (
    Row("nowhere", "recall", {"reason": "x"}, 404, "unknown_case", "case_id"),
    Row("fresh", "fly", {}, 404, "unknown_verb", "verb"),
    Row("fresh", "recall", {"reason": "x", "by": "the mayor"}, 422, "not_valid", "by"),
    Row("fresh", "recall", {"reason": "x", "by": "department:water"}, 403, "role_needed", None),
    Row("fresh", "recall", {"reason": "x", "by": "centre:gulou"}, 403, "not_your_place", "by"),
    Row("fresh", "recall", {"reason": "x", "by": "centre:nowhere"}, 422, "unknown_post", "by"),
    Row("fresh", "recall", {"reason": "x", "by": "centre:\u0000"}, 422, "not_valid", "by"),
    Row("fresh", "recall", {"reason": "\u0000"}, 422, "not_valid", "reason"),
    Row("fresh", "assign", {"department": "space", "reason": "x"}, 422, "unknown_department", "department"),
    Row("fresh", "assign", {"department": "roads"}, 422, "not_valid", "reason"),
    Row("fresh", "escalate", {"reason": LONG}, 422, "not_valid", "reason"),
    Row("fresh", "grant", {}, 409, "no_extension_open", "case_id"),
    Row("fresh", "grant", {"until": SHORT_OF_ENDLESS}, 422, "not_valid", "until"),
    Row("fresh", "refuse", {"reason": "x"}, 409, "no_extension_open", "case_id"),
    Row("fresh", "pause", {"reason": "tea"}, 422, "unknown_pause", "reason"),
    Row("paused", "pause", {"reason": "parts"}, 409, "paused_otherwise", "reason"),
    Row("fresh", "acknowledge", {}, 409, "no_fast_lane", "case_id"),
    Row("fresh", "whistle", {**WHISTLE, "departments": ["water"]}, 422, "too_few_departments", "departments"),
    Row(
        "fresh",
        "whistle",
        {**WHISTLE, "departments": ["water"] * 2},
        422,
        "too_few_departments",
        "departments",
    ),
    Row("fresh", "whistle", {**WHISTLE, "departments": []}, 422, "not_valid", "departments"),
    Row(
        "fresh",
        "whistle",
        {**WHISTLE, "departments": ["water", "space"]},
        422,
        "unknown_summoned",
        "departments",
    ),
    Row("fresh", "whistle", {**WHISTLE, "lead": "power"}, 422, "lead_not_summoned", "lead"),
    Row("fresh", "whistle", {**WHISTLE, "by": SPECIALIST}, 403, "role_needed", None),
    Row("fresh", "whistle", {**WHISTLE, "by": "city:liuhe"}, 422, "post_may_not_whistle", "by"),
    Row("fresh", "whistle", {**WHISTLE, "loud": True}, 422, "not_valid", "loud"),
    Row("waiting", "assign", {"department": "water", "reason": "x"}, 409, "not_filed", "case_id"),
    Row("waiting", "whistle", WHISTLE, 409, "not_filed", "case_id"),
    Row("rejected", "escalate", {"reason": "x"}, 409, "case_closed", "case_id"),
    Row("returned", "recall", {"reason": "x"}, 409, "not_assigned", "case_id"),
    Row("handled", "assign", {"department": "roads", "reason": "x"}, 409, "already_handled", "case_id"),
    Row("handled", "pause", {"reason": "weather"}, 409, "already_handled", "case_id"),
    Row("handled", "whistle", WHISTLE, 409, "already_handled", "case_id"),
    Row("closed", "assign", {"department": "roads", "reason": "x"}, 409, "case_closed", "case_id"),
    Row("closed", "resume", {}, 409, "case_closed", "case_id"),
)


async def test_what_the_centre_cannot_do_is_refused(people: People, cases: Cases) -> None:
    wrong: list[list[str]] = []
    async with Unchanged(people, cases):
        for row in CENTRES:
            answer = await people.centre(getattr(cases, row.case).case_id, row.verb, **row.said)
            wrong.append(wrong_with(answer, row.status, row.code, row.field))
    assert_all_refused(CENTRES, wrong)


async def test_a_grant_without_end_is_refused(people: People) -> None:
    case_id = (await people.assigned(COVER, "要延期")).case_id
    done(await people.department("water", case_id, "accept"))
    due_at = (await people.history(case_id)).events[2].model_dump()["due_at"]
    until = due_at.replace(year=due_at.year + 1).isoformat()
    done(await people.department("water", case_id, "extend", until=until, reason="x"))
    again = await people.department("water", case_id, "extend", until=until, reason="y")
    assert wrong_with(again, 409, "extension_open", "case_id") == []
    for asked in (SHORT_OF_ENDLESS, "0001-01-01T00:00:00+14:00"):
        answer = await people.centre(case_id, "grant", until=asked)
        assert wrong_with(answer, 422, "not_valid", "until") == []
    later = due_at.replace(year=due_at.year + 2).isoformat()
    assert (
        wrong_with(await people.centre(case_id, "grant", until=later), 422, "until_too_late", "until") == []
    )
    assert (await people.names(case_id))[-1] == "extension-requested"


# --- verifiers, reporters

JUDGES: Final = (
    Row("nowhere", "verify", {}, 404, "unknown_case", "case_id"),
    Row("handled", "fly", {}, 404, "unknown_verb", "verb"),
    Row("handled", "verify", OWN, 403, "role_needed", None),
    Row("handled", "verify", {"by": "specialist:matou"}, 403, "not_your_place", "by"),
    Row("handled", "return", {**OWN, "reason": "x"}, 403, "role_needed", None),
    Row(
        "handled",
        "close",
        {"by": "department:water", "outcome": "resolved", "note": "x"},
        403,
        "role_needed",
        None,
    ),
    Row("handled", "verify", {"by": "resident"}, 422, "not_valid", "by"),
    Row("handled", "verify", {"by": "specialist:nowhere"}, 422, "unknown_post", "by"),
    Row("handled", "verify", {"by": "specialist:\u0000"}, 422, "not_valid", "by"),
    Row("handled", "verify", {"note": LONG}, 422, "not_valid", "note"),
    Row("handled", "verify", {"note": "\u0000"}, 422, "not_valid", "note"),
    Row("handled", "verify", {"photos": ["sha256:" + "0" * 64]}, 422, "unknown_photo", "photos"),
    Row("handled", "verify", {"photos": ["https://x"] * 11}, 422, "not_valid", "photos"),
    Row("handled", "verify", {"stars": 5}, 422, "not_valid", "stars"),
    Row("handled", "return", {}, 422, "not_valid", "reason"),
    Row("handled", "close", {"outcome": "unknown", "note": "x"}, 422, "not_valid", "outcome"),
    Row("handled", "close", {"outcome": "resolved"}, 422, "not_valid", "note"),
    Row("handled", "reopen", {"reason": "x"}, 409, "not_closed", "case_id"),
    Row("fresh", "verify", {}, 409, "not_handled", "case_id"),
    Row("fresh", "return", {"reason": "x"}, 409, "not_handled", "case_id"),
    Row("waiting", "close", {"outcome": "resolved", "note": "x"}, 409, "not_filed", "case_id"),
    Row("rejected", "verify", {}, 409, "case_rejected", "case_id"),
    Row("rejected", "reopen", {"reason": "x"}, 409, "case_rejected", "case_id"),
    Row("closed", "verify", {"by": CENTRE}, 409, "case_closed", "case_id"),
    Row("closed", "return", {"reason": "x"}, 409, "case_closed", "case_id"),
    Row("closed", "close", {"outcome": "resolved", "note": "x"}, 409, "case_closed", "case_id"),
    Row("closed", "reopen", {**OWN, "reason": "x"}, 403, "role_needed", None),
    Row(
        "closed",
        "score",
        {**BY, "department": "water", "stars": 1},
        409,
        "scored_already",
        "department",
    ),
    Row(
        "closed",
        "score",
        {**BY, "department": "water", "stars": 6},
        422,
        "stars_out_of_scale",
        "stars",
    ),
    Row(
        "closed",
        "score",
        {**BY, "department": "power", "stars": 4},
        409,
        "did_not_serve",
        "department",
    ),
    Row(
        "closed",
        "score",
        {**BY, "department": "space", "stars": 4},
        422,
        "unknown_department",
        "department",
    ),
    Row(
        "closed",
        "score",
        {"by": "community:matou", "department": "water", "stars": 4},
        409,
        "not_their_case",
        "by",
    ),
    Row("closed", "score", {"department": "water", "stars": 4}, 403, "role_needed", None),
    Row(
        "fresh",
        "score",
        {**BY, "department": "water", "stars": 4},
        409,
        "nothing_to_score",
        "case_id",
    ),
)
RATINGS: Final = (
    Row("nowhere", "", {}, 404, "unknown_tracking_number", "tracking_number"),
    Row("nowhere", "", {"tracking_number": "1234"}, 422, "invalid_tracking_number", "tracking_number"),
    Row("nowhere", "", {"tracking_number": "7" * 41}, 422, "not_valid", "tracking_number"),
    Row("waiting", "", {}, 409, "not_closed", "case_id"),
    Row("handled", "", {}, 409, "not_closed", "case_id"),
    Row("rejected", "", {}, 409, "case_rejected", "case_id"),
    Row("closed", "", {"stars": 0}, 422, "stars_out_of_scale", "stars"),
    Row("closed", "", {"stars": 6}, 422, "stars_out_of_scale", "stars"),
    Row("closed", "", {"stars": 101}, 422, "not_valid", "stars"),
    Row("closed", "", {"stars": 3.5}, 422, "not_valid", "stars"),
    Row("closed", "", {"stars": True}, 422, "not_valid", "stars"),
    Row("closed", "", {"reached": None}, 422, "not_valid", "reached"),
    Row("closed", "", {"text": LONG}, 422, "not_valid", "text"),
    Row("closed", "", {"text": "\u0000"}, 422, "not_valid", "text"),
    Row("closed", "", {"phone": "1"}, 422, "not_valid", "phone"),
    Row("closed", "", {"stars": 1}, 409, "rated_already", "tracking_number"),
)


async def test_what_verifiers_and_communities_cannot_do_is_refused(people: People, cases: Cases) -> None:
    wrong: list[list[str]] = []
    async with Unchanged(people, cases):
        for row in JUDGES:
            answer = await people.judge(getattr(cases, row.case).case_id, row.verb, **row.said)
            wrong.append(wrong_with(answer, row.status, row.code, row.field))
    assert_all_refused(JUDGES, wrong)


async def test_a_rating_that_cannot_be_is_refused(people: People, cases: Cases) -> None:
    wrong: list[list[str]] = []
    async with Unchanged(people, cases):
        for row in RATINGS:
            said = {"tracking_number": getattr(cases, row.case).tracking_number, **row.said}
            wrong.append(wrong_with(await people.rate(**said), row.status, row.code, row.field))
    assert_all_refused(RATINGS, wrong)


# --- what is no request at all

BODIES: Final = (b"", b"{", b"[]", b"null", b'"x"', b"5", b"\xff\xfe", b'{"by": "\\ud800"}', b"[" * 5_000)
"""No JSON, no object, no text."""


async def test_what_is_no_request_is_refused_by_each_service(people: People, cases: Cases) -> None:
    case_id = cases.fresh.case_id
    doors = (
        ("intake", "/cases"),
        ("intake", f"/cases/{case_id}/file"),
        ("dispatch", f"/departments/water/cases/{case_id}/decline"),
        ("dispatch", f"/cases/{case_id}/recall"),
        ("evaluation", f"/cases/{case_id}/return"),
        ("evaluation", "/ratings"),
    )
    rows = [(service, path, body) for service, path in doors for body in BODIES]
    wrong: list[list[str]] = []
    async with Unchanged(people, cases):
        for service, path, body in rows:
            url = f"{people.stack.service_url(service)}{path}"
            answer = await people.http.post(url, content=body, headers={"Content-Type": "application/json"})
            status, code = (400, "bad_request") if answer.status_code == 400 else (422, "not_valid")
            wrong.append(wrong_with(answer, status, code, None))
    assert_all_refused(rows, wrong)


async def test_what_is_no_request_is_refused_on_the_bus(people: People, cases: Cases) -> None:
    case_id = cases.fresh.case_id
    asked = (*BODIES, b'{"case_id": "x"}', b'{"reason": "x"}', orjson.dumps({"case_id": [case_id]}))
    wrong: list[list[str]] = []
    async with Unchanged(people, cases):
        for body in asked:
            answer = await people.ask_raw("water", "decline", body)
            wrong.append([] if answer["error"]["code"] == "not_valid" else [str(answer)])
            wrong[-1] += _one_language(answer["error"])
    assert_all_refused(asked, wrong)


async def test_bodies_without_end_and_addresses_that_nobody_has_are_refused(people: People) -> None:
    for service, path in (("intake", "/cases"), ("dispatch", "/cases/x/recall"), ("evaluation", "/ratings")):
        answer = await people.post(service, path, {"description": "x" * 300_000})
        assert wrong_with(answer, 413, "content_too_large", None) == [], service
        url = people.stack.service_url(service)
        assert wrong_with(await people.http.get(f"{url}/nowhere"), 404, "not_found", None) == [], service
        assert wrong_with(await people.http.delete(f"{url}{path}"), 405, "method_not_allowed", None) == [], (
            service
        )


ADDRESSES: Final = (
    ("intake", "/waiting?community=%00", "query"),
    ("dispatch", "/departments/%00/queue", "path"),
    ("dispatch", "/centre/waiting?post=centre:%00", "query"),
    ("dispatch", "/patrols?grid=%00", "query"),
    ("evaluation", "/cases/%00", "path"),
    ("evaluation", "/measures/handled/cases?key=%00&limit=10", "query"),
    ("evaluation", "/scoreboard?as_of=0001-01-01T00:00:00%2B14:00", "query"),
    ("evaluation", "/measures?as_of=0001-01-01T00:00:00%2B14:00", "query"),
    ("evaluation", "/measures?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59-14:00", "query"),
)


async def test_a_question_that_no_table_can_be_asked_is_refused(people: People) -> None:
    wrong: list[list[str]] = []
    for service, address, field in ADDRESSES:
        answer = await people.http.get(f"{people.stack.service_url(service)}{address}")
        wrong.append(wrong_with(answer, 422, "not_valid", field))
    assert_all_refused(ADDRESSES, wrong)
    unit: Said = {"kind": "repair-van", "longitude": 118.7, "latitude": 32.0, "status": "free"}
    dispatch = people.stack.service_url("dispatch")
    answer = await people.http.put(f"{dispatch}/departments/water/units/v%00", json=unit)
    assert wrong_with(answer, 422, "not_valid", "path") == []
    over_the_bus = await people.ask_raw("water", "unit", orjson.dumps({**unit, "unit": "v\0"}))
    assert wrong_on_the_bus(over_the_bus, "not_valid", "unit") == []


async def test_a_rating_comes_too_late(people: People, cases: Cases) -> None:
    closing = (await people.history(cases.late.case_id)).events[-1]
    assert isinstance(closing, CaseClosed)
    assert closing.rate_until
    await at(closing.rate_until)
    async with Unchanged(people, cases):
        answer = await people.rate(cases.late.tracking_number)
        assert wrong_with(answer, 409, "rating_over", "tracking_number") == []
