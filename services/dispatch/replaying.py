"""A department reads again what it was told, from any point on, page by page: `ask.<department>.replay`."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import orjson
from pydantic import Field

from libs.events.bodies import Body
from libs.events.errors import LogUnavailable
from libs.events.jetstream import JetStream, NotNow, Refused, Stored, Unknown, as_library_error
from libs.events.subjects import DEPARTMENTS, token
from services.dispatch.bodies import Moment

PAGE_EVENTS_MAX: Final = 100
PAGE_BYTES_MAX: Final = 256 * 1024
REPLAYS_AT_ONCE_MAX: Final = 20
PAGE_READS_MAX: Final = 200
"""Events that are looked at for one answer, some of which may be from before the moment that was asked for."""
CLOCKS_APART_SECONDS_MAX: Final = 60
"""So far the clock of whoever recorded a fact may be ahead of that of the bus."""


class ReplayAsk(Body):
    """It reads again what it was told; acknowledged or not, and without changing what its consumer will give it."""

    since: Moment | None = None
    """From this moment on, by `recordedtime`; from the oldest that is kept when it is absent."""
    after: Annotated[int, Field(ge=0)] | None = None
    """The position after which to go on: `after` of the answer before."""
    max: Annotated[int, Field(ge=1, le=PAGE_EVENTS_MAX)] = PAGE_EVENTS_MAX
    """How many events one answer has at most."""


class Replays:
    """Answers departments out of their stream."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream
        self._under_way = 0

    async def answer(self, department: str, ask: ReplayAsk) -> dict[str, Any]:
        """A page of events in order, and where to go on.  Raises LogUnavailable, also when too many ask at once."""
        if self._under_way >= REPLAYS_AT_ONCE_MAX:
            raise LogUnavailable(f"{REPLAYS_AT_ONCE_MAX} replays are under way")
        self._under_way += 1
        try:
            return await self._page(f"dept.{token(department)}.>", ask)
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
        finally:
            self._under_way -= 1

    async def _page(self, subject: str, ask: ReplayAsk) -> dict[str, Any]:
        events: list[dict[str, Any]] = []
        after, size_bytes = ask.after, 0
        for _ in range(PAGE_READS_MAX):
            stored = await self._next(subject, after, ask.since)
            if stored is None:
                return {"ok": True, "events": events, "after": after or 0, "more": False}
            size_bytes += len(stored.payload)
            if len(events) == ask.max or (events and size_bytes > PAGE_BYTES_MAX):
                break  # a page has one event at least: else whoever goes on from it would not get past a large one
            after = stored.sequence
            event = orjson.loads(stored.payload)
            if ask.since is None or datetime.fromisoformat(event["recordedtime"]) >= ask.since:
                events.append({"position": stored.sequence, "event": event})
        return {"ok": True, "events": events, "after": after or 0, "more": True}

    async def _next(self, subject: str, after: int | None, since: datetime | None) -> Stored | None:
        if after is not None or since is None:
            return await self._jetstream.next_on_leader(DEPARTMENTS, subject, (after or 0) + 1)
        # The bus's own clock only says where to begin to look.
        begin = since - timedelta(seconds=CLOCKS_APART_SECONDS_MAX)
        return await self._jetstream.next_since_on_leader(DEPARTMENTS, subject, begin)
