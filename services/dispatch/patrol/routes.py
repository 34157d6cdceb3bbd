"""HTTP of patrols: the centre orders them, grid workers walk them, everybody sees what was passed and missed."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import field_validator, model_validator

from libs.events.access.identity import Actor
from libs.events.access.places import NOT_YOUR_PLACE, NOT_YOUR_PLACE_ZH
from libs.events.access.web import as_post, may
from libs.events.asof import AsOf
from libs.events.bodies import CODE_CHARACTERS_MAX, Body, CaseId, Code
from libs.events.ids import case_id_of_tracking, read_tracking_number
from libs.events.moments import Day
from libs.events.past import Pasts
from libs.events.problems import FieldProblem, problem
from services.dispatch.bodies import Post
from services.dispatch.patrol.acts import By, Done, Ordered, Patrols, TooFar
from services.dispatch.patrol.decider import Refusal
from services.dispatch.patrol.views import CHANNEL, one_order, orders
from services.dispatch.units import Latitude, Longitude

REASONS: Final = {
    Refusal.UNKNOWN_ORDER: (404, "There is no such patrol order.", "没有此巡查任务。"),
    Refusal.UNKNOWN_POINT: (422, "The order has no such point.", "该巡查任务没有此点位。"),
    Refusal.NOT_BEGUN: (409, "The hours of this patrol have not begun.", "尚未到巡查时间。"),
    Refusal.HOURS_OVER: (409, "The hours of this patrol are over.", "巡查时间已过。"),
    Refusal.TOO_FAR: (409, "This is too far from the point.", "距离点位过远。"),
    Refusal.NOT_YOUR_PLACE: (403, NOT_YOUR_PLACE, NOT_YOUR_PLACE_ZH),
    Refusal.PATROL_ENDED: (409, "The patrol has ended.", "巡查已结束。"),
}
"""Status, and why it was refused, in English and Chinese."""
Worker = Annotated[Actor, Depends(may("patrol"))]
FIELDS: Final = {Refusal.UNKNOWN_POINT: "point", Refusal.UNKNOWN_ORDER: "order_id", Refusal.HOURS_OVER: "day"}


class OrdersBody(Body):
    """For which day, by the city's clocks."""

    day: Day
    by: Post | None = None
    """The post that orders, such as `centre:hebin`."""


class CheckInBody(Body):
    """Where the worker is; WGS84 degrees."""

    point: Code
    longitude: Longitude
    latitude: Latitude


class FindBody(Body):
    """The case that the worker reported through intake: by its id or by its tracking number."""

    case_id: CaseId | None = None
    tracking_number: str | None = None
    category: Code | None = None
    """If given, it must be the one that was reported."""

    @field_validator("tracking_number")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        return value if value is None else read_tracking_number(value)

    @model_validator(mode="after")
    def _names_one(self) -> "FindBody":
        if (self.case_id is None) == (self.tracking_number is None):
            raise ValueError("give case_id or tracking_number, not both")
        return self

    @property
    def case(self) -> str:
        """The case's id."""
        return self.case_id or case_id_of_tracking(self.tracking_number or "")


def patrol_routes(patrols: Callable[[], Patrols], pasts: Pasts) -> APIRouter:
    """All of patrols: what is done, and what is known."""
    router = APIRouter(tags=["patrols"])
    router.include_router(_acting(patrols))
    router.include_router(_asking(pasts))
    return router


def _acting(patrols: Callable[[], Patrols]) -> APIRouter:
    """`POST /patrols/orders` and `POST /patrols/{order_id}/check-in|find|end`."""
    router = APIRouter()

    @router.post("/patrols/orders", response_model=list[Ordered])
    async def order(
        body: OrdersBody, actor: Annotated[Actor, Depends(may("order-patrols"))]
    ) -> list[Ordered] | Response:
        """One order for each grid on that day.  Repeating it adds nothing."""
        post = as_post(actor, "order-patrols", body.by)
        outcome = await patrols().order(body.day, By(post, actor.principal))
        return refused(outcome) if isinstance(outcome, Refusal) else outcome

    @router.post("/patrols/{order_id}/check-in", response_model=Done)
    async def check_in(order_id: CaseId, body: CheckInBody, actor: Worker) -> Done | Response:
        """The worker is at a point, now.  Repeating it adds nothing."""
        outcome = await patrols().check_in(order_id, body.point, body.longitude, body.latitude, actor)
        if isinstance(outcome, TooFar):
            return _too_far(outcome)
        return refused(outcome) if isinstance(outcome, Refusal) else outcome

    @router.post("/patrols/{order_id}/find", response_model=Done)
    async def find(order_id: CaseId, body: FindBody, actor: Worker) -> Done | Response:
        """What the worker found, and has reported through the channel `patrol`.  Repeating it adds nothing."""
        report = await patrols().report_of(body.case)
        if report is None:
            return _wrong("case_id", "No such case was reported.", "没有此上报。")
        if report.channel != CHANNEL:
            return _wrong("case_id", "It was not reported on patrol.", "该上报不是来自巡查。")
        if body.category not in {None, report.category}:
            return _wrong(
                "category", f"It was reported as {report.category}.", f"上报类别为 {report.category}。"
            )
        outcome = await patrols().find(order_id, body.case, report, actor)
        return refused(outcome) if isinstance(outcome, Refusal) else outcome

    @router.post("/patrols/{order_id}/end", response_model=Done)
    async def end(order_id: CaseId, actor: Worker) -> Done | Response:
        """The worker is done for the day: what was not passed is missed.  Repeating it adds nothing."""
        outcome = await patrols().end(order_id, actor)
        return refused(outcome) if isinstance(outcome, Refusal) else outcome

    return router


def _asking(pasts: Pasts) -> APIRouter:
    """`GET /patrols` and `GET /patrols/{order_id}`."""
    router = APIRouter()

    @router.get("/patrols", dependencies=[Depends(may("see-patrols"))])
    async def listed(
        day: Day | None = None,
        grid: Annotated[str | None, Query(max_length=CODE_CHARACTERS_MAX)] = None,
        worker: Annotated[str | None, Query(max_length=CODE_CHARACTERS_MAX)] = None,
        as_of: AsOf | None = None,
    ) -> list[dict[str, Any]]:
        """The orders that fit, the newest first, each with how much of it was passed, found and missed.

        With *as_of* as it was at a time, or at a position of the log.
        """
        async with pasts.asking(as_of) as seen:
            named = day.isoformat() if day else None
            return await orders(seen.connection, day=named, grid=grid, worker=worker)

    @router.get("/patrols/{order_id}", response_model=None, dependencies=[Depends(may("see-patrols"))])
    async def shown(order_id: CaseId, as_of: AsOf | None = None) -> dict[str, Any] | Response:
        """One order with its points, finds, and what others found in its grid meanwhile.

        With *as_of* as it was at a time, or at a position of the log.
        """
        async with pasts.asking(as_of) as seen:
            found = await one_order(seen.connection, order_id)
        return refused(Refusal.UNKNOWN_ORDER) if found is None else found

    return router


def refused(refusal: Refusal) -> Response:
    """The answer that says why not."""
    status, reason, reason_zh = REASONS[refusal]
    field = FIELDS.get(refusal)
    errors = [FieldProblem(field=field, reason=reason, reason_zh=reason_zh)] if field else []
    return problem(status, refusal, reason, reason_zh, errors=errors)


def _too_far(away: TooFar) -> Response:
    reason = f"This is {away.metres:g} m from the point; at most {away.metres_max:g} m count as being there."
    reason_zh = f"距离点位 {away.metres:g} 米，须在 {away.metres_max:g} 米以内。"
    return problem(409, Refusal.TOO_FAR, reason, reason_zh)


def _wrong(field: str, reason: str, reason_zh: str) -> Response:
    wrong = FieldProblem(field=field, reason=reason, reason_zh=reason_zh)
    return problem(422, "not_valid", reason, reason_zh, errors=[wrong])
