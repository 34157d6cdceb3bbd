"""Evaluation on a running stack: verified by somebody else, sent back, rated, reopened, scored; and what is refused."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from cli.stack.rulebook import example_policy
from cli.stack.state import Stack
from libs.events.contracts.evaluation import CaseClosed, Outcome
from libs.events.log import History
from libs.events.policy import Grid, RuleBook, load
from tests.support.cases import caught_up, until_in_log
from tests.support.signing import Signing
from tests.support.stack import eventually, log_of

BOOK: Final[RuleBook] = load(example_policy())
GRID: Final = BOOK.grids[0]
CATEGORY: Final = next(each.code for each in BOOK.categories if each.files_at_once and not each.fast_lane)
SPECIALIST: Final = f"specialist:{GRID.community}"
COMMUNITY: Final = f"community:{GRID.community}"
NOBODY: Final = "0" * 20


class City:
    """The doors of the services, and what one does at them."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient) -> None:
        self.stack = stack
        self.http = http
        http.auth = Signing(stack)

    async def post(self, service: str, path: str, **body: Any) -> httpx.Response:
        return await self.http.post(f"{self.stack.service_url(service)}{path}", json=body)

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.http.get(f"{self.stack.service_url('evaluation')}{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def says(self, case_id: str, verb: str, **body: Any) -> httpx.Response:
        return await self.post("evaluation", f"/cases/{case_id}/{verb}", **body)

    async def rates(self, tracking: str, **body: Any) -> httpx.Response:
        whole = {"reached": True, "solved": True, "stars": 5, "text": ""} | body
        return await self.post("evaluation", "/ratings", tracking_number=tracking, **whole)

    async def report(self, description: str) -> dict[str, Any]:
        longitude, latitude = middle(GRID)
        place = {"longitude": longitude, "latitude": latitude}
        answer = await self.post(
            "intake", "/cases", category=CATEGORY, description=description, channel="patrol", place=place
        )
        assert answer.status_code == 201, answer.text
        receipt: dict[str, Any] = answer.json()
        return receipt

    async def department_of(self, case_id: str) -> str:
        history = await until_in_log(self.stack, case_id, "assigned")
        department = [entry.event for entry in history.entries if entry.name == "assigned"][-1]
        return str(department.model_dump()["department"])

    async def handle(self, case_id: str) -> str:
        """Sign for it and report it handled."""
        department = await self.department_of(case_id)
        for verb, body in (
            ("accept", {}),
            ("handle", {"note": "done", "photos": ["https://photos.example.org/after.jpg"]}),
        ):
            path = f"/departments/{department}/cases/{case_id}/{verb}"
            answer = await self.post("dispatch", path, **body)
            assert answer.status_code == 200, answer.text
        return department

    async def history(self, case_id: str) -> History:
        async with log_of(self.stack, "auditor") as (log, _):
            return await log.load(case_id)


def middle(grid: Grid) -> tuple[float, float]:
    """A point inside of a grid that is more or less round."""
    ring = grid.polygons[0][0][:-1]
    return sum(point[0] for point in ring) / len(ring), sum(point[1] for point in ring) / len(ring)


@pytest_asyncio.fixture
async def city(stack: Stack) -> AsyncGenerator[City]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield City(stack, http)


def refusal(answer: httpx.Response, status: int) -> tuple[str, list[str]]:
    """Code and fields of a refusal, which speaks both languages."""
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert document["title"].isascii()
    assert not document["title_zh"].isascii()
    assert all(each["reason"] and not each["reason_zh"].isascii() for each in document["errors"])
    return document["code"], [each["field"] for each in document["errors"]]


async def test_a_case_waits_for_somebody_else_to_look(city: City) -> None:
    receipt = await city.report("A cover rattles by the north gate")
    case_id = receipt["case_id"]
    department = await city.handle(case_id)
    await caught_up(city.stack, "evaluation")
    [waiting] = [
        each for each in await city.get("/to-verify", community=GRID.community) if each["case_id"] == case_id
    ]
    assert waiting["department"] == department
    assert waiting["verify_due_at"] > waiting["handled_at"]
    own = await city.says(case_id, "verify", by=f"department:{department}")
    assert refusal(own, 403) == ("role_needed", [])
    assert (await city.says(case_id, "verify", by=SPECIALIST)).status_code == 200
    again = await city.says(case_id, "verify", by=SPECIALIST)
    assert (again.status_code, again.json()["event_ids"]) == (200, [])
    assert refusal(await city.says(case_id, "verify", by="centre:hebin"), 409)[0] == "case_closed"
    *_, verified, closed = (await city.history(case_id)).entries
    assert (verified.name, closed.name, closed.sequence - verified.sequence) == ("verified", "closed", 1)
    assert closed.envelope.actor == SPECIALIST
    await caught_up(city.stack, "evaluation")
    assert case_id not in {each["case_id"] for each in await city.get("/to-verify", limit=500)}


async def test_a_dissatisfied_reporter_has_a_case_taken_up_again_once(city: City) -> None:
    receipt = await city.report("Litter lies behind the market since Monday")
    case_id, tracking = receipt["case_id"], receipt["tracking_number"]
    assert refusal(await city.rates(tracking), 409) == ("not_closed", ["case_id"])
    await city.handle(case_id)
    assert (await city.says(case_id, "return", by=SPECIALIST, reason="Half is left")).status_code == 200
    department = await city.handle(case_id)
    assert (await city.says(case_id, "verify", by=SPECIALIST)).status_code == 200
    assert refusal(await city.rates(tracking, stars=6), 422) == ("stars_out_of_scale", ["stars"])
    poor = {"solved": False, "stars": 2, "text": "It is all there again", "reopen": True}
    assert len((await city.rates(tracking, **poor)).json()["event_ids"]) == 2
    assert (await city.rates(tracking, **poor)).json()["event_ids"] == []
    await eventually(lambda: _assigned_times(city, case_id, 2))
    await city.handle(case_id)
    assert (await city.says(case_id, "verify", by=SPECIALIST)).status_code == 200
    assert refusal(await city.rates(tracking, **poor), 409) == ("reopened_already", ["reopen"])
    assert (await city.rates(tracking, solved=True, stars=4)).status_code == 200
    assert refusal(await city.rates(tracking, stars=1), 409) == ("rated_already", ["tracking_number"])
    scored = await city.says(case_id, "score", by=COMMUNITY, department=department, stars=4)
    assert scored.status_code == 200
    await caught_up(city.stack, "evaluation")
    for measure, times in (("reworked", 1), ("reopened", 1), ("rated", 2), ("satisfied", 1), ("scored", 1)):
        found = (await city.get(f"/measures/{measure}/cases", key=department, limit=1000))["cases"]
        assert [each["times"] for each in found if each["case_id"] == case_id] == [times], measure


async def _assigned_times(city: City, case_id: str, times: int) -> bool:
    return await _times(city, case_id, "assigned", times)


async def _times(city: City, case_id: str, event: str, times: int) -> bool:
    return sum(entry.name == event for entry in (await city.history(case_id)).entries) == times


async def test_reports_that_were_joined_end_with_their_case(city: City) -> None:
    words = "The street lamp at the school has been dark for three days"
    first = await city.report(words)
    await city.department_of(first["case_id"])
    await caught_up(city.stack, "intake")  # it looks for duplicates
    second = await city.report(words)
    await until_in_log(city.stack, second["case_id"], "merged")
    await until_in_log(city.stack, first["case_id"], "joined")
    by_hand = {"by": "centre:hebin", "outcome": "not_resolved", "note": "It belongs to the railway"}
    assert refusal(await city.says(second["case_id"], "close", **by_hand), 409)[0] == "case_merged"
    assert (await city.says(first["case_id"], "close", **by_hand)).status_code == 200
    closed = (await until_in_log(city.stack, second["case_id"], "closed")).entries[-1].event
    assert isinstance(closed, CaseClosed)
    assert (closed.outcome, closed.joined_to) == (Outcome.NOT_RESOLVED, first["case_id"])
    assert (await city.rates(second["tracking_number"], stars=1, solved=False)).status_code == 200
    reopened = await city.rates(second["tracking_number"], stars=1, solved=False, reopen=True)
    assert reopened.status_code == 200
    taken_up = (await until_in_log(city.stack, first["case_id"], "reopened")).entries
    [event] = [entry.event for entry in taken_up if entry.name == "reopened"]
    assert event.model_dump()["by"] == f"report:{second['case_id']}"
    await eventually(lambda: _assigned_times(city, first["case_id"], 2))
    await caught_up(city.stack, "dispatch")
    assert await _assigned_times(city, second["case_id"], 0), "the work is done once, in the case"
    assert (await city.says(first["case_id"], "close", **by_hand)).status_code == 200
    await eventually(lambda: _times(city, second["case_id"], "closed", 2))


@pytest.mark.parametrize(
    ("verb", "body", "status", "expected"),
    [
        ("verify", {"by": SPECIALIST}, 404, ("unknown_case", ["case_id"])),
        ("verify", {"by": "somebody"}, 422, ("not_valid", ["by"])),
        ("verify", {"by": "system:evaluation"}, 422, ("not_valid", ["by"])),
        ("verify", {}, 404, ("unknown_case", ["case_id"])),
        ("return", {"by": SPECIALIST, "reason": ""}, 422, ("not_valid", ["reason"])),
        ("close", {"by": SPECIALIST, "outcome": "unknown", "note": "-"}, 422, ("not_valid", ["outcome"])),
        ("reopen", {"by": SPECIALIST, "reason": "-", "count": 1}, 422, ("not_valid", ["count"])),
        (
            "score",
            {"by": COMMUNITY, "department": "moon", "stars": 4},
            422,
            ("unknown_department", ["department"]),
        ),
        ("fly", {"by": SPECIALIST}, 404, ("unknown_verb", ["verb"])),
    ],
)
async def test_bad_input_names_field_and_reason(
    city: City, verb: str, body: dict[str, Any], status: int, expected: tuple[str, list[str]]
) -> None:
    assert refusal(await city.says(NOBODY, verb, **body), status) == expected


async def test_unknown_tracking_numbers_and_measures_are_named(city: City) -> None:
    assert refusal(await city.rates("1234"), 422) == ("invalid_tracking_number", ["tracking_number"])
    assert refusal(await city.rates("7K3M-9QXP-V2TB-HW4D"), 404) == (
        "unknown_tracking_number",
        ["tracking_number"],
    )
    url = city.stack.service_url("evaluation")
    for path, code in (
        ("/measures/speed/cases", "unknown_measure"),
        ("/appraisal?scheme=x", "unknown_scheme"),
    ):
        assert refusal(await city.http.get(f"{url}{path}"), 404)[0] == code


async def test_two_who_look_at_once_close_it_once(city: City) -> None:
    case_id = (await city.report("A sign leans over the pavement"))["case_id"]
    await city.handle(case_id)
    street = BOOK.areas_of(GRID.code)[2]
    posts = [
        *(f"{kind}:{GRID.code}" for kind in ("specialist", "grid", "grid-worker", "informant")),
        *(SPECIALIST, COMMUNITY, f"street:{street}", f"centre:{BOOK.city.code}"),
    ]
    answers = await asyncio.gather(*(city.says(case_id, "verify", by=by) for by in posts))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 7]
    names = [entry.name for entry in (await city.history(case_id)).entries]
    assert (names.count("verified"), names.count("closed")) == (1, 1)


async def test_an_appraisal_can_be_followed_down_to_its_cases(city: City) -> None:
    case_id = (await city.report("A bin has fallen over at the bus stop"))["case_id"]
    department = await city.handle(case_id)
    assert (await city.says(case_id, "verify", by=SPECIALIST)).status_code == 200
    await caught_up(city.stack, "evaluation")
    result = await city.get("/appraisal", by="department")
    [ours] = [score for score in result["scores"] if score["key"] == department]
    handled = next(used for item in ours["items"] for used in item["measures"] if used["name"] == "handled")
    behind = await city.get("/measures/handled/cases", **handled["query"], limit=1000)
    assert sum(each["times"] for each in behind["cases"]) == float(handled["value"])
    assert case_id in {each["case_id"] for each in behind["cases"]}
