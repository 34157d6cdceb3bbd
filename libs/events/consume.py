"""The one consumer loop: pull, handle, acknowledge.  Three endings for what was pulled: done, again later, parked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Final

import asyncpg
import structlog

from libs.events import faults, telemetry
from libs.events.away import DATABASE_AWAY
from libs.events.errors import LogUnavailable
from libs.events.jetstream import NotNow, Unknown
from libs.events.jetstream.pull import Delivery, PullConsumer
from libs.events.subjects import case_id_in

log = structlog.get_logger(__name__)

AGAIN_FIRST_SECONDS: Final = 0.1
AGAIN_SECONDS_MAX: Final = (
    10.0  # below a third of ack_wait, so that what is held is not given to somebody else
)

PASSING: Final = (
    LogUnavailable,
    NotNow,
    Unknown,
    OSError,
    *DATABASE_AWAY,
    asyncpg.TransactionRollbackError,
)
"""What passes by itself: the servers are away, or two transactions met.  Everything else parks the case."""

Handle = Callable[[Sequence[Delivery]], Awaitable[None]]
"""Does all that the deliveries ask for, or nothing; doing it twice adds nothing."""
Park = Callable[[str, Exception], Awaitable[None]]
"""Sets a case aside, with the reason."""


async def consume(service: str, pull: PullConsumer, handle: Handle, park: Park) -> None:
    """Runs until it is cancelled; what is in hand then comes again, here or elsewhere."""
    while True:
        deliveries = await pull.next_batch()
        telemetry.set_lag(service, deliveries[-1].pending + len(deliveries))
        for part in await _settle(pull, deliveries, handle):
            # Somebody in the batch cannot be handled: one case at a time shows who, and spares the others.
            await _settle_case(pull, part, handle, park)
        await faults.reach("consume.committed")
        await pull.acknowledge(deliveries)
        telemetry.set_lag(service, deliveries[-1].pending)


async def _settle(
    pull: PullConsumer, deliveries: Sequence[Delivery], handle: Handle
) -> Sequence[Sequence[Delivery]]:
    """Handle all together; what is returned could not be, split by case."""
    try:
        await _until_it_passes(pull, deliveries, handle)
    except Exception as error:  # whatever it is: it is raised again for the one case that it belongs to
        parts = _by_case(deliveries)
        log.info("batch_split", cases=len(parts), reason=str(error) or type(error).__name__)
        return parts
    return ()


async def _settle_case(
    pull: PullConsumer, deliveries: Sequence[Delivery], handle: Handle, park: Park
) -> None:
    # One at a time, so that the case is parked at the very event that cannot be handled, not before it.
    for delivery in deliveries:
        try:
            await _until_it_passes(pull, [delivery], handle)
        except Exception as error:  # a bug or a broken event; parking it is loud and keeps the rest running
            await _park_case(pull, delivery, error, park)
            return  # what comes after it waits in the log


async def _park_case(pull: PullConsumer, delivery: Delivery, reason: Exception, park: Park) -> None:
    async def park_it(_: Sequence[Delivery]) -> None:
        await park(_case_id(delivery), reason)

    await _until_it_passes(pull, [delivery], park_it)


async def _until_it_passes(pull: PullConsumer, deliveries: Sequence[Delivery], handle: Handle) -> None:
    delay = AGAIN_FIRST_SECONDS
    while True:
        try:
            await handle(deliveries)
        except PASSING as error:
            log.warning("batch_again_later", delay_seconds=delay, reason=str(error) or type(error).__name__)
            await pull.hold(deliveries)
            await asyncio.sleep(delay)
            delay = min(delay * 2, AGAIN_SECONDS_MAX)
        else:
            return


def _by_case(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    ordered = sorted(deliveries, key=_case_id)  # stable: the order within a case stays
    return [list(part) for _, part in groupby(ordered, key=_case_id)]


def _case_id(delivery: Delivery) -> str:
    return case_id_in(delivery.subject)
