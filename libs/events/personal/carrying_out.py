"""Destroys the keys of all whose erasure was ordered, whatever became of the vault meanwhile.

The vault notes up to which order of the stream it has carried them out.  A vault that comes back from a backup brings
an earlier note along, so the orders since then are carried out again: before anything else is done with it.
"""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Final

from libs.events import faults
from libs.events.contracts.base import Event
from libs.events.contracts.persons import ErasureOrdered
from libs.events.envelope import Context, Entry
from libs.events.personal.deciding import Standing, record_erased
from libs.events.personal.records import PersonRecords
from libs.events.vault import keeping

ACTOR: Final = "system:vault"
ORDERS: Final = f"person.*.{ErasureOrdered.name()}.*"


async def carry_out(records: PersonRecords, vault: keeping.Keeper) -> AsyncGenerator[str]:
    """Gives out each person whose order was outstanding, once their key is destroyed and the receipt stands.

    May be stopped at any moment and run again.  Raises LogUnavailable, LogRefused, CaseUnreadable, and what says that
    PostgreSQL is away.
    """
    done = await keeping.carried_out(vault)
    async for order in records.about(ORDERS, await _start(records, done)):
        await destroy(records, vault, order)
        await faults.reach("person.erased")
        await keeping.note_carried_out(vault, keeping.CarriedOut(order.sequence, order.envelope.id))
        yield order.case_id


async def destroy(records: PersonRecords, vault: keeping.Keeper, order: Entry) -> None:
    """Carry out one order: first the key goes, then the receipt is written; a second time adds nothing."""
    person = order.case_id
    await keeping.erase(vault, person)
    await faults.reach("vault.erased")
    values = await keeping.values_of(vault, person)

    async def receipt(standing: Standing) -> Event | None:
        return record_erased(standing, values)

    context = Context(
        actor=ACTOR,
        time=datetime.now(UTC),
        correlation_id=order.envelope.correlationid,
        causation_id=order.envelope.id,
    )
    await records.record(person, receipt, context)


async def _start(records: PersonRecords, done: keeping.CarriedOut) -> int:
    """Behind the last order that was carried out; from the beginning where that is none of this stream."""
    if not done.position:
        return 1
    async for order in records.about(ORDERS, done.position):
        is_same = (order.sequence, order.envelope.id) == done
        return done.position + 1 if is_same else 1
    return 1
