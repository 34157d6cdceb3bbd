"""Makes the streams and consumers, and publishes the rule book, with the provisioning users."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from cli.stack.state import DATABASE
from libs.events import policy, streams
from libs.events.errors import LogUnavailable
from libs.events.jetstream import JetStream, connected
from libs.events.personal.carrying_out import carry_out
from libs.events.personal.records import PersonRecords
from libs.events.policy import RuleBook

SERVICES = ("intake", "dispatch", "evaluation", "notify")
ANSWER_SECONDS_MAX: Final = 120.0
"""How long servers that are starting, or a cluster that has no leader yet, are waited for."""
AGAIN_SECONDS: Final = 0.5


def stream_replicas() -> int:
    """How many copies of each stream to declare: 1 on one server, 3 on a cluster."""
    return int(os.environ.get("WHISTLE_STREAM_REPLICAS") or 1)


def ack_wait_seconds() -> float:
    """After how long an event that a service did not acknowledge is delivered again."""
    return float(os.environ.get("WHISTLE_ACK_WAIT_SECONDS") or streams.ACK_WAIT_SECONDS)


def uploads_bytes_max() -> int:
    """How much room all pictures have together that somebody sent and no fact speaks of."""
    return int(os.environ.get("WHISTLE_UPLOADS_BYTES_MAX") or streams.UPLOADS_BYTES_MAX)


async def provision(*, nats_url: str, secret: Callable[[str], str], policy_dir: Path) -> None:
    """Make what is missing; may be repeated.

    Raises WhistleError when something differs from what is declared, LogUnavailable when the servers do not answer.
    """
    book = policy.load(policy_dir)
    reason = "is it there, and are the passwords right?"
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while True:
                try:
                    await _provision(nats_url, secret, book)
                except LogUnavailable as error:
                    reason = str(error)
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    return
    except TimeoutError as error:
        raise LogUnavailable(f"no answer from {nats_url} in {ANSWER_SECONDS_MAX:g} s: {reason}") from error


async def carry_out_erasures(*, nats_url: str, secret: Callable[[str], str], admin_dsn: str) -> int:
    """Carry out every erasure on record that the vault has not, since it is new or came back from a backup; how many.

    Before anything else is done with the vault.  Raises WhistleError and asyncpg.PostgresError.
    """
    connection = await asyncpg.connect(urlunsplit(urlsplit(admin_dsn)._replace(path=f"/{DATABASE}")))
    try:
        async with connected(nats_url, user="persons", password=secret("persons")) as client:
            records = PersonRecords(JetStream(client))
            return len([person async for person in carry_out(records, connection)])
    finally:
        await connection.close()


async def _provision(nats_url: str, secret: Callable[[str], str], book: RuleBook) -> None:
    replicas, wait = stream_replicas(), ack_wait_seconds()
    async with connected(nats_url, user="provision", password=secret("provision")) as client:
        jetstream = JetStream(client)
        await streams.ensure(jetstream, streams.log_streams(replicas, uploads_bytes_max=uploads_bytes_max()))
        await streams.ensure(jetstream, streams.service_consumers(SERVICES, ack_wait_seconds=wait))
        await streams.ensure(jetstream, streams.timer_consumers(ack_wait_seconds=wait))
        await policy.publish(jetstream, book)
    async with connected(nats_url, user="provision-bus", password=secret("provision-bus")) as client:
        jetstream = JetStream(client)
        await streams.ensure(jetstream, streams.bus_streams(replicas))
        await streams.ensure(jetstream, streams.act_consumers(ack_wait_seconds=wait))
        await streams.ensure(jetstream, streams.sensed_streams(replicas))
        await streams.ensure(jetstream, streams.sensed_consumers(ack_wait_seconds=wait))
        departments = [department.code for department in book.departments]
        await streams.ensure(jetstream, streams.department_consumers(departments))
