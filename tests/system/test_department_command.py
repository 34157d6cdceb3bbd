"""Keys of departments, by the command: given, changed and taken away while everybody else works on."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from cli.departments.keyring import public_of
from cli.departments.serving import enable, signed_in
from cli.stack.state import Stack
from libs.events.jetstream import connected
from libs.events.subjects import (
    DEPARTMENT_API_PREFIX,
    DEPARTMENTS,
    ask_subject,
    department_inbox,
    refused_subject,
)
from tests.support.probing import probing
from tests.support.stack import eventually, whistle

ANSWER_SECONDS_MAX: Final = 60.0
OFFICE: Final = "dispatch-bus"


async def department(stack: Stack, *arguments: str) -> Any:
    """`./whistle department ... --json`, in a process of its own while this one goes on."""
    done = await asyncio.to_thread(whistle, stack, "department", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@asynccontextmanager
async def with_key(stack: Stack, code: str, seed: str) -> AsyncGenerator[Client]:
    """A connection that is not opened again when it is cut."""
    inbox = department_inbox(code).encode()
    client = await nats.connect(
        stack.nats_url, nkeys_seed_str=seed, inbox_prefix=inbox, allow_reconnect=False, connect_timeout=60
    )
    try:
        yield client
    finally:
        await client.close()


async def may_sign_in(stack: Stack, seed: str) -> bool:
    """Whether this key opens the bus now."""
    try:
        async with probing(stack.nats_url, seed=seed):
            return True
    except PermissionError:
        return False


def kept_in(file: str) -> str:
    """The secret key in a file that nobody else reads."""
    assert Path(file).stat().st_mode & 0o777 == 0o600
    return Path(file).read_text(encoding="ascii").strip()


async def cut(client: Client) -> None:
    """Wait until the server has closed this connection."""

    async def closed() -> bool:
        return bool(client.is_closed)

    await eventually(closed, ANSWER_SECONDS_MAX)


class Others:
    """A department that waits for its next event, and dispatch, which answers it: both from before the change."""

    def __init__(self, office: Client, fire: Client, waiting: Any) -> None:
        self._office = office
        self._fire = fire
        self._waiting = waiting
        self._number = 0
        self._pulled: asyncio.Task[list[Msg]]

    async def work_on(self) -> None:
        """The department asks for its next event, and goes on waiting for it."""
        self._number += 1
        self._pulled = asyncio.create_task(self._waiting.fetch(1, timeout=2 * ANSWER_SECONDS_MAX))
        while not (await self._waiting.consumer_info()).num_waiting:
            await self._fire.flush()

    async def worked_on(self) -> None:
        """The request that was open all the time gets it; a question is answered; nobody had to connect again."""
        subject = refused_subject("fire", f"c{self._number}")
        await self._office.request(subject, b"{}", timeout=ANSWER_SECONDS_MAX)
        (message,) = await self._pulled
        assert message.subject == subject
        await message.ack_sync(ANSWER_SECONDS_MAX)
        answer = await self._fire.request(ask_subject("fire", "accept"), b"{}", timeout=ANSWER_SECONDS_MAX)
        assert answer.data == b"heard"
        assert [client.stats["reconnects"] for client in (self._office, self._fire)] == [0, 0]


@pytest.fixture
async def others(servers: Stack) -> AsyncGenerator[Others]:
    async def answer(message: Msg) -> None:
        await message.respond(b"heard")

    await enable(servers, ["fire"])
    async with (
        connected(servers.nats_url, user=OFFICE, password=servers.secret(OFFICE)) as office,
        signed_in(servers, "fire") as fire,
    ):
        await office.subscribe("ask.*.*", cb=answer)
        bound = fire.jetstream(prefix=DEPARTMENT_API_PREFIX, timeout=ANSWER_SECONDS_MAX)
        yield Others(office, fire, await bound.pull_subscribe_bind("fire", stream=DEPARTMENTS))


async def test_a_key_is_given_changed_and_taken_away_and_nobody_else_notices(
    servers: Stack, others: Others, tmp_path: Path
) -> None:
    await others.work_on()
    first = await department(servers, "add", "water", "--to", str(tmp_path / "first.nk"))
    await others.worked_on()
    old = kept_in(first["seed_file"])
    assert public_of(old) == first["key"]
    async with with_key(servers, "water", old) as with_old:
        bound = with_old.jetstream(prefix=DEPARTMENT_API_PREFIX, timeout=ANSWER_SECONDS_MAX)
        info = await bound.consumer_info(DEPARTMENTS, "water")
        assert info.config.filter_subject == "dept.water.>"

        await others.work_on()
        second = await department(servers, "rotate", "water", "--to", "-")
        await others.worked_on()
        async with with_key(servers, "water", second["seed"]) as with_new:
            assert with_old.is_connected, "the old key works on"
            listed = {line["department"]: line for line in await department(servers, "list")}
            assert [key["key"] for key in listed["water"]["keys"]] == [first["key"], second["key"]]

            await others.work_on()
            await department(servers, "revoke", "water", "--key", first["key"])
            await cut(with_old)
            await others.worked_on()
            assert not await may_sign_in(servers, old)
            assert with_new.is_connected

            await department(servers, "revoke", "water")
            await cut(with_new)
    assert not await may_sign_in(servers, second["seed"])
    again = await department(servers, "add", "water", "--to", "-")
    assert await may_sign_in(servers, again["seed"])


async def test_only_departments_of_the_rule_book_in_force_get_a_key(servers: Stack) -> None:
    refused = await asyncio.to_thread(whistle, servers, "department", "add", "wather")
    assert refused.returncode == 1
    assert "knows no department wather" in refused.stderr
    assert "water" in refused.stderr
