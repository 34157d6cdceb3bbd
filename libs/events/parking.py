"""Routes over the parked cases of a service: who is parked and why; take one up again, or pass over what holds it."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from libs.events.access.identity import Actor
from libs.events.access.web import as_post, may
from libs.events.bodies import Body, CaseId, Reason
from libs.events.carrying import Bare
from libs.events.consume import PASSING
from libs.events.problems import problem
from libs.events.projection import Dismissal, Projector

PARKED_SHOWN_MAX: Final = 1_000
EVENT_CHARACTERS_MAX: Final = 20_000
"""Of an event that is shown as it stands: it may be anything."""


class DismissBody(Body):
    """Why nothing is to come of the event."""

    reason: Reason


def parked_routes(projector: Callable[[], Projector]) -> APIRouter:
    """`/parked` of the service whose projector this is."""
    router = APIRouter(tags=["parked cases"])

    @router.get("/parked", dependencies=[Depends(may("see-parked"))])
    async def list_parked() -> list[dict[str, Any]]:
        """The parked cases, the longest parked first."""
        return await projector().parked(PARKED_SHOWN_MAX)

    @router.get("/parked/{case_id}", dependencies=[Depends(may("see-parked"))], response_model=None)
    async def show_parked(case_id: CaseId) -> dict[str, Any] | Response:
        """A parked case, and the event that holds it up, as it stands in the log."""
        found = await projector().parked_case(case_id)
        if found is None:
            return _not_parked()
        case, event = found
        return {**case, "event": _as_it_stands(event) if event else None}

    @router.post("/parked/{case_id}/retry", status_code=204, dependencies=[Depends(may("retry-parked"))])
    async def retry_parked(case_id: CaseId) -> Response:
        """Take a parked case up where it stopped; it is parked at the event that fails then, if one does."""
        try:
            found = await projector().retry(case_id)
        except PASSING:
            raise
        except Exception as error:  # it is the answer that was asked for
            reason = f"{type(error).__name__}: {error}"
            return problem(409, "still_failing", f"It still fails: {reason}", "重试仍然失败。")
        return Response(status_code=204) if found else _not_parked()

    @router.post("/parked/{case_id}/dismiss", response_model=None)
    async def dismiss_parked(
        case_id: CaseId, body: DismissBody, actor: Annotated[Actor, Depends(may("dismiss-parked"))]
    ) -> dict[str, Any] | Response:
        """Pass over the event that holds up the case, for good; the others follow in order.

        Where another one fails then, the case is parked again, and the answer says at which, and why.
        """
        by = as_post(actor, "dismiss-parked", None)
        found = await projector().dismiss(case_id, Dismissal(by, actor.principal, body.reason))
        if not found:
            return _not_parked()
        again = await projector().parked_case(case_id)
        return {"case_id": case_id, "parked_again": again[0] if again else None}

    return router


def _not_parked() -> Response:
    return problem(404, "not_parked", "This case is not parked.", "该案件没有被搁置。")


def _as_it_stands(event: Bare) -> dict[str, Any]:
    return {
        "subject": event.subject,
        "position": event.sequence,
        "payload": event.payload.decode(errors="replace")[:EVENT_CHARACTERS_MAX],
    }
