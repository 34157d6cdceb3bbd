"""Tokens of the embedded default's issuer: who may read its key speaks as any post."""

import json
import os
import time
from pathlib import Path
from typing import Final

from cli.embedded.errors import StackError
from cli.stack.issuer import ALGORITHM, KEY_ID, key_file
from cli.stack.state import Stack

AUDIENCE: Final = "whistle"
TOKEN: Final = "WHISTLE_TOKEN"  # noqa: S105 - the name of a variable
LIFE_SECONDS: Final = 600.0
"""Of a token that a command makes for itself."""


class Tokens:
    """What many people of one stack show, each at their own doors; made anew before it is over."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._made: dict[str, tuple[float, str]] = {}

    def shown(self, post: str) -> dict[str, str]:
        """The header that this post shows.  Raises StackError where the issuer is none of ours."""
        made_at, token = self._made.get(post, (float("-inf"), ""))
        if time.monotonic() - made_at > LIFE_SECONDS / 2:
            made_at, token = time.monotonic(), self._stack.token(post)
            self._made[post] = made_at, token
        return {"Authorization": f"Bearer {token}"}


def token_for(home: Path, issuer: str, *posts: str, seconds: float = LIFE_SECONDS) -> str:
    """A token for these posts at the issuer of the stack in *home*; or `WHISTLE_TOKEN`, if that is set.

    Raises StackError where the issuer is none of ours.
    """
    given = os.environ.get(TOKEN)
    if given:
        return given
    if not key_file(home).exists():
        raise StackError(
            f"tokens of this system come from its own issuer: set {TOKEN} to one, or to an API key"
            f" · 本系统使用自己的身份服务：请把令牌或 API 密钥放入 {TOKEN}"
        )
    from joserfc import jwt
    from joserfc.jwk import ECKey

    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": os.environ.get("WHISTLE_OIDC_AUDIENCE") or AUDIENCE,
        "sub": " ".join(posts),
        "iat": now,
        "exp": now + round(seconds),
        "posts": list(posts),
    }
    key = ECKey.import_key(json.loads(key_file(home).read_text(encoding="utf-8")))
    return jwt.encode({"alg": ALGORITHM, "kid": KEY_ID}, claims, key)
