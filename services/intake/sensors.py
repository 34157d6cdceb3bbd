"""What sensors report, over MQTT say: each report becomes a case once, and the sensor hears what became of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import orjson
import structlog
from fastapi import Response
from pydantic import Field, ValidationError

from libs.events import streams, telemetry
from libs.events.access.identity import Actor
from libs.events.bodies import Body, Code
from libs.events.consume import AGAIN_FIRST_SECONDS, AGAIN_SECONDS_MAX
from libs.events.errors import LogUnavailable, VaultUnavailable
from libs.events.jetstream import JetStream, NotNow, connected
from libs.events.jetstream.pull import Delivery, PullConsumer
from libs.events.problems import Problem
from libs.events.reasons import reason_zh
from libs.events.streams import SENSED_CONSUMER, Consumer, Stream
from libs.events.subjects import SENSED, sensor_answer_subject, sensor_in, token
from services.intake.routes import DESCRIPTION_CHARACTERS_MAX, Desk, PlaceBody, ReportBody, Taken, take
from services.intake.settings import IntakeSettings

log = structlog.get_logger(__name__)

CHANNEL: Final = "sensor"
PULLED_AT_ONCE_MAX: Final = 50
TRIES_MAX: Final = 5
"""Deliveries of a report that fails here for no known reason; then it is answered, and given up."""


class SensorBody(Body):
    """A report of a sensor.  The same `id` of the same sensor is the same report, however often it comes."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    category: Code
    description: Annotated[str, Field(min_length=1, max_length=DESCRIPTION_CHARACTERS_MAX)]
    place: PlaceBody


class Sensors:
    """The receiving end of `SENSED`."""

    def __init__(self, desk: Desk, jetstream: JetStream) -> None:
        self._desk = desk
        self._jetstream = jetstream

    async def run(self) -> None:
        """Take reports until cancelled; replicas share the work."""
        async with PullConsumer(
            self._jetstream, SENSED, SENSED_CONSUMER, batch_messages_max=PULLED_AT_ONCE_MAX
        ) as pull:
            while True:
                deliveries = await pull.next_batch()
                telemetry.set_lag(SENSED_CONSUMER, deliveries[-1].pending + len(deliveries))
                settled = await asyncio.gather(*map(self._settle, deliveries))
                done = [each for each, is_settled in zip(deliveries, settled, strict=True) if is_settled]
                await pull.acknowledge(done)

    async def _settle(self, delivery: Delivery) -> bool:
        """Whether it is over with this one; otherwise it comes again."""
        try:
            sensor = sensor_in(delivery.subject)
        except ValueError:  # no sensor has such a user, so nobody waits for an answer
            log.error("report_without_sensor", subject=delivery.subject)  # noqa: TRY400 - the subject says all
            return True
        try:
            answer = await self._outcome(sensor, delivery.payload)
        except Exception:
            log.exception("sensor_report_failed", sensor=sensor, deliveries=delivery.deliveries)
            if delivery.deliveries < TRIES_MAX:
                return False
            answer = _error("internal_error", "Something went wrong here.", "系统内部错误。")
        await self._tell(sensor, answer)
        return True

    async def _outcome(self, sensor: str, payload: bytes) -> dict[str, Any]:
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            return _error("not_valid", f"body: {error}", "不是有效的 JSON。")
        try:
            said = SensorBody.model_validate(document)
        except ValidationError as error:
            return _named(document, error) | _invalid(error)
        with telemetry.processing("intake", said.id, CHANNEL, said.id, None):
            taken = await self._until_taken(sensor, said)
        if isinstance(taken, Response):
            return {"id": said.id, **_refused(Problem.model_validate_json(bytes(taken.body)))}
        return {"id": said.id, "ok": True, **taken.receipt.model_dump()}

    async def _until_taken(self, sensor: str, said: SensorBody) -> Taken | Response:
        # No header of HTTP holds a line end, so nobody at that door can name a sensor's report.
        key = f"{CHANNEL}\n{sensor}\n{said.id}"
        body = ReportBody(
            category=said.category, description=said.description, channel=CHANNEL, place=said.place
        )
        delay = AGAIN_FIRST_SECONDS
        while True:
            try:
                return await take(self._desk, body, key, _actor(sensor))
            except (LogUnavailable, VaultUnavailable) as error:
                log.warning("sensor_report_waits", sensor=sensor, reason=str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, AGAIN_SECONDS_MAX)

    async def _tell(self, sensor: str, answer: dict[str, Any]) -> None:
        if not answer["ok"]:
            log.warning("sensor_report_refused", sensor=sensor, reason=answer["error"]["code"])
        try:
            await self._jetstream.tell(sensor_answer_subject(sensor), orjson.dumps(answer))
        except NotNow as error:  # the report is safe; it may ask again with the same id
            log.info("sensor_not_told", sensor=sensor, reason=str(error))


@asynccontextmanager
async def sensors_at(settings: IntakeSettings, desk: Desk) -> AsyncGenerator[Sensors | None]:
    """Those that report over the bus; None where intake has no user there.  Raises NotProvisioned."""
    if not settings.bus_user:
        yield None
        return
    password = settings.bus_password.get_secret_value()
    async with connected(settings.nats_url, user=settings.bus_user, password=password) as client:
        jetstream = JetStream(client)
        wanted: tuple[Stream | Consumer, ...] = (
            *streams.sensed_streams(settings.stream_replicas),
            *streams.sensed_consumers(ack_wait_seconds=settings.ack_wait_seconds),
        )
        await streams.check(jetstream, wanted)
        yield Sensors(desk, jetstream)


def _actor(sensor: str) -> Actor:
    """A sensor is a system of the city; who it is, the server has looked at when it signed in."""
    return Actor(f"sensor:{token(sensor)}", (f"integrator:sensor-{token(sensor)}",))


def _named(document: Any, error: ValidationError) -> dict[str, str]:
    """The report's own id, where it could be read."""
    is_read = isinstance(document, dict) and not any(each["loc"][:1] == ("id",) for each in error.errors())
    return {"id": document["id"]} if is_read else {}


def _refused(problem: Problem) -> dict[str, Any]:
    """What another door would have answered, as a sensor hears it."""
    if not problem.errors:
        return _error(problem.code, problem.title, problem.title_zh)
    first = problem.errors[0]
    return _error(problem.code, first.reason, first.reason_zh, first.field)


def _invalid(error: ValidationError) -> dict[str, Any]:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or None
    return _error("not_valid", f"{field or 'body'}: {first['msg']}", reason_zh(first), field)


def _error(code: str, reason: str, reason_in_chinese: str, field: str | None = None) -> dict[str, Any]:
    error = {"code": code, "field": field, "reason": reason, "reason_zh": reason_in_chinese}
    return {"ok": False, "error": error}
