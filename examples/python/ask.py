"""Does something with a case, and hears at once what came of it: python examples/python/ask.py accept CASE."""

import asyncio
import json
import os
import sys

import nats

DEPARTMENT = os.environ["DEPARTMENT"]


async def ask(verb: str, case: str, said: str = "{}") -> None:
    client = await nats.connect(
        os.environ["BUS"],
        nkeys_seed=os.environ["SEED"],
        inbox_prefix=f"_INBOX_{DEPARTMENT}".encode(),
    )
    question = {"case_id": case, **json.loads(said)}
    reply = await client.request(f"ask.{DEPARTMENT}.{verb}", json.dumps(question).encode(), timeout=10)
    answer = json.loads(reply.data)
    if answer["ok"]:
        print(f"done, {len(answer['event_ids'])} new facts")
    else:
        print(f"not done: {answer['error']['code']}: {answer['error']['reason']}")
    await client.close()


asyncio.run(ask(*sys.argv[1:]))
