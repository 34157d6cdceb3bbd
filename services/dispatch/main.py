"""The process of dispatch: the only file that wires its parts."""

from datetime import UTC, datetime

from libs.events import policy, streams, telemetry
from libs.events.envelope import Context, Entry
from libs.events.jetstream import JetStream, connected
from libs.events.keyvalue import KeyValue
from libs.events.photos import STORES
from libs.events.projecting import projecting
from libs.events.rules import Rules
from libs.events.runtime import Bus, run, together
from libs.events.settings import read
from libs.events.streams import Consumer, Stream
from libs.events.subjects import CASES, PARKED, POLICY, TIMERS, UNITS, bucket_stream
from libs.events.timers import run_timers
from libs.events.web import Check, serve
from services.dispatch import decider
from services.dispatch.acts import Acts
from services.dispatch.asks import answer_asks
from services.dispatch.fastlane import FastLane
from services.dispatch.fleet import Fleet
from services.dispatch.inbox.clerk import Clerk
from services.dispatch.inbox.refusing import Refusals
from services.dispatch.inbox.taking import Inbox
from services.dispatch.patrol.acts import Patrols
from services.dispatch.patrol.routes import patrol_routes
from services.dispatch.reactor import react
from services.dispatch.routes import routes
from services.dispatch.settings import DispatchSettings
from services.dispatch.timekeeper import timekeeper
from services.dispatch.unit_routes import Units, unit_routes
from services.dispatch.views import MODEL


class Reactions:
    """Carries out what dispatch does about facts."""

    def __init__(self, bus: Bus, rules: Rules) -> None:
        self._bus = bus
        self._rules = rules

    async def __call__(self, entry: Entry) -> None:
        """React to one fact.  Raises RuntimeError when it cannot be decided, which parks the case."""
        book = self._rules.book
        now = book.local(datetime.now(UTC))
        command = react(entry, book, now)
        if command is None:
            return
        context = Context(
            actor="system:dispatch",
            time=now,
            correlation_id=entry.envelope.correlationid,
            causation_id=entry.envelope.id,
            policy_version=book.version,
        )
        with telemetry.processing(
            "dispatch", entry.case_id, entry.name, entry.envelope.id, entry.envelope.traceparent
        ):
            outcome = await self._bus.handler.handle(
                entry.case_id,
                lambda history: decider.decide(command, decider.fold_entries(history.entries)),
                context,
                cause=f"{entry.envelope.id}/{_name_of(command)}",
            )
        if isinstance(outcome, decider.Refusal):
            raise RuntimeError(  # noqa: TRY004 - not about a type
                f"what follows from {entry.name} cannot be decided: {outcome}"
            )


def _name_of(command: decider.Command) -> str:
    return type(command).__name__.lower()


async def _inbox(settings: DispatchSettings, jetstream: JetStream, bus: Bus, rules: Rules) -> Inbox:
    """What departments send in.  Raises NotProvisioned."""
    wait = settings.ack_wait_seconds
    wanted: tuple[Stream | Consumer, ...] = (
        *streams.bus_streams(settings.stream_replicas),
        *streams.act_consumers(ack_wait_seconds=wait),
    )
    await streams.check(jetstream, wanted)
    clerk = Clerk(bus, Refusals(jetstream), rules, lambda: datetime.now(UTC))
    return Inbox(jetstream, clerk, ack_wait_seconds=wait)


async def main(settings: DispatchSettings) -> None:
    """Run until SIGTERM."""
    bus_password = settings.bus_password.get_secret_value()
    async with (
        projecting(
            MODEL, settings, [CASES, POLICY, PARKED, TIMERS, bucket_stream(UNITS), *STORES]
        ) as service,
        connected(settings.nats_url, user=settings.bus_user, password=bus_password) as departments,
    ):
        rules = Rules(service.bus.jetstream, await policy.current(service.bus.jetstream))
        acts = Acts(service.bus, rules, lambda: datetime.now(UTC))
        keeper = timekeeper(service.bus, rules, lambda: datetime.now(UTC))
        reactions = Reactions(service.bus, rules)
        fleet = Fleet(KeyValue(service.bus.jetstream, UNITS))
        fast_lane = FastLane(service.bus, fleet, rules, lambda: datetime.now(UTC))
        units = Units(fleet, rules, lambda: datetime.now(UTC))
        inbox = await _inbox(settings, JetStream(departments), service.bus, rules)
        pasts = service.pasts(lambda: datetime.now(UTC))
        patrols = Patrols(service.bus, rules, lambda: datetime.now(UTC))

        async def react_in_time(entry: Entry) -> None:
            await reactions(entry)
            await fast_lane(entry)
            await keeper.keep(entry)

        projector = service.projector(react_in_time)
        app = service.app(
            projector, lambda: [Check("departments", departments.is_connected, "connected to their bus")]
        )
        app.include_router(unit_routes(lambda: units))
        app.include_router(patrol_routes(lambda: patrols, pasts))
        app.include_router(routes(lambda: acts, pasts))
        await together(
            serve(app, settings.http_host, settings.http_port),
            service.consume(projector),
            run_timers(
                service.bus.jetstream,
                keeper.fire,
                projector.park,
                batch_messages_max=settings.batch_messages_max,
            ),
            answer_asks(departments, acts, units),
            inbox.run(),
            rules.follow(),
        )


if __name__ == "__main__":
    SETTINGS = read(DispatchSettings)
    run("dispatch", SETTINGS, lambda: main(SETTINGS))
