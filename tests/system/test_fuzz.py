"""What nobody would send, sent to every service: each answer is a clear one, and afterwards all is as before.

Schemathesis makes requests out of each service's own OpenAPI document, good and bad ones; some more are made by hand.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from cli.stack.state import Stack
from libs.events.bodies import PHOTOS_MAX
from libs.events.problems import PROBLEM_TYPE
from libs.events.web import BODY_BYTES_MAX
from tests.support.cases import caught_up

SERVICES: Final = ("intake", "dispatch", "evaluation", "notify")
POSTS: Final = (
    *("operator:test", "city:liuhe", "centre:liuhe", "specialist:qiaotou", "community:liuyuan"),
    *("department:water", "grid-worker:liuhe", "auditor:test", "integrator:test"),
)
"""Whoever holds all of these gets past every door, to what stands behind it."""
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
"""Not those about other methods: they know of no address that fits the pattern of another one, as `/patrols/orders`."""
EXAMPLES: Final = 3
"""Made up for each operation, beside those that cover every field of it: a bound that no slow machine moves."""
SLOW: Final = "/attachments"
"""A process of its own looks at each picture."""
SECONDS_FULL: Final = 90
SEED: Final = 311
ANSWER_SECONDS_MAX: Final = 900
JSON: Final = {"Content-Type": "application/json"}


def fuzz(stack: Stack, service: str, folder: Path, *more: str) -> tuple[int, str]:
    """How schemathesis ends on one service, and what it says."""
    folder.mkdir()
    found = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{stack.service_url(service)}/openapi.json"),
            *("--phases", "coverage,fuzzing", "--checks", ",".join(CHECKS)),
            *("--header", f"Authorization: Bearer {stack.token(*POSTS)}", "--continue-on-failure"),
            *("--request-timeout", "60", "--suppress-health-check", "too_slow"),  # the machine may be busy
            *("--no-color", "--warnings", "off", *more),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=ANSWER_SECONDS_MAX,
        check=False,
    )
    return found.returncode, found.stdout + found.stderr


async def fuzz_all(stack: Stack, folder: Path, *more: str) -> None:
    runs = (asyncio.to_thread(fuzz, stack, each, folder / each, *more) for each in SERVICES)
    ended = await asyncio.gather(*runs)
    told = [f"{service}\n{said}" for service, (code, said) in zip(SERVICES, ended, strict=True) if code]
    assert not told, "\n\n".join(told)
    assert all("generated" in said for _, said in ended), "something was asked"


async def test_every_service_answers_whatever_its_interface_allows_and_forbids(
    stack: Stack, tmp_path: Path
) -> None:
    bounded = ("--max-examples", str(EXAMPLES), "--exclude-path", SLOW, "--seed", str(SEED))
    await fuzz_all(stack, tmp_path, *bounded)


@pytest.mark.full
async def test_the_same_for_longer_with_another_seed_each_time(stack: Stack, tmp_path: Path) -> None:
    await fuzz_all(stack, tmp_path, "--max-time", str(SECONDS_FULL))


# --- by hand


@pytest_asyncio.fixture
async def http(stack: Stack) -> AsyncGenerator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {stack.token(*POSTS)}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        yield client


REPORT: Final[dict[str, Any]] = {
    "category": "0101",
    "description": "broken",
    "place": {"community": "qiaotou"},
}
CASE: Final = "0" * 20
RATING: Final[dict[str, Any]] = {
    "tracking_number": "7K3M-9QXP-V2TB-HW4D",
    "stars": 5,
    "reached": True,
    "solved": True,
}
DOORS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("intake", "/cases", REPORT),
    ("intake", f"/cases/{CASE}/reject", {"by": "specialist:qiaotou", "reason": "no"}),
    ("dispatch", f"/departments/water/cases/{CASE}/progress", {"note": "on the way"}),
    ("dispatch", f"/cases/{CASE}/assign", {"by": "centre:liuhe", "department": "water", "reason": "x"}),
    ("dispatch", "/patrols/orders", {"by": "centre:liuhe", "day": "2026-03-02"}),
    ("evaluation", f"/cases/{CASE}/verify", {"by": "specialist:qiaotou"}),
    ("evaluation", "/ratings", RATING),
    ("notify", "/webhooks", {"url": "https://example.org/hook", "types": []}),
)
"""One door of each kind, with what could be said there."""


def refused(answer: httpx.Response, *statuses: int) -> list[str]:
    """The fields of a refusal, which is a problem document with one of these statuses."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == PROBLEM_TYPE
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["title_zh"]
    return [each["field"] for each in document["errors"]]


@pytest.mark.parametrize(("service", "path", "good"), DOORS, ids=[path for _, path, _ in DOORS])
async def test_what_is_no_body_is_refused_at_every_door(
    stack: Stack, http: httpx.AsyncClient, service: str, path: str, good: dict[str, Any]
) -> None:
    url = f"{stack.service_url(service)}{path}"
    said = json.dumps(good).encode()
    for content in (b"{", said[:-1], said.replace(b"}", b"", 1) + b"]"):
        refused(await http.post(url, content=content, headers=JSON), 422)
    for content in (said.replace(b'"', b'"\xff', 1), b"[" * 100_000, b'{"by": ' + b"9" * 5_000 + b"}"):
        refused(await http.post(url, content=content, headers=JSON), 400)
    for document in (None, [], [good], "text", 1, True):
        refused(await http.post(url, json=document), 422)
    refused(await http.post(url, content=said, headers={"Content-Type": "text/plain"}), 415)
    refused(await http.post(url, data={"by": "centre:liuhe"}), 415)
    refused(await http.post(url, content=b" " * (BODY_BYTES_MAX + 1), headers=JSON), 413)
    fields = refused(await http.post(url, json={**good, "unheard": 1}), 422)
    assert fields == ["unheard"]


@pytest.mark.parametrize(("service", "path", "good"), DOORS, ids=[path for _, path, _ in DOORS])
async def test_a_field_of_the_wrong_type_is_named_at_every_door(
    stack: Stack, http: httpx.AsyncClient, service: str, path: str, good: dict[str, Any]
) -> None:
    url = f"{stack.service_url(service)}{path}"
    for name, right in good.items():
        for wrong in ({"a": 1}, [[1]], 1.5, "\0", "\ud800"):
            if type(wrong) is type(right) and not isinstance(wrong, str):
                continue
            content = json.dumps({**good, name: wrong}).encode()
            fields = refused(await http.post(url, content=content, headers=JSON), 422)
            assert {field.partition(".")[0] for field in fields} == {name}, (name, wrong)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"place": {"longitude": 36.4, "latitude": 118.7}}, "place.latitude"),
        ({"place": {"longitude": 181, "latitude": 0}}, "place.longitude"),
        ({"place": {"longitude": float("nan"), "latitude": 1}}, "place.longitude"),
        ({"place": {"longitude": float("inf"), "latitude": 1}}, "place.longitude"),
        ({"place": {"longitude": "1e999", "latitude": 1}}, "place.longitude"),
        ({"place": {"longitude": 1}}, "place.latitude"),
        ({"description": ""}, "description"),
        ({"description": "x" * 4_001}, "description"),
        ({"category": "\ud800"}, "category"),
        ({"channel": "x" * 101}, "channel"),
        ({"photos": ["x"] * (PHOTOS_MAX + 1)}, "photos"),
        ({"answers": {"unheard": ["x"]}}, "answers.unheard"),
        ({"answers": {"unheard": ["\0"]}}, "answers"),
    ],
)
async def test_a_report_that_cannot_be_is_refused_with_its_field(
    stack: Stack, http: httpx.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    content = json.dumps(REPORT | changes).encode()
    answer = await http.post(f"{stack.service_url('intake')}/cases", content=content, headers=JSON)
    assert field in refused(answer, 422)


@pytest.mark.parametrize(
    ("service", "question", "field"),
    [
        ("evaluation", "/scoreboard?until=2026-03-02T08:30:00", "until"),
        ("evaluation", "/scoreboard?since=2026-03-02", "since"),
        ("evaluation", "/scoreboard?until=1772411400", "until"),
        ("evaluation", "/scoreboard?by=%00", "query"),
        ("evaluation", "/patrols?since=99999-01-01", "since"),
        ("dispatch", "/patrols?day=0", "day"),
        ("dispatch", "/departments/%00/queue", "path"),
        ("intake", "/waiting?limit=99999999999999999999", "limit"),
        ("intake", "/waiting?limit=1e3", "limit"),
        ("intake", "/waiting?after=%FF", "after"),
        ("intake", "/cases/%ED%A0%80", "tracking_number"),
    ],
)
async def test_a_question_that_cannot_be_is_refused_with_its_field(
    stack: Stack, http: httpx.AsyncClient, service: str, question: str, field: str
) -> None:
    assert refused(await http.get(f"{stack.service_url(service)}{question}"), 422) == [field]


async def test_afterwards_all_is_as_before(stack: Stack, http: httpx.AsyncClient) -> None:
    """Nothing of it stands in the log in a way that a read model could not take, and nobody fell over it."""
    await caught_up(stack, *SERVICES)
    for service in SERVICES:
        parked = (await http.get(f"{stack.service_url(service)}/parked")).json()
        assert parked == [], service
        assert (await http.get(f"{stack.service_url(service)}/readyz")).status_code == 200
    assert {name: count for name, count in Stack.load(stack.home).restarts.items() if count} == {}
