"""What every service has in common over HTTP: health, one shape of error, a bounded body, a graceful stop."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from cli.stack.state import repository
from libs.events.access.web import may
from libs.events.errors import CaseUnreadable, LogUnavailable
from libs.events.moments import Day, Moment
from libs.events.problems import PROBLEM_TYPE
from libs.events.web import Check, Lifespan, Readiness, lag_check, serve, service_app

pytestmark = pytest.mark.asyncio

FOR_ANYBODY = [Depends(may("see-figures"))]
SECRET_TEXT = "the reporter is Wang Wei"
BODY_BYTES_MAX = 1_000
LARGER = {"/pictures": 2_000}


class Report(BaseModel):
    description: Annotated[str, Field(min_length=1, max_length=10)]
    latitude: Annotated[float, Field(le=90)]


READY = Readiness((Check("log", ok=True),))


async def is_ready() -> Readiness:
    return READY


def an_app(readiness: Readiness = READY, lifespan: Lifespan | None = None) -> FastAPI:
    async def ready() -> Readiness:
        return readiness

    app = service_app("Example", ready, lifespan, body_bytes_max=BODY_BYTES_MAX, larger_bodies=LARGER)
    failures: dict[str, Exception] = {
        "log": LogUnavailable("no answer"),
        "case": CaseUnreadable("abc", 42, SECRET_TEXT),
        "bug": RuntimeError(SECRET_TEXT),
        "database": ConnectionRefusedError(SECRET_TEXT),
        "database-starting": asyncpg.CannotConnectNowError(SECRET_TEXT),
    }

    @app.post("/cases", dependencies=FOR_ANYBODY)
    async def report(body: Report) -> Report:
        return body

    @app.post("/pictures", dependencies=FOR_ANYBODY)
    async def picture(request: Request) -> int:
        return len(await request.body())

    @app.get("/fail/{kind}", dependencies=FOR_ANYBODY)
    async def fail(kind: str) -> None:
        raise failures[kind]

    return app


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


async def get(path: str, app: FastAPI | None = None) -> httpx.Response:
    async with client_of(app or an_app()) as client:
        return await client.get(path)


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == PROBLEM_TYPE
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    assert document["type"] == f"urn:whistle:problem:{document['code']}"
    assert document["title"]
    assert document["title_zh"]
    return document


async def test_alive_ready_and_measured() -> None:
    assert (await get("/healthz")).json() == {"alive": True}
    ready = await get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    metrics = await get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "whistle_append_duration_seconds" in metrics.text


async def test_not_ready_names_every_check_and_hides_passwords() -> None:
    dsn = "postgresql://whistle:hush-db@127.0.0.1/whistle password=hush-too"
    checks = (Check("log", ok=True), Check("schema", ok=False, detail=dsn), lag_check(11_000, 10_000))
    answer = await get("/readyz", an_app(Readiness(checks)))
    assert answer.status_code == 503
    assert [(check["name"], check["ok"]) for check in answer.json()["checks"]] == [
        ("log", True),
        ("schema", False),
        ("lag", False),
    ]
    assert "11000 events behind the log, at most 10000" in answer.text
    assert "hush" not in answer.text


async def test_a_check_that_fails_itself_is_not_ready_and_tells_nothing() -> None:
    async def broken() -> Readiness:
        raise OSError(SECRET_TEXT)

    answer = await get("/readyz", service_app("Example", broken))
    assert answer.status_code == 503
    assert "OSError" in answer.text
    assert SECRET_TEXT not in answer.text


async def test_an_invalid_request_names_each_field_and_reason_in_both_languages() -> None:
    async with client_of(an_app()) as client:
        answer = await client.post("/cases", json={"description": "x" * 11})
    document = problem_of(answer)
    assert (answer.status_code, document["code"]) == (422, "not_valid")
    found = {error["field"]: error for error in document["errors"]}
    assert found.keys() == {"description", "latitude"}
    assert found["description"]["reason"] == "String should have at most 10 characters"
    assert found["description"]["reason_zh"] == "最多 10 个字符。"
    assert found["latitude"]["reason_zh"] == "缺少必填字段。"


async def test_a_body_that_is_no_json_is_one_problem_of_the_body() -> None:
    async with client_of(an_app()) as client:
        answer = await client.post("/cases", content=b"{", headers={"content-type": "application/json"})
    assert [error["field"] for error in problem_of(answer)["errors"]] == ["body"]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_does_not_say_that_it_is_json_is_not_read(content_type: str) -> None:
    said = b'{"description": "x", "latitude": 1}'
    headers = {"content-type": content_type} if content_type else {}
    async with client_of(an_app()) as client:
        answer = await client.post("/cases", content=said, headers=headers)
        right = await client.post(
            "/cases", content=said, headers={"content-type": "application/problem+json"}
        )
    assert (answer.status_code, problem_of(answer)["code"]) == (415, "unsupported_media_type")
    assert right.status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nowhere", 404, "not_found"),
        ("/cases", 405, "method_not_allowed"),
        ("/fail/log", 503, "log_unavailable"),
        ("/fail/case", 503, "case_unreadable"),
        ("/fail/database", 503, "unavailable"),
        ("/fail/database-starting", 503, "unavailable"),
        ("/fail/bug", 500, "internal_error"),
    ],
)
async def test_every_failure_has_one_shape_and_no_internals(path: str, status: int, code: str) -> None:
    answer = await get(path)
    assert (answer.status_code, problem_of(answer)["code"]) == (status, code)
    assert SECRET_TEXT not in answer.text


async def test_a_wrong_method_is_told_all_that_are_right_there() -> None:
    app = an_app()

    @app.get("/cases/{case_id}")
    @app.delete("/cases/{case_id}")
    async def case(case_id: str) -> str:
        return case_id

    async with client_of(app) as client:
        answer = await client.put("/cases/x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")


async def test_what_a_route_says_of_its_own_errors_stands_in_the_interface() -> None:
    app = an_app()
    own: dict[str, Any] = {"content": {"text/xml": {}}}

    @app.get("/old", responses={404: own})
    async def old(page: int) -> int:
        return page

    responses = (await get("/openapi.json", app)).json()["paths"]["/old"]["get"]["responses"]
    assert {status: [*told["content"]] for status, told in responses.items()} == {
        "200": ["application/json"],
        "404": ["text/xml"],
        "422": [PROBLEM_TYPE],
        "default": [PROBLEM_TYPE],
    }


async def test_who_meets_an_unavailable_log_is_told_when_to_try_again() -> None:
    assert int((await get("/fail/log")).headers["retry-after"]) > 0


async def test_an_unreadable_case_names_the_position_in_the_log() -> None:
    assert "42" in problem_of(await get("/fail/case"))["title"]


async def test_a_body_over_the_bound_is_refused_whether_announced_or_not() -> None:
    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 100 + 1):
            yield b" " * 100

    headers = {"content-type": "application/json"}
    async with client_of(an_app()) as client:
        announced = await client.post("/cases", content=b" " * (BODY_BYTES_MAX + 1), headers=headers)
        streamed = await client.post("/cases", content=unannounced(), headers=headers)
        small = await client.post("/cases", json={"description": "pothole", "latitude": 42.3})
    assert [announced.status_code, streamed.status_code, small.status_code] == [413, 413, 200]
    assert problem_of(announced)["code"] == problem_of(streamed)["code"] == "content_too_large"


async def test_a_path_may_take_more_than_others() -> None:
    async with client_of(an_app()) as client:
        sizes = {size: await client.post("/pictures", content=b" " * size) for size in (2_000, 2_001)}
        elsewhere = await client.post("/pictures/", content=b" " * 2_000)
    assert [answer.status_code for answer in (*sizes.values(), elsewhere)] == [200, 413, 413]


async def test_the_openapi_document_describes_errors_as_they_are() -> None:
    document = (await get("/openapi.json")).json()
    responses = document["paths"]["/cases"]["post"]["responses"]
    for status in ("422", "default"):
        assert responses[status]["content"] == {
            PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
    schemas = document["components"]["schemas"]
    assert {"Problem", "FieldProblem"} <= schemas.keys()
    assert "HTTPValidationError" not in schemas
    own = {"/healthz", "/readyz", "/contracts/", "/contracts/{name}"}
    assert document["paths"].keys() == own | {"/cases", "/pictures", "/fail/{kind}"}


async def test_every_service_answers_with_the_contracts_as_they_are_committed() -> None:
    folder = repository() / "docs" / "contracts"
    page = await get("/contracts/")
    assert page.headers["content-type"].startswith("text/html")
    assert page.content == (folder / "index.html").read_bytes()
    document = await get("/contracts/asyncapi.json")
    assert document.json()["asyncapi"] == "3.0.0"
    assert document.headers["access-control-allow-origin"] == "*"
    schema = await get("/contracts/whistle.case.assigned.v1.json")
    assert schema.headers["content-type"] == "application/schema+json"
    assert schema.json()["$id"] == "urn:whistle:contract:whistle.case.assigned.v1"


@pytest.mark.parametrize("name", ["other.json", "released", "..%2Fevents.md", "%2e%2e/events.md", "x" * 101])
async def test_what_is_no_contract_is_not_given_out(name: str) -> None:
    assert (await get(f"/contracts/{name}")).status_code in {404, 422}


class Served:
    """An application served for real on a free port of the loopback interface."""

    def __init__(self, app: FastAPI) -> None:
        self._port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(serve(app, "127.0.0.1", 0, on_listening=self._port.set_result))

    async def url(self) -> str:
        either: set[asyncio.Future[Any]] = {self._port, self.task}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return f"http://127.0.0.1:{self._port.result()}"


async def test_it_serves_until_a_signal_comes_and_lets_requests_end() -> None:
    app = an_app()
    begun, may_end = asyncio.Event(), asyncio.Event()

    @app.get("/slow", dependencies=FOR_ANYBODY)
    async def slow() -> str:
        begun.set()
        await may_end.wait()
        return "done"

    served = Served(app)
    async with httpx.AsyncClient(base_url=await served.url()) as client:
        assert (await client.get("/healthz")).status_code == 200
        answer = asyncio.create_task(client.get("/slow"))
        await begun.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        may_end.set()
        assert (await answer).json() == "done"
        await asyncio.wait_for(served.task, 60)


async def test_being_cancelled_is_the_same_graceful_stop_and_ends_the_lifespan() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        steps.append("begun")
        try:
            yield
        finally:
            steps.append("ended")

    served = Served(an_app(lifespan=lifespan))
    async with httpx.AsyncClient() as client:
        await client.get(f"{await served.url()}/healthz")
    served.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served.task
    assert steps == ["begun", "ended"]


async def test_a_route_that_does_not_ask_who_asks_is_not_served() -> None:
    app = an_app()

    @app.get("/forgotten/{case_id}")
    async def forgotten(case_id: str) -> str:
        return case_id

    with pytest.raises(RuntimeError, match=r"may\(\.\.\.\): GET /forgotten/{case_id}$"):
        await serve(app, "127.0.0.1", 0)


async def test_what_the_lifespan_raises_is_heard() -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        raise LogUnavailable("not there")
        yield

    with pytest.raises(LogUnavailable):
        await serve(an_app(lifespan=lifespan), "127.0.0.1", 0)


async def test_a_port_that_is_taken_is_an_error_of_its_own() -> None:
    served = Served(an_app())
    port = int((await served.url()).rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await serve(an_app(), "127.0.0.1", port)
    served.task.cancel()
    await asyncio.wait({served.task})


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("2026-03-02T08:30:00+08:00", True),
        ("2026-03-02T00:30:00Z", True),
        ("2026-03-02T08:30:00", False),
        ("1772411400", False),
        ("0.5", False),
        ("-1e3", False),
        ("nan", False),
        (1772411400, False),
        (True, False),
    ],
)
async def test_a_moment_is_written_out_with_its_zone(value: object, taken: bool) -> None:
    moment: TypeAdapter[object] = TypeAdapter(Moment)
    if taken:
        assert isinstance(moment.validate_python(value), datetime)
    else:
        with pytest.raises(ValidationError):
            moment.validate_python(value)
    with pytest.raises(ValidationError, match="Write the date out"):
        TypeAdapter[object](Day).validate_python(1772411400)
