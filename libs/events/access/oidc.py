"""Bearer tokens of an OpenID Connect issuer: signed by a key that it publishes, meant for us, and not over.

The issuer's keys are found by discovery (OpenID Connect Discovery 1.0) when a token first needs them, kept, and
fetched again when they are old or a token names one that is not among them.  A service starts, and goes on, while
the issuer is away.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from http.client import HTTPException
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from libs.events.access.identity import Actor, posts_in, pseudonym
from libs.events.access.limiting import LOOPBACK, is_safe
from libs.events.errors import IssuerUnavailable

log = structlog.get_logger(__name__)

ALGORITHMS: Final = ("ES256", "ES384", "Ed25519", "PS256", "RS256", "RS384", "RS512")
"""Signatures with a public key alone: none, and nothing with a shared secret."""
CLOCK_SKEW_SECONDS: Final = 30
TOKEN_CHARACTERS_MAX: Final = 16 * 1024
DOCUMENT_BYTES_MAX: Final = 256 * 1024
FETCH_SECONDS_MAX: Final = 10.0
FRESH_SECONDS: Final = 3_600.0
"""Keys older than this are fetched again; those of an issuer that does not answer go on meanwhile."""
AGAIN_SECONDS: Final = 5.0
"""Not more often than this, whatever tokens name."""
FIRST_AGAIN_SECONDS: Final = 1.0
"""The same as long as there are no keys at all."""
DISCOVERY_PATH: Final = "/.well-known/openid-configuration"

_NOT_HOLDING: Final = (JoseError, ValueError, KeyError, TypeError)
"""What joserfc raises for a token that is none, is not signed by a published key, or is not for us."""

_NOT_PUBLISHED: Final = (OSError, HTTPException, ValueError, KeyError, TypeError, JoseError)
"""What comes of an issuer that does not answer, or answers with something else."""

Fetch = Callable[[str], Awaitable[bytes]]


class Issuer:
    """One issuer, and what its tokens must be to be taken."""

    def __init__(
        self,
        url: str,
        audience: str,
        *,
        posts_claim: str,
        fetch: Fetch | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._posts_claim = posts_claim
        self._fetch = fetch or fetched
        self._monotonic = monotonic
        self._claims = jwt.JWTClaimsRegistry(
            leeway=CLOCK_SKEW_SECONDS,
            iss={"essential": True, "value": url},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._renewing: asyncio.Task[bool] | None = None

    async def actor_of(self, token: str) -> Actor | None:
        """Who asks with it; None when it does not hold.  Raises IssuerUnavailable when that cannot be known."""
        if len(token) > TOKEN_CHARACTERS_MAX:
            return None
        await self._have_keys()
        for renewed in (False, True):
            try:
                return self._actor(self._read(token))
            except InvalidKeyIdError:
                if renewed or not await self._refresh():
                    break
            except _NOT_HOLDING as error:
                log.info("token_refused", reason=type(error).__name__)
                return None
        log.info("token_refused", reason="unknown key")
        return None

    async def _have_keys(self) -> None:
        if self._keys is None:
            await self._refresh()
        elif self._monotonic() - self._fetched_at > FRESH_SECONDS and not self._fetching.locked():
            # Nobody who shows a good token waits for this.
            self._renewing = asyncio.create_task(self._refresh(), name="renew-issuer-keys")

    def _read(self, token: str) -> dict[str, Any]:
        if self._keys is None:
            raise IssuerUnavailable("the issuer's keys are not known")
        claims: dict[str, Any] = jwt.decode(token, self._keys, algorithms=ALGORITHMS).claims
        self._claims.validate(claims)
        return claims

    def _actor(self, claims: dict[str, Any]) -> Actor:
        listed = claims.get(self._posts_claim)
        return Actor(
            pseudonym(self._url, claims["sub"]), posts_in(listed if isinstance(listed, list) else ())
        )

    async def _refresh(self) -> bool:
        """Whether the keys are newer than they were.  Once for all who ask meanwhile, and not too often."""
        before = self._fetched_at
        async with self._fetching:
            if self._fetched_at > before:
                return True
            pause = FIRST_AGAIN_SECONDS if self._keys is None else AGAIN_SECONDS
            if self._monotonic() - self._tried_at < pause:
                return False
            try:
                self._keys = await self._published()
            except _NOT_PUBLISHED as error:
                log.warning("issuer_not_reached", issuer=self._url, reason=type(error).__name__)
                return False
            finally:
                # When it ended: who waited through an attempt that took long does not begin another one.
                self._tried_at = self._monotonic()
            self._fetched_at = self._monotonic()
            return True

    async def _published(self) -> KeySet:
        discovered = json.loads(await self._fetch(self._url.rstrip("/") + DISCOVERY_PATH))
        if discovered["issuer"] != self._url:
            raise ValueError("the document is of another issuer")
        if not is_safe(address := str(discovered["jwks_uri"])):
            raise ValueError("the keys are not behind TLS")
        return KeySet.import_key_set(json.loads(await self._fetch(address)))


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        """What an issuer says stands where it says; then urllib answers with the redirect itself, an error."""


async def fetched(url: str) -> bytes:
    """The document at *url*.  Raises OSError, or ValueError when it is too large."""
    return await asyncio.to_thread(_fetch, url)


def _fetch(url: str) -> bytes:
    if not is_safe(url):
        raise URLError("neither TLS nor this machine")
    with _opener(url).open(Request(url), timeout=FETCH_SECONDS_MAX) as answer:  # noqa: S310 - checked above
        content: bytes = answer.read(DOCUMENT_BYTES_MAX + 1)
    if len(content) > DOCUMENT_BYTES_MAX:
        raise ValueError("the document is too large")
    return content


def _opener(url: str) -> OpenerDirector:
    # The proxies of the environment are not for loopback.
    own = [ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []
    return build_opener(_NoRedirects, *own)
