"""Grid workers: each walks part of the day's patrol, checks in at points, and reports what lies there."""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import structlog

from cli.demo.doors import Doors
from cli.simulate.memory import Memory
from libs.events.policy import RuleBook

log = structlog.get_logger(__name__)

WALKS_AT_ONCE_MAX: Final = 4
PASSES_SHARE: Final = 0.8
FINDS_SHARE: Final = 0.15
FOUND: Final = ("1101", "0302", "1201")
"""What lies about: litter, full bins, small ads."""


class Workers:
    """The grid workers of the whole town."""

    def __init__(self, dispatch: Doors, intake: Doors, book: RuleBook, memory: Memory, seed: int) -> None:
        self._dispatch = dispatch
        self._intake = intake
        self._book = book
        self._memory = memory
        self._random = Random(f"patrol/{seed}")
        self._room = asyncio.Semaphore(WALKS_AT_ONCE_MAX)
        self._centre = f"centre:{book.city.code}"

    async def walk(self) -> None:
        """One patrol of every grid; nothing where today's were walked before, or cannot be now."""
        day = self._book.local(datetime.now(UTC)).date().isoformat()
        answer = await self._dispatch.post("/patrols/orders", {"day": day}, as_=self._centre)
        if answer.refusal is not None:
            self._memory.deeds.refused["order", answer.refusal] += 1
            return
        new = [order for order in answer.response.json() if order["new"] or answer.repeated]
        await asyncio.gather(*(self._one(order["order_id"]) for order in new))

    async def _one(self, order_id: str) -> None:
        async with self._room:
            order = await self._order(order_id)
            worker = order["worker"]
            passed = self._memory.points_passed.setdefault(order_id, set())
            for point in order["route"]:
                if self._random.random() < PASSES_SHARE and await self._check_in(order_id, worker, point):
                    passed.add(point["code"])
                    if self._random.random() < FINDS_SHARE:
                        await self._find(order_id, worker, point)
            await self._said(order_id, worker, "end", {})

    async def _order(self, order_id: str) -> Mapping[str, Any]:
        while True:  # its points are read from a model that follows the log
            order: Mapping[str, Any] | None = await self._dispatch.read(
                f"/patrols/{order_id}", as_=self._centre
            )
            if order is not None:
                return order
            await asyncio.sleep(0.1)

    async def _check_in(self, order_id: str, worker: str, point: Mapping[str, Any]) -> bool:
        here = {name: point[name] for name in ("longitude", "latitude")}
        return await self._said(order_id, worker, "check-in", {"point": point["code"], **here})

    async def _find(self, order_id: str, worker: str, point: Mapping[str, Any]) -> None:
        category = self._book.category(self._random.choice(FOUND)) or self._book.categories[0]
        body = {
            "category": category.code,
            "description": f"{category.name.zh}（巡查发现） {point['code']}",
            "channel": "patrol",
            "place": {"longitude": point["longitude"], "latitude": point["latitude"]},
        }
        key = {"Idempotency-Key": f"patrol-{uuid.uuid4().hex}"}
        answer = await self._intake.post("/cases", body, key, as_=worker)
        if answer.refusal is not None:
            self._memory.deeds.refused["report", answer.refusal] += 1
            return
        receipt = answer.response.json()
        self._memory.tracking[receipt["case_id"]] = receipt["tracking_number"]
        found = {"tracking_number": receipt["tracking_number"]}
        if await self._said(order_id, worker, "find", found):
            self._memory.finds.setdefault(order_id, set()).add(receipt["case_id"])

    async def _said(self, order_id: str, worker: str, verb: str, body: Mapping[str, Any]) -> bool:
        answer = await self._dispatch.post(f"/patrols/{order_id}/{verb}", body, as_=worker)
        if answer.refusal is not None:
            self._memory.deeds.refused[verb, answer.refusal] += 1
            log.warning("act_refused", office="worker", verb=verb, reason=answer.response.text)
        return answer.refusal is None


async def patrol_differences(dispatch: Doors, city: str, memory: Memory) -> list[str]:
    """Where what the city's centre knows of the patrols is not what the workers remember."""
    found: list[str] = []
    for order_id, passed in memory.points_passed.items():
        order = await dispatch.read(f"/patrols/{order_id}", as_=f"centre:{city}")
        if order is None or order["ended_at"] is None:
            found.append(f"patrol {order_id} is not known to have ended")
            continue
        says = {point["code"] for point in order["route"] if point["passed_at"]}
        if says != passed:
            found.append(f"patrol {order_id}: {len(says)} points passed, the worker remembers {len(passed)}")
        finds = {find["case_id"] for find in order["found"]}
        if finds != memory.finds.get(order_id, set()):
            found.append(f"patrol {order_id}: its finds are not those of the worker")
    return found
