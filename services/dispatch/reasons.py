"""Why dispatch refuses, in the words that people read."""

from typing import Final, NamedTuple

from starlette.responses import Response

from libs.events.access.places import NOT_YOUR_PLACE, NOT_YOUR_PLACE_ZH
from libs.events.bodies import UNKNOWN_POST, UNKNOWN_POST_ZH
from libs.events.photos import UNKNOWN_PHOTO, UNKNOWN_PHOTO_ZH
from libs.events.problems import FieldProblem, problem
from services.dispatch.decider import Refusal
from services.dispatch.decider.assigning import ASSIGNMENTS_MAX, RETURNS_MAX
from services.dispatch.decider.centre import GRANT_DAYS_MAX, PAUSES_MAX, RAISES_MAX
from services.dispatch.decider.departments import NOTES_MAX
from services.dispatch.decider.whistle import (
    WHISTLE_DEPARTMENTS_MAX,
    WHISTLE_DEPARTMENTS_MIN,
    WHISTLES_MAX,
)

FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
CONFLICT: Final = 409
NOT_VALID: Final = 422


class Reason(NamedTuple):
    """One refusal."""

    english: str
    chinese: str
    field: str = "case_id"
    """The part of the request that it lies in."""
    status: int = CONFLICT


REASONS: Final = {
    Refusal.UNKNOWN_CASE: Reason("No case has this id.", "没有此编号的案件。", status=NOT_FOUND),
    Refusal.UNKNOWN_POST: Reason(UNKNOWN_POST, UNKNOWN_POST_ZH, "by", NOT_VALID),
    Refusal.NOT_YOUR_PLACE: Reason(NOT_YOUR_PLACE, NOT_YOUR_PLACE_ZH, "by", FORBIDDEN),
    Refusal.NOT_FILED: Reason("This is not a case yet.", "尚未立案。"),
    Refusal.UNKNOWN_CATEGORY: Reason(
        "The rule book does not know the case's category.", "责任清单中没有该案件的类别。"
    ),
    Refusal.UNKNOWN_DEPARTMENT: Reason(
        "The rule book has no such department.", "责任清单中没有此部门。", "department", NOT_VALID
    ),
    Refusal.NOT_ASSIGNED: Reason("The case is not assigned to anybody.", "该案件尚未派遣。"),
    Refusal.NOT_ASSIGNED_TO_YOU: Reason(
        "The case is not assigned to your department.", "该案件未派遣给贵部门。", "department"
    ),
    Refusal.ONLY_THE_LEAD: Reason(
        "The whistle called your department to help; only the lead reports the case handled.",
        "贵部门为吹哨协办，须由牵头部门报告处置完成。",
        "department",
    ),
    Refusal.NOT_ACCEPTED: Reason(
        "Sign for the case before you report it handled.", "请先签收，再报告处置完成。"
    ),
    Refusal.PHOTO_NEEDED: Reason(
        "A case of this category is only handled with a photo.",
        "该类案件须附处置后照片。",
        "photos",
        NOT_VALID,
    ),
    Refusal.UNKNOWN_PHOTO: Reason(UNKNOWN_PHOTO, UNKNOWN_PHOTO_ZH, "photos", NOT_VALID),
    Refusal.ALREADY_HANDLED: Reason(
        "The case was reported handled, and waits for verification.", "该案件已报告处置完成，正待核查。"
    ),
    Refusal.CASE_CLOSED: Reason("The case is closed.", "该案件已结案。"),
    Refusal.ASSIGNED_TO_ANOTHER: Reason(
        "The case is assigned to another department.", "该案件已派遣给其他部门。"
    ),
    Refusal.RETURNED_TOO_OFTEN: Reason(
        f"The case was returned {RETURNS_MAX} times or assigned {ASSIGNMENTS_MAX} times:"
        " it stays until the centre takes it away.",
        f"该案件已退回 {RETURNS_MAX} 次或派遣 {ASSIGNMENTS_MAX} 次，须由指挥中心收回。",
    ),
    Refusal.ASSIGNED_TOO_OFTEN: Reason(
        f"The case was assigned {ASSIGNMENTS_MAX} times: it stays where it is.",
        f"该案件已派遣 {ASSIGNMENTS_MAX} 次，不能再改派。",
    ),
    Refusal.TOO_MANY_NOTES: Reason(
        f"The case has {NOTES_MAX} notes on progress, and takes no more.",
        f"该案件的进展记录已达 {NOTES_MAX} 条上限。",
    ),
    Refusal.NO_CLOCK: Reason("No time limit runs in this case.", "该案件没有办理时限。"),
    Refusal.CLOCK_PAUSED: Reason(
        "The clock stands still; resume it first.", "该案件计时已暂停，请先恢复计时。"
    ),
    Refusal.PAST_DUE: Reason(
        "More time is asked for before the time is over.", "须在到期前申请延期。", "until"
    ),
    Refusal.UNTIL_NOT_LATER: Reason(
        "An extension ends after the deadline, and in the future.",
        "延期须晚于原期限和当前时间。",
        "until",
        NOT_VALID,
    ),
    Refusal.UNTIL_TOO_LATE: Reason(
        f"An extension ends at most {GRANT_DAYS_MAX} days after the deadline.",
        f"延期最多 {GRANT_DAYS_MAX} 天。",
        "until",
        NOT_VALID,
    ),
    Refusal.EXTENSION_OPEN: Reason(
        "Another request for more time is not decided yet.", "已有延期申请待批复。"
    ),
    Refusal.NO_EXTENSION_OPEN: Reason("No request for more time is open.", "没有待批复的延期申请。"),
    Refusal.NO_EXTENSION_LEFT: Reason(
        "The rule book allows no further extension.", "延期次数已达上限。", "until"
    ),
    Refusal.UNKNOWN_PAUSE: Reason(
        "The rule book names no such reason for a pause.", "规则中没有此暂停事由。", "reason", NOT_VALID
    ),
    Refusal.PAUSED_OTHERWISE: Reason(
        "The clock is paused for another reason; resume it first.",
        "该案件已因其他事由暂停计时，请先恢复。",
        "reason",
    ),
    Refusal.PAUSED_TOO_OFTEN: Reason(
        f"The clock was paused {PAUSES_MAX} times, and runs on.", f"该案件已暂停计时 {PAUSES_MAX} 次。"
    ),
    Refusal.ESCALATED_TOO_OFTEN: Reason(
        f"The case was escalated by hand {RAISES_MAX} times.", f"该案件已人工上报 {RAISES_MAX} 次。"
    ),
    Refusal.POST_MAY_NOT_WHISTLE: Reason(
        "Only a community, a street or its centre blows the whistle.",
        "只有社区、街道或指挥中心可以吹哨。",
        "by",
        NOT_VALID,
    ),
    Refusal.TOO_FEW_DEPARTMENTS: Reason(
        f"The whistle calls at least {WHISTLE_DEPARTMENTS_MIN} different departments.",
        f"吹哨至少召集 {WHISTLE_DEPARTMENTS_MIN} 个不同部门。",
        "departments",
        NOT_VALID,
    ),
    Refusal.TOO_MANY_DEPARTMENTS: Reason(
        f"The whistle calls at most {WHISTLE_DEPARTMENTS_MAX} departments.",
        f"吹哨最多召集 {WHISTLE_DEPARTMENTS_MAX} 个部门。",
        "departments",
        NOT_VALID,
    ),
    Refusal.UNKNOWN_SUMMONED: Reason(
        "The rule book does not have one of these departments.",
        "责任清单中没有其中某个部门。",
        "departments",
        NOT_VALID,
    ),
    Refusal.LEAD_NOT_SUMMONED: Reason(
        "The lead is one of the departments that are called.",
        "牵头部门须在被召集的部门之中。",
        "lead",
        NOT_VALID,
    ),
    Refusal.WHISTLED_TOO_OFTEN: Reason(
        f"The whistle was blown {WHISTLES_MAX} times in this case.", f"该案件已吹哨 {WHISTLES_MAX} 次。"
    ),
    Refusal.NOT_SUMMONED: Reason(
        "No whistle called your department to this case.", "贵部门未被召集到该案件。", "department"
    ),
    Refusal.NO_FAST_LANE: Reason("The case is not in the fast lane.", "该案件不属于快速处置。"),
}
"""Why an act was refused, in English and Chinese, and where it lies."""


def refused(refusal: Refusal) -> Response:
    """The answer over HTTP."""
    reason = REASONS[refusal]
    wrong = FieldProblem(field=reason.field, reason=reason.english, reason_zh=reason.chinese)
    return problem(reason.status, refusal, reason.english, reason.chinese, errors=[wrong])
