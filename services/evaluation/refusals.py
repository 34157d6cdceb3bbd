"""Why evaluation refuses, in the words that people read."""

from typing import Final, NamedTuple

from starlette.responses import Response

from libs.events.access.places import NOT_YOUR_PLACE, NOT_YOUR_PLACE_ZH
from libs.events.bodies import UNKNOWN_POST, UNKNOWN_POST_ZH
from libs.events.photos import UNKNOWN_PHOTO, UNKNOWN_PHOTO_ZH
from libs.events.problems import FieldProblem, problem
from services.evaluation.decider import REOPENINGS_MAX, REWORKS_MAX, Refusal

FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
CONFLICT: Final = 409
NOT_VALID: Final = 422


class Reason(NamedTuple):
    """One refusal over HTTP."""

    english: str
    chinese: str
    field: str = "case_id"
    """The part of the request that it lies in."""
    status: int = CONFLICT


REASONS: Final = {
    Refusal.UNKNOWN_CASE: Reason("No case has this id.", "没有此编号的案件。", status=NOT_FOUND),
    Refusal.UNKNOWN_POST: Reason(UNKNOWN_POST, UNKNOWN_POST_ZH, "by", NOT_VALID),
    Refusal.NOT_YOUR_PLACE: Reason(NOT_YOUR_PLACE, NOT_YOUR_PLACE_ZH, "by", FORBIDDEN),
    Refusal.UNKNOWN_PHOTO: Reason(UNKNOWN_PHOTO, UNKNOWN_PHOTO_ZH, "photos", NOT_VALID),
    Refusal.NOT_FILED: Reason("This is not a case yet.", "尚未立案。"),
    Refusal.NOT_HANDLED: Reason("The case was not reported handled.", "该案件尚未报告处置完成。"),
    Refusal.NOT_CLOSED: Reason("The case is not closed.", "该案件尚未结案。"),
    Refusal.NOT_ADOPTED: Reason(
        "This is imported history: adopt the case first.", "该案件为导入的历史案件，请先接管。"
    ),
    Refusal.CASE_CLOSED: Reason("The case is closed.", "该案件已结案。"),
    Refusal.CASE_REJECTED: Reason("The report was rejected.", "该上报未予立案。"),
    Refusal.CASE_MERGED: Reason(
        "The report was joined to another case and ends with it.", "该上报已并入其他案件，随其结案。"
    ),
    Refusal.NOT_JOINED_THERE: Reason("The report was not joined to that case.", "该上报未并入那个案件。"),
    Refusal.VERIFIER_IS_HANDLER: Reason(
        "Somebody other than a handling department must verify.", "处置部门不得核查，须由他人核查。", "by"
    ),
    Refusal.NOT_FOR_DEPARTMENTS: Reason(
        "A department can neither close nor reopen a case.", "部门不得自行结案或重新立案。", "by"
    ),
    Refusal.TOO_MANY_REWORKS: Reason(
        f"The handling was sent back {REWORKS_MAX} times: the case can only be closed by hand now.",
        f"该案件已返工 {REWORKS_MAX} 次，只能人工结案。",
    ),
    Refusal.TOO_MANY_REOPENINGS: Reason(
        f"The case was reopened {REOPENINGS_MAX} times.", f"该案件已重开 {REOPENINGS_MAX} 次。"
    ),
    Refusal.CLOSED_BEFORE_REPORTED: Reason(
        "The case would be closed before it was reported.", "结案时间早于上报时间。", "at"
    ),
    Refusal.STARS_OUT_OF_SCALE: Reason(
        "So many stars are not on the rule book's scale.", "星级超出评价标准。", "stars", NOT_VALID
    ),
    Refusal.RATED_ALREADY: Reason("You have rated this end already.", "您已评价过。", "tracking_number"),
    Refusal.RATING_OVER: Reason("The time for rating is over.", "评价期限已过。", "tracking_number"),
    Refusal.SATISFIED: Reason(
        "What is solved to satisfaction is not reopened.", "已解决且满意的案件不予重开。", "reopen"
    ),
    Refusal.REOPENING_OVER: Reason("The time for reopening is over.", "申请重开的期限已过。", "reopen"),
    Refusal.REOPENED_ALREADY: Reason(
        "You have had this case reopened already.", "您已申请过重开。", "reopen"
    ),
    Refusal.NOT_A_COMMUNITY: Reason(
        "Only a community scores departments.", "仅社区可以评分。", "by", NOT_VALID
    ),
    Refusal.NOT_THEIR_CASE: Reason("This case is not of that community.", "该案件不属于此社区。", "by"),
    Refusal.DID_NOT_SERVE: Reason(
        "The department was neither assigned nor summoned.", "该部门未被派遣或召集。", "department"
    ),
    Refusal.NOTHING_TO_SCORE: Reason("The case was not handled yet.", "该案件尚未处置。"),
    Refusal.SCORED_ALREADY: Reason(
        "The community has scored this department already.", "该社区已为此部门评分。", "department"
    ),
}


def refused(refusal: Refusal) -> Response:
    """The answer that says why."""
    reason = REASONS[refusal]
    wrong = FieldProblem(field=reason.field, reason=reason.english, reason_zh=reason.chinese)
    return problem(reason.status, refusal, reason.english, reason.chinese, errors=[wrong])
