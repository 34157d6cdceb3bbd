"""Fills the log with imported cases, and looks what that costs the server in memory."""

from typing import Final

from bench.arena import Arena
from bench.cases import imported, rows
from bench.figures import Figure
from bench.machine import resident_mb
from bench.peer import Peer
from bench.plan import EVENTS_PER_CASE, Plan
from bench.work import Tell, shared
from cli.importing.rows import Row
from libs.events.log import History, opened

CASES_IN_FLIGHT: Final = 1_000
PEER_BATCH_CASES: Final = 20


async def measure(arena: Arena, plan: Plan, tell: Tell) -> list[Figure]:
    """One decision of five events for each case."""
    tell(f"filling the log with {plan.events:,} events")
    server = arena.pid("nats")
    before = resident_mb(server)
    async with arena.connection("importer") as client, opened(client) as log:

        async def append(row: Row) -> None:
            await log.append(History(row.case_id), imported(row))

        seconds = await shared(CASES_IN_FLIGHT, rows(plan.cases, seed=1), append)
    events = plan.cases * EVENTS_PER_CASE
    after = resident_mb(server)
    return [
        Figure("append", "imported cases, decided and appended", "events/s", (events / seconds,)),
        Figure("memory", "nats-server, resident, empty log", "MB", (before,)),
        Figure("memory", f"nats-server, resident, {events:,} events", "MB", (after,)),
        Figure(
            "memory", "nats-server, memory per 100,000 events", "MB", ((after - before) / events * 100_000,)
        ),
    ]


async def fill_peer(plan: Plan, peer: Peer, tell: Tell) -> None:
    """The same cases for the peer."""
    tell(f"filling eventsourcing with {plan.events:,} events")
    await peer.fill(rows(plan.cases, seed=1), PEER_BATCH_CASES)
