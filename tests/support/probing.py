"""What a user of the bus may do, asked of the server itself: many subjects over one connection."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import nkeys  # type: ignore[import-untyped]  # it carries no types

from cli.departments.keyring import public_of

READ_SECONDS_MAX: Final = 60.0
_REFUSED: Final = re.compile(rb"-ERR 'Permissions Violation for (?:Publish|Subscription) to \"([^\"]+)\"")


class Probe:
    """One signed-in connection, spoken by hand: a client library would check, queue and connect again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def may_publish(self, subjects: Iterable[str]) -> set[str]:
        """Those of the subjects on which the server lets it publish an empty message."""
        asked = list(subjects)
        return set(asked) - await self._refused(f"PUB {subject} 0\r\n\r\n" for subject in asked)

    async def may_hear(self, subjects: Iterable[str]) -> set[str]:
        """Those of the subjects to which the server lets it subscribe."""
        asked = list(subjects)
        return set(asked) - await self._refused(
            f"SUB {subject} {number}\r\n" for number, subject in enumerate(asked, 1)
        )

    async def send(self, messages: Iterable[tuple[str, str, bytes]]) -> None:
        """Publish each (subject, reply subject, payload), whatever the server says to it."""
        await self._refused(
            f"PUB {subject} {reply} {len(payload)}\r\n{payload.decode()}\r\n"
            for subject, reply, payload in messages
        )

    async def _refused(self, lines: Iterable[str]) -> set[str]:
        self._writer.write("".join(lines).encode() + b"PING\r\n")
        refused: set[str] = set()
        async with asyncio.timeout(READ_SECONDS_MAX):
            while (line := await self._reader.readline()) != b"PONG\r\n":
                assert line, "the server has closed the connection"
                if found := _REFUSED.match(line):
                    refused.add(found[1].decode())
        return refused


@asynccontextmanager
async def probing(url: str, **login: str) -> AsyncGenerator[Probe]:
    """A connection as `user` with `password`, or with a `seed`.  Raises PermissionError when it is turned away."""
    host, _, port = url.removeprefix("nats://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        greeting: dict[str, Any] = json.loads((await reader.readline()).removeprefix(b"INFO "))
        shown = {"verbose": False, "pedantic": False, **_shown(login, greeting)}
        writer.write(f"CONNECT {json.dumps(shown)}\r\nPING\r\n".encode())
        answer = await reader.readline()
        if answer != b"PONG\r\n":
            raise PermissionError(answer.decode().strip())
        yield Probe(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


def _shown(login: dict[str, str], greeting: dict[str, Any]) -> dict[str, str]:
    if "seed" not in login:
        return {"user": login["user"], "pass": login["password"]}
    signature = nkeys.from_seed(bytearray(login["seed"].encode())).sign(greeting["nonce"].encode())
    return {"nkey": public_of(login["seed"]), "sig": base64.b64encode(signature).decode()}
