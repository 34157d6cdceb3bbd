"""Intake on a running stack: places, near-duplicates, what waits for a specialist, what becomes of it."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from cli.stack.ports import free_port
from cli.stack.rulebook import example_policy
from cli.stack.state import Stack
from libs.events.jetstream import JetStream
from libs.events.log import History
from libs.events.policy import Grid, RuleBook, load
from services.intake.staff import SORTED_WITHIN
from tests.support.cases import caught_up, until_in_log
from tests.support.signing import Signing
from tests.support.stack import environment, eventually, log_of

BOOK: Final[RuleBook] = load(example_policy())
AT_ONCE: Final = next(each.code for each in BOOK.categories if each.files_at_once and not each.fast_lane)
CAREFUL: Final = next(each.code for each in BOOK.categories if not each.files_at_once)
UNKNOWN_CASE: Final = "0" * 20
METRE: Final = 1 / 111_195
"""In degrees of latitude."""


def middle(grid: Grid) -> tuple[float, float]:
    """A point inside of a grid that is more or less round."""
    ring = grid.polygons[0][0][:-1]
    return sum(point[0] for point in ring) / len(ring), sum(point[1] for point in ring) / len(ring)


@pytest_asyncio.fixture
async def http(stack: Stack) -> Any:
    url = stack.service_url("intake")
    async with httpx.AsyncClient(base_url=url, timeout=60, auth=Signing(stack)) as client:
        yield client


async def reported(
    http: httpx.AsyncClient, category: str, description: str, channel: str = "web", **place: Any
) -> dict[str, Any]:
    body = {"category": category, "description": description, "channel": channel, "place": place}
    answer = await http.post("/cases", json=body)
    assert answer.status_code == 201, answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


async def history_of(stack: Stack, case_id: str) -> History:
    async with log_of(stack, "auditor") as (log, _):
        return await log.load(case_id)


def problem_of(answer: httpx.Response, status: int) -> tuple[str, list[str]]:
    """Code and fields of a refusal, which speaks both languages."""
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert document["title"].isascii()
    assert not document["title_zh"].isascii()
    assert all(each["reason"] and not each["reason_zh"].isascii() for each in document["errors"])
    return document["code"], [each["field"] for each in document["errors"]]


# --- where it is


async def test_a_point_is_found_in_its_grid_whatever_was_stated(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    grid, other = BOOK.grids[0], next(g for g in BOOK.grids if g.community != BOOK.grids[0].community)
    longitude, latitude = middle(grid)
    receipt = await reported(
        http, AT_ONCE, "stated elsewhere", longitude=longitude, latitude=latitude, community=other.community
    )
    place = (await history_of(stack, receipt["case_id"])).entries[0].envelope.model_dump()["data"]["place"]
    assert (place["grid"], place["community"], place["located_by"]) == (grid.code, grid.community, "inside")
    assert place["street"] == BOOK.city.street_of()[grid.community]


async def test_outside_of_the_city_what_was_stated_stands(stack: Stack, http: httpx.AsyncClient) -> None:
    community = BOOK.grids[0].community
    receipt = await reported(http, AT_ONCE, "far away", longitude=2.35, latitude=48.85, community=community)
    place = (await history_of(stack, receipt["case_id"])).entries[0].envelope.model_dump()["data"]["place"]
    assert (place["grid"], place["community"], place["located_by"]) == (None, community, "outside")


async def test_without_a_point_a_grid_names_its_community_and_street(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    grid = BOOK.grids[0]
    receipt = await reported(http, AT_ONCE, "no point", grid=grid.code)
    place = (await history_of(stack, receipt["case_id"])).entries[0].envelope.model_dump()["data"]["place"]
    assert (place["grid"], place["community"], place["located_by"]) == (grid.code, grid.community, None)
    assert place["street"] == BOOK.city.street_of()[grid.community]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"category": "unheard"}, ["category"]),
        ({"place": {"community": "nowhere"}}, ["place.community"]),
        ({"place": {"street": "nowhere", "grid": "nowhere"}}, ["place.street", "place.grid"]),
        ({"place": {"longitude": 118.7}}, ["place.latitude"]),
        ({"place": {"longitude": 181, "latitude": 0}}, ["place.longitude"]),
        ({"place": {"grid": BOOK.grids[0].code, "community": BOOK.grids[-1].community}}, ["place.community"]),
        ({"place": {"community": "liuyuan", "street": "gulou"}}, ["place.street"]),
    ],
)
async def test_what_the_rule_book_does_not_know_is_refused_with_its_field(
    http: httpx.AsyncClient, changes: dict[str, Any], fields: list[str]
) -> None:
    body = {"category": AT_ONCE, "description": "x", "place": {}} | changes
    assert problem_of(await http.post("/cases", json=body), 422)[1] == fields


async def test_a_repeated_request_adds_nothing_and_another_one_under_its_key_is_refused(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    body = {"category": AT_ONCE, "description": "once", "place": {"community": "liuyuan"}}
    key = {"Idempotency-Key": "the same for both"}
    answers = [await http.post("/cases", json=body, headers=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    [receipt] = {answer.text for answer in answers}
    history = await history_of(stack, httpx.Response(200, text=receipt).json()["case_id"])
    assert [entry.name for entry in history.entries][:2] == ["reported", "filed"]
    assert sum(entry.name == "reported" for entry in history.entries) == 1
    other = await http.post("/cases", json=body | {"description": "twice"}, headers=key)
    assert problem_of(other, 409)[0] == "reported_differently"


# --- filing


async def test_a_careful_category_waits_for_a_specialist_who_files_it(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    receipt = await reported(http, CAREFUL, "waits", community="liuyuan")
    case_id = receipt["case_id"]

    async def listed() -> bool:
        found = [each for each in await waiting(http, "liuyuan") if each["case_id"] == case_id]
        for each in found:
            age = datetime.now(UTC) - datetime.fromisoformat(each["reported_at"])
            assert age >= SORTED_WITHIN, "the rules come first"
        return [each["description"] for each in found] == ["waits"]

    await eventually(listed)
    assert (await standing(http, receipt))["state"] == "reported"
    done = await http.post(f"/cases/{case_id}/file", json={"by": "specialist:liuyuan"})
    assert done.status_code == 200, done.text
    again = await http.post(f"/cases/{case_id}/file", json={"by": "specialist:liuyuan"})
    assert (len(done.json()["event_ids"]), again.json()["event_ids"]) == (1, [])
    history = await until_in_log(stack, case_id, "assigned")
    assert [entry.name for entry in history.entries][:3] == ["reported", "filed", "assigned"]
    assert history.entries[1].envelope.actor == "specialist:liuyuan"
    await caught_up(stack, "intake")
    assert case_id not in [each["case_id"] for each in await waiting(http, "liuyuan")]


async def test_a_grid_worker_files_at_once(stack: Stack, http: httpx.AsyncClient) -> None:
    receipt = await reported(http, CAREFUL, "seen on patrol", channel="patrol", community="liuyuan")
    [_, filed] = (await until_in_log(stack, receipt["case_id"], "filed")).events[:2]
    assert filed.model_dump() == {"category": CAREFUL, "reason": "trusted"}


async def test_a_rejected_report_tells_its_reporter_why(stack: Stack, http: httpx.AsyncClient) -> None:
    receipt = await reported(http, CAREFUL, "is private", community="liuyuan")
    path = f"/cases/{receipt['case_id']}"
    body = {"by": "specialist:liuyuan", "reason": "It lies on private ground."}
    assert (await http.post(f"{path}/reject", json=body)).status_code == 200
    told = await standing(http, receipt)
    assert (told["state"], told["reason"]) == ("rejected", "It lies on private ground.")
    code, _ = problem_of(await http.post(f"{path}/file", json={"by": "specialist:liuyuan"}), 409)
    assert code == "already_rejected"
    async with log_of(stack, "auditor") as (_, jetstream):

        async def told_so() -> bool:
            notice = await jetstream.last_on_leader("NOTICES", f"notice.{receipt['case_id']}.screen.2")
            return notice is not None and b"private ground" in notice.payload

        await eventually(told_so)


async def test_what_waits_is_paged_the_oldest_first(stack: Stack, http: httpx.AsyncClient) -> None:
    mine = [
        (await reported(http, CAREFUL, f"page {number}", community="matou"))["case_id"] for number in range(5)
    ]

    async def all_wait() -> bool:
        answer = await http.get("/waiting", params={"community": "matou"})
        return {each["case_id"] for each in answer.json()["reports"]} >= set(mine)

    await eventually(all_wait)
    pages: list[list[str]] = []
    after: str | None = None
    for _ in range(10):
        query: dict[str, Any] = {"community": "matou", "limit": 2} | ({"after": after} if after else {})
        page = (await http.get("/waiting", params=query)).json()
        pages.append([each["case_id"] for each in page["reports"]])
        after = page["next"]
        if after is None:
            break
    assert [case_id for page in pages for case_id in page] == mine
    assert problem_of(await http.get("/waiting", params={"community": "nowhere"}), 422)[1] == ["community"]


@pytest.mark.parametrize(
    ("verb", "body", "status", "fields"),
    [
        ("reject", {}, 422, ["reason"]),
        ("merge", {}, 422, ["into"]),
        ("adopt", {}, 422, ["category"]),
        ("file", {"reason": "because"}, 422, ["reason"]),
        ("file", {"category": "unheard"}, 422, ["category"]),
        ("file", {"by": "resident:x"}, 403, ["by"]),
        ("file", {"by": "specialist:nowhere"}, 422, ["by"]),
        ("shout", {}, 422, ["verb"]),
        ("merge", {"into": UNKNOWN_CASE}, 409, ["into"]),
        ("adopt", {"category": AT_ONCE}, 409, []),
    ],
)
async def test_a_wrong_request_names_the_field_and_changes_nothing(
    stack: Stack, http: httpx.AsyncClient, verb: str, body: dict[str, Any], status: int, fields: list[str]
) -> None:
    receipt = await reported(http, CAREFUL, "unchanged", community="liuyuan")
    answer = await http.post(f"/cases/{receipt['case_id']}/{verb}", json={"by": "centre:hebin"} | body)
    assert problem_of(answer, status)[1] == fields
    assert (await history_of(stack, receipt["case_id"])).version == 1


async def test_nobody_decides_about_a_case_that_is_not_there(http: httpx.AsyncClient) -> None:
    answer = await http.post(f"/cases/{UNKNOWN_CASE}/file", json={"by": "centre:hebin"})
    assert problem_of(answer, 404)[0] == "unknown_case"


# --- duplicates


async def test_the_second_of_two_like_reports_is_joined_to_the_first(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    longitude, latitude = middle(BOOK.grids[3])
    first = await reported(http, AT_ONCE, "井盖破损，行人危险", longitude=longitude, latitude=latitude)
    await until_in_log(stack, first["case_id"], "assigned")  # else it comes between the steps of the second
    await caught_up(stack, "intake")
    second = await reported(
        http, AT_ONCE, "井盖破损 行人很危险!", longitude=longitude, latitude=latitude + 5 * METRE
    )
    different = await reported(
        http, AT_ONCE, "Something else altogether", longitude=longitude, latitude=latitude
    )
    [_, merged] = (await history_of(stack, second["case_id"])).events
    assert merged.name() == "merged"
    assert merged.model_dump()["into"] == first["case_id"]
    assert merged.model_dump()["distance_metres"] == pytest.approx(5, abs=0.2)
    history = await until_in_log(stack, first["case_id"], "joined")
    [joined] = [entry for entry in history.entries if entry.name == "joined"]
    assert joined.event.model_dump()["report"] == second["case_id"]
    assert joined.envelope.actor == "system:intake"
    assert (await history_of(stack, different["case_id"])).events[1].name() == "filed"
    main, told = await standing(http, first), await standing(http, second)
    assert (told["joined"], main["joined"]) == (True, False)
    assert told["department"] == main["department"] is not None
    assert told["state"] == main["state"] == "assigned"
    assert [step["state"] for step in told["steps"]][:2] == ["reported", "merged"]


async def test_a_report_that_a_specialist_merges_stands_where_its_case_stands(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    main = await reported(http, AT_ONCE, "the main one", community="xiyuan")
    await until_in_log(stack, main["case_id"], "assigned")
    other = await reported(http, CAREFUL, "the same, says the specialist", community="xiyuan")
    body = {"by": "specialist:xiyuan", "into": main["case_id"]}
    assert (await http.post(f"/cases/{other['case_id']}/merge", json=body)).status_code == 200
    await until_in_log(stack, main["case_id"], "joined")
    assert (await standing(http, other))["state"] == "assigned"
    third = await reported(http, CAREFUL, "into the merged one", community="xiyuan")
    body = {"by": "specialist:xiyuan", "into": other["case_id"]}
    code, fields = problem_of(await http.post(f"/cases/{third['case_id']}/merge", json=body), 409)
    assert (code, fields) == ("into_merged", ["into"])


async def test_both_reporters_are_answered_when_the_case_ends(stack: Stack, http: httpx.AsyncClient) -> None:
    longitude, latitude = middle(BOOK.grids[6])
    place: dict[str, Any] = {"longitude": longitude, "latitude": latitude}
    main = await reported(http, AT_ONCE, "雨水箅子堵塞，路面积水", **place)
    await caught_up(stack, "intake")
    other = await reported(http, AT_ONCE, "雨水箅子堵塞 路面积水!", **place)
    await until_in_log(stack, main["case_id"], "joined")
    await until_in_log(stack, main["case_id"], "assigned")
    body = {"by": "centre:hebin", "outcome": "not_resolved", "note": "Private ground"}
    url = stack.service_url("evaluation")
    async with httpx.AsyncClient(base_url=url, timeout=60, auth=Signing(stack)) as evaluation:
        closed = await evaluation.post(f"/cases/{main['case_id']}/close", json=body)
        assert closed.status_code == 200, closed.text
    for receipt in (main, other):
        history = await until_in_log(stack, receipt["case_id"], "closed")
        version = next(entry.version for entry in history.entries if entry.name == "closed")
        subject = f"notice.{receipt['case_id']}.screen.{version}"
        async with log_of(stack, "auditor") as (_, jetstream):

            async def told(subject: str = subject, jetstream: JetStream = jetstream) -> bool:
                notice = await jetstream.last_on_leader("NOTICES", subject)
                return notice is not None and b"without being settled" in notice.payload

            await eventually(told)
        ends = await standing(http, receipt)
        assert (ends["state"], ends["ending"]["outcome"]) == ("closed", "not_resolved")


async def test_many_like_reports_at_once_are_all_answered_and_counted(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    longitude, latitude = middle(BOOK.grids[9])
    place: dict[str, Any] = {"longitude": longitude, "latitude": latitude}
    main = await reported(http, AT_ONCE, "路灯杆倾斜，有倒塌危险", **place)
    await caught_up(stack, "intake")
    receipts = await asyncio.gather(
        *(reported(http, AT_ONCE, "路灯杆倾斜，有倒塌危险。", **place) for _ in range(20))
    )

    async def all_joined() -> bool:
        history = await history_of(stack, main["case_id"])
        return sum(entry.name == "joined" for entry in history.entries) == len(receipts)

    await eventually(all_joined)
    joined = [
        event.model_dump()["report"]
        for event in (await history_of(stack, main["case_id"])).events
        if event.name() == "joined"
    ]
    assert sorted(joined) == sorted(receipt["case_id"] for receipt in receipts)


# --- without a database


async def test_reports_are_taken_while_postgresql_is_away_also_from_the_start(servers: Stack) -> None:
    port, nobody = free_port(), "postgresql://intake:none@127.0.0.1:1/whistle"
    settings = {
        "WHISTLE_NATS_URL": servers.nats_url,
        "WHISTLE_NATS_USER": "intake",
        "WHISTLE_NATS_PASSWORD": servers.secret("intake"),
        "WHISTLE_POSTGRES_DSN": nobody,
        "WHISTLE_TRACKING_SECRET": "a secret for tests",
        "WHISTLE_VAULT_DSN": nobody,
        "WHISTLE_VAULT_INDEX_SECRET": "another secret for tests",
        "WHISTLE_HTTP_PORT": str(port),
        "WHISTLE_OIDC_ISSUER": servers.issuer_url,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "services.intake.main"), env=environment(servers.home) | settings
    )
    try:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, timeout=60, auth=Signing(servers)) as alone:

            async def ready() -> bool:
                try:
                    return (await alone.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(ready)
            longitude, latitude = middle(BOOK.grids[0])
            receipt = await reported(alone, AT_ONCE, "no database", longitude=longitude, latitude=latitude)
            assert (await standing(alone, receipt))["state"] == "filed"
            for more in ({"contact": {"name": "王小明"}}, {"description": "请打 138 0013 8000"}):
                body = {"category": AT_ONCE, "description": "x", "place": {"community": "qiaotou"}, **more}
                answer = await alone.post("/cases", json=body)
                assert problem_of(answer, 503)[0] == "vault_unavailable"
                assert answer.headers["retry-after"]
            assert problem_of(await alone.get("/waiting"), 503)[0] == "unavailable"
            metrics = (await alone.get("/metrics")).text
            assert "whistle_duplicate_lookups_skipped_total 1.0" in metrics
    finally:
        process.terminate()
        await process.wait()


async def standing(http: httpx.AsyncClient, receipt: dict[str, Any]) -> dict[str, Any]:
    answer = await http.get(f"/cases/{receipt['tracking_number']}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def waiting(http: httpx.AsyncClient, community: str) -> list[dict[str, Any]]:
    answer = await http.get("/waiting", params={"community": community})
    assert answer.status_code == 200, answer.text
    reports: list[dict[str, Any]] = answer.json()["reports"]
    return reports
