"""Webhooks on real servers: signed, to whom they concern, and neither lost nor doubled when processes are killed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from cli.client import ask
from cli.stack.state import Stack
from libs.events.contracts.dispatch import Assigned
from libs.events.envelope import Entry
from libs.events.jetstream import Message
from libs.events.keyvalue import KeyValue
from libs.events.readmodel import pool_of
from libs.events.subjects import RECEIVERS, case_subject
from libs.events.testing.examples import EXAMPLES, entry_of
from services.notify.channels.base import Due, Failed, Medium, Outcome, Sent, Standing, notice_of
from services.notify.channels.guard import EVERYWHERE
from services.notify.channels.posting import posting
from services.notify.delivery.attempts import Attempts
from services.notify.delivery.engine import LANE_AT_ONCE_MAX
from services.notify.delivery.planner import webhook_notice
from services.notify.delivery.records import Records
from services.notify.delivery.table import Planned, Table
from services.notify.subscriptions.model import State, Subscription
from tests.support.cases import caught_up
from tests.support.notify import (
    ACK_WAIT_SECONDS,
    LEASES_OVER,
    QUICK,
    SECONDS_MAX,
    Notify,
    execute,
    forget_all,
    is_settled,
    resume,
    settled,
    state,
    subscribe,
    time_flies,
)
from tests.support.receiver import Post, receiving, verified
from tests.support.stack import SERVERS_ONLY, eventually, log_of, running

CASES = 15
DEATHS_MAX = 2
LEASE = timedelta(seconds=30)


@pytest.fixture(scope="module")
def servers() -> Iterator[Stack]:
    with running(SERVERS_ONLY, settings={"WHISTLE_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS)}) as bare:
        yield bare


@pytest.fixture(scope="module")
def one_replica(servers: Stack) -> Iterator[Notify]:
    replica = Notify(servers)
    yield replica
    replica.kill()


@pytest.fixture
async def notify(servers: Stack, one_replica: Notify) -> AsyncIterator[Notify]:
    """A replica that runs."""
    await one_replica.must_run()
    yield one_replica
    await forget_all(servers)


@pytest.fixture
async def nobody(servers: Stack, one_replica: Notify) -> AsyncIterator[None]:
    """No replica runs."""
    await one_replica.stop()
    yield
    await forget_all(servers)


async def test_a_delivery_is_a_signed_event_without_personal_data(servers: Stack, notify: Notify) -> None:
    async with receiving() as receiver:
        await subscribe(servers, "signed", receiver.url)
        [[reported, filed]] = await state(servers, ["signed"])
        await came(receiver.ids, 2)
        documents = {verified(post)["id"]: verified(post) for post in receiver.posts}
    assert documents.keys() == {reported.envelope.id, filed.envelope.id}
    document = documents[reported.envelope.id]
    assert (document["type"], document["subject"]) == ("whistle.case.reported.v1", reported.case_id)
    assert document["data"]["description"] == "Burst, call ***"


async def test_each_hears_of_what_concerns_it(servers: Stack, notify: Notify) -> None:
    async with receiving() as types, receiving() as here, receiving() as elsewhere, receiving() as water:
        await subscribe(servers, "types", types.url, types=("whistle.case.assigned.v1",))
        await subscribe(servers, "here", here.url, areas=("hebin",))
        await subscribe(servers, "elsewhere", elsewhere.url, areas=("liuyuan",), departments=("water",))
        await subscribe(servers, "water", water.url, departments=("water",))
        [entries] = await state(servers, ["concern"], Assigned(department="water"))
        [others] = await state(servers, ["no concern"], Assigned(department="roads"))
        wanted = {
            "types": (types, [entries[1], others[1]]),
            "here": (here, [*entries, *others]),
            "water": (water, [entries[1]]),
        }
        for receiver, told in wanted.values():
            await came(receiver.ids, len(told))
            assert {verified(post)["id"] for post in receiver.posts} == {each.envelope.id for each in told}
        assert elsewhere.posts == []


async def test_a_subscription_that_nobody_can_read_holds_up_nobody_else(
    servers: Stack, notify: Notify
) -> None:
    async with log_of(servers, "notify") as (_, jetstream):
        bucket = KeyValue(jetstream, RECEIVERS)
        broken = await bucket.put("webhook.broken", b'{"secret": "whsec_nobody"}', 0)
        async with receiving() as receiver:
            await subscribe(servers, "beside", receiver.url)
            await state(servers, ["beside-a-broken-one"])
            await came(receiver.ids, 2)
        await bucket.delete("webhook.broken", broken)


async def test_a_receiver_that_is_gone_is_called_no_more(servers: Stack, notify: Notify) -> None:
    async def gone(_: Post) -> int:
        return 410

    async with receiving(gone) as receiver:
        made = await subscribe(servers, "gone", receiver.url)
        [[reported, _]] = await state(servers, ["gone"])
        await recorded(servers, reported, made, "due")

        async with receiving() as other:  # what comes after it is heard by others alone
            await subscribe(servers, "other", other.url)
            await state(servers, ["after"])
            await came(other.ids, 2)
        assert len(receiver.ids) <= 2


async def test_nobody_is_called_at_an_address_of_ours_nor_by_a_redirection(
    servers: Stack, notify: Notify
) -> None:
    async def moved(_: Post) -> int:
        return 307

    async with receiving() as ours, receiving(moved) as sly:
        sly.redirect_to = ours.url
        local = await subscribe(servers, "local", ours.url.replace("127.0.0.1", "127.0.0.2"))
        redirecting = await subscribe(servers, "redirecting", sly.url)
        [[reported, _]] = await state(servers, ["sly"])
        assert (await recorded(servers, reported, local, "due"))[0] == (1, "due", None)
        assert (await recorded(servers, reported, redirecting, "due"))[0] == (1, "due", 307)
        assert ours.posts == []


async def test_what_a_receiver_says_instead_of_http_gets_into_no_record() -> None:
    async def talks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"call 13912345678\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(talks, "127.0.0.1") as server, posting(EVERYWHERE) as poster:
        port = server.sockets[0].getsockname()[1]
        outcome = await poster.post(f"http://127.0.0.1:{port}/", {}, "{}")
    assert outcome == Failed("RemoteProtocolError: no answer of HTTP")


async def test_only_a_death_between_the_answer_and_the_record_sends_again_and_with_the_same_id(
    servers: Stack, nobody: None
) -> None:
    async with receiving() as receiver:
        made = await subscribe(servers, "points", receiver.url, types=("whistle.case.filed.v1",))
        [[_, filed]] = await state(servers, ["points"])
        replica = Notify(servers, "points")
        came_by_then = []
        for point in ("sent", "recorded"):
            replica.start(f"notify.{point}=1")
            await ended(replica)
            came_by_then.append(len(receiver.ids))
            await execute(servers, LEASES_OVER)
        replica.start()
        await settled(servers, made)
        await replica.stop()
        assert came_by_then == [1, 2]
        assert len(receiver.ids) == 2
        assert len(set(receiver.ids)) == 1
        assert await recorded(servers, filed, made, "sent") == [(1, "sent", 204)]


async def test_receivers_and_replicas_are_killed_and_nothing_is_lost_or_sent_for_nothing(
    servers: Stack, nobody: None
) -> None:
    """Two replicas die at every point of a delivery; a receiver drops some of what it took without an answer."""

    dropped: list[str] = []

    async def drops_some(post: Post) -> int:
        if len(receiver.posts) % 15 == 7:
            dropped.append(post.id)
            raise ConnectionResetError
        return 200

    async with receiving(drops_some) as receiver:
        made = await subscribe(servers, "killed", receiver.url)
        keys = [f"kill-{number}" for number in range(CASES)]
        told = [entry for case in await state(servers, keys) for entry in case]
        deaths = await deaths_until_told(servers, made, receiver.ids, len(told))
        tried = [await recorded(servers, entry, made, "sent") for entry in told]
    assert deaths, "nobody died"
    assert {verified(post)["id"] for post in receiver.posts} == {entry.envelope.id for entry in told}
    assert len(set(receiver.ids)) == len(told), "an event went out under two ids"
    assert all([state for _, state, _ in each].count("sent") == 1 for each in tried)
    # What was dropped failed, is on record so (unless its replica died over it), and came again under its id.
    assert dropped
    assert all(receiver.ids.count(each) > 1 for each in dropped)
    # Each one too many has its reason: it is on record as failed, or was under way in a lane when its replica died.
    attempts = sum(len(each) for each in tried)
    assert len(receiver.ids) <= attempts + deaths * LANE_AT_ONCE_MAX


async def test_a_replay_goes_past_what_nobody_can_read(servers: Stack, notify: Notify) -> None:
    async with receiving() as receiver:
        kind = "whistle.case.filed.v1"
        made = await subscribe(servers, "replayed", receiver.url, types=(kind,), areas=("hebin",))
        [[reported, broken], [_, sound]] = await state(servers, ["broken", "sound"])
        await came(receiver.ids, 2)
        async with log_of(servers, "dispatch") as (_, jetstream):
            unreadable = case_subject(broken.case_id, "progress", broken.version + 1, None)
            await jetstream.publish(Message(unreadable, b"{}", {}))
        body = {"since": reported.envelope.time.isoformat()}
        path = f"/webhooks/{made.id}/replay"
        url, home = await notify.url(), servers.home
        await asyncio.to_thread(ask, url, path, body=body, as_=made.owner, home=home)
        await settled(servers, made)
        told = [verified(post)["id"] for post in receiver.posts]
    assert sorted(told) == sorted([broken.envelope.id, sound.envelope.id, sound.envelope.id])


async def test_a_lost_table_is_planned_anew_and_nothing_is_sent_again(servers: Stack, notify: Notify) -> None:
    """What was planned and not sent went with the table, and follows from the log again."""
    async with receiving() as receiver, receiving() as later:
        made = await subscribe(servers, "sent", receiver.url)
        waiting = await subscribe(servers, "waiting", later.url, state=State.PAUSED)
        [told] = await state(servers, ["lost"])
        for entry in told:
            await recorded(servers, entry, made, "sent")
        await caught_up(servers, "notify")
        await notify.stop()
        await execute(servers, "DROP TABLE notify.deliveries, notify.lanes, notify.replays")
        await resume(servers, waiting)
        notify.start()
        await came(later.ids, 2)
        await settled(servers, made)
        assert len(receiver.ids) == len(set(receiver.ids)) == 2


class Together:
    """A channel in which two replicas send at the same moment."""

    def __init__(self) -> None:
        self._both = asyncio.Barrier(2)
        self._statuses = iter((200, 202))

    async def standing(self, lane: str) -> Standing:
        raise AssertionError(f"nobody asks about {lane}")

    async def send(self, bundle: Sequence[Due]) -> Outcome:
        await self._both.wait()
        return Sent(next(self._statuses))


async def test_of_two_replicas_that_send_the_same_one_is_on_record(servers: Stack, nobody: None) -> None:
    notice, now = made_up_notice("together"), datetime.now(UTC)
    async with log_of(servers, "notify") as (_, jetstream), table_of(servers) as table:
        await table.plan([Planned(notice, now)])
        channels, records = {Medium.WEBHOOK: Together()}, Records(jetstream)
        replicas = [Attempts(table, records, channels, lambda: now, SECONDS_MAX) for _ in range(2)]
        outcomes = await asyncio.gather(*(each.make([notice]) for each in replicas))
        assert set(outcomes) == {Sent(200), Sent(202)}
        assert await table.due(notice.lane, 1) == []
        [record] = await records.all(notice)
    assert (record.attempt, record.state) == (1, "sent")


async def test_a_lane_that_is_opened_while_it_is_found_held_is_looked_at_again(
    servers: Stack, nobody: None
) -> None:
    notice = made_up_notice("resumed")
    async with table_of(servers) as table:
        await table.plan([Planned(notice, datetime.now(UTC))])
        [lane] = await table.take(1)
        await table.leave(lane, 0, None, held=True)
        assert await table.take(1) == []
        await table.open(notice.lane)
        [lane] = await table.take(1)
        await table.open(notice.lane)
        await table.leave(lane, 0, None, held=True)
        assert [each.lane for each in await table.take(1)] == [notice.lane]


def made_up_notice(receiver: str) -> Due:
    return notice_of(entry_of(EXAMPLES[Assigned], 3), Medium.WEBHOOK, receiver, lane=f"webhook/{receiver}")


@asynccontextmanager
async def table_of(stack: Stack) -> AsyncGenerator[Table]:
    """What is due, as a replica has it."""
    async with pool_of(stack.postgres_dsn("whistle_notify")) as pool:
        table = Table(pool, uuid4(), LEASE)
        await table.prepare()
        yield table


async def deaths_until_told(stack: Stack, made: Subscription, ids: Sequence[str], number: int) -> int:
    """Start whoever died again until all ids have come and are settled; how many deaths there were."""
    points = ("notify.planned", "notify.before_send", "notify.sent", "notify.recorded", "consume.committed")
    faults = ",".join(f"{point}=0.1" for point in points)
    replicas = [Notify(stack, f"dying-{number}", **QUICK) for number in range(2)]
    starts = 0

    async def are_told() -> bool:
        nonlocal starts
        for each in replicas:
            if each.has_ended:
                starts += 1
                each.start(faults if starts <= DEATHS_MAX else "", seed=starts)
        return len(set(ids)) >= number and await is_settled(stack, made)

    try:
        async with time_flies(stack):  # what failed twice would wait for minutes
            await eventually(are_told, SECONDS_MAX)
    finally:
        for each in replicas:
            await each.stop()
    return starts - len(replicas)


async def ended(replica: Notify) -> None:
    async def has_ended() -> bool:
        return replica.has_ended

    await eventually(has_ended, SECONDS_MAX)


async def came(ids: Sequence[str], number: int) -> None:
    async def have() -> bool:
        return len(set(ids)) >= number

    await eventually(have, SECONDS_MAX)


async def recorded(
    stack: Stack, entry: Entry, made: Subscription, until: str
) -> list[tuple[int, str, int | None]]:
    """The attempts on record as soon as the newest one says so."""
    notice = webhook_notice(entry, made)
    async with log_of(stack, "notify") as (_, jetstream):
        records = Records(jetstream)

        async def says_so() -> bool:
            record = (await records.newest(notice)).record
            return record is not None and record.state == until

        await eventually(says_so, SECONDS_MAX)
        return [(each.attempt, each.state, each.status) for each in await records.all(notice)]
