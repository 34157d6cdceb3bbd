"""One POST to a witness or to who stamps the time: bounded in time and size, not sent on from there."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import httpcore

CONNECT_SECONDS_MAX: Final = 5.0
ANSWER_SECONDS_MAX: Final = 10.0
ANSWER_BYTES_MAX: Final = 64 * 1024
CONNECTIONS_MAX: Final = 16
USER_AGENT: Final = b"whistle-ledger"


class Unheard(Exception):
    """No answer; the text says why."""


class Reply(NamedTuple):
    """An answer of HTTP."""

    status: int
    body: bytes


class Asker:
    """Posts; open it with `asking`."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def post(self, url: str, content_type: str, body: bytes) -> Reply:
        """The answer.  Raises Unheard without one, or for one that is too long."""
        seconds = {"connect": CONNECT_SECONDS_MAX, "pool": CONNECT_SECONDS_MAX}
        seconds |= {"read": ANSWER_SECONDS_MAX, "write": ANSWER_SECONDS_MAX}
        headers = [(b"content-type", content_type.encode()), (b"user-agent", USER_AGENT)]
        found = b""
        try:
            async with self._pool.stream(
                "POST", url, headers=headers, content=body, extensions={"timeout": seconds}
            ) as answer:
                async for part in answer.aiter_stream():
                    found += part
                    if len(found) > ANSWER_BYTES_MAX:
                        raise Unheard(f"its answer has more than {ANSWER_BYTES_MAX} bytes")
                return Reply(answer.status, found)
        except httpcore.TimeoutException as error:
            raise Unheard("no answer in time") from error
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            OSError,
        ) as error:
            raise Unheard(f"{type(error).__name__}: {error}"[:200]) from error


@asynccontextmanager
async def asking() -> AsyncGenerator[Asker]:
    """An asker whose connections are closed at the end."""
    async with httpcore.AsyncConnectionPool(
        ssl_context=ssl.create_default_context(), max_connections=CONNECTIONS_MAX
    ) as pool:
        yield Asker(pool)
