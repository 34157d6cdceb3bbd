"""Asking a service whether it is ready, without loading a client library."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

# Longer than a service looks before it says that it is not ready.
ANSWER_SECONDS_MAX = 5.0


async def is_ready(url: str) -> bool:
    """Whether `/readyz` of the service at `url` answers 200."""
    return await _answers(url, "/readyz")


async def is_alive(url: str) -> bool:
    """Whether `/healthz` of the service at `url` answers 200."""
    return await _answers(url, "/healthz")


async def _answers(url: str, path: str) -> bool:
    address = urlsplit(url)
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return b" 200 " in await _status_line(address.hostname or "127.0.0.1", address.port or 80, path)
    except (OSError, TimeoutError):
        return False


async def _status_line(host: str, port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode("ascii")
        )
        await writer.drain()
        return await reader.readline()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
