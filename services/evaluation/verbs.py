"""HTTP of what people do: verify, send back, close, reopen, score; and the reporter's rating."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from libs.events.access.identity import Actor
from libs.events.access.web import as_post, may
from libs.events.bodies import CaseId, Done
from libs.events.ids import case_id_of_tracking, read_tracking_number
from libs.events.problems import FieldProblem, problem
from services.evaluation.acts import (
    RESIDENT,
    Acts,
    By,
    CloseBody,
    RatingBody,
    ReopenBody,
    ReturnBody,
    ScoreBody,
    VerifyBody,
    Where,
)
from services.evaluation.decider import Refusal
from services.evaluation.refusals import NOT_FOUND, NOT_VALID, refused

VERBS: Final = ("verify", "return", "close", "reopen", "score")
_Body = VerifyBody | ReturnBody | CloseBody | ReopenBody | ScoreBody


def verb_routes(acts: Callable[[], Acts]) -> APIRouter:
    """`POST /cases/{case_id}/{verb}`.  Repeating an act adds nothing."""
    router = APIRouter(tags=["acts"])

    async def act(
        case_id: str, verb: str, body: _Body, actor: Actor, place: Where = Where.OWN_PLACE
    ) -> Done | Response:
        post = as_post(actor, verb, body.by)
        outcome = await acts().act(case_id, By(post, actor.principal, place), partial(body.command, post))
        return refused(outcome) if isinstance(outcome, Refusal) else outcome

    @router.post("/cases/{case_id}/verify", response_model=Done)
    async def verify(
        case_id: CaseId, body: VerifyBody, actor: Annotated[Actor, Depends(may("verify"))]
    ) -> Done | Response:
        """Somebody other than the handler looked, and it is good: the case is closed."""
        return await act(case_id, "verify", body, actor)

    @router.post("/cases/{case_id}/return", response_model=Done)
    async def send_back(
        case_id: CaseId, body: ReturnBody, actor: Annotated[Actor, Depends(may("return"))]
    ) -> Done | Response:
        """Somebody other than the handler looked, and it is not good: back to the department."""
        return await act(case_id, "return", body, actor)

    @router.post("/cases/{case_id}/close", response_model=Done)
    async def close(
        case_id: CaseId, body: CloseBody, actor: Annotated[Actor, Depends(may("close"))]
    ) -> Done | Response:
        """Close a case by hand, and say how it ended and why."""
        return await act(case_id, "close", body, actor)

    @router.post("/cases/{case_id}/reopen", response_model=Done)
    async def reopen(
        case_id: CaseId, body: ReopenBody, actor: Annotated[Actor, Depends(may("reopen"))]
    ) -> Done | Response:
        """Take a closed case up again, with a reason."""
        return await act(case_id, "reopen", body, actor)

    @router.post("/cases/{case_id}/score", response_model=Done)
    async def score(
        case_id: CaseId, body: ScoreBody, actor: Annotated[Actor, Depends(may("score"))]
    ) -> Done | Response:
        """A community scores a department that served it in this case."""
        if acts().book.department(body.department) is None:
            return _unknown_department(body.department)
        return await act(case_id, "score", body, actor, Where.ANY_PLACE)

    @router.post("/cases/{case_id}/{verb}", include_in_schema=False, dependencies=[Depends(may("see-case"))])
    async def other(case_id: str, verb: str) -> Response:  # noqa: ARG001 - whatever they are
        """Every other verb."""
        return _unknown_verb()

    return router


def rating_routes(acts: Callable[[], Acts]) -> APIRouter:
    """`POST /ratings`."""
    router = APIRouter(tags=["ratings"])

    @router.post("/ratings", response_model=Done, dependencies=[Depends(may("rate"))])
    async def rate(body: RatingBody) -> Done | Response:
        """The reporter rates how the case ended, once for each end, and may have it taken up again."""
        try:
            tracking = read_tracking_number(body.tracking_number)
        except ValueError as error:
            wrong = FieldProblem(field="tracking_number", reason=str(error), reason_zh="查询码格式不正确。")
            return problem(
                NOT_VALID, "invalid_tracking_number", str(error), "查询码格式不正确。", errors=[wrong]
            )
        outcome = await acts().act(case_id_of_tracking(tracking), RESIDENT, body.command)
        if outcome is Refusal.UNKNOWN_CASE:
            return _unknown_tracking_number()
        return refused(outcome) if isinstance(outcome, Refusal) else outcome

    return router


def _unknown_verb() -> Response:
    reason, reason_zh = f"The verbs are: {', '.join(VERBS)}.", f"可用操作：{'、'.join(VERBS)}。"
    wrong = FieldProblem(field="verb", reason=reason, reason_zh=reason_zh)
    return problem(NOT_FOUND, "unknown_verb", reason, reason_zh, errors=[wrong])


def _unknown_department(department: str) -> Response:
    reason, reason_zh = f"The rule book has no department {department!r}.", "责任清单中没有此部门。"
    wrong = FieldProblem(field="department", reason=reason, reason_zh=reason_zh)
    return problem(NOT_VALID, "unknown_department", reason, reason_zh, errors=[wrong])


def _unknown_tracking_number() -> Response:
    reason, reason_zh = "No case has this tracking number.", "没有此查询码的案件。"
    wrong = FieldProblem(field="tracking_number", reason=reason, reason_zh=reason_zh)
    return problem(NOT_FOUND, "unknown_tracking_number", reason, reason_zh, errors=[wrong])
