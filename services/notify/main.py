"""The process of notify: the only file that wires its parts."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from libs.events import policy, telemetry
from libs.events.envelope import Entry
from libs.events.jetstream.reader import Credentials
from libs.events.keyvalue import KeyValue
from libs.events.personal.records import PersonRecords
from libs.events.projecting import Projecting, projecting
from libs.events.readmodel import Pool, pool_of
from libs.events.rules import Rules
from libs.events.runtime import Bus, run, together
from libs.events.settings import read
from libs.events.subjects import CASES, NOTICES, PARKED, PERSONS, POLICY, RECEIVERS, bucket_stream
from libs.events.vault.master import MasterFile
from libs.events.vault.opening import PostgresOpener
from libs.events.vault.store import vault_at
from libs.events.web import serve
from services.notify.channels.base import Channel, Medium
from services.notify.channels.guard import EVERYWHERE, networks
from services.notify.channels.mail import Mail, MailServer
from services.notify.channels.people import People
from services.notify.channels.posting import posting
from services.notify.channels.screen import Screen
from services.notify.channels.sms import Gateway, Sms
from services.notify.channels.webhook import Webhooks
from services.notify.contacts import ContactDesk, contact_routes
from services.notify.deciding.notices import Notice, notice_about
from services.notify.delivery.attempts import Attempts
from services.notify.delivery.engine import Engine
from services.notify.delivery.looking import Looking
from services.notify.delivery.notice_routes import notice_routes
from services.notify.delivery.people_plans import PeoplePlans
from services.notify.delivery.planner import Planner, WebhookPlans, is_told
from services.notify.delivery.records import Records
from services.notify.delivery.replays import Reading, Replay, Replays
from services.notify.delivery.table import Planned, Table
from services.notify.settings import NotifySettings
from services.notify.subscriptions.addresses import Address
from services.notify.subscriptions.routes import Desk, routes
from services.notify.subscriptions.store import Subscriptions
from services.notify.subscriptions.wish_routes import wish_routes
from services.notify.subscriptions.wishes import WishStore
from services.notify.views import MODEL


def _now() -> datetime:
    return datetime.now(UTC)


class Plans:
    """What a fact calls for beside the screen."""

    def __init__(self, rules: Rules, webhooks: WebhookPlans, people: PeoplePlans) -> None:
        self._rules = rules
        self.webhooks = webhooks
        self._people = people

    async def __call__(self, entry: Entry, notice: Notice | None) -> list[Planned]:
        """To whom it must be delivered, and when; *notice* is what it tells people."""
        to_people = await self._people(entry, notice) if notice else []
        return [*to_people, *await self.webhooks(entry)]

    async def again(self, entry: Entry, replay: Replay) -> Sequence[Planned]:
        """The same, for whom a replay is."""
        if replay.receiver is None:
            return await self(entry, notice_about(entry, self._rules.book))
        return await self.webhooks.of(entry, replay.receiver, replay.replay)


class Reactions:
    """Tells those whom it concerns about facts."""

    def __init__(self, screen: Screen, rules: Rules, plans: Plans, planner: Planner) -> None:
        self._screen = screen
        self._rules = rules
        self._plans = plans
        self._planner = planner

    async def __call__(self, entry: Entry) -> None:
        """Tell what a fact calls for; what was told before is not told again."""
        if not is_told(entry):
            return
        envelope = entry.envelope
        with telemetry.processing("notify", entry.case_id, entry.name, envelope.id, envelope.traceparent):
            notice = notice_about(entry, self._rules.book)
            if notice is not None:
                await self._screen.tell(notice)
            await self._planner.keep(await self._plans(entry, notice))


@dataclass(frozen=True, slots=True)
class Delivering:
    """The parts that deliver, and what is asked about them."""

    plans: Plans
    planner: Planner
    engine: Engine
    replays: Replays
    desk: Desk
    wishes: WishStore
    contacts: ContactDesk


@asynccontextmanager
async def gateways(settings: NotifySettings, people: People) -> AsyncGenerator[dict[Medium, Channel]]:
    """The channels to people for which there is a gateway."""
    found: dict[Medium, Channel] = {}
    if settings.mail_host:
        server = MailServer(
            host=settings.mail_host,
            port=settings.mail_port,
            security=settings.mail_security,
            user=settings.mail_user,
            password=settings.mail_password.get_secret_value(),
            sender=settings.mail_sender,
            public_url=settings.public_url,
        )
        found[Medium.MAIL] = Mail(server, people, _now, settings.delivery_attempt_seconds)
    async with posting(EVERYWHERE) as poster:  # the gateway is our own choice, wherever it stands
        if settings.sms_url:
            gateway = Gateway(
                settings.sms_url, settings.sms_body, settings.sms_content_type, settings.sms_header_lines
            )
            found[Medium.SMS] = Sms(gateway, people, poster)
        yield found


def engine_of(
    settings: NotifySettings, table: Table, records: Records, channels: Mapping[Medium, Channel]
) -> Engine:
    """What makes the attempts."""
    seconds_max = settings.delivery_attempt_seconds
    return Engine(
        table,
        Attempts(table, records, channels, _now, seconds_max),
        channels,
        _now,
        lease_seconds=settings.delivery_lease_seconds,
        attempt_seconds_max=seconds_max,
    )


async def replays_of(
    bus: Bus, settings: NotifySettings, pool: Pool, table: Table, plans: Plans, lease: timedelta
) -> Replays:
    """What goes through the log again; at once when the table of what is due was lost."""
    credentials = Credentials(settings.nats_user, settings.nats_password.get_secret_value())
    replays = Replays(pool, table, Reading(bus.log, bus.jetstream, credentials), plans.again, lease)
    if await table.prepare() and await bus.log.last_position():
        await replays.ask_for_all(_now())
    return replays


@asynccontextmanager
async def delivering(
    service: Projecting, settings: NotifySettings, rules: Rules
) -> AsyncGenerator[Delivering]:
    """The engine with its channels over the service's connections, and a pool of its own.

    Of its own, since planning waits for a connection while the consumer holds one.
    """
    bus, own, lease = (
        service.bus,
        networks(settings.webhook_networks),
        timedelta(seconds=settings.delivery_lease_seconds),
    )
    bucket = KeyValue(bus.jetstream, RECEIVERS)
    subscriptions, wishes = Subscriptions(bucket), WishStore(bucket)
    async with (
        pool_of(
            settings.postgres_dsn.get_secret_value(), connections_max=settings.delivery_connections_max
        ) as pool,
        vault_at(settings.vault_dsn.get_secret_value()) as vault,
        posting(own) as poster,
    ):
        opener = PostgresOpener(
            vault, MasterFile(settings.vault_master_file), PersonRecords(bus.jetstream).is_erased
        )
        people = People(bus.log, rules, opener, wishes, settings.offices)
        async with gateways(settings, people) as to_people:
            webhooks = Webhooks(subscriptions, bus.log, poster, _now)
            table, records = Table(pool, uuid4(), lease), Records(bus.jetstream)
            engine = engine_of(settings, table, records, {**to_people, Medium.WEBHOOK: webhooks})
            plans = Plans(
                rules,
                WebhookPlans(subscriptions, bus.log, _now),
                PeoplePlans(people, wishes, bus.log, rules, frozenset(to_people), _now),
            )
            replays = await replays_of(bus, settings, pool, table, plans, lease)
            desk = Desk(
                subscriptions=subscriptions,
                table=table,
                looking=Looking(pool, table, records),
                replays=replays,
                poster=poster,
                log=bus.log,
                address=Address(own, http=settings.webhook_http),
                now=_now,
            )
            contacts = ContactDesk(bus.log, opener, lambda: rules.book)
            yield Delivering(plans, Planner(table, engine.wake), engine, replays, desk, wishes, contacts)


async def main(settings: NotifySettings) -> None:
    """Run until SIGTERM."""
    needed = [CASES, NOTICES, PARKED, PERSONS, POLICY, bucket_stream(RECEIVERS)]
    async with projecting(MODEL, settings, needed) as service:
        rules = Rules(service.bus.jetstream, await policy.current(service.bus.jetstream))
        async with delivering(service, settings, rules) as parts:
            screen = Screen(service.bus.jetstream)
            projector = service.projector(Reactions(screen, rules, parts.plans, parts.planner))
            app = service.app(projector)
            app.include_router(routes(lambda: parts.desk))
            app.include_router(notice_routes(lambda: parts.desk.looking, _now))
            app.include_router(contact_routes(parts.contacts))
            app.include_router(wish_routes(lambda: parts.wishes, lambda: service.bus.log))
            await together(
                serve(app, settings.http_host, settings.http_port),
                service.consume(projector),
                rules.follow(),
                parts.engine.run(),
                parts.engine.sweep(),
                parts.replays.run(),
            )


if __name__ == "__main__":
    SETTINGS = read(NotifySettings)
    run("notify", SETTINGS, lambda: main(SETTINGS))
