"""What the services say of themselves while the day passes: cases by state, and how far each is behind."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from cli.stack.state import Stack
from cli.tokens import Tokens

ANSWER_SECONDS_MAX: Final = 5.0
WATCHED: Final = ("dispatch", "evaluation", "notify")
"""The services that follow the log."""
_LAG: Final = "whistle_lag_events{"
_PROJECTED: Final = "whistle_projected_events_total{"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was known at one moment; nothing where nobody answered."""

    at: float = 0.0
    """By the clock of the event loop."""
    states: Mapping[str, int] = field(default_factory=dict)
    lag: Mapping[str, int] = field(default_factory=dict)
    """Events between each service and the end of the log."""
    events: int = 0
    """How many events evaluation has counted since it started."""

    @property
    def behind(self) -> int:
        """How many events the services have still to take; one for each that does not say."""
        return sum(self.lag.get(name, 1) for name in WATCHED)


class Watcher:
    """Asks the services."""

    def __init__(self, http: httpx.AsyncClient, stack: Stack, post: str) -> None:
        """*post*: as whom it looks at cases."""
        self._http = http
        self._tokens = Tokens(stack)
        self._post = post
        self._evaluation = stack.service_url("evaluation")
        self._urls = {name: stack.service_url(name) for name in WATCHED}

    async def look(self) -> Snapshot:
        """How it stands now; never raises for a service that does not answer."""
        metrics = await asyncio.gather(*(self._metrics(name) for name in WATCHED))
        states = await self._states()
        of = dict(zip(WATCHED, metrics, strict=True))
        known = {name: lag for name, lines in of.items() if (lag := _value(lines, _LAG)) is not None}
        events = _value(of["evaluation"], _PROJECTED) or 0
        return Snapshot(asyncio.get_running_loop().time(), states, known, events)

    async def scoreboard(self) -> list[dict[str, Any]]:
        """The scoreboard by department; raises httpx.HTTPError."""
        answer = await self._http.get(f"{self._evaluation}/scoreboard", params={"by": "department"})
        lines: list[dict[str, Any]] = answer.raise_for_status().json()
        return lines

    async def case(self, case_id: str) -> dict[str, Any] | None:
        """A case as evaluation sees it; None if it does not know it, or does not answer."""
        answer = await self._get(f"{self._evaluation}/cases/{case_id}", self._tokens.shown(self._post))
        return answer.json() if answer is not None and answer.status_code == 200 else None

    async def _states(self) -> dict[str, int]:
        answer = await self._get(f"{self._evaluation}/states")
        states: dict[str, int] = answer.json() if answer is not None and answer.is_success else {}
        return states

    async def _metrics(self, name: str) -> list[str]:
        # The probe asks the server how far its consumer is, and the gauge then says it.
        if await self._get(f"{self._urls[name]}/readyz") is None:
            return []
        answer = await self._get(f"{self._urls[name]}/metrics")
        return answer.text.splitlines() if answer is not None else []

    async def _get(self, url: str, headers: Mapping[str, str] | None = None) -> httpx.Response | None:
        try:
            return await self._http.get(url, headers=headers, timeout=ANSWER_SECONDS_MAX)
        except httpx.TransportError:
            return None


def _value(lines: Sequence[str], metric: str) -> int | None:
    return next((int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(metric)), None)
