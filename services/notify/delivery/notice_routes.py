"""HTTP for those who run the city: what was given up, one notice with its attempts, and sending it again."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from libs.events.access.identity import Actor
from libs.events.access.web import may
from libs.events.problems import problem
from services.notify.delivery.looking import SHOWN_MAX, Looking

Watcher = Annotated[Actor, Depends(may("see-notices"))]
Operator = Annotated[Actor, Depends(may("retry-notices"))]


def notice_routes(looking: Callable[[], Looking], now: Callable[[], datetime]) -> APIRouter:
    """`/notices` and what is below."""
    router = APIRouter(tags=["notices"])

    @router.get("/notices")
    async def notices(
        _: Watcher,
        state: Literal["due", "sent", "dead", "dropped"] = "dead",
        limit: Annotated[int, Query(ge=1, le=SHOWN_MAX)] = SHOWN_MAX,
    ) -> list[dict[str, Any]]:
        """Notices of all receivers that stand so, the newest first; by default those that were given up."""
        return await looking().of_state(state, limit)

    @router.get("/notices/{notice}", response_model=None)
    async def one(_: Watcher, notice: UUID) -> dict[str, Any] | Response:
        """One notice with every attempt."""
        found = await looking().one(str(notice))
        return found[1] if found else _unknown()

    @router.post("/notices/{notice}/replay", status_code=202)
    async def again(_: Operator, notice: UUID) -> Response:
        """Have it sent again, with the same id."""
        found = await looking().one(str(notice))
        if found is None:
            return _unknown()
        await looking().again(found[0], now())
        return Response(status_code=202)

    return router


def _unknown() -> Response:
    return problem(404, "unknown_notice", "There is no such notice.", "没有此通知。")
