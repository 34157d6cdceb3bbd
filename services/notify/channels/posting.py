"""One POST to a stranger: signed, bounded in time and size, to a permitted address, and not sent on from there."""

import asyncio
import email.utils
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final

import httpcore
from standardwebhooks import Webhook

from services.notify.channels.base import Failed, Outcome, Sent
from services.notify.channels.guard import AddressRefused, Network, guarded

CONNECT_SECONDS_MAX: Final = 5.0
ANSWER_SECONDS_MAX: Final = 15.0
KEEP_ALIVE_SECONDS: Final = 15.0
CONNECTIONS_MAX: Final = 2_048
IDLE_CONNECTIONS_MAX: Final = 256
ANSWER_BYTES_MAX: Final = 16 * 1024
"""What is read of an answer, which says nothing to us: just enough to use the connection again."""
REST_SECONDS_MAX: Final = 1.0
CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"


def signed(
    message_id: str, now: datetime, body: str, secrets: Sequence[str], content_type: str = CONTENT_TYPE
) -> dict[str, str]:
    """The headers of a delivery by Standard Webhooks, with a signature by each secret."""
    at = now.astimezone(UTC)  # the package takes the clock's digits for UTC
    return {
        "content-type": content_type,
        "user-agent": "whistle",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, at, body) for secret in secrets),
    }


class Poster:
    """Posts; open it with `posting`."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> Outcome:
        """What came of one attempt: Sent for an answer 2xx, Failed for all else; redirects are not followed."""
        timeouts = {
            "connect": CONNECT_SECONDS_MAX,
            "pool": CONNECT_SECONDS_MAX,
            "read": ANSWER_SECONDS_MAX,
            "write": ANSWER_SECONDS_MAX,
        }
        try:
            async with self._pool.stream(
                "POST",
                url,
                headers=list(headers.items()),
                content=body.encode(),
                extensions={"timeout": timeouts},
            ) as answer:
                await _skip(answer)
                return _outcome(answer)
        except AddressRefused as error:
            return Failed(str(error))
        except httpcore.TimeoutException:
            return Failed("no answer in time")
        except httpcore.ProtocolError as error:
            # Never its text, in which stands what the receiver said: as long as it likes, and maybe a number.
            return Failed(f"{type(error).__name__}: no answer of HTTP")
        except (httpcore.NetworkError, httpcore.UnsupportedProtocol, ssl.SSLError) as error:
            return Failed(f"{type(error).__name__}: {error}")


@asynccontextmanager
async def posting(own: Sequence[Network]) -> AsyncGenerator[Poster]:
    """A poster that reaches public addresses and those in *own*; its connections are closed at the end."""
    async with (
        guarded(own) as guard,
        httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=IDLE_CONNECTIONS_MAX,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            network_backend=guard,
        ) as pool,
    ):
        yield Poster(pool)


def _outcome(answer: httpcore.Response) -> Outcome:
    if 200 <= answer.status < 300:
        return Sent(answer.status)
    again = next((value for name, value in answer.headers if name.lower() == b"retry-after"), b"")
    return Failed(
        f"answered {answer.status}", answer.status, again_seconds=seconds_of(again.decode("latin-1"))
    )


def seconds_of(retry_after: str, now: datetime | None = None) -> float | None:
    """The wait that a Retry-After asks for, in seconds or as a date (RFC 9110); None when it asks for none."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:10])
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    at = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


async def _skip(answer: httpcore.Response) -> None:
    """Read the rest of a short answer, so that the connection can be used again; a long one is cut off."""
    read = 0
    with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        async with asyncio.timeout(REST_SECONDS_MAX):
            async for part in answer.aiter_stream():
                read += len(part)
                if read > ANSWER_BYTES_MAX:
                    return
