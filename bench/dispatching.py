"""From a report over HTTP to the fact that a department has it, at a steady rate, with all services running."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final
from urllib.parse import urlsplit

import orjson

from bench.arena import Arena
from bench.figures import Figure, percentile
from bench.plan import Plan
from bench.work import Tell
from libs.events.contracts.dispatch import Assigned
from libs.events.log import Log, opened

P99_NAME: Final = "report over HTTP to Assigned, p99"
REPORTS_PER_SECOND: Final = 200
CONNECTIONS: Final = 64
READER: Final = "auditor"
WAIT_SECONDS_MAX: Final = 30.0
LOOK_SECONDS: Final = 0.2
HEAD: Final = (
    b"POST /cases HTTP/1.1\r\nHost: intake\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
LENGTH: Final = re.compile(rb"(?i)content-length: *(\d+)")
CATEGORY: Final = "1101"
DEGREES_APART: Final = 0.002  # far enough that no report is taken for another one


class ReportRefused(Exception):
    """Intake answered a report with something else than a receipt."""


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """The median and the 99th percentile of each repetition, in milliseconds of the wall clock."""
    medians: list[float] = []
    tails: list[float] = []
    numbers = count()
    async with arena.connection(READER) as client, opened(client) as log:
        for repetition in range(plan.repetitions + 1):
            warming = repetition == 0
            reports = REPORTS_PER_SECOND if warming else plan.reports
            tell(f"{reports:,} reports at {REPORTS_PER_SECOND}/s, repetition {repetition}")
            sent = await _report(arena.stack.service_url("intake"), reports, numbers)
            took = [await _assigned_at(log, case_id) - at for case_id, at in sent.items()]
            if not warming:  # the first second after a start is not what a city sees
                medians.append(1000 * percentile(took, 0.5))
                tails.append(1000 * percentile(took, 0.99))
    note = f"{REPORTS_PER_SECOND} reports/s, {plan.reports:,} of them"
    return [
        Figure("dispatch", "report over HTTP to Assigned, p50", "ms", tuple(medians), note),
        Figure("dispatch", P99_NAME, "ms", tuple(tails), note),
    ]


async def _report(url: str, reports: int, numbers: "count[int]") -> dict[str, float]:
    """When each report was sent, by case id."""
    sent: dict[str, float] = {}
    clock = asyncio.get_running_loop().time
    async with _lines(url) as lines:

        async def one(number: int) -> None:
            at = time.time()
            line = await lines.get()
            sent[await line.report(_body(number))] = at
            lines.put_nowait(line)

        began = clock()
        sending: list[asyncio.Task[None]] = []
        for index in range(reports):
            await asyncio.sleep(max(0.0, began + index / REPORTS_PER_SECOND - clock()))
            sending.append(asyncio.create_task(one(next(numbers))))
        await asyncio.gather(*sending)
    return sent


@asynccontextmanager
async def _lines(url: str) -> "AsyncGenerator[asyncio.Queue[_Line]]":
    """Open connections: a full HTTP client costs as much as all services together."""
    address = urlsplit(url)
    free: asyncio.Queue[_Line] = asyncio.Queue()
    lines = [
        _Line(*await asyncio.open_connection(address.hostname, address.port)) for _ in range(CONNECTIONS)
    ]
    for line in lines:
        free.put_nowait(line)
    try:
        yield free
    finally:
        for line in lines:
            line.writer.close()


@dataclass(frozen=True, slots=True)
class _Line:
    """One connection that is kept."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def report(self, body: bytes) -> str:
        """Send one report; its case id."""
        self.writer.write(HEAD % len(body) + body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        answer = await self.reader.readexactly(int(length[1]) if length else 0)
        if not head.startswith(b"HTTP/1.1 201"):
            raise ReportRefused(answer.decode(errors="replace"))
        case_id: str = orjson.loads(answer)["case_id"]
        return case_id


def _body(number: int) -> bytes:
    row, column = divmod(number, 200)
    place = {"longitude": -60 + column * DEGREES_APART, "latitude": row * DEGREES_APART}
    return orjson.dumps({"category": CATEGORY, "description": f"litter {number}", "place": place})


async def _assigned_at(log: Log, case_id: str) -> float:
    """When the assignment was written, by the wall clock that the services share with us."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            history = await log.load(case_id)
            for entry in history.entries:
                if isinstance(entry.event, Assigned):
                    return entry.envelope.recordedtime.timestamp()
            await asyncio.sleep(LOOK_SECONDS)
