"""Does something with a case, and waits until the bus has it.

python examples/python/act.py handle CASE '{"note": "Replaced"}'
"""

import asyncio
import json
import os
import sys
from datetime import datetime, timezone
from uuid import uuid4

import nats

DEPARTMENT = os.environ["DEPARTMENT"]


async def act(verb: str, case: str, said: str = "{}") -> None:
    client = await nats.connect(
        os.environ["BUS"],
        nkeys_seed=os.environ["SEED"],
        inbox_prefix=f"_INBOX_{DEPARTMENT}".encode(),
    )
    document = {
        "specversion": "1.0",
        # Keep it with your record of what you did: after a failure, send the same id again.
        "id": str(uuid4()),
        "source": f"/departments/{DEPARTMENT}",
        "type": f"whistle.act.{verb}.v1",
        "subject": case,
        "time": datetime.now(timezone.utc).isoformat(),
        "data": json.loads(said),
    }
    receipt = await client.jetstream().publish(f"act.{DEPARTMENT}.{verb}", json.dumps(document).encode())
    print(f"received as number {receipt.seq}, and will not be lost")
    await client.close()


asyncio.run(act(*sys.argv[1:]))
