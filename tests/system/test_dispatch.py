"""Dispatch over its doors, on the whole stack: what departments and the centre do, what they see, who is refused."""

import asyncio
from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from cli.departments.serving import enable, signed_in
from cli.stack.rulebook import example_in
from cli.stack.state import Stack
from libs.events.contracts.dispatch import Accepted, Assigned, Declined, Recalled
from libs.events.log import History
from libs.events.subjects import ask_subject
from tests.support.cases import caught_up, until_in_log
from tests.support.signing import Signing
from tests.support.stack import log_of, running

NOBODY = "0" * 20
SECONDS_MAX = 60
COVER = "0101"
"""A manhole cover: the water company's, and next the road office's."""
POSTS = {"by": "centre:hebin"}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    folder: Path = tmp_path_factory.mktemp("policy") / "city"
    with running(policy_dir=example_in(folder, time_lapse=1)) as stack:
        yield stack


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=SECONDS_MAX) as client:
        yield client


class Desk:
    """One case, and everybody who has to do with it."""

    def __init__(self, city: Stack, http: httpx.AsyncClient, case_id: str) -> None:
        self.case_id = case_id
        self._city = city
        self._url = city.service_url("dispatch")
        self._http = http
        http.auth = Signing(city)

    async def act(self, department: str, verb: str, **said: Any) -> httpx.Response:
        path = f"{self._url}/departments/{department}/cases/{self.case_id}/{verb}"
        return await self._http.post(path, json=said)

    async def order(self, verb: str, **said: Any) -> httpx.Response:
        return await self._http.post(f"{self._url}/cases/{self.case_id}/{verb}", json={**POSTS, **said})

    async def ask(self, department: str, verb: str, **said: Any) -> dict[str, Any]:
        """The same as a department on the bus."""
        await enable(self._city, [department])
        async with signed_in(self._city, department) as client:
            body = orjson.dumps({"case_id": self.case_id, **said})
            reply = await client.request(ask_subject(department, verb), body, timeout=SECONDS_MAX)
        answer: dict[str, Any] = orjson.loads(reply.data)
        return answer

    async def queue(self, department: str) -> dict[str, Any] | None:
        return await self._seen(f"{self._url}/departments/{department}/queue")

    async def waiting(self, post: str) -> dict[str, Any] | None:
        return await self._seen(f"{self._url}/centre/waiting?post={post}")

    async def history(self) -> History:
        async with log_of(self._city, "auditor") as (log, _):
            return await log.load(self.case_id)

    async def names(self) -> list[str]:
        return [entry.name for entry in (await self.history()).entries]

    async def _seen(self, url: str) -> dict[str, Any] | None:
        await caught_up(self._city, "dispatch")
        rows: list[dict[str, Any]] = (await self._http.get(url)).raise_for_status().json()
        return next((row for row in rows if row["case_id"] == self.case_id), None)


async def a_case(city: Stack, http: httpx.AsyncClient, category: str = COVER) -> Desk:
    body = {"category": category, "description": "井盖破损", "place": {"community": "qiaotou"}}
    receipt = (await http.post(f"{city.service_url('intake')}/cases", json=body)).raise_for_status().json()
    await until_in_log(city, receipt["case_id"], "assigned")
    return Desk(city, http, receipt["case_id"])


def done(answer: httpx.Response) -> None:
    assert answer.status_code == 200, answer.text


async def test_a_case_that_two_departments_return_waits_for_the_street(
    city: Stack, http: httpx.AsyncClient
) -> None:
    desk = await a_case(city, http)
    seen = await desk.queue("water")
    assert seen
    assert (seen["step"], seen["paused"], seen["whistle"]) == ("assigned", None, None)
    assert seen["sign_by"] < seen["due_at"]
    done(await desk.act("water", "decline", reason="not ours"))
    assert await desk.queue("water") is None
    assert (await desk.queue("roads") or {})["responsible"] == "roads"
    done(await desk.act("roads", "decline", reason="nor ours"))
    waits = await desk.waiting("street:hebin")
    assert waits
    assert (waits["department"], waits["why"], waits["step"]) == (None, "returned_twice", "waiting")
    done(await desk.order("assign", department="water", reason="it is theirs"))
    assert await desk.waiting("street:hebin") is None
    assert await desk.names() == [
        *("reported", "filed", "assigned", "declined", "assigned", "declined", "escalated", "assigned")
    ]


async def test_a_case_is_worked_on_with_a_whistle_more_time_and_a_pause(
    city: Stack, http: httpx.AsyncClient
) -> None:
    desk = await a_case(city, http)
    assert (await desk.ask("water", "accept"))["ok"]
    first = await desk.queue("water")
    assert first
    until = datetime.fromisoformat(first["due_at"]) + timedelta(hours=2)
    assert (await desk.ask("water", "extend", until=until.isoformat(), reason="parts"))["ok"]
    done(await desk.order("grant"))
    done(await desk.act("water", "progress", note="half"))
    done(await desk.order("pause", reason="weather"))
    paused = await desk.queue("water")
    assert paused
    assert (paused["paused"], datetime.fromisoformat(paused["due_at"])) == ("weather", until)
    done(await desk.order("resume"))
    whistle = {
        "by": "community:qiaotou",
        "departments": ["water", "roads"],
        "lead": "water",
        "reason": "both",
    }
    done(await desk.order("whistle", **whistle))
    called = await desk.queue("roads")
    assert called
    assert (called["summoned"], called["responsible"], called["whistle"]) == (True, "water", 1)
    assert called["officer"]
    assert (await desk.ask("roads", "report-in", officer="roads-qiaotou"))["ok"]
    refused = await desk.ask("roads", "handle", photos=["https://photos.example.org/after.jpg"])
    assert refused["error"]["code"] == "only_the_lead"
    done(await desk.act("water", "handle", note="done", photos=["https://photos.example.org/after.jpg"]))
    assert await desk.queue("water") is None
    assert (await desk.names())[3:] == [
        *("accepted", "extension-requested", "extension-granted", "progress", "paused", "resumed"),
        *("blown", "summoned", "summoned", "reported-in", "handled"),
    ]


async def test_who_signs_at_the_same_moment_signs_once(city: Stack, http: httpx.AsyncClient) -> None:
    desk = await a_case(city, http)
    answers = await asyncio.gather(*(desk.act("water", "accept") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(len(answer.json()["event_ids"]) for answer in answers) == 1
    assert [entry.event for entry in (await desk.history()).entries if entry.name == "accepted"] == [
        Accepted(department="water")
    ]


async def test_hands_that_move_a_case_at_the_same_moment_leave_it_with_one_department(
    city: Stack, http: httpx.AsyncClient
) -> None:
    desk = await a_case(city, http)
    await asyncio.gather(
        desk.act("water", "decline", reason="not ours"),
        desk.order("assign", department="power", reason="theirs"),
        desk.order("assign", department="sanitation", reason="theirs"),
        desk.order("recall", reason="mine"),
    )
    holder: str | None = None
    for entry in (await desk.history()).entries:
        match entry.event:
            case Assigned(department=department):
                assert holder is None, "it was taken from nobody"
                holder = department
            case Declined(department=department) | Recalled(department=department):
                assert department == holder
                holder = None
            case _:
                pass
    # What the log says is what the queues say.
    for department in ("water", "power", "sanitation", "roads"):
        assert (await desk.queue(department) is not None) == (department == holder)


REFUSED: list[tuple[str, str, dict[str, Any], int, str, str]] = [
    ("water", "accept", {"note": "x"}, 422, "not_valid", "note"),
    ("water", "decline", {}, 422, "not_valid", "reason"),
    ("water", "jump", {}, 404, "unknown_verb", "verb"),
    ("water", "handle", {"photos": ["https://photos.example.org/a.jpg"]}, 409, "not_accepted", "case_id"),
    ("water", "report-in", {"officer": "x"}, 409, "not_summoned", "department"),
    ("water", "extend", {"until": "2020-01-01T00:00:00Z", "reason": "x"}, 422, "until_not_later", "until"),
    ("water", "extend", {"until": "2020-01-01T00:00:00", "reason": "x"}, 422, "not_valid", "until"),
    ("roads", "accept", {}, 409, "not_assigned_to_you", "department"),
    ("space", "accept", {}, 422, "unknown_department", "department"),
    ("", "assign", {"department": "space", "reason": "x"}, 422, "unknown_department", "department"),
    ("", "assign", {"department": "water", "reason": ""}, 422, "not_valid", "reason"),
    ("", "escalate", {"by": "the mayor", "reason": "x"}, 422, "not_valid", "by"),
    ("", "grant", {}, 409, "no_extension_open", "case_id"),
    ("", "pause", {"reason": "tea"}, 422, "unknown_pause", "reason"),
    ("", "acknowledge", {}, 409, "no_fast_lane", "case_id"),
    (
        "",
        "whistle",
        {"departments": ["water"], "lead": "water", "reason": "x"},
        422,
        "too_few_departments",
        "departments",
    ),
    (
        "",
        "whistle",
        {"departments": ["water", "roads"], "lead": "power", "reason": "x"},
        422,
        "lead_not_summoned",
        "lead",
    ),
    ("", "fly", {}, 404, "unknown_verb", "verb"),
]


async def test_what_cannot_be_is_refused_by_field_and_reason_and_nothing_is_added(
    city: Stack, http: httpx.AsyncClient
) -> None:
    desk = await a_case(city, http)
    for department, verb, said, status, code, field in REFUSED:
        answer = await (desk.act(department, verb, **said) if department else desk.order(verb, **said))
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code), (verb, said, problem)
        assert problem["errors"][0]["field"] == field, (verb, said, problem)
        assert problem["errors"][0]["reason"] != problem["errors"][0]["reason_zh"]
    assert await desk.names() == ["reported", "filed", "assigned"]


async def test_a_case_that_nobody_knows_is_refused(city: Stack, http: httpx.AsyncClient) -> None:
    nowhere = Desk(city, http, NOBODY)
    for answer in (await nowhere.act("water", "accept"), await nowhere.order("recall", reason="x")):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_case")
    over_the_bus = await nowhere.ask("water", "accept")
    assert (over_the_bus["ok"], over_the_bus["error"]["code"]) == (False, "unknown_case")
    bad = await nowhere.ask("water", "decline", reason="x", more=1)
    assert (bad["error"]["code"], bad["error"]["field"]) == ("not_valid", "more")
    unknown = await http.get(f"{city.service_url('dispatch')}/departments/space/queue")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_department")


async def test_what_is_recalled_waits_for_who_took_it(city: Stack, http: httpx.AsyncClient) -> None:
    desk = await a_case(city, http)
    before = datetime.now(UTC)
    done(await desk.order("recall", reason="mine"))
    waits = await desk.waiting("centre:hebin")
    assert waits
    assert (waits["why"], waits["department"]) == ("recalled", None)
    assert datetime.fromisoformat(waits["since"]) >= before
