"""Everybody who has to do with a case, each at the door that they really have: HTTP, or the bus."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import httpx
import orjson

from cli.departments.serving import enable, signed_in
from cli.stack.state import Stack
from libs.events.contracts.dispatch import Escalated, EscalationReason
from libs.events.log import History
from libs.events.subjects import ask_subject
from tests.support.signing import Signing
from tests.support.stack import eventually, log_of

ANSWER_SECONDS_MAX: Final = 60
CENTRE: Final = "centre:hebin"
SPECIALIST: Final = "specialist:qiaotou"
PHOTO: Final[dict[str, Any]] = {"photos": ["https://photos.example.org/after.jpg"]}


class Receipt(NamedTuple):
    """What a reporter keeps."""

    tracking_number: str
    case_id: str


class People:
    """Everybody of one city."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient) -> None:
        self.stack = stack
        self.http = http
        http.auth = Signing(stack)

    async def post(
        self, service: str, path: str, said: Mapping[str, Any], replica: int = 0
    ) -> httpx.Response:
        """Something said to a service; to one of its replicas, by turns."""
        urls = self.stack.service_urls(service)
        return await self.http.post(f"{urls[replica % len(urls)]}{path}", json=said)

    async def report(self, category: str, description: str, channel: str = "web", **more: Any) -> Receipt:
        """Somebody reports a problem in Qiaotou, if *more* names no other place."""
        said = {"category": category, "description": description, "channel": channel}
        answer = done(
            await self.post("intake", "/cases", {**said, "place": {"community": "qiaotou"}, **more})
        )
        return Receipt(**answer)

    async def assigned(self, category: str, description: str = "损坏", **more: Any) -> Receipt:
        """The same, as soon as a department has it."""
        receipt = await self.report(category, description, **more)
        await self.until(receipt.case_id, "assigned")
        return receipt

    async def staff(self, case_id: str, verb: str, *, by: str = SPECIALIST, **said: Any) -> httpx.Response:
        """What a specialist makes of a report."""
        return await self.post("intake", f"/cases/{case_id}/{verb}", {"by": by, **said})

    async def department(
        self, department: str, case_id: str, verb: str, replica: int = 0, **said: Any
    ) -> httpx.Response:
        """A department on its page."""
        path = f"/departments/{department}/cases/{case_id}/{verb}"
        return await self.post("dispatch", path, said, replica)

    async def centre(
        self, case_id: str, verb: str, replica: int = 0, *, by: str = CENTRE, **said: Any
    ) -> httpx.Response:
        """The command centre, or another post."""
        return await self.post("dispatch", f"/cases/{case_id}/{verb}", {"by": by, **said}, replica)

    async def judge(
        self, case_id: str, verb: str, replica: int = 0, *, by: str = SPECIALIST, **said: Any
    ) -> httpx.Response:
        """Who looks at what was handled, closes, reopens or scores."""
        return await self.post("evaluation", f"/cases/{case_id}/{verb}", {"by": by, **said}, replica)

    async def rate(self, tracking_number: str, **said: Any) -> httpx.Response:
        """The reporter, by the tracking number alone."""
        whole = {"tracking_number": tracking_number, "reached": True, "solved": True, "stars": 5} | said
        return await self.post("evaluation", "/ratings", whole)

    async def ask(self, department: str, case_id: str, verb: str, **said: Any) -> dict[str, Any]:
        """A department on the bus."""
        return await self.ask_raw(department, verb, orjson.dumps({"case_id": case_id, **said}))

    async def ask_raw(self, department: str, verb: str, data: bytes) -> dict[str, Any]:
        """The same with any bytes."""
        await enable(self.stack, [department])
        async with signed_in(self.stack, department) as client:
            reply = await client.request(ask_subject(department, verb), data, timeout=ANSWER_SECONDS_MAX)
        answer: dict[str, Any] = orjson.loads(reply.data)
        return answer

    async def handled(self, department: str, case_id: str) -> None:
        """Signed for and handled, with a photo."""
        done(await self.department(department, case_id, "accept"))
        done(await self.department(department, case_id, "handle", note="done", **PHOTO))

    async def settled(
        self, category: str, department: str, description: str = "损坏", **more: Any
    ) -> Receipt:
        """A case from its report to its good end."""
        receipt = await self.assigned(category, description, **more)
        await self.handled(department, receipt.case_id)
        done(await self.judge(receipt.case_id, "verify"))
        return receipt

    async def standing(self, tracking_number: str) -> dict[str, Any]:
        """What the reporter sees."""
        url = self.stack.service_url("intake")
        return done(await self.http.get(f"{url}/cases/{tracking_number}"))

    async def history(self, case_id: str) -> History:
        """The case in the log."""
        async with log_of(self.stack, "auditor") as (log, _):
            return await log.load(case_id)

    async def names(self, case_id: str) -> list[str]:
        """What happened, in order."""
        return [entry.name for entry in (await self.history(case_id)).entries]

    async def until(self, case_id: str, event: str, times: int = 1) -> History:
        """The case as soon as that has happened so often."""
        return await self.until_that(case_id, lambda history: count(history, event) >= times)

    async def until_up(self, case_id: str, reason: EscalationReason) -> History:
        """The case as soon as it went up for this reason."""
        return await self.until_that(case_id, lambda history: bool(ups(history, reason)))

    async def until_that(self, case_id: str, holds: Callable[[History], bool]) -> History:
        """The case as soon as its log says so."""
        found: list[History] = []
        async with log_of(self.stack, "auditor") as (log, _):

            async def said() -> bool:
                found[:] = [await log.load(case_id)]
                return holds(found[0])

            await eventually(said)
        return found[0]


def done(answer: httpx.Response) -> dict[str, Any]:
    """The answer to what was taken."""
    assert answer.status_code in {200, 201}, answer.text
    said: dict[str, Any] = answer.json()
    return said


def count(history: History, event: str) -> int:
    """How often that happened."""
    return sum(entry.name == event for entry in history.entries)


def ups(history: History, reason: EscalationReason | None = None) -> list[Escalated]:
    """How the case went up, for this reason or any."""
    went = [entry.event for entry in history.entries if isinstance(entry.event, Escalated)]
    return [each for each in went if reason in {None, each.reason}]


async def at(moment: datetime) -> None:
    """Until a clock shows *moment*: what has no event of its own, such as the end of a time to rate."""
    loop, reached = asyncio.get_running_loop(), asyncio.Event()
    loop.call_later((moment - datetime.now(moment.tzinfo)).total_seconds(), reached.set)
    await reached.wait()
