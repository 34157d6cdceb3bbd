"""Hears what concerns the department, in order; signs for each case that it is given."""

import asyncio
import json
import os
from datetime import datetime, timezone

import nats

DEPARTMENT = os.environ["DEPARTMENT"]


async def listen() -> None:
    client = await nats.connect(
        os.environ["BUS"],
        nkeys_seed=os.environ["SEED"],
        inbox_prefix=f"_INBOX_{DEPARTMENT}".encode(),
        max_reconnect_attempts=-1,  # never give up: what happens meanwhile waits for you
    )
    jetstream = client.jetstream(prefix="BUS.API")
    mine = await jetstream.pull_subscribe_bind(DEPARTMENT, stream="DEPARTMENTS")
    while True:
        try:
            messages = await mine.fetch(10, timeout=30)
        except nats.errors.TimeoutError:
            continue  # nothing new in 30 seconds
        for message in messages:
            event = json.loads(message.data)
            print(event["type"], event["subject"], json.dumps(event["data"], ensure_ascii=False), flush=True)
            if event["type"] == "whistle.case.assigned.v1":
                await accept(jetstream, event)
            await message.ack()  # only now: if this program dies before, the event comes again


async def accept(jetstream, event) -> None:
    act = {
        "specversion": "1.0",
        "id": f"accept-{event['id']}",  # the same when the event comes again: a repeated act adds nothing
        "source": f"/departments/{DEPARTMENT}",
        "type": "whistle.act.accept.v1",
        "subject": event["subject"],
        "time": datetime.now(timezone.utc).isoformat(),
        "data": {},
    }
    await jetstream.publish(f"act.{DEPARTMENT}.accept", json.dumps(act).encode())


asyncio.run(listen())
