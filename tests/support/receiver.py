"""A receiver of webhooks or SMS on this machine, which behaves as a test wants."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from standardwebhooks import Webhook

SECRET: Final = "whsec_" + "c2VjcmV0IG9mIGEgdGVzdCwgbm90aGluZyBlbHNlLi4="


@dataclass
class Post:
    """One request that a receiver took."""

    id: str
    body: bytes
    headers: dict[str, str]


Behaviour = Callable[[Post], Awaitable[int]]


async def yes(_: Post) -> int:
    """A receiver that takes all."""
    return 204


@dataclass
class Receiver:
    """A receiver of webhooks on this machine, with every request that came."""

    behaviour: Behaviour = yes
    posts: list[Post] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    """In the order in which they came, repetitions included."""
    port: int = 0
    redirect_to: str = ""
    _server: asyncio.Server | None = None
    _serving: "dict[asyncio.Task[None], asyncio.StreamWriter]" = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """As if its process had been killed: who waits for an answer gets none."""
        if self._server is not None:
            self._server.close()
        self._server = None
        for task, writer in self._serving.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio serves each connection in a task"
        self._serving[task] = writer
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                post = await _post(reader)
                self.posts.append(post)
                self.ids.append(post.id)
                status = await self.behaviour(post)
                location = f"location: {self.redirect_to}\r\n" if self.redirect_to else ""
                writer.write(f"HTTP/1.1 {status} -\r\n{location}content-length: 0\r\n\r\n".encode())
                await writer.drain()
        del self._serving[task]
        writer.close()


async def _post(reader: asyncio.StreamReader) -> Post:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers["content-length"]))
    return Post(headers.get("webhook-id", ""), body, headers)


@asynccontextmanager
async def receiving(behaviour: Behaviour = yes) -> AsyncGenerator[Receiver]:
    """A receiver, open."""
    receiver = Receiver(behaviour)
    await receiver.open()
    try:
        yield receiver
    finally:
        await receiver.close()


def verified(post: Post, secret: str = SECRET) -> dict[str, Any]:
    """What the delivery says, as the package of Standard Webhooks takes it from whoever sent it."""
    document: dict[str, Any] = Webhook(secret).verify(post.body, post.headers)
    return document
