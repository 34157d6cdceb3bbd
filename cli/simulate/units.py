"""Patrol cars, riders and repair vans: each says where it is, goes where it is sent, and is free again."""

import asyncio
from random import Random
from statistics import fmean
from typing import Any, Final

import structlog

from cli.demo.doors import Doors
from cli.simulate.memory import Memory
from libs.events.policy import RuleBook

log = structlog.get_logger(__name__)

UNITS_MAX: Final = 12
REPORTS_SECONDS: Final = 1.0
ON_THE_SPOT_SECONDS: Final = 0.5
DEGREES_MOVED_MAX: Final = 0.001


class Units:
    """All units of the town; their departments, in turn, each have some."""

    def __init__(self, dispatch: Doors, book: RuleBook, memory: Memory, seed: int) -> None:
        self._dispatch = dispatch
        self._memory = memory
        self._random = Random(f"units/{seed}")
        self._kinds = [(each.code, kind) for each in book.departments for kind in each.unit_kinds][:UNITS_MAX]
        self._middles = [_middle(grid.polygons[0][0]) for grid in book.grids]

    async def work(self) -> None:
        """Drive about until cancelled."""
        if not self._middles:
            return
        async with asyncio.TaskGroup() as group:
            for number, (department, kind) in enumerate(self._kinds, 1):
                group.create_task(self._drive(department, f"{kind}-{number}", kind))

    async def _drive(self, department: str, unit: str, kind: str) -> None:
        path, own = f"/departments/{department}/units/{unit}", f"department:{department}"
        longitude, latitude = self._random.choice(self._middles)
        over: str | None = None
        while True:
            longitude += self._random.uniform(-1, 1) * DEGREES_MOVED_MAX
            latitude += self._random.uniform(-1, 1) * DEGREES_MOVED_MAX
            body: dict[str, Any] = {
                "kind": kind,
                "longitude": longitude,
                "latitude": latitude,
                "status": "free",
            }
            answer = await self._dispatch.put(path, body | ({"mission_over": over} if over else {}), as_=own)
            if answer.refusal is not None:
                self._memory.deeds.refused["unit", answer.refusal] += 1
                log.warning("act_refused", office="unit", reason=answer.response.text)
                return
            over = answer.response.json()["mission"]
            await asyncio.sleep(ON_THE_SPOT_SECONDS if over else REPORTS_SECONDS)


def _middle(ring: tuple[tuple[float, float], ...]) -> tuple[float, float]:
    east, north = (fmean(degrees) for degrees in zip(*ring[1:], strict=True))
    return east, north
