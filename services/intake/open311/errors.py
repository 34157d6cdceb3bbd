"""What is wrong, as Open311 says it: the problem documents of all other routes, translated at the outermost door."""

import re
from typing import Any, Final

import orjson
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.events.problems import PROBLEM_TYPE
from services.intake.open311.rendering import MEDIA_TYPES, Format, xml

KEPT: Final = frozenset({403, 404, 405, 429})
"""Other mistakes of whoever asks are 400 here, but for 401: Open311 knows 403 alone."""
NAMES: Final = {
    "category": "service_code",
    "place.address": "address_string",
    "place.latitude": "lat",
    "place.longitude": "long",
    "photos": "media_url",
    "contact.name": "first_name",
    "contact.phone": "phone",
    "contact.mail": "email",
}
"""What fields of a report are called here."""
ANSWERS: Final = "answers."
_INDEX: Final = re.compile(r"\.[0-9]+$")


class Open311Errors:
    """ASGI middleware: problem documents of addresses below *base* become Open311's list of errors."""

    def __init__(self, app: ASGIApp, base: str) -> None:
        self._app = app
        self._below = f"{base}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(self._below):
            await self._app(scope, receive, send)
            return
        form = Format.JSON if scope["path"].endswith(".json") else Format.XML
        held: Message | None = None
        body = b""

        async def translate(message: Message) -> None:
            nonlocal held, body
            if message["type"] == "http.response.start" and _is_problem(message):
                held = message
            elif held is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    start, content = _translated(held, body, form)
                    await send(start)
                    await send({"type": "http.response.body", "body": content})

        await self._app(scope, receive, translate)


def status_of(status: int) -> int:
    """The status with which Open311 answers where another route has *status*."""
    if status == 401:
        return 403
    return status if status >= 500 or status in KEPT else 400


def errors_of(problem: dict[str, Any]) -> list[dict[str, Any]]:
    """The list of errors that a problem document makes."""
    code = status_of(problem["status"])
    told = [f"{_named(each['field'])}: {_both(each, 'reason')}" for each in problem.get("errors", ())]
    return [{"code": code, "description": text} for text in told or [_both(problem, "title")]]


def _translated(start: Message, body: bytes, form: Format) -> tuple[Message, bytes]:
    errors = errors_of(orjson.loads(body))
    content = xml("errors", errors) if form is Format.XML else orjson.dumps(errors)
    headers = MutableHeaders(raw=[*start["headers"]])
    headers["content-type"] = f"{MEDIA_TYPES[form]}; charset=utf-8"
    headers["content-length"] = str(len(content))
    return {**start, "status": status_of(start["status"]), "headers": headers.raw}, content


def _is_problem(start: Message) -> bool:
    return any(key == b"content-type" and value == PROBLEM_TYPE.encode() for key, value in start["headers"])


def _named(field: str) -> str:
    plain = _INDEX.sub("", field)
    if plain.startswith(ANSWERS):
        return f"attribute[{plain.removeprefix(ANSWERS)}]"
    return NAMES.get(plain, field)


def _both(told: dict[str, Any], key: str) -> str:
    return f"{told[key]} · {told[f'{key}_zh']}"
