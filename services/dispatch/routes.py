"""HTTP of dispatch: a department's queue and what it does with a case, and what the command centre does."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from libs.events.access.identity import Actor
from libs.events.access.roles import Role
from libs.events.access.web import as_post, for_department, may
from libs.events.asof import AsOf
from libs.events.bodies import CODE_CHARACTERS_MAX, CaseId, Done
from libs.events.past import Pasts
from libs.events.problems import FieldProblem, problem
from services.dispatch.acts import Acts
from services.dispatch.bodies import (
    CENTRE_VERBS,
    DEPARTMENT_VERBS,
    CentreBody,
    DepartmentBody,
)
from services.dispatch.decider import Refusal
from services.dispatch.reasons import NOT_FOUND, refused
from services.dispatch.views import OVER, queue_of, waiting

PostFilter = Annotated[str | None, Query(max_length=CODE_CHARACTERS_MAX, pattern=r"^[a-z]+:\S+$")]


def routes(acts: Callable[[], Acts], pasts: Pasts) -> APIRouter:
    """Queues, the verbs of departments and those of the centre."""
    router = APIRouter()
    router.include_router(_department_routes(acts, pasts))
    router.include_router(_centre_routes(acts, pasts))
    return router


def _department_routes(acts: Callable[[], Acts], pasts: Pasts) -> APIRouter:
    router = APIRouter(tags=["departments"])

    @router.get("/departments/{department}/queue", response_model=None)
    @router.get("/departments/{department}/cases", response_model=None)
    async def queue(
        department: str, actor: Annotated[Actor, Depends(may("see-queue"))], as_of: AsOf | None = None
    ) -> list[dict[str, Any]] | Response:
        """What waits for the department: its open cases and those that a whistle calls it to, the most urgent first.

        With *as_of* as it was at a time, or at a position of the log.
        """
        for_department(actor, department, Role.CENTRE, Role.AUDITOR, Role.ADMINISTRATOR)
        async with pasts.asking(as_of, forgetting=OVER) as seen:
            found = await queue_of(seen.connection, department)
        if not found and acts().book.department(department) is None:
            return refused(Refusal.UNKNOWN_DEPARTMENT)
        return found

    for verb, kind in DEPARTMENT_VERBS.items():
        _add_department_verb(router, acts, verb, kind)

    path = "/departments/{department}/cases/{case_id}/{verb}"

    @router.post(path, include_in_schema=False, dependencies=[Depends(may("see-queue"))])
    async def other(department: str, case_id: str, verb: str) -> Response:  # noqa: ARG001 - whatever they are
        """Every other verb."""
        return _unknown_verb(DEPARTMENT_VERBS)

    return router


def _add_department_verb(
    router: APIRouter, acts: Callable[[], Acts], verb: str, kind: type[DepartmentBody]
) -> None:
    async def act(
        department: str, case_id: CaseId, body: DepartmentBody, actor: Annotated[Actor, Depends(may(verb))]
    ) -> Done | Response:
        for_department(actor, department)
        outcome = await acts().act(department, case_id, body, actor.principal)
        return refused(outcome) if isinstance(outcome, Refusal) else outcome

    act.__annotations__["body"] = kind  # the verb's own model is what is checked and documented
    path = f"/departments/{{department}}/cases/{{case_id}}/{verb}"
    router.add_api_route(
        path, act, methods=["POST"], response_model=Done, name=verb, description=kind.__doc__
    )


def _centre_routes(acts: Callable[[], Acts], pasts: Pasts) -> APIRouter:
    router = APIRouter(tags=["centre"])

    @router.get("/centre/waiting", dependencies=[Depends(may("see-centre"))])
    async def waiting_cases(post: PostFilter = None, as_of: AsOf | None = None) -> list[dict[str, Any]]:
        """Cases that nobody has or that went up, and who must act and why; those of one post if given.

        Of all posts also requests for more time, and what the fast lane's desk has not acknowledged.
        With *as_of* as it was at a time, or at a position of the log.
        """
        async with pasts.asking(as_of, forgetting=OVER) as seen:
            return await waiting(seen.connection, post)

    for verb, kind in CENTRE_VERBS.items():
        _add_centre_verb(router, acts, verb, kind)

    @router.post(
        "/cases/{case_id}/{verb}", include_in_schema=False, dependencies=[Depends(may("see-centre"))]
    )
    async def other(case_id: str, verb: str) -> Response:  # noqa: ARG001 - whatever they are
        """Every other verb."""
        return _unknown_verb(CENTRE_VERBS)

    return router


def _add_centre_verb(router: APIRouter, acts: Callable[[], Acts], verb: str, kind: type[CentreBody]) -> None:
    async def order(
        case_id: CaseId, body: CentreBody, actor: Annotated[Actor, Depends(may(verb))]
    ) -> Done | Response:
        post = as_post(actor, verb, body.by)
        outcome = await acts().order(case_id, post, body, actor.principal)
        return refused(outcome) if isinstance(outcome, Refusal) else outcome

    order.__annotations__["body"] = kind
    path = f"/cases/{{case_id}}/{verb}"
    router.add_api_route(
        path, order, methods=["POST"], response_model=Done, name=verb, description=kind.__doc__
    )


def _unknown_verb(verbs: dict[str, Any]) -> Response:
    reason, reason_zh = f"The verbs are: {', '.join(verbs)}.", f"可用操作：{'、'.join(verbs)}。"
    wrong = FieldProblem(field="verb", reason=reason, reason_zh=reason_zh)
    return problem(NOT_FOUND, "unknown_verb", reason, reason_zh, errors=[wrong])
