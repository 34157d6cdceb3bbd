"""What `POST /requests` says: a form, read into the report that it makes."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from libs.events.bodies import PHOTOS_MAX
from libs.events.photos import PHOTO_PATTERN
from libs.events.policy import Category
from libs.events.problems import FieldProblem
from libs.events.web import BODY_BYTES_MAX
from services.intake.answers import unanswered
from services.intake.attachments.reading import FORM_TYPE, UPLOAD_SECONDS_MAX, form_of
from services.intake.attachments.reasons import FORM as FORM_UNREADABLE
from services.intake.attachments.reasons import SLOW
from services.intake.open311.filters import last_of
from services.intake.places import Gazetteer

CHANNEL: Final = "open311"
FIELDS_MAX: Final = 200
FIELD_BYTES_MAX: Final = 16 * 1024
"""Of one field beside pictures: the longest description in UTF-8."""
FORM: Final = "application/x-www-form-urlencoded"
_CHARSETS: Final = frozenset({"", "utf-8", "utf8"})
_ATTRIBUTE: Final = re.compile(r"attribute\[([^\[\]]{1,100})\](\[[0-9]{0,3}\])?")
_DEGREES: Final = re.compile(r"[+-]?[0-9]{1,3}([.][0-9]{1,30})?")

Form = Mapping[str, Sequence[str]]
"""What each field says; a field may stand there several times."""


class Unreadable(ValueError):
    """What was sent is no form; the reason in both languages."""

    def __init__(self, reason: str, reason_zh: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reason_zh = reason_zh


class Sent(NamedTuple):
    """What a form says, and the pictures that came with it."""

    fields: Form
    pictures: tuple[bytes, ...] = ()


def has_pictures(request: Request) -> bool:
    """Whether it is a form that may bring pictures."""
    return _kind(request) == FORM_TYPE


async def sent(request: Request) -> Sent:
    """What stands in a request's body.  Raises Unreadable when it is no form in UTF-8, or breaks off."""
    try:
        return await (_with_pictures(request) if has_pictures(request) else _without_pictures(request))
    except ClientDisconnect as error:
        raise Unreadable(SLOW.english, SLOW.chinese) from error


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _without_pictures(request: Request) -> Sent:
    if _kind(request) != FORM:
        raise Unreadable(f"Send a form as {FORM} or {FORM_TYPE}.", f"请以 {FORM} 或 {FORM_TYPE} 格式提交。")
    charset = re.search(r"charset=\"?([^\s\";]+)", request.headers["content-type"], re.IGNORECASE)
    if charset and charset[1].lower() not in _CHARSETS:
        raise Unreadable("Send the form in UTF-8.", "请使用 UTF-8 编码。")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            reason = f"Without pictures a form has at most {BODY_BYTES_MAX} bytes."
            raise Unreadable(reason, f"不含图片的表单最多 {BODY_BYTES_MAX} 字节。")
    return Sent(form_in(body))


async def _with_pictures(request: Request) -> Sent:
    fields: dict[str, list[str]] = {}
    pictures: list[bytes] = []
    bounds = {"files_max": PHOTOS_MAX, "fields_max": FIELDS_MAX, "field_bytes_max": FIELD_BYTES_MAX}
    try:
        async with asyncio.timeout(UPLOAD_SECONDS_MAX), form_of(request, **bounds) as form:
            for name, value in form.multi_items():
                if isinstance(value, str):
                    fields.setdefault(name, []).append(value)
                elif content := await value.read():  # an app sends an empty file where nobody chose one
                    pictures.append(content)
    except TimeoutError as error:
        raise Unreadable(SLOW.english, SLOW.chinese) from error
    except MultiPartException as error:
        raise Unreadable(error.message, FORM_UNREADABLE.chinese) from error
    return Sent(fields, tuple(pictures))


def form_in(body: bytes) -> Form:
    """The fields of an encoded form.  Raises Unreadable."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except UnicodeDecodeError as error:
        raise Unreadable("The form is no text in UTF-8.", "表单不是 UTF-8 文本。") from error
    except ValueError as error:
        raise Unreadable(
            f"A form has at most {FIELDS_MAX} fields.", f"表单最多 {FIELDS_MAX} 个字段。"
        ) from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def said(form: Form, name: str) -> str:
    """What one field says; empty when nothing."""
    return last_of(form.get(name, ()))


def report_in(form: Form, category: Category, gazetteer: Gazetteer) -> dict[str, Any] | list[FieldProblem]:
    """The body of the report that a form makes, or what is wrong with it."""
    wrong: list[FieldProblem] = []
    place = _place(form, gazetteer, wrong)
    given = _attributes(form)
    wrong += unanswered(category.questions, given)
    media = said(form, "media_url")
    if media and not _is_address(media):
        wrong.append(_wrong("media_url", "It is no https address of the web.", "不是有效的 https 网址。"))
    if wrong:
        return wrong
    return {
        "category": category.code,
        "channel": CHANNEL,
        # Open311 asks for no description; a report has one.
        "description": said(form, "description") or category.name.zh,
        "place": place,
        "photos": [media] if media else [],
        "answers": given,
    }


def contact_in(form: Form) -> dict[str, str]:
    """Who reports and how they are reached: what of `name`, `phone` and `mail` the form says."""
    name = " ".join(filter(None, (said(form, "first_name"), said(form, "last_name"))))
    given = {"name": name, "phone": said(form, "phone"), "mail": said(form, "email")}
    return {field: text for field, text in given.items() if text}


def _place(form: Form, gazetteer: Gazetteer, wrong: list[FieldProblem]) -> dict[str, Any]:
    place: dict[str, Any] = {}
    for field, name, largest in (("lat", "latitude", 90), ("long", "longitude", 180)):
        if text := said(form, field):
            if _DEGREES.fullmatch(text) and abs(float(text)) <= largest:
                place[name] = float(text)
            else:
                reason = f"Degrees from -{largest} to {largest}, such as 31.98."
                wrong.append(_wrong(field, reason, f"须为 -{largest} 到 {largest} 的度数，例如 31.98。"))
    if address := said(form, "address_string"):
        place["address"] = address
    if code := said(form, "address_id"):
        kind = _kind_of_place(code, gazetteer)
        if kind is None:
            reason = "It is no code of a grid, community or street here."
            wrong.append(_wrong("address_id", reason, "不是本地网格、社区或街道的编码。"))
        else:
            place[kind] = code
    if not place and not wrong:
        reason = "Say where it is: lat and long, address_string, or address_id."
        zh = "请提供位置：lat 和 long、address_string 或 address_id。"
        wrong.append(_wrong("lat", reason, zh))
    return place


def _kind_of_place(code: str, gazetteer: Gazetteer) -> str | None:
    if code in gazetteer.community_of:
        return "grid"
    if code in gazetteer.street_of:
        return "community"
    return "street" if code in {street.code for street in gazetteer.book.city.streets} else None


def _attributes(form: Form) -> dict[str, list[str]]:
    """`attribute[CODE]=value`, and `attribute[CODE][]=value` for several."""
    given: dict[str, list[str]] = {}
    for name, values in form.items():
        if match := _ATTRIBUTE.fullmatch(name):
            given.setdefault(match[1], []).extend(value for value in values if value.strip())
    return {code: values for code, values in given.items() if values}


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return re.fullmatch(PHOTO_PATTERN, text) is not None and bool(parts.hostname) and text.isprintable()


def _wrong(field: str, reason: str, reason_zh: str) -> FieldProblem:
    return FieldProblem(field=field, reason=reason, reason_zh=reason_zh)
