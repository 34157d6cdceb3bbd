"""An issuer of tokens that a test has in its hand, and a clock."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey

from libs.events.access.oidc import Issuer

URL: Final = "http://127.0.0.1:9/issuer"
MOMENTS: Final = {"exp", "nbf", "iat"}
SIGNING: Final = ECKey.generate_key("P-256", {"kid": "first", "use": "sig"})
OTHER: Final = ECKey.generate_key("P-256", {"kid": "second", "use": "sig"})


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Published:
    """What an issuer publishes."""

    def __init__(self, *keys: ECKey) -> None:
        self.keys = keys
        self.fetched: list[str] = []
        self.issuer = URL
        self.away = False
        self.clock = Clock()
        self.takes_seconds = 0.0

    async def __call__(self, url: str) -> bytes:
        self.fetched.append(url)
        self.clock.seconds += self.takes_seconds
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionRefusedError
        if url.endswith("/.well-known/openid-configuration"):
            return json.dumps({"issuer": self.issuer, "jwks_uri": f"{URL}/keys"}).encode()
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token but for *changes*; moments are seconds from now."""
    usual: dict[str, Any] = {"iss": URL, "aud": "whistle", "sub": "u-17", "exp": 60}
    usual["posts"] = ["centre:hebin"]
    told = {name: value for name, value in (usual | changes).items() if value is not None}
    moments = {name: int(time.time()) + told[name] for name in MOMENTS & told.keys() if told[name] != "soon"}
    return told | moments


def signed(told: Mapping[str, Any], key: Any = SIGNING, **header: Any) -> str:
    head = {"alg": "ES256", "kid": "first"} | header
    return jwt.encode(head, dict(told), key, algorithms=[head["alg"]])


def issuer(published: Published, clock: Clock | None = None) -> Issuer:
    more = {"monotonic": clock} if clock else {}
    return Issuer(URL, "whistle", posts_claim="posts", fetch=published, **more)
