"""Those who work through a list over HTTP: specialists confirm reports, verifiers look at what was handled."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

import structlog

from cli.demo.deeds import Deeds
from cli.demo.doors import Doors, NoAnswer

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 0.5
ACTS_AT_ONCE_MAX: Final = 12
LINES_MAX: Final = 200
REJECTS_SHARE: Final = 0.1
SENDS_BACK_SHARE: Final = 0.06

Line = Mapping[str, Any]


class Office(ABC):
    """Looks at a list again and again, and acts on each line of it once."""

    look_seconds = LOOK_SECONDS
    """How long it waits before it looks again."""

    def __init__(self, name: str, deeds: Deeds, seed: int) -> None:
        self.name = name
        self.deeds = deeds
        self.random = Random(f"{name}/{seed}")
        self._room = asyncio.Semaphore(ACTS_AT_ONCE_MAX)
        self._seen: set[object] = set()
        self.is_idle = False
        """Whether there was nothing to do when it last looked."""

    @abstractmethod
    async def look(self) -> Sequence[Line]:
        """What there is to do.  Raises NoAnswer."""

    def matter(self, line: Line) -> object:
        """What makes a line another one: a list may lag behind what was done about it."""
        return line["case_id"]

    @abstractmethod
    async def act(self, line: Line) -> None:
        """Do it; what is refused because somebody was faster is left alone.  Raises NoAnswer."""

    async def work(self) -> None:
        """Look and act until cancelled.  Raises NoAnswer when there is no list to look at."""
        while True:
            new = [line for line in await self.look() if self.matter(line) not in self._seen]
            self.is_idle = not new
            self._seen.update(map(self.matter, new))
            await asyncio.gather(*map(self._one, new))
            await asyncio.sleep(self.look_seconds)

    async def _one(self, line: Line) -> None:
        async with self._room:
            try:
                await self.act(line)
            except NoAnswer:
                self.deeds.unanswered += 1
                self._seen.discard(self.matter(line))

    async def said(self, doors: Doors, case_id: str, verb: str, **body: Any) -> bool:
        """Whether the act was done, and newly so.  Raises NoAnswer."""
        answer = await doors.post(f"/cases/{case_id}/{verb}", body, as_=body["by"])
        if answer.refusal is not None:
            self.deeds.refused[verb, answer.refusal] += 1
            log.info("act_refused", office=self.name, verb=verb, case_id=case_id, reason=answer.response.text)
        return answer.done


class Specialists(Office):
    """Confirm reports, or say why they are none."""

    def __init__(self, intake: Doors, city: str, deeds: Deeds, seed: int) -> None:
        super().__init__("specialist", deeds, seed)
        self._intake = intake
        self._city = city

    async def look(self) -> Sequence[Line]:
        found: Sequence[Line] = (
            await self._intake.get("/waiting", as_=f"specialist:{self._city}", limit=LINES_MAX)
        )["reports"]
        return found

    async def act(self, line: Line) -> None:
        case_id, by = line["case_id"], f"specialist:{line['community'] or self._city}"
        if self.random.random() < REJECTS_SHARE:
            reason = "Nothing was found · 现场未发现所述问题"
            if await self.said(self._intake, case_id, "reject", by=by, reason=reason):
                self.deeds.add("rejected", case_id)
        elif await self.said(self._intake, case_id, "file", by=by):
            self.deeds.add("filed", case_id)


class Verifiers(Office):
    """Somebody other than the handler: good, or back."""

    def __init__(self, evaluation: Doors, city: str, deeds: Deeds, seed: int) -> None:
        super().__init__("verifier", deeds, seed)
        self._evaluation = evaluation
        self._city = city

    async def look(self) -> Sequence[Line]:
        found: Sequence[Line] = await self._evaluation.get(
            "/to-verify", as_=f"specialist:{self._city}", limit=LINES_MAX
        )
        return found

    def matter(self, line: Line) -> object:
        return line["case_id"], line["handled_at"]

    async def act(self, line: Line) -> None:
        case_id, by = line["case_id"], f"specialist:{line['community'] or self._city}"
        if self.random.random() < SENDS_BACK_SHARE:
            reason = "Not clean yet · 未清理干净"
            if await self.said(self._evaluation, case_id, "return", by=by, reason=reason):
                self.deeds.add("handling-returned", case_id, line["department"])
        elif await self.said(self._evaluation, case_id, "verify", by=by, note="Seen · 已核查"):
            self.deeds.add("verified", case_id, line["department"])
