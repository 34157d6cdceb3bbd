"""Replay: the whole log once through, raw and decoded into typed events; and the peer's notification log."""

import time
from typing import Final

from bench.arena import Arena
from bench.figures import Figure
from bench.peer import Peer
from bench.plan import Plan
from bench.work import Tell
from libs.events.jetstream import JetStream
from libs.events.jetstream.reader import Credentials, read
from libs.events.log import opened, typed

READER: Final = "auditor"
TYPED_NAME: Final = "replay, typed events"
PEER_TYPED_NAME: Final = "eventsourcing: replay, domain events"


async def measure(arena: Arena, plan: Plan, peer: Peer, tell: Tell) -> list[Figure]:
    """Ours and the peer's, in turn."""
    raw: list[float] = []
    decoded: list[float] = []
    peer_raw: list[float] = []
    peer_decoded: list[float] = []
    for repetition in range(plan.repetitions):
        tell(f"replay, repetition {repetition + 1} of {plan.repetitions}")
        raw.append(await _rate(arena, plan.events, decode=False))
        decoded.append(await _rate(arena, plan.events, decode=True))
        tell(f"eventsourcing replay, repetition {repetition + 1} of {plan.repetitions}")
        peer_raw.append(plan.events / await peer.replay(plan.events, decode=False))
        peer_decoded.append(plan.events / await peer.replay(plan.events, decode=True))
    return [
        Figure("replay", "replay, raw", "events/s", tuple(raw)),
        Figure("replay", TYPED_NAME, "events/s", tuple(decoded)),
        Figure("replay", "eventsourcing: replay, stored events", "events/s", tuple(peer_raw)),
        Figure("replay", PEER_TYPED_NAME, "events/s", tuple(peer_decoded)),
    ]


async def _rate(arena: Arena, events: int, *, decode: bool) -> float:
    credentials = Credentials(READER, arena.stack.secret(READER))
    async with arena.connection(READER) as client, opened(client) as log:
        last = await log.last_position()
        assert last >= events, "the log was filled before"
        started = time.perf_counter()
        async for found in read(JetStream(client), credentials, stop=last):
            if decode:
                for event in found:
                    typed(event)
        return last / (time.perf_counter() - started)
