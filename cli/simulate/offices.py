"""The command centre, communities and reporters, over HTTP."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final

import structlog

from cli.demo.doors import Doors
from cli.demo.offices import Line, Office
from cli.simulate.habits import Opinion
from cli.simulate.memory import Memory
from libs.events.policy import RuleBook

log = structlog.get_logger(__name__)

GRANTS_SHARE: Final = 0.7
PAUSES_SHARE: Final = 0.02
RECALLS_SHARE: Final = 0.01
RAISES_SHARE: Final = 0.01
PAUSED_FROM: Final = 0.1  # of the time to handle
PAUSED_UNTIL: Final = 0.25
WHISTLES_SHARE: Final = 0.02
SCORES_SHARE: Final = 0.3
DEPARTMENTS_AT_WHISTLE: Final = 3


class Centre(Office):
    """Assigns what nobody has, decides about extensions, acknowledges, and now and then interferes."""

    look_seconds = 1.5  # its list is long when much is late

    def __init__(self, dispatch: Doors, book: RuleBook, memory: Memory, seed: int) -> None:
        super().__init__("centre", memory.deeds, seed)
        self._dispatch = dispatch
        self._book = book
        self._by = f"centre:{book.city.code}"

    async def look(self) -> Sequence[Line]:
        found: Sequence[Line] = await self._dispatch.get("/centre/waiting", as_=self._by)
        return [line for line in found if self._is_ours(line)]

    @staticmethod
    def _is_ours(line: Line) -> bool:
        return bool(line["asked_until"] or line["step"] == "waiting" or (line["lane"] and line["sign_by"]))

    def matter(self, line: Line) -> object:
        return line["case_id"], line["step"], line["since"], line["asked_until"], line["sign_by"]

    async def act(self, line: Line) -> None:
        case_id = line["case_id"]
        if line["asked_until"]:
            await self._decide(case_id, line["asked_until"])
        elif line["step"] == "waiting":
            chosen = self.random.choice(self._book.departments).code
            reason = "Settled by the desk · 指定办理"
            await self._say(case_id, "assign", department=chosen, reason=reason)
        else:
            await self._say(case_id, "acknowledge")

    async def _decide(self, case_id: str, until: str) -> None:
        if self.random.random() < GRANTS_SHARE:
            if await self._say(case_id, "grant", until=until):
                self.deeds.add("extension-granted", case_id)
        elif await self._say(case_id, "refuse", reason="It cannot wait · 不能再等"):
            self.deeds.add("extension-refused", case_id)

    async def hear_assigned(self, case_id: str, limit: timedelta) -> None:
        """Most cases are left to their departments."""
        fate = self.random.random()
        if fate < PAUSES_SHARE:
            await asyncio.sleep((limit * PAUSED_FROM).total_seconds())
            reason = self._book.pauses[0].code
            if await self._say(case_id, "pause", reason=reason):
                self.deeds.add("paused", case_id)
                await asyncio.sleep((limit * (PAUSED_UNTIL - PAUSED_FROM)).total_seconds())
                await self._say(case_id, "resume")
        elif fate < PAUSES_SHARE + RECALLS_SHARE:
            if await self._say(case_id, "recall", reason="Others are nearer · 他人更近"):
                self.deeds.add("recalled", case_id)
        elif fate < PAUSES_SHARE + RECALLS_SHARE + RAISES_SHARE:
            await self._say(case_id, "escalate", reason="Everybody asks for it · 群众反映强烈")

    async def _say(self, case_id: str, verb: str, **body: Any) -> bool:
        return await self.said(self._dispatch, case_id, verb, by=self._by, **body)


class Communities:
    """Blow the whistle on some of their cases, and score who served them."""

    def __init__(self, dispatch: Doors, evaluation: Doors, book: RuleBook, memory: Memory, seed: int) -> None:
        self._dispatch = dispatch
        self._evaluation = evaluation
        self._book = book
        self._memory = memory
        self._random = Random(f"communities/{seed}")

    async def hear_assigned(self, case_id: str, department: str, community: str) -> None:
        """Some problems need more than one department."""
        if self._random.random() >= WHISTLES_SHARE:
            return
        others = self._random.sample([each.code for each in self._book.departments], DEPARTMENTS_AT_WHISTLE)
        body = {
            "by": f"community:{community}",
            "departments": list(dict.fromkeys([department, *others])),
            "lead": department,
            "reason": "It needs all of them · 需多部门到场",
        }
        if await self._said(self._dispatch, case_id, "whistle", body):
            self._memory.deeds.add("blown", case_id, department)

    async def hear_closed(self, case_id: str, department: str, community: str) -> None:
        """Those who were served have a say in what the department is worth."""
        if self._random.random() >= SCORES_SHARE:
            return
        stars = self._random.choices((2, 3, 4, 5), (1, 2, 4, 4))[0]
        body = {"by": f"community:{community}", "department": department, "stars": stars}
        if await self._said(self._evaluation, case_id, "score", body):
            self._memory.deeds.add("scored", case_id, department)

    async def _said(self, doors: Doors, case_id: str, verb: str, body: Mapping[str, Any]) -> bool:
        answer = await doors.post(f"/cases/{case_id}/{verb}", body, as_=body["by"])
        if answer.refusal is not None:
            self._memory.deeds.refused[verb, answer.refusal] += 1
            log.info(
                "act_refused", office="community", verb=verb, case_id=case_id, reason=answer.response.text
            )
        return answer.done


class Reporters:
    """Say what they think once their case is over; some want it taken up again."""

    def __init__(self, evaluation: Doors, opinions: Iterator[Opinion], memory: Memory) -> None:
        self._evaluation = evaluation
        self._opinions = opinions
        self._memory = memory

    async def hear_closed(self, case_id: str, department: str) -> None:
        """Rate it, or not."""
        tracking, opinion = self._memory.tracking.get(case_id), next(self._opinions)
        if tracking is None or not opinion.rates or case_id in self._memory.rated:
            return
        self._memory.rated.add(case_id)
        body = {
            "tracking_number": tracking,
            "reached": opinion.reached,
            "solved": opinion.solved,
            "stars": opinion.stars,
            "reopen": opinion.wants_reopening,
        }
        answer = await self._evaluation.post("/ratings", body)
        if answer.refusal is not None:
            self._memory.deeds.refused["rate", answer.refusal] += 1
            log.info("act_refused", office="reporter", case_id=case_id, reason=answer.response.text)
            return
        self._memory.deeds.add("rated", case_id, department)
        self._memory.stars.setdefault(department, []).append(opinion.stars)
        if opinion.solved:
            self._memory.deeds.add("solved", case_id, department)
        if opinion.wants_reopening:
            self._memory.deeds.add("reopened", case_id, department)
