"""A read model that keeps a journal of all that it was asked to apply, and a process that consumes with it.

python -m tests.support.journal URL PASSWORD DSN
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from libs.events.consume import consume
from libs.events.contracts.intake import CaseFiled
from libs.events.envelope import Entry
from libs.events.jetstream import JetStream, connected
from libs.events.jetstream.pull import PullConsumer
from libs.events.log import opened
from libs.events.projection import Projector
from libs.events.readmodel import Connection, ReadModel, Table, pool_of
from libs.events.subjects import CASES

SERVICE: Final = "evaluation"
BATCH_MESSAGES_MAX: Final = 10  # many small transactions: many moments to die at

# Nothing here is unique: a double shows as a second row, a wrong order by the row's number.
SCHEMA: Final = """
CREATE TABLE journal (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id text NOT NULL,
    version integer NOT NULL,
    event_id text NOT NULL,
    amount integer NOT NULL DEFAULT 0
);
CREATE TABLE failing (case_id text PRIMARY KEY);
"""
IS_FAILING: Final = "SELECT case_id FROM failing WHERE case_id = ANY($1::text[])"
INSERT: Final = "INSERT INTO journal (case_id, version, event_id, amount) VALUES ($1, $2, $3, $4)"
TOO_LARGE: Final = "too large"


class HandlerBroken(Exception):
    """What a bug would raise."""


async def apply(connection: Connection, fresh: Sequence[Entry]) -> None:
    """Write each entry down.  Raises HandlerBroken for the second event of a case that is to fail."""
    failing = {record["case_id"] for record in await connection.fetch(IS_FAILING, [e.case_id for e in fresh])}
    rows: list[tuple[str, int, str, int]] = []
    for entry in fresh:
        if entry.case_id in failing and entry.version == 2:
            raise HandlerBroken(f"cannot handle event {entry.version}")
        large = isinstance(entry.event, CaseFiled) and entry.event.reason == TOO_LARGE
        rows.append((entry.case_id, entry.version, entry.envelope.id, 1 << 40 if large else 0))
    await connection.executemany(INSERT, rows)


MODEL: Final = ReadModel(SERVICE, SCHEMA, (Table("journal", ("number",)),), apply)


async def main(url: str, password: str, dsn: str) -> None:
    """Consume until killed."""
    async with (
        pool_of(dsn, connections_max=2) as pool,
        connected(url, user=SERVICE, password=password) as client,
        opened(client) as cases,
    ):
        jetstream = JetStream(client)
        projector = Projector(MODEL, pool, cases, jetstream)
        async with PullConsumer(jetstream, CASES, SERVICE, batch_messages_max=BATCH_MESSAGES_MAX) as pull:
            await consume(SERVICE, pull, projector.handle, projector.park)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
