"""How people reach a service over HTTP: the same request again until there is a definite answer, within bounds."""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

import httpx
import structlog

from cli.tokens import Tokens
from libs.events.calling import Transport

log = structlog.get_logger(__name__)

REQUEST_SECONDS_MAX: Final = 10.0
CONNECTIONS_MAX: Final = 24  # not more: httpx looks at every idle connection for each request
ATTEMPTS_MAX: Final = 30
AGAIN_SECONDS_MIN: Final = 0.1
AGAIN_SECONDS_MAX: Final = 5.0
NOT_FOUND: Final = 404
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class NoAnswer(Exception):
    """A service gave no definite answer to ATTEMPTS_MAX requests."""


class Answer(NamedTuple):
    """What a service said."""

    response: httpx.Response
    repeated: bool
    """Whether it may have been asked before, and have done it then."""

    @property
    def refusal(self) -> str | None:
        """The code of a refusal; None for a success."""
        if self.response.is_success:
            return None
        return str(self.response.json().get("code", self.response.status_code))

    @property
    def done(self) -> bool:
        """Whether it was done, and newly so."""
        return self.response.is_success and (self.repeated or bool(self.response.json()["event_ids"]))


class Doors:
    """The replicas of one service."""

    def __init__(self, http: httpx.AsyncClient, urls: Sequence[str], tokens: Tokens | None = None) -> None:
        """*tokens*: what those show who are not just anybody."""
        self._http = http
        self._urls = urls
        self._tokens = tokens
        self._jitter = Random()
        self._asked = 0
        self.again = 0
        """How often a request had to be sent again."""

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        *,
        as_: str | None = None,
    ) -> Answer:
        """The definite answer to a post such as `centre:hebin`, or to anybody.  Raises NoAnswer."""
        return await self._definite("POST", path, as_, json=dict(body), headers=headers)

    async def send(self, path: str, content: bytes, media_type: str) -> Answer:
        """The definite answer to what is no JSON, from anybody.  Raises NoAnswer."""
        return await self._definite("POST", path, None, content=content, headers={"Content-Type": media_type})

    async def put(self, path: str, body: Mapping[str, Any], *, as_: str | None = None) -> Answer:
        """The definite answer, whatever it says.  Raises NoAnswer."""
        return await self._definite("PUT", path, as_, json=dict(body))

    async def get(self, path: str, *, as_: str | None = None, **params: str | int) -> Any:
        """The JSON of a successful answer.  Raises NoAnswer, httpx.HTTPStatusError."""
        answer = await self._definite("GET", path, as_, params=params)
        return answer.response.raise_for_status().json()

    async def read(self, path: str, *, as_: str | None = None) -> Any | None:
        """The same; None where there is no such thing, or not yet."""
        answer = await self._definite("GET", path, as_)
        return None if answer.response.status_code == NOT_FOUND else answer.response.raise_for_status().json()

    async def _definite(self, method: str, path: str, as_: str | None, **options: Any) -> Answer:
        if as_ is not None:
            assert self._tokens is not None, "doors of nobody in particular"
            options["headers"] = {**(options.get("headers") or {}), **self._tokens.shown(as_)}
        self._asked += 1
        first = self._asked  # replicas in turn, and another one when one does not answer
        for attempt in range(ATTEMPTS_MAX):
            url = self._urls[(first + attempt) % len(self._urls)]
            wished = ""
            try:
                response = await self._http.request(method, f"{url}{path}", **options)
            except httpx.TransportError as error:
                log.warning("request_not_answered", path=path, reason=str(error) or type(error).__name__)
            else:
                if response.status_code not in PASSING:
                    return Answer(response, repeated=attempt > 0)
                log.warning("request_put_off", path=path, status=response.status_code)
                wished = response.headers.get("Retry-After", "")
            self.again += 1
            await asyncio.sleep(self._pause(attempt, wished))
        raise NoAnswer(f"{method} {path}: no definite answer in {ATTEMPTS_MAX} attempts")

    def _pause(self, attempt: int, wished: str) -> float:
        least = float(wished) if wished.isdigit() else AGAIN_SECONDS_MIN * 2**attempt
        return min(least, AGAIN_SECONDS_MAX) * self._jitter.uniform(0.5, 1.0)


def http_client() -> httpx.AsyncClient:
    """A client that keeps its connections; close it."""
    limits = httpx.Limits(
        max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX, keepalive_expiry=10
    )
    # The proxies of the environment are not for loopback.
    return httpx.AsyncClient(
        transport=Transport(limits=limits, trust_env=False), timeout=REQUEST_SECONDS_MAX, trust_env=False
    )
