"""What every service's process does: connect, check that all is provisioned, run its parts, stop in order."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from socket import gaierror
from typing import Any, Final

import asyncpg
import structlog
import uvloop

from libs.events import streams, telemetry
from libs.events.access.keys import Keys, KeyStore
from libs.events.access.limiting import networks
from libs.events.access.oidc import Issuer
from libs.events.access.web import Access
from libs.events.away import DATABASE_AWAY
from libs.events.consume import consume
from libs.events.errors import (
    LogRefused,
    LogUnavailable,
    NotProvisioned,
    RuleBookInvalid,
    SchemaMismatch,
    WhistleError,
)
from libs.events.handle import Handler
from libs.events.jetstream import JetStream, connected
from libs.events.jetstream.pull import PullConsumer
from libs.events.keyvalue import KeyValue
from libs.events.log import Log, opened
from libs.events.memory import spare_collector
from libs.events.projection import Projector
from libs.events.readmodel import Pool, ReadModel
from libs.events.readmodel import check as check_schema
from libs.events.settings import AccessSettings, BusSettings, TelemetrySettings
from libs.events.streams import Consumer, Stream
from libs.events.subjects import CASES, KEYS, bucket_stream
from libs.events.web import Check, Readiness, lag_check

log = structlog.get_logger(__name__)

BEGINNINGS_MAX: Final = 60
"""In the life of a process: then it ends, and whoever keeps it starts another one."""
BEGIN_AGAIN_SECONDS: Final = 1.0
AWAY: Final = (
    LogUnavailable,
    gaierror,
    *DATABASE_AWAY,
)
"""What says that a server is away: a service waits for it.  Fewer than what passes while it runs, since a file that
is missing, or a port that is taken, must be said at once."""


@dataclass(frozen=True, slots=True)
class Bus:
    """A service's connection to the log and what stands on it."""

    jetstream: JetStream
    log: Log
    handler: Handler


@asynccontextmanager
async def on_bus(settings: BusSettings, wanted: Sequence[Stream | Consumer]) -> AsyncGenerator[Bus]:
    """The service's connection to the log, where everything in *wanted* is as it is declared.

    Raises NotProvisioned when a stream or consumer is missing or differs, LogUnavailable while a server is starting
    or a cluster has no leader yet.
    """
    password = settings.nats_password.get_secret_value()
    async with (
        connected(settings.nats_url, user=settings.nats_user, password=password) as client,
        opened(client, deadline_seconds=settings.append_deadline_seconds) as cases,
    ):
        bus = Bus(JetStream(client), cases, Handler(cases))
        await streams.check(bus.jetstream, wanted)
        yield bus


def access_of(settings: AccessSettings, jetstream: JetStream) -> Access:
    """Who may ask a service: by the keys in the log's account, and by the tokens of the issuer if one is set."""
    issuer = (
        Issuer(settings.oidc_issuer, settings.oidc_audience, posts_claim=settings.oidc_posts_claim)
        if settings.oidc_issuer
        else None
    )
    return Access(
        Keys(KeyStore(KeyValue(jetstream, KEYS)), lambda: datetime.now(UTC)),
        issuer,
        public_requests_per_minute=settings.public_requests_per_minute,
        trusted_proxies=networks(settings.trusted_proxies),
    )


async def together(serving: Awaitable[None], *parts: Coroutine[Any, Any, None]) -> None:
    """Run *parts* for as long as *serving* lasts; the first that fails ends them all, and is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part) for part in parts]
        await serving
        for task in tasks:
            task.cancel()


def needs(
    streams_of_service: Iterable[str],
    replicas: int,
    consumer: str | None = None,
    *,
    ack_wait_seconds: float = streams.ACK_WAIT_SECONDS,
) -> tuple[Stream | Consumer, ...]:
    """What must be provisioned for a service: these streams, the keys, and its consumer if it has one."""
    names = {*streams_of_service, bucket_stream(KEYS)}
    wanted = tuple(each for each in streams.log_streams(replicas) if each.name in names)
    consumers = [consumer] if consumer else []
    return (*wanted, *streams.service_consumers(consumers, ack_wait_seconds=ack_wait_seconds))


async def consume_cases(service: str, bus: Bus, projector: Projector, *, batch_messages_max: int) -> None:
    """Run the service's consumer until cancelled."""
    async with PullConsumer(bus.jetstream, CASES, service, batch_messages_max=batch_messages_max) as pull:
        telemetry.set_parked(service, await projector.count_parked())
        await consume(service, pull, projector.handle, projector.park)


async def readiness(bus: Bus, wanted: Sequence[Stream | Consumer]) -> list[Check]:
    """Whether the log is reached and its streams are what is declared."""
    checks = [Check("connected", bus.jetstream.is_connected, "to the log")]
    if bus.jetstream.is_connected:
        checks.append(await _checked("streams", streams.check(bus.jetstream, wanted)))
    return checks


async def readiness_of_projection(
    bus: Bus, pool: Pool, model: ReadModel, wanted: Sequence[Stream | Consumer], lag_events_max: int
) -> Readiness:
    """Ready means: connected, streams right, schema right, lag below the bound."""
    checks = await readiness(bus, wanted)
    checks.append(await _checked("schema", check_schema(pool, model)))
    if bus.jetstream.is_connected:
        checks.append(await _lag_check(bus, model.service, lag_events_max))
    return Readiness(tuple(checks))


async def _lag_check(bus: Bus, service: str, lag_events_max: int) -> Check:
    try:
        events = await streams.lag(bus.jetstream, service)
    except (LogUnavailable, LogRefused) as error:
        return Check("lag", ok=False, detail=str(error))
    telemetry.set_lag(service, events)
    return lag_check(events, lag_events_max)


async def _checked(name: str, checking: Awaitable[None]) -> Check:
    try:
        await checking
    except (WhistleError, OSError, asyncpg.PostgresError, *DATABASE_AWAY) as error:
        return Check(name, ok=False, detail=str(error) or type(error).__name__)
    return Check(name, ok=True, detail="as declared")


def run(service: str, settings: TelemetrySettings, main: Callable[[], Awaitable[None]]) -> None:
    """Run a service's process to its end.  A part that fails ends it, with one line that says why."""
    telemetry.start(service, settings)
    spare_collector()
    try:
        uvloop.run(_to_the_end(main))
    finally:
        telemetry.stop()


async def _to_the_end(main: Callable[[], Awaitable[None]]) -> None:
    try:
        await with_patience(main)
    except* (NotProvisioned, SchemaMismatch, RuleBookInvalid, LogUnavailable) as group:
        for error in group.exceptions:
            log.error("service_cannot_run", reason=str(error))  # noqa: TRY400 - it says what to do
        raise SystemExit(1) from None


async def with_patience(main: Callable[[], Awaitable[None]]) -> None:
    """Begin again when a server was away, most of all at the start, where no part has its own patience yet."""
    for beginning in range(1, BEGINNINGS_MAX + 1):
        try:
            await main()
        except* AWAY as group:
            if beginning == BEGINNINGS_MAX:
                raise
            log.warning("service_begins_again", reason=_reason(group))
        else:
            return
        await asyncio.sleep(BEGIN_AGAIN_SECONDS)


def _reason(group: BaseExceptionGroup[BaseException]) -> str:
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _reason(error)
    return str(error) or type(error).__name__
