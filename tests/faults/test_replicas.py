"""Two replicas of each service, killed between commit and acknowledgement while live cases flow: one of each fact.

Residents report over HTTP and departments act over HTTP or the bus; whoever gets no answer asks again.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from cli.departments.serving import enable, signed_in
from cli.stack.rulebook import example_in
from cli.stack.state import Stack
from libs.events.contracts.dispatch import Assigned
from libs.events.contracts.evaluation import CaseClosed
from libs.events.jetstream import JetStream, connected
from libs.events.jetstream.reader import Credentials, read
from libs.events.log import typed
from libs.events.subjects import ask_subject
from tests.support.faults import (
    CONSUMERS,
    QUICK,
    SECONDS_MAX,
    Blow,
    assert_whole,
    caught_up,
    events,
    kill,
    nobody_parked,
    restarts,
    seeded,
    stored,
    strike,
)
from tests.support.signing import Signing
from tests.support.stack import eventually, log_of, running, whistle

CASES: Final = 30
MANY_CASES: Final = 120
EVENTS_OF_A_CASE: Final = ("reported", "filed", "assigned", "accepted", "handled", "verified", "closed")
KILLED: Final = ("nats", "postgres", "intake", "intake-2")
"""Killed once more at moments of their own, besides the deaths at points in the code."""
TOLD: Final = ("reported", "assigned", "handled", "closed")
FOR_DEPARTMENTS: Final = ("assigned", "accepted", "handled", "verified", "closed")
SAID: Final[dict[str, dict[str, list[str]]]] = {
    "accept": {},
    "handle": {"photos": ["https://photos.example.org/after.jpg"]},
}
CATEGORIES: Final = ("0101", "0103", "0202", "0301", "0401", "1501", "1502")
REPORTS_AT_ONCE: Final = 12
AGAIN_SECONDS: Final = 0.1
DEATHS: Final = {
    "consume.committed": 6,
    "consume.before_commit": 4,
    "notify.told": 2,
    "commit.before_batch": 2,
}
"""How probable each is, in parts of twice the number of cases: few cases see about as many as many do."""
DEATHS_MIN: Final = 4
"""Far fewer than come about: a run without deaths would prove nothing."""
REQUEST_SECONDS_MAX: Final = 15.0


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    return seeded(request.node.name)


@pytest.fixture(params=[CASES, pytest.param(MANY_CASES, marks=pytest.mark.full)])
def cases(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def stack(chance: random.Random, tmp_path: Path, cases: int) -> Iterator[Stack]:
    faults = ",".join(f"{point}={number / (2 * cases)}" for point, number in DEATHS.items())
    deaths = {"WHISTLE_FAULTS": faults, "WHISTLE_FAULTS_SEED": str(chance.random())}
    # A city's own limits: no clock must run out while somebody is being killed.
    policy = example_in(tmp_path / "policy", time_lapse=1)
    with running(replicas=2, policy_dir=policy, settings=QUICK | deaths) as mortal:
        yield mortal


@dataclass(slots=True)
class Seen:
    """What has come into the log so far: which department got a case, and which cases are closed."""

    assigned: dict[str, asyncio.Future[str]] = field(
        default_factory=lambda: defaultdict(asyncio.get_running_loop().create_future)
    )
    closed: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    async def follow(self, stack: Stack) -> None:
        auditor = Credentials("auditor", stack.secret("auditor"))
        async with log_of(stack, "auditor") as (_, jetstream), aclosing(read(jetstream, auditor)) as reading:
            async for some in reading:
                for entry in map(typed, some):
                    if isinstance(entry.event, Assigned):
                        self.assigned[entry.case_id].set_result(entry.event.department)
                    if isinstance(entry.event, CaseClosed):
                        self.closed[entry.case_id].set()


@asynccontextmanager
async def following(stack: Stack) -> AsyncGenerator[Seen]:
    seen = Seen()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(seen.follow(stack))
        yield seen
        task.cancel()


class City:
    """Residents and departments, who ask again until they have an answer."""

    def __init__(self, stack: Stack, seen: Seen, http: httpx.AsyncClient, bus: dict[str, Client]) -> None:
        self._stack = stack
        self._seen = seen
        self._http = http
        http.auth = Signing(stack)
        self._bus = bus
        self._room = asyncio.Semaphore(REPORTS_AT_ONCE)

    async def live_through(self, number: int, category: str) -> str:
        """One case from its report to its closure; its id."""
        async with self._room:
            case_id = await self._report(number, category)
            department = await self._seen.assigned[case_id]
            for verb in ("accept", "handle"):
                act = self._act_over_bus if number % 2 else self._act_over_http
                await act(number, department, verb, case_id)
            await self._verify(number, case_id)
            await self._seen.closed[case_id].wait()
        return case_id

    async def _report(self, number: int, category: str) -> str:
        body = {"category": category, "description": f"number {number}", "place": {"community": "huochezhan"}}
        urls = self._stack.service_urls("intake")

        async def post(attempt: int) -> str | None:
            url = urls[(number + attempt) % len(urls)]
            answer = await self._http.post(
                f"{url}/cases", json=body, headers={"Idempotency-Key": f"key-{number:08}"}
            )
            return str(answer.json()["case_id"]) if _answered(answer) else None

        return await _by_both(post)

    async def _act_over_http(self, number: int, department: str, verb: str, case_id: str) -> None:
        urls = self._stack.service_urls("dispatch")

        async def post(attempt: int) -> str | None:
            url = urls[(number + attempt) % len(urls)]
            answer = await self._http.post(
                f"{url}/departments/{department}/cases/{case_id}/{verb}", json=SAID[verb]
            )
            return case_id if _answered(answer) else None

        await _by_both(post)

    async def _verify(self, number: int, case_id: str) -> None:
        urls = self._stack.service_urls("evaluation")

        async def post(attempt: int) -> str | None:
            url = urls[(number + attempt) % len(urls)]
            body = {"by": "specialist:huochezhan"}
            return (
                case_id
                if _answered(await self._http.post(f"{url}/cases/{case_id}/verify", json=body))
                else None
            )

        await _by_both(post)

    async def _act_over_bus(self, _: int, department: str, verb: str, case_id: str) -> None:
        async def ask(_: int) -> str | None:
            client = self._bus[department]
            body = orjson.dumps({"case_id": case_id, **SAID[verb]})
            reply = await client.request(ask_subject(department, verb), body, timeout=REQUEST_SECONDS_MAX)
            answer = orjson.loads(reply.data)
            if answer["ok"]:
                return case_id
            assert answer["error"]["code"] == "log_unavailable", answer
            return None

        await _until_answered(ask)


def _answered(answer: httpx.Response) -> bool:
    """Whether it is done; otherwise it is put off, and nothing else."""
    assert answer.is_success or answer.status_code == 503, answer.text
    return answer.is_success


async def _by_both(attempt: Callable[[int], Awaitable[str | None]]) -> str:
    """Ask both replicas at once, as somebody does who clicks twice; both must say the same."""
    one, other = await asyncio.gather(_until_answered(attempt), _until_answered(attempt, first=1))
    assert one == other
    return one


async def _until_answered(attempt: Callable[[int], Awaitable[str | None]], first: int = 0) -> str:
    number = first
    while True:
        try:
            answer = await attempt(number)
        except (httpx.TransportError, NatsError, OSError):
            answer = None
        if answer is not None:
            return answer
        number += 1
        await asyncio.sleep(AGAIN_SECONDS)  # as whoever has no answer waits before asking again


@asynccontextmanager
async def departments_on_bus(stack: Stack) -> AsyncGenerator[dict[str, Client]]:
    codes = (
        "water",
        "power",
        "roads",
        "sanitation",
        "greenery",
        "traffic-police",
        "urban-management",
        "housing",
    )
    await enable(stack, codes)
    async with AsyncExitStack() as connections:
        yield {code: await connections.enter_async_context(signed_in(stack, code)) for code in codes}


async def test_one_of_each_fact_whatever_dies(stack: Stack, chance: random.Random, cases: int) -> None:
    blows = [Blow(chance.randint(cases, cases * 4), name, partial(kill, stack, name)) for name in KILLED]
    categories = [chance.choice(CATEGORIES) for _ in range(cases)]
    async with (
        asyncio.timeout(SECONDS_MAX),
        following(stack) as seen,
        departments_on_bus(stack) as bus,
        httpx.AsyncClient(timeout=REQUEST_SECONDS_MAX, trust_env=False) as http,
        asyncio.TaskGroup() as group,
    ):
        city = City(stack, seen, http, bus)
        group.create_task(strike(stack, blows))
        lives = [
            group.create_task(city.live_through(number, category))
            for number, category in enumerate(categories)
        ]
    acknowledged = {life.result() for life in lives}
    assert len(acknowledged) == cases
    await caught_up(stack)
    deaths = restarts(stack)
    print(f"deaths: {deaths}")  # noqa: T201 - pytest shows it if it fails
    assert sum(deaths[name] for name in deaths if name.partition("-")[0] in CONSUMERS) >= DEATHS_MIN
    found = await events(stack)
    assert_whole(found)
    assert_once_each(found, acknowledged)
    await assert_told_once_each(stack, found)
    await nobody_parked(stack)
    for service in CONSUMERS:
        assert_as_from_log(stack, service)


def assert_once_each(found: list[dict[str, Any]], acknowledged: set[str]) -> None:
    facts: dict[str, list[str]] = defaultdict(list)
    for event in found:
        facts[event["subject"]].append(event["on"].split(".")[2])
    assert facts == {case_id: list(EVENTS_OF_A_CASE) for case_id in acknowledged}


async def assert_told_once_each(stack: Stack, found: list[dict[str, Any]]) -> None:
    """One notice for each cause; and each department has once what is for it."""
    causes = {event["id"] for event in found if event["on"].split(".")[2] in TOLD}
    told: Counter[str] = Counter()
    async with log_of(stack, "auditor") as (_, jetstream):
        for case_id in {event["subject"] for event in found}:
            page = await jetstream.multi_last("NOTICES", [f"notice.{case_id}.>"])
            told.update(orjson.loads(message.payload)["causationid"] for message in page.messages)
        assert told == Counter(causes)
        assert await stored(jetstream, "NOTICES") == len(causes)
    wanted = sum(event["on"].split(".")[2] in FOR_DEPARTMENTS for event in found)
    password = stack.secret("dispatch-bus")
    async with connected(stack.nats_url, user="dispatch-bus", password=password) as client:
        bus = JetStream(client)

        async def sourced() -> bool:
            return await stored(bus, "DEPARTMENTS") >= wanted

        await eventually(sourced)
        assert await stored(bus, "DEPARTMENTS") == wanted


def assert_as_from_log(stack: Stack, service: str) -> None:
    """The read models are those that come out of the log alone."""
    done = whistle(stack, "rebuild", service, "--json")
    assert done.returncode == 0, done.stderr
    report = orjson.loads(done.stdout)
    assert report["switched"]
    assert not report["differs"]
    assert report["cases_ahead"] == 0
    for table in report["tables"]:
        assert table["old_digest"] == table["new_digest"], table
