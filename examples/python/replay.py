"""Reads again what the department was told: python examples/python/replay.py 2026-03-01T00:00:00+08:00."""

import asyncio
import json
import os
import sys

import nats

DEPARTMENT = os.environ["DEPARTMENT"]


async def replay(since: str) -> None:
    client = await nats.connect(
        os.environ["BUS"],
        nkeys_seed=os.environ["SEED"],
        inbox_prefix=f"_INBOX_{DEPARTMENT}".encode(),
    )
    question = {"since": since}
    more = True
    while more:
        reply = await client.request(f"ask.{DEPARTMENT}.replay", json.dumps(question).encode(), timeout=10)
        page = json.loads(reply.data)
        if not page["ok"]:
            sys.exit(page["error"]["reason"])
        for told in page["events"]:
            print(told["position"], told["event"]["type"], told["event"]["subject"])
        question["after"], more = page["after"], page["more"]
    await client.close()


asyncio.run(replay(*sys.argv[1:]))
