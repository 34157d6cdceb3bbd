"""Errors over HTTP, one shape everywhere: a problem document (RFC 9457, `application/problem+json`).

A program decides by its `code`:

    {"type": "urn:whistle:problem:not_valid", "title": "The request is not valid.", "title_zh": "请求无效。",
     "status": 422, "code": "not_valid",
     "errors": [{"field": "place.latitude", "reason": "...", "reason_zh": "..."}]}
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import asyncpg
import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from libs.events.away import DATABASE_AWAY
from libs.events.errors import (
    CaseUnreadable,
    LogUnavailable,
    NotYet,
    PastTooLong,
    SealBroken,
    VaultInconsistent,
    VaultUnavailable,
)
from libs.events.reasons import reason_zh

log = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS: Final = 5
PROBLEM_TYPE: Final = "application/problem+json"


class FieldProblem(BaseModel):
    """What is wrong with one field of a request."""

    field: str
    """Its path in the request's body, query or address, such as `place.latitude`; `body` for the whole."""
    reason: str
    reason_zh: str


class Problem(BaseModel):
    """The body of every answer that is not a success (RFC 9457)."""

    type: str
    title: str
    title_zh: str
    status: int
    code: str
    """What a program decides by; it never changes."""
    errors: tuple[FieldProblem, ...] = ()


def problem(
    status: int,
    code: str,
    title: str,
    title_zh: str,
    *,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that says what is wrong, in both languages; *code* is snake_case."""
    document = Problem(
        type=f"urn:whistle:problem:{code}",
        title=title,
        title_zh=title_zh,
        status=status,
        code=code,
        errors=tuple(errors),
    )
    return Response(document.model_dump_json(), status, headers, PROBLEM_TYPE)


# Not the phrases of http.HTTPStatus: they differ between versions of Python.
BY_STATUS: Final = {
    400: ("bad_request", "请求无法读取。"),
    401: ("unauthorized", "需要登录。"),
    403: ("forbidden", "没有权限。"),
    404: ("not_found", "没有找到。"),
    405: ("method_not_allowed", "不支持此方法。"),
    409: ("conflict", "与当前状态冲突。"),
    413: ("content_too_large", "请求内容过大。"),
    415: ("unsupported_media_type", "不支持此内容类型。"),
    429: ("too_many_requests", "请求过于频繁，请稍后再试。"),
    503: ("unavailable", "服务暂时不可用，请稍后再试。"),
}


def _field_problem(error: Mapping[str, Any]) -> FieldProblem:
    place = [str(part) for part in error["loc"]]
    if error["type"] == "json_invalid":
        place = place[:1]  # what follows is an offset
    return FieldProblem(
        field=".".join(place[1:]) or place[0],  # the first part only says body, query or path
        reason=str(error["msg"]).removeprefix("Value error, "),
        reason_zh=reason_zh(error),
    )


def _is_no_json(request: Request, errors: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the body was not read as JSON at all, since it does not say that it is."""
    unread = any(error["loc"] == ("body",) and error["type"] != "missing" for error in errors)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return unread and kind != "application/json" and not kind.endswith("+json")


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if _is_no_json(request, error.errors()):
        code, title_zh = BY_STATUS[415]
        return problem(415, code, "Send the body as application/json.", title_zh)
    errors = [_field_problem(each) for each in error.errors()]
    return problem(422, "not_valid", "The request is not valid.", "请求无效。", errors=errors)


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    other = (f"status_{error.status_code}", "请求未能完成。")
    code, title_zh = BY_STATUS.get(error.status_code, other)
    return problem(error.status_code, code, str(error.detail), title_zh, headers=error.headers)


async def _on_log_unavailable(_: Request, error: Exception) -> Response:
    log.warning("log_unavailable", reason=str(error))
    return _away(
        "log_unavailable",
        "The log of cases cannot be reached; try again.",
        "案件日志暂时无法访问，请稍后再试。",
    )


async def _on_database_away(_: Request, error: Exception) -> Response:
    log.warning("database_unavailable", error=type(error).__name__)
    return _away(
        "unavailable", "The service cannot reach what it needs; try again.", "服务暂时不可用，请稍后再试。"
    )


async def _on_out_of_range(_: Request, error: Exception) -> Response:
    # Only reads are asked over HTTP: what the database cannot take is a value of the question.
    log.warning("question_out_of_range", error=type(error).__name__)
    reason, reason_zh = "A value is beyond what can be looked up.", "查询值超出可查范围。"
    wrong = FieldProblem(field="query", reason=reason, reason_zh=reason_zh)
    return problem(422, "not_valid", "The request is not valid.", "请求无效。", errors=[wrong])


async def _on_unreadable(_: Request, error: Exception) -> Response:
    assert isinstance(error, CaseUnreadable)
    log.error("case_unreadable", case_id=error.case_id, sequence=error.sequence)
    title = f"An event of this case cannot be read (position {error.sequence} of the log)."
    return problem(503, "case_unreadable", title, f"此案件的一条记录无法读取（日志位置 {error.sequence}）。")


async def _on_vault_away(_: Request, error: Exception) -> Response:
    log.warning("vault_unavailable", reason=str(error))
    return _away(
        "vault_unavailable",
        "Personal data cannot be sealed or opened now; try again, or report without it.",
        "暂时无法加密或解密个人信息，请稍后再试，或不留联系方式上报。",
    )


async def _on_contact_unreadable(_: Request, error: Exception) -> Response:
    log.error("sealed_value_unreadable", reason=str(error))
    return problem(503, "contact_unreadable", "This contact cannot be opened.", "此联系方式无法解密。")


async def _on_no_past(_: Request, error: Exception) -> Response:
    assert isinstance(error, NotYet | PastTooLong)
    code = "not_yet" if isinstance(error, NotYet) else "past_too_long"
    wrong = FieldProblem(field="as_of", reason=error.reason, reason_zh=error.reason_zh)
    return problem(422, code, error.reason, error.reason_zh, errors=[wrong])


def _away(code: str, title: str, title_zh: str) -> Response:
    return problem(503, code, title, title_zh, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


HANDLERS: Final[dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = {
    RequestValidationError: _on_invalid,
    HTTPException: _on_http_error,
    LogUnavailable: _on_log_unavailable,
    CaseUnreadable: _on_unreadable,
    NotYet: _on_no_past,
    PastTooLong: _on_no_past,
    VaultUnavailable: _on_vault_away,
    VaultInconsistent: _on_contact_unreadable,
    SealBroken: _on_contact_unreadable,
    asyncpg.DataError: _on_out_of_range,
    **dict.fromkeys(DATABASE_AWAY, _on_database_away),
}
