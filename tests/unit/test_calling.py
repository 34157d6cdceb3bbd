"""Whoever dies while they are asked is not reachable, and nothing else comes of it."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import httpx
import uvloop

from libs.events.calling import Transport

RESETS = struct.pack("ii", 1, 0)
AT_ONCE = 20
STEP_SECONDS = 0.001
TURN_SECONDS = 0.01
"""Of the loop: resets come at each moment of it, also between 'connected' and whoever waited for that."""


@contextmanager
def resetting() -> Generator[str]:
    """The address of a server that resets all who connect, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connections = [listening.accept()[0] for _ in range(AT_ONCE)]
            for connection in connections:
                time.sleep(STEP_SECONDS)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
                connection.close()

        server = threading.Thread(target=serve)
        server.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.join()


async def keep_busy() -> None:
    while True:
        time.sleep(TURN_SECONDS)  # noqa: ASYNC251 - the loop is to be late
        await asyncio.sleep(0)


async def outcomes(url: str) -> list[httpx.Response | BaseException]:
    busy = asyncio.create_task(keep_busy())
    async with httpx.AsyncClient(transport=Transport(trust_env=False)) as http:
        found = await asyncio.gather(*(http.get(url) for _ in range(AT_ONCE)), return_exceptions=True)
    busy.cancel()
    return found


def test_who_is_reset_while_connecting_gets_an_error_of_httpx() -> None:
    with resetting() as url:
        found = uvloop.run(outcomes(url))
    assert [each for each in found if not isinstance(each, httpx.TransportError)] == []
