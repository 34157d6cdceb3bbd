"""What a department sends is kept until it is done, for each on its own; and nothing can be done with it but that."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import pytest
from nats.aio.client import Client

from cli.departments.serving import enable, signed_in
from cli.stack.state import Stack
from libs.events import streams
from libs.events.jetstream import JetStream, Message, connected
from libs.events.jetstream.pull import PullConsumer
from libs.events.subjects import (
    ACTS,
    DEPARTMENT_API_PREFIX,
    DEPARTMENTS,
    act_sender,
    act_subject,
    refused_subject,
)
from services.dispatch.replaying import PAGE_BYTES_MAX, ReplayAsk, Replays

ANSWER_SECONDS_MAX: Final = 60.0
IN_HAND: Final = 500
OFFICE: Final = "dispatch-bus"
PROVISIONER: Final = "provision-bus"


@asynccontextmanager
async def department(stack: Stack, code: str) -> AsyncGenerator[Client]:
    """A department's own connection."""
    await enable(stack, [code])
    async with signed_in(stack, code) as client:
        yield client


@asynccontextmanager
async def on_bus(stack: Stack, user: str) -> AsyncGenerator[JetStream]:
    """One of the users of the account BUS."""
    async with connected(stack.nats_url, user=user, password=stack.secret(user)) as client:
        yield JetStream(client)


async def sent(
    client: Client, subject: str, payload: bytes = b"{}", headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The server's answer to what a department publishes."""
    reply = await client.request(
        subject, payload, timeout=ANSWER_SECONDS_MAX, headers=dict(headers) if headers else None
    )
    answer: dict[str, Any] = json.loads(reply.data)
    return answer


async def taken(stack: Stack) -> list[tuple[str, bytes]]:
    """What waits in `ACTS`, taken out of it: who sent it, and what it says."""
    found: list[tuple[str, bytes]] = []
    consumer = streams.ACT_CONSUMER
    async with (
        on_bus(stack, OFFICE) as jetstream,
        PullConsumer(jetstream, ACTS, consumer, batch_messages_max=IN_HAND, group=streams.ACT_GROUP) as pull,
    ):
        while (await jetstream.api(f"STREAM.INFO.{ACTS}"))["state"]["messages"]:
            for delivery in await pull.next_batch():
                found.append((act_sender(delivery.subject), delivery.payload))
                await jetstream.client.request(delivery.reply, b"+ACK", timeout=ANSWER_SECONDS_MAX)
    return found


async def waiting(stack: Stack) -> int:
    """How many acts are kept."""
    async with on_bus(stack, OFFICE) as jetstream:
        return int((await jetstream.api(f"STREAM.INFO.{ACTS}"))["state"]["messages"])


async def test_an_act_is_kept_until_dispatch_has_done_it(servers: Stack) -> None:
    async with department(servers, "water") as water:
        acknowledged = await sent(water, act_subject("water", "accept"), b"first")
        assert acknowledged["stream"] == ACTS
        await sent(water, act_subject("water", "never-heard-of"), b"second")
    assert await taken(servers) == [("water", b"first"), ("water", b"second")]
    assert await waiting(servers) == 0


async def test_who_floods_is_refused_and_nobody_else(servers: Stack) -> None:
    async with department(servers, "fire") as fire, department(servers, "water") as water:
        room = asyncio.Semaphore(IN_HAND)

        async def flood(number: int) -> None:
            async with room:
                assert "error" not in await sent(fire, act_subject("fire", f"invented-{number % 7}"))

        await asyncio.gather(*(flood(number) for number in range(streams.ACTS_WAITING_MAX)))
        refused = await sent(fire, act_subject("fire", "accept"))
        assert refused["error"]["description"] == "maximum messages per subject exceeded"
        assert "error" not in await sent(water, act_subject("water", "accept"))
    assert len(await taken(servers)) == streams.ACTS_WAITING_MAX + 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Nats-Rollup": "all"},
        {"Nats-Rollup": "sub"},
        {"Nats-TTL": "1s"},
        {"Nats-Incr": "+1"},
        {"Nats-Schedule": "@at 2030-01-01T00:00:00Z", "Nats-Schedule-Target": "act.fire.accept"},
        {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1"},
        {"Nats-Stream-Source": "ACTS 1 2"},
        {"Nats-Expected-Stream": "DEPARTMENTS"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_no_header_does_more_than_send(servers: Stack, headers: dict[str, str]) -> None:
    async with department(servers, "water") as water:
        assert "error" in await sent(water, act_subject("water", "accept"), headers=headers)
    assert await waiting(servers) == 0


async def test_an_act_has_a_size(servers: Stack) -> None:
    async with department(servers, "water") as water:
        answer = await sent(water, act_subject("water", "accept"), b"x" * (streams.ACT_BYTES_MAX + 1))
        assert answer["error"]["description"] == "message size exceeds maximum allowed"


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.API.STREAM.DELETE.ACTS",
        "$JS.API.STREAM.PURGE.DEPARTMENTS",
        "$JS.API.CONSUMER.DELETE.ACTS.dispatch-acts",
        "act.fire.accept",
        "ask.fire.accept",
        "dept.fire.refused.c1",
        "case.c1.closed.1",
        "_INBOX_fire.x",
        "_INBOX_dispatch-bus.x",
    ],
)
async def test_the_acknowledgement_of_an_act_reaches_nobody_else(servers: Stack, reply: str) -> None:
    """The server does not check reply subjects; what it answers ends in the sender's own account."""
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.subject)

    async with on_bus(servers, OFFICE) as office, department(servers, "fire") as fire:
        await office.client.subscribe("ask.*.*", cb=hear)
        await office.client.subscribe("_INBOX_dispatch-bus.x", cb=hear)
        await fire.subscribe("_INBOX_fire.x", cb=hear)
        for client in (office.client, fire):
            await client.flush()
        before = (await office.api(f"STREAM.INFO.{DEPARTMENTS}"))["state"]
        async with department(servers, "water") as water:
            await water.publish(act_subject("water", "accept"), b"the attack", reply=reply)
            await sent(water, act_subject("water", "accept"), b"after it")
            for client in (office.client, fire):
                await client.flush()
        after = (await office.api(f"STREAM.INFO.{DEPARTMENTS}"))["state"]
    assert await taken(servers) == [("water", b"the attack"), ("water", b"after it")]
    assert heard == []
    assert after == before


async def test_a_department_hears_of_a_refusal_and_cannot_forge_one(servers: Stack) -> None:
    case_id = uuid4().hex
    async with (
        on_bus(servers, OFFICE) as office,
        department(servers, "water") as water,
        department(servers, "fire") as fire,
    ):
        jetstream = water.jetstream(prefix=DEPARTMENT_API_PREFIX)
        subscription = await jetstream.pull_subscribe_bind("water", stream=DEPARTMENTS)
        for forger in (fire, water):
            await forger.publish(refused_subject("water", case_id), b"forged")
            await forger.flush()
        await office.client.request(refused_subject("water", case_id), b"no", timeout=ANSWER_SECONDS_MAX)
        (message,) = await subscription.fetch(1, timeout=ANSWER_SECONDS_MAX)
        assert (message.subject, message.data) == (f"dept.water.refused.{case_id}", b"no")
        await message.ack_sync(ANSWER_SECONDS_MAX)


async def test_an_event_larger_than_a_page_is_a_page_of_its_own(servers: Stack) -> None:
    moment = datetime(2026, 3, 2, tzinfo=UTC).isoformat()
    large = json.dumps({"recordedtime": moment, "data": "x" * PAGE_BYTES_MAX}).encode()
    async with on_bus(servers, OFFICE) as office:
        at = [
            await office.publish(Message(refused_subject("parks", f"c{number}"), large, {}))
            for number in range(2)
        ]
        replays = Replays(office)
        first = await replays.answer("parks", ReplayAsk())
        second = await replays.answer("parks", ReplayAsk(after=first["after"]))
    assert [[event["position"] for event in page["events"]] for page in (first, second)] == [[at[0]], [at[1]]]
    assert (first["more"], second["more"]) == (True, False)


async def test_a_stream_that_older_software_made_gets_the_subject_of_refusals(servers: Stack) -> None:
    declared = {each.name: each for each in streams.bus_streams(1)}[DEPARTMENTS]
    async with on_bus(servers, PROVISIONER) as provisioner:
        found = (await provisioner.api(f"STREAM.INFO.{DEPARTMENTS}"))["config"]
        older = {key: value for key, value in found.items() if key != "subjects"}
        assert (await provisioner.api(f"STREAM.UPDATE.{DEPARTMENTS}", older))["config"].get(
            "subjects"
        ) is None
        await streams.ensure(provisioner, [declared])
        await streams.check(provisioner, [declared])
