"""History played to a room: in order, marked, once each, at the taker's pace, and without a trace in the log."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import nats
import pytest

from cli.stack.state import Stack
from libs.events.envelope import Entry
from libs.events.jetstream import JetStream, NotNow, Unknown, connected
from libs.events.jetstream.pull import Delivery, PullConsumer
from libs.events.jetstream.reader import Credentials, read
from libs.events.log import typed
from libs.events.streams import ROOM_CONSUMER, ROOM_WAITING_EVENTS_MAX
from libs.events.subjects import REPLAY
from tests.support.cases import caught_up, import_cases, live_case_to_its_end, report, until_in_log
from tests.support.halting import halted
from tests.support.probing import probing
from tests.support.stack import COMMAND_SECONDS_MAX, command_line, eventually, log_of, whistle

CASES: Final = 2_400  # with the live ones, more events than a room holds
ROOMS: Final = ("training", "new system", "other")
WATCHED: Final = ("CASES", "NOTICES", "TIMERS", "PARKED")
TAKE_SECONDS_MAX: Final = 60.0


@dataclass(frozen=True)
class City:
    """A whole stack with some history, imported and live, and rooms."""

    stack: Stack
    case_id: str
    """A live case."""
    last: int
    """The end of the log when it was filled."""


@pytest.fixture(scope="module")
def city(stack: Stack) -> City:
    for room in ROOMS:
        assert whistle(stack, "room", "add", room).returncode == 0

    async def fill() -> City:
        await import_cases(stack, [str(number) for number in range(CASES)])
        _, history = await live_case_to_its_end(stack)
        await caught_up(stack, "intake", "dispatch", "evaluation", "notify")
        async with log_of(stack, "auditor") as (log, _):
            return City(stack, history.case_id, await log.last_position())

    return asyncio.run(fill())


async def log_entries(city: City, first: int = 1, last: int | None = None) -> list[Entry]:
    async with log_of(city.stack, "replayer") as (_, jetstream):
        credentials = Credentials("replayer", city.stack.secret("replayer"))
        batches = read(jetstream, credentials, start=first, stop=last or city.last)
        return [typed(raw) async for events in batches for raw in events]


def user_of(room: str) -> str:
    return f"room-{room.replace(' ', '_20')}"


@asynccontextmanager
async def inside(city: City, room: str) -> AsyncGenerator[PullConsumer]:
    """Somebody who takes what is played to a room, with the room's own user."""
    user = user_of(room)
    async with (
        connected(city.stack.nats_url, user=user, password=city.stack.secret(user)) as client,
        PullConsumer(JetStream(client), REPLAY, ROOM_CONSUMER, batch_messages_max=500) as pull,
    ):
        yield pull


async def take(city: City, room: str, count: int) -> list[Delivery]:
    """The next *count* events of a room."""
    taken: list[Delivery] = []
    async with asyncio.timeout(TAKE_SECONDS_MAX), inside(city, room) as pull:
        while len(taken) < count:
            deliveries = await pull.next_batch()
            await pull.acknowledge(deliveries)
            taken += deliveries
    await eventually(lambda: _is_empty(city, room))  # its acknowledgements have arrived
    return taken


async def _is_empty(city: City, room: str) -> bool:
    return await waiting(city, room) == 0


def played(city: City, room: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = whistle(city.stack, "replay", "--to-subject", subject_of(room), "--json", *arguments)
    assert done.returncode == code, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def subject_of(room: str) -> str:
    return f"replay.{room.replace(' ', '_20')}.>"


def started(city: City, room: str, *arguments: str) -> "subprocess.Popen[str]":
    return command_line(city.stack, "replay", "--to-subject", subject_of(room), "--json", *arguments)


async def waiting(city: City, room: str) -> int:
    user = user_of(room).replace("room-", "player-", 1)
    async with connected(city.stack.nats_url, user=user, password=city.stack.secret(user)) as client:
        try:
            return int((await JetStream(client).api(f"STREAM.INFO.{REPLAY}"))["state"]["messages"])
        except (NotNow, Unknown):
            return -1
        except Exception:  # no stream yet
            return 0


async def ends_of_streams(city: City) -> dict[str, int]:
    async with log_of(city.stack, "auditor") as (_, jetstream):
        infos = {name: await jetstream.api(f"STREAM.INFO.{name}") for name in WATCHED}
    return {name: int(info["state"]["last_seq"]) for name, info in infos.items()}


async def test_a_room_gets_every_event_once_in_order_and_nothing_else_happens(city: City) -> None:
    before = await ends_of_streams(city)
    chosen = ("--from", str(city.last - 99), "--to", str(city.last), "--speed", "max")
    told = await asyncio.to_thread(played, city, "new system", *chosen)
    assert (told["events"], told["waiting"], told["from"]) == (100, 100, city.last - 99)
    taken = await take(city, "new system", 100)
    originals = await log_entries(city, city.last - 99)
    for delivery, original in zip(taken, originals, strict=True):
        event = json.loads(delivery.payload)
        own = json.loads(original.envelope.model_dump_json(exclude_none=True))
        assert event["origin"] == "replay"
        assert {**event, "origin": own["origin"]} == own
        assert delivery.subject.startswith(f"replay.new_20system.case.{original.case_id}.{original.name}.")
    live = [each for each in originals if each.envelope.origin == "live"]
    assert live, "what was played would start work, were it live"
    await caught_up(city.stack, "intake", "dispatch", "evaluation", "notify")
    assert await ends_of_streams(city) == before


async def test_a_full_room_makes_the_player_wait_and_loses_nothing(city: City) -> None:
    assert city.last > ROOM_WAITING_EVENTS_MAX
    process = started(city, "training", "--speed", "max", "--rate-max", "100000")
    try:
        await eventually(lambda: _waits_full(city))
        assert process.poll() is None
        positions = _positions(await take(city, "training", city.last))
        out, err = await asyncio.to_thread(process.communicate, None, COMMAND_SECONDS_MAX)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert json.loads(out)["events"] == city.last
    assert positions == [(each.case_id, each.version) for each in await log_entries(city)]
    again = await asyncio.to_thread(played, city, "training", "--to", str(city.last), "--speed", "max")
    assert (again["events"], again["played_before"], again["waiting"]) == (city.last, city.last, 0)


async def _waits_full(city: City) -> bool:
    return await waiting(city, "training") == ROOM_WAITING_EVENTS_MAX


def _positions(taken: list[Delivery]) -> list[tuple[str, int]]:
    tokens = [delivery.subject.split(".") for delivery in taken]
    return [(each[3], int(each[5])) for each in tokens]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_stopped_anywhere_it_goes_on_where_it_was(city: City, number: signal.Signals) -> None:
    chosen = ("--from", "101", "--to", "1100", "--speed", "max")
    begun = ("--rate-max", "50", "--anew")
    process = started(city, "other", *chosen, *begun)
    await eventually(lambda: _some_wait(city))
    process.send_signal(number)
    _, err = await asyncio.to_thread(process.communicate, None, COMMAND_SECONDS_MAX)
    assert "Traceback" not in err
    if number is signal.SIGINT:
        assert process.returncode == 130
        assert "goes on" in err
    told = await asyncio.to_thread(played, city, "other", *chosen)
    assert told["events"] == 1_000
    assert 0 < told["played_before"] < 1_000
    originals = await log_entries(city, 101, 1_100)
    assert _positions(await take(city, "other", 1_000)) == [
        (each.case_id, each.version) for each in originals
    ]


async def _some_wait(city: City) -> bool:
    return 0 < await waiting(city, "other") < 1_000


@pytest.mark.full
async def test_a_process_that_is_stopped_pauses_the_replay(city: City) -> None:
    process = started(city, "other", "--to", "600", "--speed", "max", "--rate-max", "50", "--anew")
    try:
        await eventually(lambda: _some_wait(city))
        with halted(process.pid):
            while (so_far := await waiting(city, "other")) != await waiting(city, "other"):
                pass  # what was under way
            assert so_far < 600
        out, err = await asyncio.to_thread(process.communicate, None, COMMAND_SECONDS_MAX)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert json.loads(out)["events"] == 600


async def test_it_plays_the_subjects_times_and_cases_that_were_asked_for(city: City) -> None:
    everything = await log_entries(city)
    assigned = [each for each in everything if each.name == "assigned"]
    told = await asyncio.to_thread(
        played, city, "other", "--subject", "case.*.assigned.>", "--speed", "max", "--anew"
    )
    assert told["events"] == len(assigned)
    own = [each for each in everything if each.case_id == city.case_id]
    one = ("--from", city.case_id, "--subject", f"case.{city.case_id}.>", "--speed", "max", "--anew")
    told = await asyncio.to_thread(played, city, "other", *one)
    assert (told["from"], told["events"]) == (own[0].sequence, len(own))
    start, end = own[1].envelope.recordedtime, own[-1].envelope.recordedtime
    between = ("--from", start.isoformat(), "--to", end.isoformat(), "--speed", "max", "--anew")
    told = await asyncio.to_thread(played, city, "other", *between)
    first = next(each for each in everything if each.envelope.recordedtime >= start)
    assert told["from"] == first.sequence
    assert told["to"] == max(each.sequence for each in everything if each.envelope.recordedtime <= end)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--to-subject", "replay.nobody.>"), 1, "no room nobody"),
        (("--to-subject", "case.>"), 2, "not all that is played to a room"),
        (("--to-subject", "replay.other.>", "--from", "99999999"), 1, "lies in the future"),
        (("--to-subject", "replay.other.>", "--from", "2999-01-01T00:00:00Z"), 1, "lies in the future"),
        (("--to-subject", "replay.other.>", "--to", "2000-01-01"), 1, "nothing was recorded until"),
        (("--to-subject", "replay.other.>", "--from", "20", "--to", "10"), 1, "nothing to play"),
        (("--to-subject", "replay.other.>", "--from", "nosys/0"), 1, "the log has no case"),
        (("--to-subject", "replay.other.>", "--from", "soon"), 2, "or a case"),
        (("--to-subject", "replay.other.>", "--subject", "timer.>", "--speed", "max"), 2, "not below"),
    ],
)
def test_what_cannot_be_played_is_refused_with_the_reason(
    city: City, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = asyncio.run(waiting(city, "other"))
    done = whistle(city.stack, "replay", *arguments, COLUMNS="200")
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert asyncio.run(waiting(city, "other")) == before


async def test_another_replay_does_not_take_the_place_of_what_waits(city: City) -> None:
    await asyncio.to_thread(played, city, "other", "--to", "10", "--speed", "max", "--anew")
    refused = await asyncio.to_thread(
        whistle, city.stack, "replay", "--to-subject", subject_of("other"), "--to", "20", "--speed", "max"
    )
    assert refused.returncode == 1
    assert "10 events of another replay wait" in refused.stderr
    assert await taken_as_the_guide_does(city) == list(range(1, 11))
    told = await asyncio.to_thread(played, city, "other", "--to", "20", "--speed", "max")
    assert told["events"] == 20


async def taken_as_the_guide_does(city: City) -> list[int]:
    """The positions of ten events, by a client of NATS that knows nothing of Whistle: docs/replay.md."""
    client = await nats.connect(
        city.stack.nats_url,
        user="room-other",
        password=city.stack.secret("room-other"),
        inbox_prefix=b"_INBOX_room-other",
    )
    try:
        room = await client.jetstream().pull_subscribe_bind("room", stream="REPLAY")
        messages = await room.fetch(10, timeout=TAKE_SECONDS_MAX)
        for message in messages:
            assert json.loads(message.data)["origin"] == (message.headers or {})["Whistle-Origin"] == "replay"
            await message.ack()
        await client.flush()
        return [int((message.headers or {})["Whistle-Position"]) for message in messages]
    finally:
        await client.close()


@pytest.mark.full
async def test_of_two_players_into_one_room_one_gives_up(city: City) -> None:
    chosen = ("--to", "3000", "--speed", "max", "--rate-max", "300")
    first = started(city, "other", *chosen, "--anew")
    await eventually(lambda: _some_wait(city))
    second = started(city, "other", *chosen)
    results = [
        (await asyncio.to_thread(each.communicate, None, COMMAND_SECONDS_MAX), each.returncode)
        for each in (first, second)
    ]
    assert 1 in [code for _, code in results]
    assert any("somebody else plays" in err for (_, err), code in results if code)
    await asyncio.to_thread(played, city, "other", "--to", "3000", "--speed", "max")
    originals = await log_entries(city, 1, 3_000)
    assert _positions(await take(city, "other", 3_000)) == [
        (each.case_id, each.version) for each in originals
    ]


async def test_a_room_is_cut_off_when_it_is_taken_away(city: City) -> None:
    stack = city.stack
    assert whistle(stack, "room", "add", "for a day").returncode == 0
    user = user_of("for a day").replace(" ", "_20")
    password = stack.secret(user)
    await asyncio.to_thread(played, city, "for a day", "--to", "5", "--speed", "max")
    listed = json.loads(whistle(stack, "room", "list", "--json").stdout)
    assert "for a day" in [each["room"] for each in listed]
    assert whistle(stack, "room", "revoke", "for a day").returncode == 0
    with pytest.raises(PermissionError):
        async with probing(stack.nats_url, user=user, password=password):
            pass
    assert whistle(stack, "room", "revoke", "for a day").returncode == 1
    assert whistle(stack, "room", "add", "for a day").returncode == 0
    assert await waiting(city, "for a day") == 0, "what waited went with the room"
    receipt = await asyncio.to_thread(report, stack)  # the city goes on
    await until_in_log(stack, receipt["case_id"], "assigned")
