"""Requests of tests that are not about access: each is signed in as whom it speaks for."""

import json
import re
from collections.abc import Generator
from typing import Any, Final
from urllib.parse import unquote

import httpx

from cli.stack.state import Stack
from cli.tokens import Tokens
from libs.events.access.identity import is_post

CENTRE: Final = "centre:liuhe"
"""Of the whole example city."""
TRUSTED: Final = frozenset({"patrol", "sensor", "city-system"})
_DEPARTMENT: Final = re.compile(r"/departments/([^/]+)/")
_PATROL: Final = re.compile(r"/patrols/[^/]+/(check-in|find|end)")


class Signing(httpx.Auth):
    """Signs in whoever the path or the body names; reporters stay nobody in particular."""

    requires_request_body = True

    def __init__(self, stack: Stack) -> None:
        self._tokens = Tokens(stack)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Add what is shown, unless the test shows something itself."""
        if "authorization" not in request.headers:
            request.headers.update(self.shown(request.method, request.url.path, _said(request.content)))
        yield request

    def shown(self, method: str, path: str, said: dict[str, Any]) -> dict[str, str]:
        """The header of such a request."""
        post = post_for(method, path, said)
        return self._tokens.shown(post) if post else {}


def post_for(method: str, path: str, said: dict[str, Any]) -> str | None:
    """Who would send it; None for nobody in particular."""
    if department := _DEPARTMENT.match(path):
        return f"department:{unquote(department[1])}"
    if _PATROL.match(path):
        return "grid-worker:liuhe"
    if (method, path) == ("POST", "/cases"):
        return "integrator:gateway" if said.get("channel") in TRUSTED else None
    if path == "/ratings":
        return None
    by = said.get("by")
    if isinstance(by, str) and is_post(by):
        return by
    return "operator:test" if path.startswith("/parked") else CENTRE


def _said(content: bytes) -> dict[str, Any]:
    try:
        said = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
