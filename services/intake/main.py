"""The process of intake: the only file that wires its parts."""

import asyncio
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from libs.events import policy
from libs.events.consume import PASSING
from libs.events.envelope import Entry
from libs.events.parking import parked_routes
from libs.events.photos import STORES
from libs.events.projecting import Projecting, pasts_of, projecting_on
from libs.events.projection import Projector
from libs.events.readmodel import Pool
from libs.events.rules import Rules
from libs.events.runtime import Bus, access_of, needs, on_bus, readiness, run, together
from libs.events.sealing import Sealer
from libs.events.settings import read
from libs.events.streams import Consumer, Stream
from libs.events.subjects import CASES, PARKED, POLICY
from libs.events.vault.index import Index
from libs.events.vault.store import PostgresSealer, vault_at
from libs.events.web import Readiness, serve, service_app
from services.intake.attachments.keeping import Gallery
from services.intake.attachments.opening import Attachments, opened
from services.intake.attachments.reading import FORM_BYTES_MAX
from services.intake.attachments.routes import PATH, attachment_routes
from services.intake.duplicates import Duplicates
from services.intake.open311.endpoint import ROOT, Open311
from services.intake.open311.errors import Open311Errors
from services.intake.open311.routes import WITH_PICTURES, open311_routes
from services.intake.reactions import Reactions
from services.intake.routes import Desk, Places, routes
from services.intake.sensors import sensors_at
from services.intake.settings import IntakeSettings
from services.intake.sorting import Sorter
from services.intake.staff import staff_routes
from services.intake.views import MODEL

log = structlog.get_logger(__name__)

AGAIN_SECONDS: Final = 1.0


def _now() -> datetime:
    return datetime.now(UTC)


class ReadSide:
    """What intake reads: its read model, as soon and as long as the database answers.

    Reports must be taken without it, so it is begun beside them, and begun again.
    """

    def __init__(self, bus: Bus, rules: Rules, settings: IntakeSettings, gallery: Gallery) -> None:
        self._bus = bus
        self._settings = settings
        self._gallery = gallery
        self.sorter = Sorter(bus, Duplicates(self.pool), _now)
        self._reactions = Reactions(bus, rules, self.sorter, _now)
        self._service: Projecting | None = None
        self._projector: Projector | None = None

    def pool(self) -> "Pool | None":
        """Connections to the database; None while there are none."""
        return self._service.pool if self._service else None

    def needed_pool(self) -> Pool:
        """The same for whoever cannot do without: raises ConnectionError, which is answered with 503."""
        if self._service is None:
            raise ConnectionError("the database has not answered yet")
        return self._service.pool

    def needed_projector(self) -> Projector:
        """The projector; raises ConnectionError as long as there is none."""
        if self._projector is None:
            raise ConnectionError("the database has not answered yet")
        return self._projector

    async def _react(self, entry: Entry) -> None:
        # First: whatever else becomes of the case, its pictures must not run out.
        await self._gallery.keep_those_of(entry)
        await self._reactions(entry)

    async def run(self, wanted: tuple[Stream | Consumer, ...]) -> None:
        """Consume until cancelled.  Raises SchemaMismatch when the tables are those of newer code."""
        while True:
            try:
                async with projecting_on(self._bus, MODEL, self._settings, wanted) as service:
                    self._service = service
                    self._projector = service.projector(self._react)
                    await service.consume(self._projector)
            except PASSING as error:
                log.warning("read_model_away", reason=str(error) or type(error).__name__)
            finally:
                self._service = self._projector = None
            await asyncio.sleep(AGAIN_SECONDS)


async def main(settings: IntakeSettings) -> None:
    """Run until SIGTERM."""
    ack_wait = settings.ack_wait_seconds
    wanted = needs(
        [CASES, POLICY, PARKED, *STORES],
        settings.stream_replicas,
        MODEL.service,
        ack_wait_seconds=ack_wait,
    )
    async with on_bus(settings, wanted) as bus:
        rules = Rules(bus.jetstream, await policy.current(bus.jetstream))
        async with (
            opened(settings, settings, lambda: ZoneInfo(rules.book.city.time_zone), _now) as attachments,
            vault_at(settings.vault_dsn.get_secret_value()) as vault,
        ):
            reads = ReadSide(bus, rules, settings, attachments.gallery)
            sealer = PostgresSealer(vault, Index(settings.vault_index_secret.get_secret_value()))
            await _serve(settings, bus, rules, reads, attachments, sealer, wanted)


async def _serve(
    settings: IntakeSettings,
    bus: Bus,
    rules: Rules,
    reads: ReadSide,
    attachments: Attachments,
    sealer: Sealer,
    wanted: tuple[Stream | Consumer, ...],
) -> None:
    secret = settings.tracking_secret.get_secret_value()
    desk = Desk(bus, Places(rules), reads.sorter, secret, _now, sealer, attachments.album)

    async def ready() -> Readiness:
        # Not the database, nor the lag: reports are taken without them.
        return Readiness(tuple(await readiness(bus, wanted)))

    access = access_of(settings, bus.jetstream)
    app = service_app(
        "Whistle intake",
        ready,
        access=access,
        larger_bodies=dict.fromkeys((PATH, *WITH_PICTURES), FORM_BYTES_MAX),
    )
    app.include_router(routes(desk))
    app.include_router(staff_routes(desk, pasts_of(MODEL, settings, bus, reads.needed_pool, _now)))
    app.include_router(open311_routes(Open311(desk, reads.needed_pool, settings, access, attachments.door)))
    app.include_router(attachment_routes(attachments.door))
    app.include_router(parked_routes(reads.needed_projector))
    app.add_middleware(Open311Errors, base=ROOT)  # the outermost: it hears of whatever is wrong
    async with sensors_at(settings, desk) as sensors:
        await together(
            serve(app, settings.http_host, settings.http_port),
            rules.follow(),
            reads.run(wanted),
            *((sensors.run(),) if sensors else ()),
        )


if __name__ == "__main__":
    SETTINGS = read(IntakeSettings)
    run("intake", SETTINGS, lambda: main(SETTINGS))
