"""Why an upload was not taken, in English and Chinese."""

from typing import Final, NamedTuple

from starlette.responses import Response

from libs.events.problems import RETRY_AFTER_SECONDS, FieldProblem, problem
from services.intake.attachments.cleaning import Refusal
from services.intake.attachments.pictures import PIXELS_MAX

FILE: Final = "file"


class Reason(NamedTuple):
    """Status, code, and the sentence in both languages."""

    status: int
    code: str
    english: str
    chinese: str


REASONS: Final = {
    Refusal.HEIC: Reason(
        422,
        Refusal.HEIC,
        "HEIC, HEIF and AVIF cannot be read here: send JPEG, PNG, WebP or GIF.",
        "不支持 HEIC、HEIF、AVIF，请上传 JPEG、PNG、WebP 或 GIF。",
    ),
    Refusal.NO_PICTURE: Reason(
        422,
        Refusal.NO_PICTURE,
        "Its bytes are those of no JPEG, PNG, WebP or GIF.",
        "文件内容不是 JPEG、PNG、WebP 或 GIF 图片。",
    ),
    Refusal.BROKEN: Reason(
        422, Refusal.BROKEN, "The picture is broken, and cannot be read.", "图片已损坏，无法读取。"
    ),
    Refusal.TOO_MANY_PIXELS: Reason(
        422,
        Refusal.TOO_MANY_PIXELS,
        f"The picture has more than {PIXELS_MAX:,} pixels.",
        f"图片超过 {PIXELS_MAX:,} 像素。",
    ),
}
"""What is wrong with the picture."""
HARMFUL: Final = Reason(
    422, "harmful", "The scanner found something harmful in it.", "安全扫描发现有害内容。"
)
TYPE: Final = Reason(
    415,
    "unsupported_media_type",
    "Send the picture itself as image/* or application/octet-stream, or a form as multipart/form-data.",
    "请以 image/*、application/octet-stream 或 multipart/form-data 上传。",
)
EMPTY: Final = Reason(422, "not_valid", "There is no picture in it.", "没有图片内容。")
FORM: Final = Reason(422, "not_valid", "The form cannot be read.", "表单无法读取。")
SLOW: Final = Reason(408, "too_slow", "The upload took too long.", "上传超时。")
BUSY: Final = Reason(
    503, "busy", "Too many pictures come in at once; try again.", "上传过于繁忙，请稍后再试。"
)
FULL: Final = Reason(
    503,
    "uploads_full",
    "There is no room for more pictures now; send the report without it, or try again later.",
    "暂无空间存放图片，请先提交文字上报或稍后再试。",
)
NOT_SCANNED: Final = Reason(
    503,
    "scan_unavailable",
    "The picture cannot be scanned now, and is not taken; try again.",
    "安全扫描暂不可用，请稍后再试。",
)
AWAY: Final = Reason(
    503, "picture_unavailable", "The picture cannot be read now; try again.", "图片暂时无法读取，请稍后再试。"
)
UNKNOWN: Final = Reason(404, "unknown_attachment", "There is no such picture.", "没有此图片。")


def refused(reason: Reason) -> Response:
    """The answer."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if reason.status == 503 else {}
    if reason.status == 408:
        headers["Connection"] = "close"  # the rest of the body is not read
    wrong = [FieldProblem(field=FILE, reason=reason.english, reason_zh=reason.chinese)]
    errors = wrong if reason.status == 422 else []
    return problem(reason.status, reason.code, reason.english, reason.chinese, errors=errors, headers=headers)
