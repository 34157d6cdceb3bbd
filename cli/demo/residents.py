"""The residents: they report over HTTP, and some look up where their case stands."""

import asyncio
from collections.abc import Sequence
from typing import Final

import httpx
import structlog

from cli.demo.day import Day
from cli.demo.doors import Answer, Doors, NoAnswer
from cli.demo.figures import Figures, Receipt
from cli.demo.plan import PlannedReport

log = structlog.get_logger(__name__)

REPORTS_AT_ONCE_MAX: Final = 24
PATROL: Final = "patrol"
"""The channel that only grid workers have."""


class Residents:
    """Plays the planned reports against the doors of intake."""

    def __init__(self, intake: Doors, run: str, figures: Figures, photo: str) -> None:
        """`run` makes the idempotency keys of this run its own; *photo* is what they show with their reports."""
        self._photo = photo
        self._intake = intake
        self._run = run
        self._figures = figures
        self._room = asyncio.Semaphore(REPORTS_AT_ONCE_MAX)

    async def play(self, plan: Sequence[PlannedReport], day: Day) -> None:
        """Report everything in its time; returns when each report has its answer or was given up."""
        async with asyncio.TaskGroup() as group:
            for planned in plan:
                await day.until(planned.at_seconds)
                await self._room.acquire()
                group.create_task(self._report(planned, day))

    async def _report(self, planned: PlannedReport, day: Day) -> None:
        try:
            receipt = await self._acknowledged(planned)
        finally:
            self._room.release()
        after = planned.looks_up_after_seconds
        if receipt is not None and after is not None and day.elapsed + after < day.seconds:
            await asyncio.sleep(after)
            await self._look_up(receipt)

    async def _acknowledged(self, planned: PlannedReport) -> Receipt | None:
        sent_at = asyncio.get_running_loop().time()
        try:
            answer = await send(self._intake, planned, f"demo-{self._run}", [self._photo])
        except NoAnswer:
            self._figures.reports_given_up += 1
            log.exception("report_given_up", number=planned.number)
            return None
        if answer.refusal is not None:
            self._figures.reports_refused += 1
            log.error("report_refused", status=answer.response.status_code, reason=answer.response.text)
            return None
        content = answer.response.json()
        receipt = Receipt(content["tracking_number"], sent_at)
        self._figures.receipts[content["case_id"]] = receipt
        return receipt

    async def _look_up(self, receipt: Receipt) -> None:
        self._figures.lookups += 1
        try:
            await self._intake.get(f"/cases/{receipt.tracking_number}")
        except (NoAnswer, httpx.HTTPStatusError):
            log.exception("lookup_failed")
            self._figures.lookups_failed += 1


async def send(intake: Doors, planned: PlannedReport, run: str, photos: Sequence[str] = ()) -> Answer:
    """Report it; the definite answer.  Raises NoAnswer."""
    # The same key again: whatever became of the last attempt, there will be one case.
    key = {"Idempotency-Key": f"{run}-{planned.number:06}"}
    worker = f"grid-worker:{planned.community}" if planned.channel == PATROL else None
    return await intake.post("/cases", {**body_of(planned), "photos": list(photos)}, key, as_=worker)


def body_of(planned: PlannedReport) -> dict[str, object]:
    """What a resident sends."""
    return {
        "category": planned.category,
        "description": planned.description,
        "channel": planned.channel,
        "place": {
            "address": planned.address,
            "longitude": planned.longitude,
            "latitude": planned.latitude,
            "street": planned.street,
            "community": planned.community,
        },
    }
