"""Every user of the bus against every subject and every call of JetStream: who may what stands here once more, by hand.

The servers are asked, not the code that writes their file. A right that somebody adds there has to be added here too.
"""

import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from cli.departments.keyring import new_seed, public_of
from cli.embedded.account_file import render_accounts
from cli.embedded.accounts import RESTORER, user_names
from cli.embedded.nats import NatsServer
from cli.stack.ports import free_port
from libs.events import streams
from libs.events.contracts import EVENTS
from libs.events.jetstream import JetStream, connected
from libs.events.subjects import DEPARTMENT_API_PREFIX, REPLAY, department_inbox
from tests.support.probing import probing

PASSWORD: Final = "w-for-tests"
ANSWER_SECONDS_MAX: Final = 60.0
SEEDS: Final = {"water": new_seed(), "fire": new_seed()}
SERVICES: Final = ("intake", "dispatch", "evaluation", "notify")
LOG: Final = (
    *(*SERVICES, "ledger", "provision", "importer", "auditor", "persons", "replayer", "bookkeeper"),
    *("keys", "backup", "breakglass"),
)
BUS: Final = ("provision-bus", "dispatch-bus", "intake-bus")
DEPARTMENTS: Final = ("department-water", "department-fire")
ROOMS: Final = ("training", "other")
IN_ROOMS: Final = tuple(f"{who}-{room}" for room in ROOMS for who in ("player", "room"))
USERS: Final = (*LOG, *BUS, *DEPARTMENTS, *IN_ROOMS)

LOG_STREAMS: Final = tuple(stream.name for stream in streams.log_streams(1))
BUS_STREAMS: Final = tuple(stream.name for stream in (*streams.bus_streams(1), *streams.sensed_streams(1)))
CONSUMERS: Final = {
    "CASES": (*SERVICES, "anybodys"),
    "TIMERS": (streams.TIMER_CONSUMER,),
    "DEPARTMENTS": ("water", "fire"),
    "ACTS": (streams.ACT_CONSUMER,),
    "SENSED": (streams.SENSED_CONSUMER,),
    REPLAY: (streams.ROOM_CONSUMER, "anybodys"),
}
OF_STREAMS: Final = (
    *("CREATE", "UPDATE", "INFO", "DELETE", "PURGE", "MSG.GET", "MSG.DELETE", "SNAPSHOT", "RESTORE"),
    *("LEADER.STEPDOWN", "PEER.REMOVE"),
)
OF_CONSUMERS: Final = (
    *("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT", "PAUSE", "RESET", "UNPIN", "LEADER.STEPDOWN"),
)
OF_SERVERS: Final = (
    *("INFO", "STREAM.NAMES", "STREAM.LIST", "ACCOUNT.PURGE.LOG", "ACCOUNT.STREAM.MOVE.LOG.CASES"),
    *("SERVER.REMOVE", "META.LEADER.STEPDOWN", "STREAM.TEMPLATE.CREATE.T"),
)


def subjects() -> list[str]:
    """Every kind of subject that there is, and every call, on what really exists."""
    facts = [f"case.c1.{event.name()}.1{tail}" for event in EVENTS for tail in ("", ".water", ".fire")]
    others = (
        *(
            "case.c1",
            "case.c1.reported",
            "case.c1.invented.1",
            "case.c1.invented.1.water",
            "case.c1.reported.1.a.b",
        ),
        *("policy.rules", "policy.grid.a", "notice.c1.screen", "notice.c1.mail.1"),
        *(f"parked.{service}.c1" for service in SERVICES),
        *(f"ledger.{stream}" for stream in ("CASES", "NONE", "CASES.x")),
        *("person.p1.erased.2", "person.p1.erased", "person.p1.erased.2.a"),
        *("timer.set.c1.handle", "timer.due.c1.handle"),
        *("$KV.UNITS.water.u1", "$KV.KEYS.k.1", "$KV.RECEIVERS.r.1", "$KV.NONE.k"),
        *(f"$O.{store}.{part}.x" for store in ("PHOTOS", "UPLOADS", "NONE") for part in "CM"),
        *(f"replay.{room}.case.c1.reported.1" for room in (*ROOMS, "nobodys")),
        *(f"dept.{department}.{event}.c1" for department in SEEDS for event in ("assigned", "refused")),
        *(f"{kind}.{department}.accept" for kind in ("act", "ask") for department in SEEDS),
        *(f"live.{department}.assigned.c1" for department in SEEDS),
        *(
            "bus.deliver.x",
            "LOGAPI.CONSUMER.CREATE.CASES.x",
            "$SYS.REQ.SERVER.PING",
            "$SYS.ACCOUNT.LOG.CONNECT",
        ),
        *("_R_.x", "_INBOX.x", "$MQTT.sess.x", "$JS.EVENT.ADVISORY.x", "anything", "$GC.x"),
        *(f"_INBOX_{user.removeprefix('department-')}.x" for user in USERS),
        *(f"{prefix}.CONSUMER.INFO.DEPARTMENTS.{d}" for prefix in (DEPARTMENT_API_PREFIX,) for d in SEEDS),
        *(
            f"{prefix}.CONSUMER.MSG.NEXT.DEPARTMENTS.{d}"
            for prefix in (DEPARTMENT_API_PREFIX,)
            for d in SEEDS
        ),
    )
    return [*facts, *others, *_calls()]


def _calls() -> Iterable[str]:
    yield from (f"$JS.API.{call}" for call in OF_SERVERS)
    for stream in (*LOG_STREAMS, *BUS_STREAMS, REPLAY, "NONE"):
        yield from (f"$JS.API.STREAM.{call}.{stream}" for call in OF_STREAMS)
        yield from (f"$JS.API.CONSUMER.{call}.{stream}" for call in ("CREATE", "NAMES", "LIST"))
        yield from (
            f"$JS.API.DIRECT.GET.{stream}",
            f"$JS.API.DIRECT.GET.{stream}.a.b",
            f"$JS.FC.{stream}.x.y",
        )
        for consumer in CONSUMERS.get(stream, ("none",)):
            yield from (f"$JS.API.CONSUMER.{call}.{stream}.{consumer}" for call in OF_CONSUMERS)
            yield f"$JS.API.CONSUMER.CREATE.{stream}.{consumer}.filter.a"
            yield f"$JS.ACK.{stream}.{consumer}.1.1.1.1.1"
            yield f"$JS.ACK.hub.hash.{stream}.{consumer}.1.1.1.1.1"


REBUILDERS: Final = (*SERVICES, "ledger", "auditor", "replayer", "bookkeeper")
SEALED: Final = ("CASES", "POLICY", "NOTICES", "PERSONS")
READERS: Final[Mapping[str, tuple[str, ...]]] = {
    "CASES": (*SERVICES, "importer", "auditor", "persons", "replayer", "bookkeeper"),
    "POLICY": (*SERVICES, "importer", "auditor", "provision", "persons", "replayer", "bookkeeper"),
    "NOTICES": ("notify", "auditor", "persons"),
    "PERSONS": ("notify", "auditor", "persons"),
    "PARKED": ("auditor",),
    "TIMERS": ("dispatch", "auditor"),
    "KV_UNITS": ("dispatch",),
    "LEDGER": ("ledger", "auditor"),
    "KV_KEYS": (*SERVICES, "ledger", "keys", "backup"),
    "KV_RECEIVERS": ("notify", "persons", "backup"),
    "OBJ_PHOTOS": ("intake", "dispatch", "evaluation", "backup"),
    "OBJ_UPLOADS": ("intake", "dispatch", "evaluation"),
    "DEPARTMENTS": ("dispatch-bus",),  # whether a refusal was said already
    "ACTS": (),
    "SENSED": (),
}
SEEN_BY: Final = {
    **READERS,
    "PARKED": (*SERVICES, "importer", "auditor", "persons", "bookkeeper"),
    "ACTS": ("dispatch-bus",),
    "SENSED": ("intake-bus",),
    **{stream: (*READERS[stream], "ledger", "backup") for stream in SEALED},
}
# Who reads one message by its position, from the leader alone.
BY_POSITION: Final = {**READERS, **{stream: (*READERS[stream], "ledger") for stream in SEALED}}
# Who reads the whole stream in one go, not only a page or one message of it.
AT_ANY_SUBJECT: Final = {
    **READERS,
    "CASES": ("auditor", "persons"),
    "LEDGER": ("auditor",),
    "KV_RECEIVERS": ("notify", "backup"),
    "DEPARTMENTS": (),
}


DIRECT: Final = {
    **READERS,
    "CASES": (*SERVICES, "importer", "auditor", "persons", "bookkeeper"),
    "LEDGER": ("auditor",),
    "KV_RECEIVERS": ("notify", "backup"),
    "DEPARTMENTS": (),
}


def _table() -> Iterable[tuple[str, Iterable[str]]]:
    """Who may publish on a subject; the first that fits, in the pattern language of the server, counts."""
    for event in EVENTS:
        # What the ledger states of a case, whoever closes the books writes.
        publisher = event.SOURCE.removeprefix("/").replace("ledger", "bookkeeper")
        yield f"case.*.{event.name()}.*", {publisher, "importer"}
        yield f"case.*.{event.name()}.*.*", {publisher} & {"dispatch", "evaluation"}
    yield "case.*.*.*", ["importer"]
    yield "policy.>", ["provision"]
    yield "notice.>", ["notify"]
    yield "person.*.*.*", ["persons"]
    for service in SERVICES:
        yield f"parked.{service}.*", [service]
    yield "ledger.*", ["ledger"]
    yield "timer.set.*.*", ["dispatch"]
    yield "$KV.UNITS.*.*", ["dispatch"]
    yield "$KV.KEYS.*.*", ["keys"]
    yield "$KV.RECEIVERS.*.*", ["notify"]
    yield "$O.PHOTOS.*.*", ["intake"]
    yield "$O.UPLOADS.*.*", ["intake"]
    yield "dept.*.refused.*", ["dispatch-bus"]
    yield "sensor.*.answer", ["intake-bus"]
    for department in SEEDS:
        own = [f"department-{department}"]
        for subject in (
            f"act.{department}.*",
            f"ask.{department}.*",
            f"{DEPARTMENT_API_PREFIX}.CONSUMER.*.DEPARTMENTS.{department}",
            f"{DEPARTMENT_API_PREFIX}.CONSUMER.*.*.DEPARTMENTS.{department}",
            f"$JS.API.CONSUMER.MSG.NEXT.DEPARTMENTS.{department}",
            f"$JS.ACK.DEPARTMENTS.{department}.>",
            f"$JS.ACK.*.*.DEPARTMENTS.{department}.>",
        ):
            yield subject, own
    yield from _table_of_rooms()
    yield "$JS.API.INFO", (*LOG, *BUS, *IN_ROOMS)
    yield "$JS.API.STREAM.NAMES", ("provision", "provision-bus")
    yield from _table_of_streams()
    yield from _table_of_consumers()


def _table_of_rooms() -> Iterable[tuple[str, Iterable[str]]]:
    """In each room's own account, which says which room it is."""
    players, takers = [f"player-{room}" for room in ROOMS], [f"room-{room}" for room in ROOMS]
    for room in ROOMS:
        yield f"replay.{room}.>", [f"player-{room}"]
    for call in ("CREATE", "INFO", "DELETE"):
        yield f"$JS.API.STREAM.{call}.REPLAY", players
    yield "$JS.API.CONSUMER.CREATE.REPLAY.room", players
    yield "$JS.API.CONSUMER.INFO.REPLAY.room", (*players, *takers)
    yield "$JS.API.CONSUMER.MSG.NEXT.REPLAY.room", takers
    yield "$JS.ACK.REPLAY.room.>", takers
    yield "$JS.ACK.*.*.REPLAY.room.>", takers


def _table_of_streams() -> Iterable[tuple[str, Iterable[str]]]:
    yield "$JS.API.STREAM.UPDATE.DEPARTMENTS", ["provision-bus"]
    for stream in (*LOG_STREAMS, *BUS_STREAMS):
        maker = "provision" if stream in LOG_STREAMS else "provision-bus"
        yield f"$JS.API.STREAM.CREATE.{stream}", [maker]
        yield (
            f"$JS.API.STREAM.INFO.{stream}",
            {maker, *SEEN_BY[stream]} - ({"keys"} if stream == "KV_KEYS" else set()),
        )
        yield f"$JS.API.STREAM.MSG.GET.{stream}", BY_POSITION[stream]
        yield f"$JS.API.DIRECT.GET.{stream}", DIRECT[stream]
        yield f"$JS.API.DIRECT.GET.{stream}.>", AT_ANY_SUBJECT[stream]


def _table_of_consumers() -> Iterable[tuple[str, Iterable[str]]]:
    for service in SERVICES:
        yield f"$JS.API.CONSUMER.CREATE.CASES.{service}", ["provision"]
        yield f"$JS.API.CONSUMER.DELETE.CASES.{service}", ()
        yield (
            f"$JS.API.CONSUMER.INFO.CASES.{service}",
            (service, "provision", "importer", "auditor", "bookkeeper"),
        )
        yield f"$JS.API.CONSUMER.MSG.NEXT.CASES.{service}", [service]
        yield f"$JS.ACK.CASES.{service}.>", [service]
        yield f"$JS.ACK.*.*.CASES.{service}.>", [service]
    yield "$JS.API.CONSUMER.CREATE.CASES.*", (*REBUILDERS, "provision")
    yield "$JS.API.CONSUMER.DELETE.CASES.*", REBUILDERS
    for stream in SEALED[1:]:
        yield f"$JS.API.CONSUMER.CREATE.{stream}.*", ("ledger", "auditor", "provision")
        yield f"$JS.API.CONSUMER.DELETE.{stream}.*", ("ledger", "auditor")
    yield "$JS.API.CONSUMER.INFO.CASES.*", ("provision", "importer", "auditor", "bookkeeper")
    yield "$JS.FC.>", REBUILDERS
    for stream, consumer, owner in (
        ("TIMERS", streams.TIMER_CONSUMER, "dispatch"),
        ("ACTS", streams.ACT_CONSUMER, "dispatch-bus"),
        ("SENSED", streams.SENSED_CONSUMER, "intake-bus"),
    ):
        yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", [owner]
        yield f"$JS.ACK.{stream}.{consumer}.>", [owner]
        yield f"$JS.ACK.*.*.{stream}.{consumer}.>", [owner]
    yield "$JS.API.CONSUMER.UNPIN.ACTS.dispatch-acts", ["dispatch-bus"]
    yield f"$JS.API.CONSUMER.INFO.TIMERS.{streams.TIMER_CONSUMER}", ("dispatch", "auditor", "provision")
    yield f"$JS.API.CONSUMER.INFO.ACTS.{streams.ACT_CONSUMER}", ("dispatch-bus", "provision-bus")
    yield f"$JS.API.CONSUMER.INFO.SENSED.{streams.SENSED_CONSUMER}", ("intake-bus", "provision-bus")
    for stream in (*LOG_STREAMS, *BUS_STREAMS):
        maker = ["provision" if stream in LOG_STREAMS else "provision-bus"]
        yield f"$JS.API.CONSUMER.CREATE.{stream}.*", maker
        yield f"$JS.API.CONSUMER.CREATE.{stream}.*.>", maker
        yield f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.*", maker
        yield f"$JS.API.CONSUMER.INFO.{stream}.*", maker


TABLE: Final = [(pattern.split("."), frozenset(users)) for pattern, users in _table()]


def fits(pattern: list[str], subject: str) -> bool:
    """Whether a pattern of the server covers a subject."""
    tokens = subject.split(".")
    if pattern[-1] == ">":
        head = pattern[:-1]
        return len(tokens) > len(head) and all(map(_same, head, tokens))
    return len(tokens) == len(pattern) and all(map(_same, pattern, tokens))


def _same(pattern: str, token: str) -> bool:
    return pattern in {"*", token}


def allowed(subject: str) -> frozenset[str]:
    """Who may publish on it."""
    users = next((users for pattern, users in TABLE if fits(pattern, subject)), frozenset[str]())
    return users | {"breakglass"} if subject.startswith("$JS.API.") else users


def login(user: str) -> dict[str, str]:
    """How a user signs in."""
    department = user.removeprefix("department-")
    return {"user": user, "password": PASSWORD} if department == user else {"seed": SEEDS[department]}


def accounts() -> str:
    """The users of production, all with one password."""
    keys = {code: [public_of(seed)] for code, seed in SEEDS.items()}
    return render_accounts(keys, lambda _: PASSWORD, rooms=ROOMS)


@asynccontextmanager
async def server_with(made: Callable[[], str]) -> AsyncGenerator[NatsServer]:
    """A server with these accounts, and no stream: what is tried there does nothing."""
    folder = Path(tempfile.mkdtemp(prefix="whistle-rights-"))
    server = NatsServer(folder, port=free_port(), accounts=made)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def differing(url: str) -> list[tuple[str, str, str]]:
    """Where the server says otherwise than the table: user, subject, what is wrong."""
    asked, found = subjects(), list[tuple[str, str, str]]()
    for user in USERS:
        async with probing(url, **login(user)) as probe:
            may = await probe.may_publish(asked)
        expected = {subject for subject in asked if user in allowed(subject)}
        found += [(user, subject, "may, and should not") for subject in sorted(may - expected)]
        found += [(user, subject, "should, and may not") for subject in sorted(expected - may)]
    return found


async def test_everybody_may_publish_exactly_what_the_table_says() -> None:
    assert set(user_names()) == {*LOG, *BUS}, "a new user needs its rights in the table"
    async with server_with(accounts) as server:
        assert await differing(server.url) == []


async def test_nobody_hears_what_is_for_others() -> None:
    wide = (
        ">",
        "*",
        "*.>",
        "case.>",
        "dept.>",
        "live.>",
        "live.*.>",
        *(f"live.{department}.>" for department in SEEDS),
        "act.>",
        "ask.>",
        "ask.*.*",
        "_INBOX.>",
        "_R_.>",
        "$JS.>",
        "$SYS.>",
    )
    inboxes = {user: f"_INBOX_{user.removeprefix('department-')}.>" for user in USERS}
    async with server_with(accounts) as server:
        for user in USERS:
            async with probing(server.url, **login(user)) as probe:
                heard = await probe.may_hear([*wide, *subjects(), *inboxes.values()])
            own = inboxes[user].removesuffix(">") + "x"
            asked = {subject for subject in subjects() if subject.startswith("ask.")} | {"ask.*.*"}
            live = f"live.{user.removeprefix('department-')}"
            sent_on = {f"{live}.>", f"{live}.assigned.c1"}
            more = asked if user == "dispatch-bus" else sent_on if user.startswith("department-") else set()
            assert heard == {inboxes[user], own} | more, user


LOOSENED: Final = {
    "intake": ("$JS.API.CONSUMER.PAUSE.CASES.*", "$JS.API.CONSUMER.PAUSE.CASES.dispatch"),
    "dispatch": ("$JS.API.STREAM.PURGE.TIMERS", "$JS.API.STREAM.PURGE.TIMERS"),
    "evaluation": ("_INBOX_intake.>", "_INBOX_intake.x"),
    "notify": ("case.>", "case.c1.closed.1"),
    "ledger": ("case.*.reported.*", "case.c1.reported.1"),
    "importer": ("policy.>", "policy.rules"),
    "auditor": ("$JS.API.STREAM.DELETE.*", "$JS.API.STREAM.DELETE.CASES"),
    "persons": ("case.*.*.*", "case.c1.invented.1"),
    "replayer": ("case.*.reported.*", "case.c1.reported.1"),
    "player-training": ("replay.>", "replay.other.case.c1.reported.1"),
    "room-other": ("$JS.API.STREAM.DELETE.REPLAY", "$JS.API.STREAM.DELETE.REPLAY"),
    "keys": ("$KV.>", "$KV.UNITS.water.u1"),
    "provision": ("case.*.reported.*", "case.c1.reported.1"),
    "dispatch-bus": ("dept.>", "dept.fire.assigned.c1"),
    "department-water": ("act.*.*", "act.fire.accept"),
}


async def test_a_right_that_was_loosened_is_found() -> None:
    def loosened() -> str:
        text = accounts()
        for user, (right, _) in LOOSENED.items():
            key = public_of(SEEDS["water"])
            name = f'user: "{user}",' if user in {*user_names(), *IN_ROOMS} else f"nkey: {key},"
            text, times = re.subn(
                rf"({re.escape(name)} [^\n]*\n\s+publish: {{ allow: \[)", rf'\g<1>"{right}", ', text
            )
            assert times == 1, user
        return text

    async with server_with(loosened) as server:
        found = await differing(server.url)
    assert {(user, subject) for user, (_, subject) in LOOSENED.items()} <= {(u, s) for u, s, _ in found}
    assert {user for user, _, _ in found} == LOOSENED.keys()
    for user, subject, what in found:
        assert what == "may, and should not"
        assert fits(LOOSENED[user][0].split("."), subject)


FILLS: Final = (
    *(
        "case.>",
        "policy.>",
        "notice.>",
        "person.*.*.*",
        "$KV.KEYS.*.*",
        "$KV.RECEIVERS.*.*",
        "$O.PHOTOS.*.*",
        "$JS.API.INFO",
    ),
    *(
        f"$JS.API.{call}.{stream}"
        for stream in (*SEALED, "KV_KEYS", "KV_RECEIVERS", "OBJ_PHOTOS")
        for call in ("STREAM.CREATE", "STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET")
    ),
    *(f"$JS.API.DIRECT.GET.{stream}.>" for stream in (*SEALED, "KV_KEYS", "KV_RECEIVERS", "OBJ_PHOTOS")),
    *(f"$JS.API.STREAM.UPDATE.{stream}" for stream in SEALED),
)
"""What whoever fills an empty log from a backup may do."""


async def test_who_fills_an_empty_log_is_there_only_then_and_may_that_alone() -> None:
    def while_it_is_filled() -> str:
        return render_accounts({}, lambda _: PASSWORD, restoring=True)

    assert RESTORER not in accounts()
    async with server_with(while_it_is_filled) as server:
        async with probing(server.url, **login(RESTORER)) as probe:
            may = await probe.may_publish(subjects())
        async with probing(server.url, **login("auditor")) as probe:
            others = await probe.may_publish(subjects())
    patterns = [pattern.split(".") for pattern in FILLS]
    assert may == {subject for subject in subjects() if any(fits(pattern, subject) for pattern in patterns)}
    assert others == {subject for subject in subjects() if "auditor" in allowed(subject)}


# --- reply subjects, which the server does not check ---


def with_spies() -> str:
    """The same accounts, each with somebody who hears everything in it."""
    numbers = iter(SPIES)
    return re.sub(
        r"    users: \[\n",
        lambda found: f'{found[0]}      {{ user: "{next(numbers)}", password: "{PASSWORD}" }}\n',
        accounts(),
    )


SPIES: Final = (
    "spy-LOG",
    "spy-BUS",
    "spy-SENSORS",
    "spy-other",
    "spy-training",
    "spy-fire",
    "spy-water",
)  # in the order of the file
OWN_SPY: Final = {
    **dict.fromkeys(BUS, "spy-BUS"),
    "player-training": "spy-training",
    "room-training": "spy-training",
    "department-water": "spy-water",
    "department-fire": "spy-fire",
}


class Spied:
    """Which subjects were heard in which account."""

    def __init__(self) -> None:
        self.heard: set[tuple[str, str]] = set()

    def hearing(self, spy: str, client: Client) -> Any:
        """What a spy does with a message: it notes it, and answers questions as dispatch would."""

        async def hear(message: Msg) -> None:
            self.heard.add((spy, message.subject))
            if spy == "spy-BUS" and message.subject.startswith("ask.") and message.reply:
                await client.publish(message.reply, b"")

        return hear


@asynccontextmanager
async def spied_on(url: str) -> AsyncGenerator[Spied]:
    spied = Spied()
    async with AsyncExitStack() as connections:
        for spy in SPIES:
            client = await connections.enter_async_context(connected(url, user=spy, password=PASSWORD))
            await client.subscribe(">", cb=spied.hearing(spy, client))
            await client.flush()
        yield spied


IN_LOG: Final = (*streams.log_streams(1), *streams.service_consumers(SERVICES), *streams.timer_consumers())
IN_BUS: Final = (
    *streams.bus_streams(1),
    *streams.act_consumers(),
    *streams.sensed_streams(1),
    *streams.sensed_consumers(),
    *streams.department_consumers(SEEDS),
)


async def each_there(url: str, see_to: Callable[..., Any], *, bus: bool = True) -> None:
    """All streams and consumers, made or checked."""
    for user, wanted in (("provision", IN_LOG), *([("provision-bus", IN_BUS)] if bus else [])):
        async with connected(url, user=user, password=PASSWORD) as client:
            await see_to(JetStream(client), wanted)


def questions(user: str) -> list[tuple[str, bytes]]:
    """What this user may send that somebody, or the server, answers."""
    body = {"MSG.NEXT": b'{"batch":1,"no_wait":true}'}
    return [
        (subject, next((said for verb, said in body.items() if verb in subject), b""))
        for subject in subjects()
        if user in allowed(subject) and "$JS.ACK." not in subject and ".CREATE." not in subject
    ]


@pytest.mark.parametrize("user", OWN_SPY)
async def test_no_answer_reaches_what_is_not_ones_own(user: str) -> None:
    """Who is outside an account cannot have the server, or dispatch, write there on their behalf.

    Within LOG, and within BUS, users trust each other: decision 6.
    """
    department = user.removeprefix("department-")
    asked_as = f"$JS.API.CONSUMER.INFO.DEPARTMENTS.{department}"  # what its own question is called in BUS
    flow = "$JS.FC.CASES.x.y"  # with which the server, on behalf of BUS, says that it keeps up with LOG
    known = {asked_as, *([flow] if user in BUS else [])}
    targets = [subject for subject in subjects() if user not in allowed(subject) and subject not in known]
    async with server_with(with_spies) as server:
        await each_there(server.url, streams.ensure)
        async with spied_on(server.url) as spied:
            async with probing(server.url, **login(user)) as probe:
                await probe.send(
                    (question, target, body) for question, body in questions(user) for target in targets
                )
            key = {"seed": login(user)["seed"]} if "seed" in login(user) else {"password": PASSWORD}
            async with connected(server.url, user=user, inbox=department_inbox(department), **key) as client:
                last = [("$JS.API.INFO", b"")] if user in {*BUS, *IN_ROOMS} else questions(user)
                for question, body in last:  # what was asked before has been answered
                    await client.request(question, body, timeout=ANSWER_SECONDS_MAX)
        reached = {
            (spy, subject) for spy, subject in spied.heard if spy != OWN_SPY[user] and subject in targets
        }
        assert reached == set()
        await each_there(server.url, streams.check, bus=user not in BUS)
        assert await written_to_the_log(server.url) == {}


async def written_to_the_log(url: str) -> dict[str, int]:
    """How much stands in each stream of the log that is not empty."""
    async with connected(url, user="breakglass", password=PASSWORD) as client:
        infos = [await JetStream(client).api(f"STREAM.INFO.{stream}") for stream in LOG_STREAMS]
    return {info["config"]["name"]: info["state"]["last_seq"] for info in infos if info["state"]["last_seq"]}
