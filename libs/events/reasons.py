"""What is wrong with a value, in Chinese: the sentences that pydantic says in English."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

_REASONS_ZH: Final = {
    "missing": "缺少必填字段。",
    "string_type": "必须是文字。",
    "string_too_short": "至少 {min_length} 个字符。",
    "string_too_long": "最多 {max_length} 个字符。",
    "string_pattern_mismatch": "格式不正确。",
    "int_type": "必须是整数。",
    "int_parsing": "必须是整数。",
    "float_type": "必须是数字。",
    "float_parsing": "必须是数字。",
    "bool_type": "必须是 true 或 false。",
    "bool_parsing": "必须是 true 或 false。",
    "greater_than": "必须大于 {gt}。",
    "greater_than_equal": "不能小于 {ge}。",
    "less_than": "必须小于 {lt}。",
    "less_than_equal": "不能大于 {le}。",
    "too_short": "至少 {min_length} 项。",
    "too_long": "最多 {max_length} 项。",
    "literal_error": "必须是以下之一：{expected}。",
    "enum": "必须是以下之一：{expected}。",
    "extra_forbidden": "不允许有此字段。",
    "json_invalid": "不是有效的 JSON。",
    "datetime_from_date_parsing": "不是有效的日期时间。",
    "datetime_parsing": "不是有效的日期时间。",
    "timezone_aware": "日期时间必须带时区。",
    "uuid_parsing": "不是有效的标识符。",
}
_REASON_ZH: Final = "此字段的值无效。"


def reason_zh(error: Mapping[str, Any]) -> str:
    """The reason of one entry of `ValidationError.errors()`; an error may bring its own as `ctx["reason_zh"]`."""
    context = error.get("ctx") or {}
    if "reason_zh" in context:
        return str(context["reason_zh"])
    template = _REASONS_ZH.get(error["type"], _REASON_ZH)
    return template.format_map(defaultdict(str, context))
