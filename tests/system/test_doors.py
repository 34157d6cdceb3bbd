"""The further doors of the log's server: a sensor reports over MQTT, a department follows its cases over WebSocket."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiomqtt
import nats
import pytest

from cli.departments.serving import enable, seed_of
from cli.stack.state import Stack
from libs.events.contracts.intake import CaseReported
from libs.events.jetstream import JetStream, connected
from libs.events.streams import SENSED_CONSUMER
from libs.events.subjects import DEPARTMENT_API_PREFIX, DEPARTMENTS, SENSED, department_inbox
from tests.support.probing import probing
from tests.support.stack import eventually, log_of, running, whistle

ANSWER_SECONDS_MAX: Final = 60.0
HOST: Final = "127.0.0.1"
SENSOR: Final = "level 7"
TOPIC: Final = "sensor/level_207"
REPORT: Final[dict[str, Any]] = {
    "category": "1401",
    "description": "水位异常，管道疑似破裂",
    "place": {"community": "liuyuan"},
}


@pytest.fixture(scope="module")
def city() -> Iterator[Stack]:
    """A whole stack with both doors open."""
    with running(settings={"WHISTLE_NATS_MQTT_PORT": "0", "WHISTLE_NATS_WEBSOCKET_PORT": "0"}) as stack:
        added = whistle(stack, "sensor", "add", SENSOR, "--json")
        assert added.returncode == 0, added.stderr
        yield stack


def password_of(stack: Stack) -> str:
    return (stack.secrets_folder / "sensor-level_207").read_text(encoding="ascii").strip()


@asynccontextmanager
async def sensor(stack: Stack, password: str) -> AsyncGenerator[aiomqtt.Client]:
    """The sensor's connection."""
    async with aiomqtt.Client(
        HOST, stack.doors["mqtt"], username="sensor-level_207", password=password, identifier="level-7"
    ) as client:
        yield client


async def answer(client: aiomqtt.Client) -> dict[str, Any]:
    """The next answer to the sensor."""
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            return dict(json.loads(message.payload))
    raise AssertionError("the connection has ended")


def is_kept(stack: Stack) -> bool:
    """Whether its password lies on this machine."""
    return (stack.secrets_folder / "sensor-level_207").exists()


async def newest_report(stack: Stack) -> int:
    """How many reports of sensors the server has ever taken in."""
    async with connected(stack.nats_url, user="intake-bus", password=stack.secret("intake-bus")) as client:
        info = await JetStream(client).api(f"STREAM.INFO.{SENSED}")
    return int(info["state"]["last_seq"])


async def settled(stack: Stack) -> bool:
    """Whether intake has nothing of sensors in hand."""
    async with connected(stack.nats_url, user="intake-bus", password=stack.secret("intake-bus")) as client:
        info = await JetStream(client).api(f"CONSUMER.INFO.{SENSED}.{SENSED_CONSUMER}")
    return not info["num_pending"] and not info["num_ack_pending"]


@pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")
async def test_a_sensor_reports_a_case_once_and_a_department_hears_of_it_over_websocket(city: Stack) -> None:
    await enable(city, ["water"])
    browser = await nats.connect(
        f"ws://{HOST}:{city.doors['websocket']}",
        nkeys_seed_str=seed_of(city, "water"),
        inbox_prefix=department_inbox("water").encode(),
        max_reconnect_attempts=1,
    )
    try:
        bound = browser.jetstream(prefix=DEPARTMENT_API_PREFIX)
        events = await bound.pull_subscribe_bind("water", stream=DEPARTMENTS)
        async with sensor(city, password_of(city)) as client:
            await client.subscribe(f"{TOPIC}/answer", qos=1)
            report = json.dumps({"id": "2026-05-01.17", **REPORT})
            await client.publish(f"{TOPIC}/report", report, qos=1)
            taken = await answer(client)
            assert (taken["id"], taken["ok"]) == ("2026-05-01.17", True)
            await client.publish(f"{TOPIC}/report", report, qos=1)  # its network had lost the acknowledgement
            assert await answer(client) == taken
        (message,) = await events.fetch(1, timeout=ANSWER_SECONDS_MAX)
        assert message.subject == f"dept.water.assigned.{taken['case_id']}"
        await message.ack_sync(ANSWER_SECONDS_MAX)
    finally:
        await browser.close()
    async with log_of(city, "auditor") as (log, _):
        history = await log.load(taken["case_id"])
    [reported] = [entry for entry in history.entries if isinstance(entry.event, CaseReported)]
    assert isinstance(reported.event, CaseReported)
    assert (reported.event.channel, reported.envelope.actor) == ("sensor", "channel:sensor")
    assert reported.envelope.principal == "sensor:level_207"


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (b"\xff\xfe", None),
        (b"[]", None),
        (json.dumps(REPORT).encode(), "id"),
        (json.dumps({"id": "a b", **REPORT}).encode(), "id"),
        (json.dumps({"id": "1", **REPORT, "channel": "web"}).encode(), "channel"),
        (json.dumps({"id": "1", **REPORT, "description": "a\0b"}).encode(), "description"),
        (
            json.dumps({"id": "1", **REPORT, "place": {"longitude": 31.2, "latitude": 121.4}}).encode(),
            "place.latitude",
        ),
        (json.dumps({"id": "1", **REPORT, "category": "unheard"}).encode(), "category"),
        (json.dumps({"id": "1", **REPORT, "place": {"community": "nowhere"}}).encode(), "place.community"),
    ],
)
async def test_a_sensor_is_told_what_is_wrong(city: Stack, payload: bytes, field: str | None) -> None:
    async with sensor(city, password_of(city)) as client:
        await client.subscribe(f"{TOPIC}/answer", qos=1)
        await client.publish(f"{TOPIC}/report", payload, qos=1)
        refused = await answer(client)
    assert refused["ok"] is False
    assert refused["error"]["field"] == field
    assert refused["error"]["code"]
    assert refused["error"]["reason"].isascii()
    assert not refused["error"]["reason_zh"].isascii()
    assert refused.get("id") == ("1" if b'"1"' in payload else None), "of which report this is"
    await eventually(lambda: settled(city))


def test_open_doors_are_shown(city: Stack) -> None:
    assert json.loads(whistle(city, "status", "--json").stdout)["doors"] == city.doors
    assert f"websocket: 127.0.0.1:{city.doors['websocket']}" in whistle(city, "status").stdout


async def test_a_sensor_speaks_for_itself_over_mqtt_alone(city: Stack) -> None:
    password = password_of(city)
    with pytest.raises(PermissionError, match="Authorization"):
        async with probing(city.nats_url, user="sensor-level_207", password=password):
            pass
    before = await newest_report(city)
    async with sensor(city, password) as client:
        await client.subscribe(f"{TOPIC}/answer", qos=1)
        for topic in (
            "sensor/other/report",
            "case/c1/closed/1",
            "$JS/API/STREAM/DELETE/SENSED",
            "act/water/accept",
        ):
            await client.publish(topic, json.dumps({"id": "forged", **REPORT}), qos=0)
        await client.publish(f"{TOPIC}/report", json.dumps({"id": "own", **REPORT}), qos=1)
        assert (await answer(client))["id"] == "own"
    assert await newest_report(city) == before + 1, "nothing in another sensor's name was taken before it"


async def test_a_revoked_sensor_is_cut_off(city: Stack) -> None:
    password = password_of(city)
    async with sensor(city, password) as client:
        revoked = await asyncio.to_thread(whistle, city, "sensor", "revoke", SENSOR, "--json")
        assert json.loads(revoked.stdout) == {"sensor": SENSOR, "revoked": True}
        with pytest.raises(aiomqtt.MqttError):
            await answer(client)
    with pytest.raises(aiomqtt.MqttError):
        async with sensor(city, password):
            pass
    assert not is_kept(city)
