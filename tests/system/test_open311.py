"""Open311 GeoReport v2 on a running stack: an independent client, and the way that a city's report app takes."""

import asyncio
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, Final
from xml.etree import ElementTree as ET

import httpx
import orjson
import pytest
import pytest_asyncio
from georeport import GeoReport  # type: ignore[import-untyped]  # it brings no types
from PIL import Image

from cli.embedded.postgres import SUPERUSER
from cli.stack.rulebook import example_policy
from cli.stack.state import Stack, dsn_for, repository
from libs.events.ids import case_id_of_import, case_id_of_tracking
from libs.events.policy import RuleBook, load
from libs.events.readmodel import pool_of, writing
from libs.events.settings import variable
from libs.events.web import BODY_BYTES_MAX
from services.intake.answers import ANSWER_CHARACTERS_MAX
from services.intake.open311 import table
from services.intake.open311.endpoint import BASE, ROOT
from services.intake.open311.filters import REQUESTS_MAX, WINDOW
from services.intake.open311.forms import FIELDS_MAX
from services.intake.open311.rows import RequestRow
from services.intake.open311.settings import Open311Settings
from services.intake.views import MODEL
from tests.support.cases import act, caught_up, until_in_log, verify
from tests.support.open311 import DEFINITION, DISCOVERY, ERRORS, REQUEST, SERVICE, conforms, list_of
from tests.support.signing import Signing
from tests.support.stack import log_of, whistle

BOOK: Final[RuleBook] = load(example_policy())
BURST: Final = "1401"
LAMP: Final = "0103"
VIOLENCE: Final = "1625"
CAREFUL: Final = next(each.code for each in BOOK.categories if not each.files_at_once)
UNKNOWN: Final = "0" * 20
UTF8: Final = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.fixture(scope="module")
def key(stack: Stack) -> str:
    made = whistle(stack, "key", "add", "report app", "--post", "integrator:app", "--json")
    assert made.returncode == 0, made.stderr
    return str(orjson.loads(made.stdout)["key"])


@pytest_asyncio.fixture
async def http(stack: Stack) -> Any:
    url = f"{stack.service_url('intake')}{BASE}"
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield client


async def posted(http: httpx.AsyncClient, key: str, code: str, **fields: str) -> dict[str, Any]:
    """What `POST /requests.json` answers to a good report."""
    form = {"api_key": key, "service_code": code, "address_id": "qiaotou", "description": "坏了"} | fields
    answer = await http.post("/requests.json", data=form)
    assert answer.status_code == 201, answer.text
    [receipt] = answer.json()
    assert "token" not in receipt
    return dict(receipt)


async def one(http: httpx.AsyncClient, case_id: str, **arguments: str) -> dict[str, Any]:
    """One request by its id."""
    answer = await http.get(f"/requests/{case_id}.json", params=arguments)
    assert answer.status_code == 200, answer.text
    [request] = answer.json()
    return dict(request)


async def listed(http: httpx.AsyncClient, **arguments: str) -> list[dict[str, Any]]:
    answer = await http.get("/requests.json", params=arguments)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    conforms(found, list_of(REQUEST))
    return found


# --- what it says of itself


@pytest.mark.parametrize("base", [ROOT, BASE])
async def test_discovery_is_what_validators_ask_for(stack: Stack, http: httpx.AsyncClient, base: str) -> None:
    url = stack.service_url("intake")
    found = await http.get(f"{url}{base}/discovery.json")
    conforms(found.json(), DISCOVERY)
    [endpoint] = found.json()["endpoints"]
    assert endpoint["url"] == f"{url}{BASE}"
    assert datetime.fromisoformat(endpoint["changeset"]) < datetime.now(UTC)
    xml = await http.get(f"{url}{base}/discovery.xml")
    assert xml.headers["content-type"] == "text/xml; charset=utf-8"
    assert xml.text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    root = ET.fromstring(xml.content)
    assert [each.text for each in root.findall("endpoints/endpoint/formats/format")] == endpoint["formats"]
    assert root.findtext("changeset") == found.json()["changeset"]


async def test_both_formats_say_the_same(http: httpx.AsyncClient) -> None:
    services = (await http.get("/services.json")).json()
    conforms(services, list_of(SERVICE))
    assert [each["service_code"] for each in services] == [each.code for each in BOOK.categories]
    root = ET.fromstring((await http.get("/services.xml")).content)
    assert [{child.tag: child.text for child in each} for each in root.findall("service")] == [
        {name: str(value).lower() if name == "metadata" else value for name, value in each.items()}
        for each in services
    ]
    english = await http.get("/services.json", headers={"Accept-Language": "en"})
    assert english.headers["content-language"] == "en"
    assert english.json()[0]["service_name"] == "Water supply manhole cover"


async def test_a_definition_asks_in_the_order_of_the_rule_book(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/services/{LAMP}.json")
    conforms(answer.json(), DEFINITION)
    questions = answer.json()["attributes"]
    assert [(each["code"], each["order"]) for each in questions] == [("post", 1), ("fault", 2)]
    with_metadata = {
        each["service_code"] for each in (await http.get("/services.json")).json() if each["metadata"]
    }
    assert with_metadata == {each.code for each in BOOK.categories if each.questions}
    conforms((await http.get(f"/services/{BURST}.json")).json(), DEFINITION)


# --- an independent client


@pytest.mark.parametrize("form", ["json", "xml"])
async def test_georeport_reads_everything(stack: Stack, http: httpx.AsyncClient, key: str, form: str) -> None:
    ids = [
        (await posted(http, key, BURST, description=f"{form} {n}"))["service_request_id"] for n in range(2)
    ]
    await caught_up(stack, "intake")
    client = GeoReport(f"{stack.service_url('intake')}{BASE}", output_format=form)
    services = await asyncio.to_thread(client.get_service_list)
    assert len(services) == len(BOOK.categories)
    definition = await asyncio.to_thread(client.get_service_definition, LAMP)
    assert definition["service_code"] == LAMP
    since = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = await asyncio.to_thread(
        client.get_service_requests, service_code=BURST, status="open,closed", start_date=since
    )
    assert {*ids} <= {each["service_request_id"] for each in found}
    both = await asyncio.to_thread(client.get_service_requests, service_request_id=",".join(ids))
    assert {each["service_request_id"] for each in both} == {*ids}
    request = await asyncio.to_thread(client.get_service_request, ids[0])
    assert (request["service_request_id"], request["status"]) == (ids[0], "open")


# --- the way of a report app


async def test_a_report_is_there_at_once_and_its_end_is_among_the_changes(
    stack: Stack, http: httpx.AsyncClient, key: str
) -> None:
    grid = next(each for each in BOOK.grids if each.community == "matou")
    receipt = await posted(http, key, BURST, address_id=grid.code, description="水管爆裂，电话 13812345678")
    case_id = receipt["service_request_id"]
    fresh = await one(http, case_id)
    conforms([fresh], list_of(REQUEST))
    assert (fresh["status"], fresh["service_code"], fresh["address_id"]) == ("open", BURST, grid.code)
    assert fresh["description"] == "水管爆裂，电话 ***"
    await until_in_log(stack, case_id, "assigned")
    with_water = await one(http, case_id)
    assert with_water["agency_responsible"] == "供排水公司"
    assert with_water["expected_datetime"] is not None
    for verb in ("accept", "handle"):
        await asyncio.to_thread(act, stack, "water", case_id, verb)
    before = (await one(http, case_id))["updated_datetime"]
    await asyncio.to_thread(verify, stack, case_id, "specialist:matou")
    await until_in_log(stack, case_id, "closed")
    await caught_up(stack, "intake")
    changed = await listed(http, updated_after=before)
    assert [each["updated_datetime"] for each in changed] == sorted(
        each["updated_datetime"] for each in changed
    )
    [closed] = [each for each in changed if each["service_request_id"] == case_id]
    assert (closed["status"], closed["status_notes"]) == ("closed", "已解决")
    assert closed == await one(http, case_id), "the list and the log say the same"
    [again] = await listed(http, service_request_id=case_id, status="open")
    assert again == closed, "ids override all other arguments"
    later = (datetime.fromisoformat(closed["updated_datetime"]) + timedelta(seconds=2)).isoformat()
    assert case_id not in {each["service_request_id"] for each in await listed(http, updated_after=later)}
    assert case_id not in {each["service_request_id"] for each in await listed(http, status="open")}
    steps = (await one(http, case_id, extensions="true"))["notes"]
    assert [each["type"] for each in steps][:3] == ["reported", "filed", "assigned"]
    assert steps[-1]["type"] == "closed"
    [more] = (
        await http.get("/requests.json", params={"service_request_id": case_id, "extensions": "true"})
    ).json()
    assert more["notes"] == steps


async def test_attributes_are_asked_for_kept_and_told(
    stack: Stack, http: httpx.AsyncClient, key: str
) -> None:
    answers = {"attribute[fault]": "dark", "attribute[post]": "HB-0127"}
    case_id = (await posted(http, key, LAMP, address_string="河滨路 3 号", **answers))["service_request_id"]
    request = await one(http, case_id, extensions="true")
    assert [(each["name"], each["value"], each["code"]) for each in request["attributes"]] == [
        ("post", "HB-0127", None),
        ("fault", "不亮", "dark"),
    ]
    history = await until_in_log(stack, case_id, "assigned")
    [brief] = [entry.event.model_dump()["brief"] for entry in history.entries if entry.name == "assigned"]
    assert {each["question"]: each["values"] for each in brief["answers"]} == {
        "post": ("HB-0127",),
        "fault": ("dark",),
    }
    root = ET.fromstring((await http.get(f"/requests/{case_id}.xml", params={"extensions": "true"})).content)
    assert [each.text for each in root.findall("request/attributes/attribute/name")] == ["post", "fault"]
    assert root.findtext("request/notes/note/type") == "reported"


async def test_the_tracking_number_stays_with_the_reporter_and_serves_as_token(
    stack: Stack, http: httpx.AsyncClient, key: str
) -> None:
    receipt = await posted(http, key, BURST)
    case_id = receipt["service_request_id"]
    tracking = next(
        word for word in receipt["service_notice"].replace("：", " ").split() if word.count("-") == 3
    )
    assert case_id_of_tracking(tracking) == case_id
    for form in ("json", "xml"):
        answer = await http.get(f"/tokens/{tracking.lower()}.{form}")
        assert case_id in answer.text, answer.text
    standing = await http.get(f"{stack.service_url('intake')}/cases/{tracking}")
    assert standing.status_code == 200
    await caught_up(stack, "intake")
    for text in (
        (await http.get("/requests.json", params={"extensions": "true"})).text,
        (await http.get(f"/requests/{case_id}.json", params={"extensions": "true"})).text,
    ):
        assert case_id in text
        assert tracking not in text
    assert (await http.get("/tokens/7K3M-9QXP-V2TB-HW4D.json")).status_code == 404


async def test_what_is_hidden_stands_in_no_list(stack: Stack, http: httpx.AsyncClient, key: str) -> None:
    said = {"description": "隔壁有人打人", "lat": "36.408", "long": "118.7135"}
    case_id = (await posted(http, key, VIOLENCE, **said))["service_request_id"]
    await caught_up(stack, "intake")
    assert case_id not in {each["service_request_id"] for each in await listed(http, service_code=VIOLENCE)}
    # Where it stands, the log may know before the list does: of each, what it does not tell.
    [in_list] = await listed(http, service_request_id=case_id)
    for told in (await one(http, case_id, extensions="true"), in_list):
        assert (told["description"], told["lat"], told["address"], told["address_id"]) == (None,) * 4
        assert "打人" not in orjson.dumps(told).decode()


async def test_a_rejected_report_is_closed_and_its_words_are_nobodys(
    stack: Stack, http: httpx.AsyncClient, key: str
) -> None:
    case_id = (await posted(http, key, CAREFUL, description="辱骂"))["service_request_id"]
    assert (await one(http, case_id))["description"] is None, "nobody has seen it yet"
    await reject(stack, case_id)
    request = await one(http, case_id)
    assert (request["status"], request["description"]) == ("closed", None)
    assert request["status_notes"] == "不予立案: 不属实"


async def reject(stack: Stack, case_id: str) -> None:
    body = {"by": "specialist:qiaotou", "reason": "不属实"}
    url = stack.service_url("intake")
    async with httpx.AsyncClient(base_url=url, auth=Signing(stack), timeout=60) as client:
        answer = await client.post(f"/cases/{case_id}/reject", json=body)
        assert answer.status_code == 200, answer.text


async def test_the_same_form_under_one_key_is_one_report(
    stack: Stack, http: httpx.AsyncClient, key: str
) -> None:
    form = {"api_key": key, "service_code": BURST, "address_id": "matou", "description": "once"}
    headers = {"Idempotency-Key": "the same for both"}
    answers = [await http.post("/requests.xml", data=form, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    [first, second] = [ET.fromstring(answer.content) for answer in answers]
    assert first.findtext("request/service_request_id") == second.findtext("request/service_request_id")
    async with log_of(stack, "auditor") as (log, _):
        history = await log.load(str(first.findtext("request/service_request_id")))
    assert [entry.name for entry in history.entries].count("reported") == 1
    assert history.entries[0].event.model_dump()["channel"] == "open311"


async def test_who_reports_is_sealed_and_told_to_nobody(
    stack: Stack, http: httpx.AsyncClient, key: str
) -> None:
    person = {"first_name": "小明", "last_name": "欧阳", "phone": "13812345678", "email": "ming@example.org"}
    case_id = (await posted(http, key, BURST, device_id="device-77", **person))["service_request_id"]
    async with log_of(stack, "auditor") as (log, _):
        history = await log.load(case_id)
    assert history.entries[0].event.model_dump()["reporter"].startswith("sealed.")
    written = "".join(entry.envelope.model_dump_json() for entry in history.entries)
    shown = (await http.get(f"/requests/{case_id}.json", params={"extensions": "true"})).text
    for secret in (*person.values(), "device-77"):
        assert secret not in written
        assert secret not in shown


async def test_pictures_come_with_the_form(stack: Stack, http: httpx.AsyncClient, key: str) -> None:
    written = BytesIO()
    Image.new("RGB", (8, 8), "red").save(written, "PNG")
    form = {"api_key": key, "service_code": BURST, "address_id": "qiaotou", "description": "with a picture"}
    files = [("media", ("a.png", written.getvalue(), "image/png")), ("media", ("none", b"", "image/png"))]
    answer = await http.post("/requests.json", data=form, files=files)
    assert answer.status_code == 201, answer.text
    async with log_of(stack, "auditor") as (log, _):
        history = await log.load(answer.json()[0]["service_request_id"])
    [photo] = history.entries[0].event.model_dump()["photos"]
    seen = await http.get(f"{stack.service_url('intake')}/attachments/{photo.removeprefix('sha256:')}")
    assert (seen.status_code, seen.headers["content-type"]) == (200, "image/png")
    for content in (b"no picture", b"<svg onload=alert(1)>"):
        refused = await http.post(
            "/requests.json", data=form, files={"media": ("a.png", content, "image/png")}
        )
        assert refused.status_code == 400, refused.text
        assert_errors(refused, "json")
    without_key = await http.post("/requests.xml", data={**form, "api_key": ""}, files=files)
    assert without_key.status_code == 403
    assert_errors(without_key, "xml")


# --- the guide

GUIDE: Final = (repository() / "docs" / "open311.md").read_text(encoding="utf-8")


async def test_the_guide_works_as_it_stands(stack: Stack, http: httpx.AsyncClient, key: str) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not here")
    [box] = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    case_id = (await posted(http, key, BURST))["service_request_id"]
    port = stack.service_url("intake").rpartition(":")[2]
    for line in box.splitlines():
        shown = line.replace("PORT", port).replace("KEY", key).replace("ID.json", f"{case_id}.json")
        _, *arguments = shlex.split(shown)
        found = await asyncio.to_thread(
            subprocess.run, [curl, "-sS", "--fail-with-body", *arguments], capture_output=True, check=False
        )
        assert found.returncode == 0, (line, found.stdout, found.stderr)


def test_the_guide_names_every_setting_and_bound() -> None:
    assert {name for name in Open311Settings.model_fields if variable(name) not in GUIDE} == set()
    for bound in (WINDOW.days, REQUESTS_MAX, ANSWER_CHARACTERS_MAX, FIELDS_MAX, BODY_BYTES_MAX // 1024):
        assert re.search(rf"\b{bound:,}\b", GUIDE), bound


# --- what is wrong

GOOD: Final = {"service_code": BURST, "address_id": "qiaotou"}


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"api_key": "wrong"}, 403, "key"),
        ({"api_key": ""}, 403, "key"),
        ({"service_code": ""}, 400, "service_code"),
        ({"service_code": "unheard"}, 404, "service_code"),
        ({"address_id": ""}, 400, "lat"),
        ({"lat": "118.78", "long": "31.98"}, 400, "lat"),
        ({"lat": "31.98"}, 400, "long"),
        ({"description": "x" * 4001}, 400, "description"),
        ({"description": "\0"}, 400, "description"),
        ({"media_url": "file:///etc/passwd"}, 400, "media_url"),
        ({"service_code": LAMP}, 400, "attribute[fault]"),
        ({"service_code": LAMP, "attribute[fault]": "broken"}, 400, "attribute[fault]"),
        ({"attribute[unheard]": "x"}, 400, "attribute[unheard]"),
    ],
)
async def test_a_form_that_is_wrong_is_refused_as_open311_does(
    http: httpx.AsyncClient, key: str, form: str, changes: dict[str, str], status: int, told: str
) -> None:
    answer = await http.post(f"/requests.{form}", data={"api_key": key, **GOOD, **changes})
    assert answer.status_code == status, answer.text
    assert told in answer.text
    assert_errors(answer, form)


def assert_errors(answer: httpx.Response, form: str) -> None:
    """The list of errors, with the status of the answer in each."""
    if form == "json":
        conforms(answer.json(), ERRORS)
        codes = [each["code"] for each in answer.json()]
    else:
        assert answer.headers["content-type"] == "text/xml; charset=utf-8"
        root = ET.fromstring(answer.content)
        assert root.tag == "errors"
        codes = [int(each.text or 0) for each in root.findall("error/code")]
    assert {*codes} == {answer.status_code}


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize(
    ("content_type", "content", "status"),
    [
        (UTF8, b"api_key=%FF", 400),
        (UTF8, b"api_key=\xff\xfe", 400),
        (UTF8, b"x=" + b"x" * 300_000, 400),
        ("multipart/form-data", b"--x", 400),
        ("multipart/form-data; boundary=x", b"no part", 400),
        (UTF8, b"&".join(b"a%d=x" % number for number in range(201)), 400),
        ("application/x-www-form-urlencoded; charset=gbk", b"api_key=x", 400),
        ("application/json", b'{"api_key": "x"}', 400),
        ("", b"", 400),
    ],
)
async def test_what_is_no_form_is_refused_as_open311_does(
    http: httpx.AsyncClient, form: str, content_type: str, content: bytes, status: int
) -> None:
    answer = await http.post(f"/requests.{form}", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == status, answer.text
    assert_errors(answer, form)


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/requests.{}?start_date=2026-01-01T00:00:00Z&end_date=2026-06-01T00:00:00Z", 400),
        ("/requests.{}?start_date=0001-01-01T00:00:00%2B14:00&end_date=0001-01-02T00:00:00Z", 400),
        ("/requests.{}?status=resolved", 400),
        ("/requests.{}?page_size=5000", 400),
        ("/requests.{}?service_code=%00", 400),
        (f"/requests/{UNKNOWN}.{{}}", 404),
        ("/requests/%FF.{}", 404),
        ("/services/unheard.{}", 404),
        ("/tokens/x.{}", 404),
        ("/unheard.{}", 404),
    ],
)
async def test_what_cannot_be_asked_is_refused_as_open311_does(
    http: httpx.AsyncClient, form: str, path: str, status: int
) -> None:
    answer = await http.get(path.format(form))
    assert answer.status_code == status, answer.text
    assert_errors(answer, form)


async def test_a_page_past_the_end_is_empty(stack: Stack, http: httpx.AsyncClient, key: str) -> None:
    for number in range(3):
        await posted(http, key, BURST, description=f"page {number}")
    await caught_up(stack, "intake")
    everything = await listed(http)
    pages = [await listed(http, page=str(page), page_size="2") for page in range(1, len(everything) // 2 + 3)]
    # By their ids: how they stand changes while the pages are turned.
    ids = [[each["service_request_id"] for each in page] for page in pages]
    assert [each for page in ids for each in page] == [each["service_request_id"] for each in everything]
    assert pages[-1] == []
    times = [each["requested_datetime"] for each in everything]
    assert times == sorted(times, reverse=True)


# --- how many

MANY: Final = 60_000


def some_row(number: int, now: datetime) -> RequestRow:
    grid, category = BOOK.grids[number % len(BOOK.grids)], BOOK.categories[number % len(BOOK.categories)]
    closed, moment = number % 5 > 0, now - timedelta(minutes=2 * number)
    return RequestRow(
        case_id=case_id_of_import("many", str(number)),
        live=True,
        category=category.code,
        channel="open311",
        description="路口的井盖破了，车子经过时响得厉害。" * 3,
        answers=(),
        photos=(),
        address="河滨街道 12",
        longitude=118.71,
        latitude=36.41,
        street="hebin",
        community=grid.community,
        grid=grid.code,
        requested_at=moment,
        updated_at=moment + timedelta(hours=30),
        state="closed" if closed else "accepted",
        closed=closed,
        seen=True,
        department="water",
        outcome="resolved" if closed else None,
    )


async def keep_many(stack: Stack) -> None:
    """Rows of so many requests, in the tables that answer."""
    dsn = dsn_for(stack.postgres_admin_dsn, SUPERUSER, stack.secret(SUPERUSER), database="whistle")
    now = datetime.now(UTC)
    async with pool_of(dsn) as pool, writing(pool, MODEL) as connection:
        for start in range(0, MANY, 5_000):
            await table.keep(connection, [some_row(number, now) for number in range(start, start + 5_000)])
        await connection.execute("ANALYZE requests")


@pytest.mark.full
@pytest.mark.parametrize("form", ["json", "xml"])
async def test_of_many_requests_a_thousand_are_listed(
    stack: Stack, http: httpx.AsyncClient, key: str, form: str
) -> None:
    http.headers["Authorization"] = f"Bearer {key}"
    if len(await listed(http)) < REQUESTS_MAX:
        await keep_many(stack)
    for arguments in ({}, {"status": "open"}, {"updated_after": "2026-01-01T00:00:00Z"}):
        answer = await http.get(f"/requests.{form}", params=arguments)
        assert answer.text.count("service_request_id") >= REQUESTS_MAX
