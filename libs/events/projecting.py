"""The wiring that every service with read models shares: connect, bring the tables up to date, consume, be asked."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from fastapi import FastAPI

from libs.events.comparing import Report
from libs.events.errors import RebuildRefused, SchemaMismatch
from libs.events.history import SealedSettings, WholeLog
from libs.events.jetstream.reader import Credentials
from libs.events.parking import parked_routes
from libs.events.past import Pasts
from libs.events.projection import Projector, React, nothing
from libs.events.readmodel import Pool, ReadModel, check, pool_of, prepare
from libs.events.rebuild import Rebuild
from libs.events.rebuild_parts import Progress
from libs.events.runtime import Bus, access_of, consume_cases, needs, on_bus, readiness_of_projection
from libs.events.settings import ServiceSettings, read
from libs.events.streams import Consumer, Stream
from libs.events.web import Check, Readiness, service_app

log = structlog.get_logger(__name__)

REBUILD_SECONDS_MAX: Final = 3_600.0  # how long a replica waits for another one's rebuild
LOOK_AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Projecting:
    """A service with read models, connected and up to date."""

    model: ReadModel
    settings: ServiceSettings
    bus: Bus
    pool: Pool
    wanted: Sequence[Stream | Consumer]

    def projector(self, react: React = nothing) -> Projector:
        """What turns deliveries into reactions and read models."""
        return Projector(self.model, self.pool, self.bus.log, self.bus.jetstream, react=react)

    def pasts(self, now: Callable[[], datetime]) -> Pasts:
        """What answers about the past."""
        return pasts_of(self.model, self.settings, self.bus, lambda: self.pool, now)

    def app(self, projector: Projector, more: Callable[[], Sequence[Check]] = tuple) -> FastAPI:
        """The service's HTTP application, with the routes that all have; *more* adds to what makes it ready."""

        async def ready() -> Readiness:
            found = await readiness_of_projection(
                self.bus, self.pool, self.model, self.wanted, self.settings.lag_events_max
            )
            return Readiness((*found.checks, *more()))

        access = access_of(self.settings, self.bus.jetstream)
        app = service_app(f"Whistle {self.model.service}", ready, access=access)
        app.include_router(parked_routes(lambda: projector))
        return app

    async def consume(self, projector: Projector) -> None:
        """Run the service's consumer until cancelled."""
        size = self.settings.batch_messages_max
        await consume_cases(self.model.service, self.bus, projector, batch_messages_max=size)


def pasts_of(
    model: ReadModel,
    settings: ServiceSettings,
    bus: Bus,
    pool: Callable[[], Pool],
    now: Callable[[], datetime],
) -> Pasts:
    """What answers about the past, for a service whose database may be away."""
    history = WholeLog(bus.jetstream, _credentials(settings), read(SealedSettings).files())
    return Pasts(model, pool, bus.log, history, now)


def _credentials(settings: ServiceSettings) -> Credentials:
    return Credentials(settings.nats_user, settings.nats_password.get_secret_value())


@asynccontextmanager
async def projecting(
    model: ReadModel, settings: ServiceSettings, streams: Sequence[str]
) -> AsyncGenerator[Projecting]:
    """The service of *model*, which needs the streams with these names.

    Raises NotProvisioned, or SchemaMismatch when the read models would change in what they say.
    """
    wanted = needs(
        streams, settings.stream_replicas, model.service, ack_wait_seconds=settings.ack_wait_seconds
    )
    async with on_bus(settings, wanted) as bus, projecting_on(bus, model, settings, wanted) as service:
        yield service


@asynccontextmanager
async def projecting_on(
    bus: Bus, model: ReadModel, settings: ServiceSettings, wanted: Sequence[Stream | Consumer]
) -> AsyncGenerator[Projecting]:
    """The same, for a service that is on the bus already and has work to do there before its database answers.

    Raises what says that PostgreSQL is away, too.
    """
    dsn = settings.postgres_dsn.get_secret_value()
    async with pool_of(dsn, connections_max=settings.postgres_pool_connections_max) as pool:
        sealed = read(SealedSettings).files()
        rebuild = Rebuild(model, pool, bus.log, bus.jetstream, _credentials(settings), sealed=sealed)
        await _bring_up_to_date(model, pool, rebuild, accept_differences=settings.accept_differences)
        yield Projecting(model, settings, bus, pool, wanted)


async def _bring_up_to_date(
    model: ReadModel, pool: Pool, rebuild: Rebuild, *, accept_differences: bool
) -> None:
    """After an upgrade the tables are those of the old code: build new ones beside them, or wait for who does."""
    try:
        await prepare(pool, model)
    except SchemaMismatch:
        log.info("read_models_outdated", read_model=model.service)
    else:
        return
    async with asyncio.timeout(REBUILD_SECONDS_MAX):
        while not await _is_current(model, pool):
            try:
                report = await rebuild.run(_log_progress, accept_differences=accept_differences)
            except RebuildRefused as refused:
                log.info("rebuild_waited_for", reason=str(refused))
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                continue
            _log_differences(report)
            if not report.switched:
                raise SchemaMismatch(
                    f"the new read models of {model.service} say something else than the old ones: look at what "
                    "read_models_differ names, then start with WHISTLE_ACCEPT_DIFFERENCES=true, or go back"
                )


async def _is_current(model: ReadModel, pool: Pool) -> bool:
    try:
        await check(pool, model)
    except SchemaMismatch:
        return False
    return True


def _log_differences(report: Report) -> None:
    """What a person must know to say which of the two is right."""
    if report.cases_parked_anew:
        log.warning(
            "read_models_park_anew", cases=report.cases_parked_anew, examples=list(report.parked_examples)
        )
    for table in report.tables:
        if table.different_cases:
            log.warning(
                "read_models_differ",
                read_model=report.service,
                table=table.name,
                cases=table.different_cases,
                examples=list(table.examples),
            )


def _log_progress(progress: Progress) -> None:
    log.info("rebuild_advanced", position=progress.position, last_position=progress.last_position)
