"""HTTP for reporters, who have no account: how they want to be told, by tracking number or by the link of a message."""

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Response

from libs.events.access.identity import Actor
from libs.events.access.web import may
from libs.events.log import Log
from libs.events.problems import problem
from services.notify.deciding.wishes import Way, Wishes
from services.notify.subscriptions.wishes import WishStore

KEY_CHARACTERS_MAX: Final = 100

Who = Annotated[Actor, Depends(may("wish"))]
Key = Annotated[str, Path(max_length=KEY_CHARACTERS_MAX)]


def wish_routes(store: Callable[[], WishStore], log: Callable[[], Log]) -> APIRouter:
    """`/wishes/{key}`, where *key* is a tracking number or what stands in the link of a message."""
    router = APIRouter(tags=["wishes"])

    async def case_of(key: str) -> str | Response:
        case_id = await store().case_of(key)
        if case_id is not None and await log().newest(case_id):
            return case_id
        return problem(404, "unknown_tracking_number", "No case has this number.", "没有此查询码的案件。")

    @router.get("/wishes/{key}", response_model=Wishes)
    async def wishes(_: Who, key: Key) -> Wishes | Response:
        """How the reporter is told."""
        case_id = await case_of(key)
        return case_id if isinstance(case_id, Response) else await store().of(case_id)

    @router.put("/wishes/{key}", response_model=Wishes)
    async def wish(_: Who, key: Key, body: Wishes) -> Wishes | Response:
        """Say how you want to be told of your report; it holds for what happens from now on."""
        case_id = await case_of(key)
        if isinstance(case_id, Response):
            return case_id
        await store().put(case_id, body)
        return body

    @router.post("/wishes/{key}/stop", status_code=204)
    async def stop(_: Who, key: Key) -> Response:
        """No more messages about this report: what a mail program calls when somebody unsubscribes (RFC 8058)."""
        case_id = await case_of(key)
        if isinstance(case_id, Response):
            return case_id
        now = await store().of(case_id)
        await store().put(case_id, now.model_copy(update={"way": Way.NONE}))
        return Response(status_code=204)

    return router
