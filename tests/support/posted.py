"""A small HTTP server of a test's own, on loopback, that takes POSTs."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Taking = Callable[[str, bytes], Awaitable[tuple[int, str, bytes]]]
"""Path and body in; status, content type and body out."""


@asynccontextmanager
async def taking(take: Taking, port: int = 0) -> AsyncGenerator[int]:
    """The port, while the block lasts; each connection takes one request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = await reader.readexactly(int(fields["content-length"]))
            status, kind, content = await take(head.split(" ", 2)[1], body)
            length = f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
            writer.write(f"HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\n{length}".encode() + content)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield server.sockets[0].getsockname()[1]
