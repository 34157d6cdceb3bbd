"""Asking a service over HTTP: a JSON answer, or one line that says what is wrong."""

import json
import time
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from cli.stack.state import Stack

ANSWER_SECONDS_MAX: Final = 60
ATTEMPTS_MAX: Final = 4
AGAIN_SECONDS: Final = 0.5
NO_CONTENT: Final = 204


class NotAnswered(Exception):
    """A service refused, or cannot be reached; the text says why, in both languages if the service did."""

    def __init__(self, reason: str, code: str | None = None) -> None:
        super().__init__(reason)
        self.code = code
        """What a program decides by; None when nobody answered with a problem document."""


def ask(
    url: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    as_: str | None = None,
    home: Path | None = None,
) -> Any:
    """The JSON answer of a service, None for none; asked again a few times while it is away.  Raises NotAnswered.

    Asked as the post *as_*, such as `centre:hebin`, with a token of the stack in *home*; else by nobody in particular.
    With *body* it is a POST: give it an idempotency key, since a repetition may follow one that got through.
    """
    address = f"{url}{path}?{urlencode(query)}" if query else f"{url}{path}"
    data = None if body is None else json.dumps(body).encode()
    shown = {"Authorization": f"Bearer {Stack.load(home).token(as_)}"} if as_ else {}
    request = Request(  # noqa: S310 - the address is one of our own services
        address, data, {"Content-Type": "application/json", **shown, **(headers or {})}
    )
    reason, code = "", None
    for attempt in range(ATTEMPTS_MAX):
        time.sleep(AGAIN_SECONDS * attempt)
        try:
            with urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:  # noqa: S310 - the same
                return None if answer.status == NO_CONTENT else json.load(answer)
        except HTTPError as error:
            reason, code = _told(error)
            if error.code != 503:
                break
        except (URLError, HTTPException, OSError) as error:
            reason, code = f"{url} does not answer: {error} · 服务没有应答", None
    raise NotAnswered(reason, code)


def _told(error: HTTPError) -> tuple[str, str | None]:
    """What a problem document (RFC 9457) says, and its code."""
    with error:
        try:
            problem: dict[str, Any] = json.load(error)
        except ValueError:
            return f"{error.url} answered {error.code}", None
    title = f"{problem.get('title', error.code)} · {problem.get('title_zh', '')}"
    wrong = [f"{each['field']}: {each['reason']}" for each in problem.get("errors", ())]
    return "; ".join((title, *wrong)), problem.get("code")
