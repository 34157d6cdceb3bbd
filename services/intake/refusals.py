"""Why intake refused, in English and Chinese, and the field at fault."""

from typing import Final

from starlette.responses import Response

from libs.events.access.places import NOT_YOUR_PLACE, NOT_YOUR_PLACE_ZH
from libs.events.problems import FieldProblem, problem
from services.intake.decider import Refusal

REASONS: Final = {
    Refusal.UNKNOWN_CATEGORY: ("The rule book has no such category.", "责任清单中没有此类别。"),
    Refusal.REPORTED_DIFFERENTLY: (
        "Something else was reported under this Idempotency-Key.",
        "此 Idempotency-Key 已用于另一份上报。",
    ),
    Refusal.NOT_REPORTED: ("No case has this id.", "没有此编号的案件。"),
    Refusal.NOT_FILED: ("This is not a case yet.", "尚未立案。"),
    Refusal.ALREADY_FILED: ("It was filed as a case already.", "该诉求已立案。"),
    Refusal.ALREADY_REJECTED: ("It was rejected already.", "该诉求已不予立案。"),
    Refusal.ALREADY_MERGED: ("It was joined to another case already.", "该诉求已并入其他案件。"),
    Refusal.CASE_CLOSED: ("The case is closed.", "该案件已结案。"),
    Refusal.INTO_ITSELF: ("A report cannot be joined to itself.", "不能并入自身。"),
    Refusal.INTO_UNKNOWN: ("No case has this id.", "没有此编号的案件。"),
    Refusal.INTO_NOT_FILED: ("That is not a case.", "目标诉求尚未立案。"),
    Refusal.INTO_MERGED: ("That one was joined to another case itself.", "目标案件自身已并入其他案件。"),
    Refusal.INTO_CLOSED: ("That case is closed.", "目标案件已结案。"),
    Refusal.INTO_NOT_LIVE: (
        "That case was imported, and nobody works on it: adopt it first.",
        "目标案件为导入案件，尚未转入办理。",
    ),
    Refusal.NOT_IMPORTED: ("This case was not imported.", "该案件不是导入案件。"),
    Refusal.OTHER_SYSTEM: ("It was imported from another system.", "该案件由其他系统导入。"),
    Refusal.NOT_YOUR_PLACE: (NOT_YOUR_PLACE, NOT_YOUR_PLACE_ZH),
}
"""Why it was refused, in English and Chinese."""
INVALID: Final = {Refusal.UNKNOWN_CATEGORY: "category"}
UNKNOWN: Final = frozenset({Refusal.NOT_REPORTED})
STATUS: Final = {Refusal.NOT_YOUR_PLACE: 403}
FIELDS: Final = {
    Refusal.INTO_ITSELF: "into",
    Refusal.INTO_UNKNOWN: "into",
    Refusal.INTO_NOT_FILED: "into",
    Refusal.INTO_MERGED: "into",
    Refusal.INTO_CLOSED: "into",
    Refusal.INTO_NOT_LIVE: "into",
    Refusal.OTHER_SYSTEM: "system",
    Refusal.NOT_YOUR_PLACE: "by",
}


def refused(refusal: Refusal, value: str | None = None) -> Response:
    """The answer: 404 for an unknown case, 422 for an unknown code, 409 for what the case's state does not allow."""
    reason, reason_zh = REASONS[refusal]
    if refusal in INVALID and value is not None:
        reason = f"The rule book has no {INVALID[refusal]} {value!r}."
    field = INVALID.get(refusal) or FIELDS.get(refusal)
    errors = [FieldProblem(field=field, reason=reason, reason_zh=reason_zh)] if field else []
    status = 404 if refusal in UNKNOWN else 422 if refusal in INVALID else STATUS.get(refusal, 409)
    code = "unknown_case" if refusal in UNKNOWN else refusal
    return problem(status, code, reason, reason_zh, errors=errors)


def not_valid(errors: list[FieldProblem] | tuple[FieldProblem, ...]) -> Response:
    """The answer to a request with these fields at fault."""
    return problem(422, "not_valid", "The request is not valid.", "请求无效。", errors=errors)
