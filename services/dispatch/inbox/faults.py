"""Why an act cannot be carried out whatever the case is like: its document is wrong, or something here is."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from libs.events.bodies import NUL
from libs.events.reasons import reason_zh
from services.dispatch.bodies import DEPARTMENT_VERBS

VERBS: Final = tuple(DEPARTMENT_VERBS)
AHEAD_SECONDS_MAX: Final = 300
"""So far may a department's clock be ahead of the bus."""
BEHIND_DAYS_MAX: Final = 90
"""As long as departments' copies are kept: what is older cannot be about anything that they still have."""
FIELD_CHARACTERS_MAX: Final = 200
REASON_CHARACTERS_MAX: Final = 500


class Fault(StrEnum):
    """A stable code.  Refusals that depend on the case have the codes of the decider."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_VALID = "not_valid"
    NUL_CHARACTER = "nul_character"
    UNKNOWN_FIELD = "unknown_field"
    BAD_ID = "bad_id"
    BAD_CASE_ID = "bad_case_id"
    FORGED_SOURCE = "forged_source"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_VERB = "unknown_verb"
    TIME_WITHOUT_ZONE = "time_without_zone"
    TIME_IN_FUTURE = "time_in_future"
    TIME_TOO_OLD = "time_too_old"
    ID_USED = "id_used"
    CASE_UNREADABLE = "case_unreadable"
    INTERNAL_ERROR = "internal_error"


class Wrong(NamedTuple):
    """What is wrong, and where."""

    code: str
    reason: str
    reason_zh: str
    field: str | None = None


REASONS: Final[Mapping[Fault, tuple[str, str]]] = {
    Fault.TOO_LARGE: ("The document is too large.", "文档过大。"),
    Fault.NOT_UTF8: ("The document is not UTF-8.", "文档不是有效的 UTF-8 编码。"),
    Fault.NOT_JSON: (
        "The document is not a JSON object, or is nested too deeply.",
        "文档不是有效的 JSON 对象，或嵌套过深。",
    ),
    Fault.BAD_ID: (
        "An id has 1 to 64 letters, digits, '.', '_' or '-'.",
        "id 须为 1 至 64 个字母、数字、“.”“_”“-”。",
    ),
    Fault.BAD_CASE_ID: ("The subject is the id of a case.", "subject 须为案件编号。"),
    Fault.FORGED_SOURCE: (
        "The source is not the department that sent it: /departments/ and its code.",
        "source 与发送部门不符，须为 /departments/ 加本部门代码。",
    ),
    Fault.WRONG_TYPE: (
        "The type is whistle.act.<verb>.v1.",
        "type 须为 whistle.act.<操作>.v1。",
    ),
    Fault.UNKNOWN_VERB: (f"The verbs are: {', '.join(VERBS)}.", f"可用操作：{'、'.join(VERBS)}。"),
    Fault.TIME_WITHOUT_ZONE: ("A time has a zone, such as +08:00.", "时间须带时区，例如 +08:00。"),
    Fault.TIME_IN_FUTURE: (
        f"The time is more than {AHEAD_SECONDS_MAX // 60} minutes ahead of the bus: set the clock.",
        f"时间比总线快 {AHEAD_SECONDS_MAX // 60} 分钟以上，请校准时钟。",
    ),
    Fault.TIME_TOO_OLD: (
        f"The time is more than {BEHIND_DAYS_MAX} days ago.",
        f"时间早于 {BEHIND_DAYS_MAX} 天之前。",
    ),
    Fault.ID_USED: (
        "Another act in this case had this id; every act has an id of its own.",
        "此 id 已用于该案件的另一操作；每个操作须有自己的 id。",
    ),
    Fault.CASE_UNREADABLE: (
        "A record of this case cannot be read here; the centre must see to it.",
        "该案件的一条记录无法读取，须由指挥中心处理。",
    ),
    Fault.INTERNAL_ERROR: ("Something went wrong here.", "系统内部错误。"),
}


def wrong(fault: Fault, field: str | None = None) -> Wrong:
    """The refusal for a fault that has words of its own."""
    reason, reason_in_chinese = REASONS[fault]
    return Wrong(fault, reason, reason_in_chinese, field)


_BY_KIND: Final = {
    "extra_forbidden": Fault.UNKNOWN_FIELD,
    "nul_character": Fault.NUL_CHARACTER,
    "timezone_aware": Fault.TIME_WITHOUT_ZONE,
}


def field_named(name: str) -> str | None:
    """A place in the document, fit to be told: strangers name their fields as they like."""
    return name.replace(NUL, "").strip(".")[:FIELD_CHARACTERS_MAX] or None


def wrong_value(error: Mapping[str, Any], prefix: str = "") -> Wrong:
    """The refusal for one entry of `ValidationError.errors()`; *prefix* leads to what was validated."""
    field = prefix + ".".join(str(part) for part in error["loc"])
    return Wrong(
        _BY_KIND.get(error["type"], Fault.NOT_VALID),
        str(error["msg"])[:REASON_CHARACTERS_MAX],
        reason_zh(error)[:REASON_CHARACTERS_MAX],
        field_named(field),
    )
