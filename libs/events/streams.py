"""The streams and durable consumers as they must be.  `ensure` makes them, services only `check` them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from libs.events.errors import NotProvisioned
from libs.events.jetstream import Code, JetStream, NotNow, Refused, Unknown, as_library_error
from libs.events.subjects import (
    ACTS,
    CASES,
    DEPARTMENTS,
    KEYS,
    LEDGER,
    LIVE,
    NOTICES,
    PARKED,
    PERSONS,
    PHOTOS,
    POLICY,
    RECEIVERS,
    REPLAY,
    SENSED,
    TIMERS,
    UNITS,
    UPLOADS,
    bucket_stream,
    bucket_subject,
    chunk_subject,
    object_stream,
    room_subject,
    token,
)

_NANOSECONDS: Final = 1_000_000_000
_DAY_SECONDS: Final = 86_400
DUPLICATE_WINDOW_SECONDS: Final = 120
DEPARTMENT_AGE_DAYS_MAX: Final = 90
UNIT_AGE_DAYS_MAX: Final = 1  # a unit that says nothing for so long is forgotten
UNIT_BYTES_MAX: Final = 2_048
KEY_BYTES_MAX: Final = 16 * 1_024
RECEIVER_BYTES_MAX: Final = 16 * 1_024
UPLOAD_AGE_DAYS_MAX: Final = 4  # what nobody spoke of in a fact by then is gone
UPLOADS_BYTES_MAX: Final = 1024**3
"""For all uploads together, so that whoever sends pictures for nothing fills their own place and not the log's."""
ACK_WAIT_SECONDS: Final = 30.0
ACKS_PENDING_MAX: Final = 20_000  # for all replicas of a service together
DEPARTMENT_ACKS_PENDING_MAX: Final = 1_000
SOURCE_API_PREFIX: Final = "LOGAPI"
"""Under which the server makes, from within BUS, the consumer of `CASES` that it sources `DEPARTMENTS` from."""
SOURCE_DELIVER_PREFIX: Final = "bus.deliver"
"""Below which it takes what that consumer delivers."""
TIMER_CONSUMER: Final = "dispatch-timers"
ACT_CONSUMER: Final = "dispatch-acts"
ACT_GROUP: Final = "acts"
ACT_TURN_SECONDS: Final = 3.0
"""So long may the replica of dispatch that takes the acts be silent until another one has its turn."""
ACTS_WAITING_MAX: Final = 2_000
"""Acts of one department that dispatch has not finished; the next one is refused in its PubAck."""
SENSED_CONSUMER: Final = "intake-sensed"
SENSED_WAITING_MAX: Final = 1_000
"""Reports of one sensor that intake has not finished; what it sends beyond that is lost, as MQTT knows no refusal."""
SENSED_BYTES_MAX: Final = 16_384
ROOM_CONSUMER: Final = "room"
ROOM_WAITING_EVENTS_MAX: Final = 10_000
"""Events that were played to a room and that nobody has taken there yet; then the player waits."""
ROOM_WAITING_BYTES_MAX: Final = 64 * 1024**2
ROOM_ACKS_PENDING_MAX: Final = 1_000
ACT_BYTES_MAX: Final = 32_768
ACT_DUPLICATE_WINDOW_SECONDS: Final = 0.1
"""The least that the server takes.  Ids of all departments share it: whoever knows a repeat is dispatch."""
LEDGER_STREAMS: Final = (CASES, POLICY, NOTICES, PERSONS)
"""What is evidence, and sealed by the ledger, each stream as a tree of its own."""


_FOR_DEPARTMENTS: Final = "case.*.*.*.*"
_DEPARTMENT_EVENT_CASE: Final = "{{wildcard(4)}}.{{wildcard(2)}}.{{wildcard(1)}}"
SENT_ON: Final[Mapping[str, str]] = {"src": _FOR_DEPARTMENTS, "dest": f"{LIVE}.{_DEPARTMENT_EVENT_CASE}"}
"""What the server sends on from `CASES` when it has stored it: to whoever listens at that moment."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream and what must be true of it."""

    name: str
    config: Mapping[str, Any]
    grows: bool = False
    """Subjects that older software did not declare are added to it; nothing else of a stream ever changes."""
    may_lack: frozenset[str] = frozenset()
    """Settings that a stream of older software may be without; a person adds them with the break-glass user."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable pull consumer and what must be true of it."""

    stream: str
    name: str
    config: Mapping[str, Any]


def _stream(name: str, replicas: int, **config: Any) -> Stream:
    common = {
        "name": name,
        "storage": "file",
        "num_replicas": replicas,
        "retention": "limits",
        "discard": "new",
        # Compression of a replicated stream loses it when nodes are killed (measured; see docs/decisions).
        "compression": "none",
        "duplicate_window": DUPLICATE_WINDOW_SECONDS * _NANOSECONDS,
        # Said aloud, so that a stream which throws the past away is not taken for the log.
        "max_age": 0,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_msgs_per_subject": -1,
        "allow_rollup_hdrs": False,
    }
    return Stream(name, {**common, **config})


def log_streams(replicas: int, *, uploads_bytes_max: int | None = None) -> tuple[Stream, ...]:
    """The streams of the account LOG.

    How much room uploads have is for who makes the stream to say: without it, any will do.
    """
    evidence = {"deny_delete": True, "deny_purge": True, "allow_direct": True}
    cases = _stream(
        CASES, replicas, subjects=["case.>"], allow_atomic=True, republish=dict(SENT_ON), **evidence
    )
    return (
        replace(cases, may_lack=frozenset({"republish"})),
        _stream(POLICY, replicas, subjects=["policy.>"], **evidence),
        _stream(NOTICES, replicas, subjects=["notice.>"], **evidence),
        _stream(PARKED, replicas, subjects=["parked.>"], **evidence),
        _stream(LEDGER, replicas, subjects=["ledger.*"], **evidence),
        _stream(PERSONS, replicas, subjects=["person.*.*.*"], **evidence),
        _bucket(UNITS, replicas, age_days_max=UNIT_AGE_DAYS_MAX, bytes_max=UNIT_BYTES_MAX),
        _bucket(KEYS, replicas, age_days_max=0, bytes_max=KEY_BYTES_MAX),
        # With times to live, so that the place of what was deleted goes by itself.
        _bucket(RECEIVERS, replicas, age_days_max=0, bytes_max=RECEIVER_BYTES_MAX, allow_msg_ttl=True),
        _objects(PHOTOS, replicas),
        _uploads(replicas, uploads_bytes_max),
        _timers(replicas),
    )


def evidence(replicas: int) -> tuple[Stream, ...]:
    """The streams that are truth: what stands there follows from nothing else, and is never deleted."""
    return tuple(each for each in log_streams(replicas) if each.name in LEDGER_STREAMS)


def _objects(name: str, replicas: int, **config: Any) -> Stream:
    """An object store.  An object comes in as one batch, so that there is never a part of one.

    Nothing is deleted but by age, or by a person with the break-glass user, who erases what must not be kept.
    """
    subjects = [chunk_subject(name, ">"), f"$O.{name}.M.>"]
    more: dict[str, Any] = {"allow_atomic": True, "allow_direct": True, "deny_delete": True, **config}
    return _stream(object_stream(name), replicas, subjects=subjects, **more)


def _uploads(replicas: int, bytes_max: int | None) -> Stream:
    age = UPLOAD_AGE_DAYS_MAX * _DAY_SECONDS * _NANOSECONDS
    # What is kept for good is emptied here, each object by itself: a right to purge would be one to empty all.
    declared = _objects(UPLOADS, replicas, max_age=age, max_bytes=bytes_max, allow_rollup_hdrs=True)
    if bytes_max is not None:
        return declared
    return replace(
        declared, config={key: value for key, value in declared.config.items() if key != "max_bytes"}
    )


def _timers(replicas: int) -> Stream:
    """Deadlines, no evidence: they follow from the log, so what is over may go, and all of it can be made anew."""
    return _stream(
        TIMERS,
        replicas,
        subjects=["timer.set.*.*", "timer.due.*.*"],
        allow_msg_schedules=True,
        allow_msg_ttl=True,  # what is due, and the place of what was cancelled, goes by itself
        max_msgs_per_subject=1,
        allow_direct=True,
        # The server wants these where messages are scheduled. Nothing is discarded: there is no limit to the whole.
        discard="old",
        allow_rollup_hdrs=True,
        deny_purge=False,
    )


def _bucket(name: str, replicas: int, *, age_days_max: int, bytes_max: int, **config: Any) -> Stream:
    """A key-value bucket: only the newest value of each key, and that for so many days; 0 keeps it."""
    return _stream(
        bucket_stream(name),
        replicas,
        subjects=[bucket_subject(name, ">")],
        max_msgs_per_subject=1,
        max_age=age_days_max * _DAY_SECONDS * _NANOSECONDS,
        max_msg_size=bytes_max,
        allow_rollup_hdrs=True,
        allow_direct=True,
        deny_delete=True,
        **config,
    )


def bus_streams(replicas: int) -> tuple[Stream, ...]:
    """The streams of the account BUS.  Facts with a department in their subject flow in from `CASES`."""
    source = {
        "name": CASES,
        "external": {"api": SOURCE_API_PREFIX, "deliver": SOURCE_DELIVER_PREFIX},
        "subject_transforms": [{"src": _FOR_DEPARTMENTS, "dest": f"dept.{_DEPARTMENT_EVENT_CASE}"}],
    }
    age = DEPARTMENT_AGE_DAYS_MAX * _DAY_SECONDS * _NANOSECONDS
    departments = _stream(
        DEPARTMENTS,
        replicas,
        subjects=["dept.*.refused.*"],
        sources=[source],
        max_age=age,
        discard="old",
    )
    return replace(departments, grows=True), _acts(replicas)


def _acts(replicas: int) -> Stream:
    """What departments ask for, until dispatch has done or refused it.

    The verb is left out of the subject under which an act is kept (it stands in the act): a bound for each subject
    is then one for each department, whatever verbs somebody invents, and a department that floods fills its own.
    """
    return _stream(
        ACTS,
        replicas,
        subjects=["act.*.*"],
        subject_transform={"src": "act.*.*", "dest": "act.{{wildcard(1)}}"},
        retention="workqueue",
        max_msgs_per_subject=ACTS_WAITING_MAX,
        discard_new_per_subject=True,
        max_msg_size=ACT_BYTES_MAX,
        duplicate_window=round(ACT_DUPLICATE_WINDOW_SECONDS * _NANOSECONDS),
        deny_delete=True,
        deny_purge=True,
        # Nobody sends with a header what takes away, replaces or puts off the acts of others.
        allow_msg_ttl=False,
        allow_msg_schedules=False,
        allow_msg_counter=False,
        allow_atomic=False,
    )


def sensed_streams(replicas: int) -> tuple[Stream, ...]:
    """What sensors report, in the account BUS, until intake has made a case of it or refused it."""
    sensed = _stream(
        SENSED,
        replicas,
        subjects=["sensor.*.report"],
        retention="workqueue",
        max_msgs_per_subject=SENSED_WAITING_MAX,
        discard_new_per_subject=True,
        max_msg_size=SENSED_BYTES_MAX,
        deny_delete=True,
        deny_purge=True,
    )
    return (sensed,)


def room_stream(room: str, replicas: int, played: Mapping[str, str]) -> Stream:
    """What is played to a room (a plain name), each event until it is taken; *played* says what is.

    A full one takes nothing more, so that its player waits: nothing is lost that somebody is slow to take.
    """
    return _stream(
        REPLAY,
        replicas,
        subjects=[room_subject(room)],
        retention="workqueue",
        max_msgs=ROOM_WAITING_EVENTS_MAX,
        max_bytes=ROOM_WAITING_BYTES_MAX,
        metadata=played,
    )


def room_consumer() -> Consumer:
    """With which a room takes what is played to it."""
    return _consumer(REPLAY, ROOM_CONSUMER, ROOM_ACKS_PENDING_MAX)


def service_consumers(
    services: Iterable[str], *, ack_wait_seconds: float = ACK_WAIT_SECONDS
) -> tuple[Consumer, ...]:
    """One shared consumer of the whole log for each service, whatever the number of its replicas."""
    ack_wait = round(ack_wait_seconds * _NANOSECONDS)
    return tuple(_consumer(CASES, service, ACKS_PENDING_MAX, ack_wait=ack_wait) for service in services)


def timer_consumers(*, ack_wait_seconds: float = ACK_WAIT_SECONDS) -> tuple[Consumer, ...]:
    """The consumer of the timers that are due, shared by all replicas of dispatch."""
    ack_wait = round(ack_wait_seconds * _NANOSECONDS)
    config = {"ack_wait": ack_wait, "filter_subject": "timer.due.*.*"}
    return (_consumer(TIMERS, TIMER_CONSUMER, ACKS_PENDING_MAX, **config),)


def act_consumers(*, ack_wait_seconds: float = ACK_WAIT_SECONDS) -> tuple[Consumer, ...]:
    """The consumer of what departments ask for: one replica of dispatch at a time takes them, in order (ADR-42)."""
    turns = {
        "priority_policy": "pinned_client",
        "priority_groups": [ACT_GROUP],
        "priority_timeout": round(ACT_TURN_SECONDS * _NANOSECONDS),
    }
    ack_wait = round(ack_wait_seconds * _NANOSECONDS)
    return (_consumer(ACTS, ACT_CONSUMER, ACKS_PENDING_MAX, ack_wait=ack_wait, **turns),)


def sensed_consumers(*, ack_wait_seconds: float = ACK_WAIT_SECONDS) -> tuple[Consumer, ...]:
    """The consumer of what sensors report, shared by all replicas of intake."""
    ack_wait = round(ack_wait_seconds * _NANOSECONDS)
    return (_consumer(SENSED, SENSED_CONSUMER, ACKS_PENDING_MAX, ack_wait=ack_wait),)


def department_consumers(departments: Iterable[str]) -> tuple[Consumer, ...]:
    """One consumer for each department (plain names), of its own subjects alone."""
    return tuple(
        _consumer(
            DEPARTMENTS, token(name), DEPARTMENT_ACKS_PENDING_MAX, filter_subject=f"dept.{token(name)}.>"
        )
        for name in departments
    )


def _consumer(stream: str, name: str, acks_pending_max: int, **config: Any) -> Consumer:
    common = {
        "durable_name": name,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": round(ACK_WAIT_SECONDS * _NANOSECONDS),
        "max_ack_pending": acks_pending_max,
        "max_deliver": -1,
    }
    return Consumer(stream, name, {**common, **config})


async def ensure(jetstream: JetStream, wanted: Iterable[Stream | Consumer]) -> None:
    """Make what is missing and compare what is there.  Raises NotProvisioned for a difference.

    What is there is never changed, but for subjects that a stream of copies gets: the rest is left to a person with
    the break-glass user.
    """
    for each in wanted:
        try:
            found = await _found(jetstream, each)
            if found is None:
                found = await _create(jetstream, each)
            elif isinstance(each, Stream) and each.grows:
                found = await _grown(jetstream, each, found)
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
        compare(each, found)


async def check(jetstream: JetStream, wanted: Iterable[Stream | Consumer]) -> None:
    """Raises NotProvisioned with the name of what is missing or different, LogUnavailable without an answer."""
    for each in wanted:
        try:
            found = await _found(jetstream, each)
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
        if found is None:
            raise NotProvisioned(f"{_label(each)} is missing: run the provisioning (whistle up) first")
        compare(each, found)


async def lag(jetstream: JetStream, consumer: str, stream: str = CASES) -> int:
    """How many messages a durable consumer has not finished.  Raises LogUnavailable or LogRefused."""
    try:
        end = (await jetstream.api(f"STREAM.INFO.{CASES}"))["state"]["last_seq"] if stream == CASES else 0
        info = await jetstream.api(f"CONSUMER.INFO.{stream}.{consumer}")
    except (NotNow, Unknown, Refused) as error:
        raise as_library_error(error) from error
    return unfinished(info, int(end))


def unfinished(consumer: Mapping[str, Any], end: int = 0) -> int:
    """The same out of what the server says of the consumer, and where a stream without gaps ended before that.

    It counts a message as pending only a moment after it acknowledged it; positions say at once that it is there.
    """
    undelivered = max(int(consumer["num_pending"]), end - int(consumer["delivered"]["stream_seq"]))
    return undelivered + int(consumer["num_ack_pending"])


async def _found(jetstream: JetStream, wanted: Stream | Consumer) -> dict[str, Any] | None:
    call = f"STREAM.INFO.{wanted.name}"
    if isinstance(wanted, Consumer):
        call = f"CONSUMER.INFO.{wanted.stream}.{wanted.name}"
    try:
        config: dict[str, Any] = (await jetstream.api(call))["config"]
    except Refused as refused:
        if refused.code in {Code.STREAM_NOT_FOUND, Code.CONSUMER_NOT_FOUND}:
            return None
        raise
    return config


async def _create(jetstream: JetStream, wanted: Stream | Consumer) -> dict[str, Any]:
    if isinstance(wanted, Stream):
        answer = await jetstream.api(f"STREAM.CREATE.{wanted.name}", wanted.config)
    else:
        # The long form of the subject carries the filter, so that permissions can see it.
        tail = f".{wanted.config['filter_subject']}" if "filter_subject" in wanted.config else ""
        answer = await jetstream.api(
            f"CONSUMER.CREATE.{wanted.stream}.{wanted.name}{tail}",
            {"stream_name": wanted.stream, "config": {**wanted.config, "name": wanted.name}},
        )
    config: dict[str, Any] = answer["config"]
    return config


async def _grown(jetstream: JetStream, wanted: Stream, found: dict[str, Any]) -> dict[str, Any]:
    there, declared = found.get("subjects") or [], wanted.config["subjects"]
    if not set(there) < set(declared):
        return found
    answer = await jetstream.api(f"STREAM.UPDATE.{wanted.name}", {**found, "subjects": declared})
    config: dict[str, Any] = answer["config"]
    return config


def compare(wanted: Stream | Consumer, found: Mapping[str, Any]) -> None:
    """Raises NotProvisioned with the name of the first setting that the server has otherwise than declared."""
    may_lack = wanted.may_lack if isinstance(wanted, Stream) else frozenset[str]()
    for key, value in wanted.config.items():
        if key in may_lack and key not in found:
            continue
        actual = found.get(key, False if isinstance(value, bool) else None)
        if not _agrees(value, actual):
            raise NotProvisioned(f"{_label(wanted)} differs: {key} is {actual!r}, declared is {value!r}")


def _agrees(declared: Any, actual: Any) -> bool:
    """Whether the server's answer holds all that was declared; it may add defaults of its own."""
    if isinstance(declared, Mapping):
        return isinstance(actual, Mapping) and all(_agrees(v, actual.get(k)) for k, v in declared.items())
    if isinstance(declared, list):
        return (
            isinstance(actual, list)
            and len(declared) == len(actual)
            and all(_agrees(v, a) for v, a in zip(declared, actual, strict=True))
        )
    return bool(declared == actual)


def _label(wanted: Stream | Consumer) -> str:
    if isinstance(wanted, Stream):
        return f"stream {wanted.name}"
    return f"consumer {wanted.name} on {wanted.stream}"
