"""Who may do what on the bus: the users of all accounts, with everything that each may publish and hear.

Why there are several accounts: the server does not check reply subjects. Whoever may publish anything in an
account can have an answer written to any subject of it, and the empty answer of an idle consumer, written to
`$JS.API.STREAM.DELETE.<stream>`, deletes that stream. So an account that holds a stream holds only users we
trust with it: LOG the services, BUS the sourcing, dispatch and intake. Each department has an account of its own,
without JetStream, into which nothing is imported but its own consumer, questions and acts: its reply
subjects end there.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from libs.events.contracts import EVENTS
from libs.events.streams import ACT_CONSUMER, LEDGER_STREAMS, SENSED_CONSUMER, TIMER_CONSUMER, evidence
from libs.events.subjects import (
    DEPARTMENT_API_PREFIX,
    KEYS,
    LIVE,
    PHOTOS,
    RECEIVERS,
    UNITS,
    UPLOADS,
    bucket_stream,
    object_stream,
)

LOG_STREAMS = ("CASES", "POLICY", "NOTICES", "PARKED", "LEDGER", "TIMERS", "PERSONS")
# Where people drive now is nobody's evidence: only dispatch reads it.
UNITS_BUCKET = bucket_stream(UNITS)
# Who may ask over HTTP: written by the user `keys` alone, read by every service.
KEYS_BUCKET = bucket_stream(KEYS)
# What receivers of notices asked for: notify alone reads and writes it, since secrets stand there.
RECEIVERS_BUCKET = bucket_stream(RECEIVERS)
# Pictures: intake alone writes, and whoever states facts looks whether what they speak of is there.
PHOTO_STORES = (object_stream(PHOTOS), object_stream(UPLOADS))
BUS_STREAMS = ("DEPARTMENTS", "ACTS", "SENSED")
RESTORER = "restorer"
CONSUMING_SERVICES = ("intake", "dispatch", "evaluation", "notify")

_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class User:
    """One user of one account: everything it may publish and subscribe to; what is not named is refused."""

    name: str
    inbox_prefix: str
    publish: tuple[str, ...] = ()
    publish_denied: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    answers: bool = False
    """May also publish to the reply subject of a message it received, once."""
    only: str = ""
    """The one kind of connection that it may have; empty: any."""


def department_user(token: str) -> str:
    """The user name of the department with this subject token."""
    return f"department-{token}"


def log_users(*, restoring: bool = False) -> tuple[User, ...]:
    """The users of the account LOG; who writes a backup into it only when *restoring*."""
    services = (_intake(), _dispatch(), _evaluation(), _notify(), _ledger())
    more = (_restorer(),) if restoring else ()
    return (*more, _provisioner(), *services, *_tools_and_people())


def bus_users() -> tuple[User, ...]:
    """The users of the account BUS."""
    dispatch = (
        "dept.*.refused.*",
        "$JS.API.INFO",
        *(f"$JS.API.STREAM.INFO.{stream}" for stream in ("DEPARTMENTS", "ACTS")),
        "$JS.API.STREAM.MSG.GET.DEPARTMENTS",  # whether it said already that it refuses
        *_takes("ACTS", ACT_CONSUMER, "UNPIN"),
    )
    intake = (
        "sensor.*.answer",
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.SENSED",
        *_takes("SENSED", SENSED_CONSUMER),
    )
    return (
        # May add a subject to the stream of copies; no evidence stands in this account.
        _user("provision-bus", *_provisioning(BUS_STREAMS), "$JS.API.STREAM.UPDATE.DEPARTMENTS"),
        _user("dispatch-bus", *dispatch, hears=("ask.*.*",), answers=True),
        _user("intake-bus", *intake),
    )


def sensor_user(token: str) -> str:
    """The user name of the sensor with this subject token."""
    return f"sensor-{token}"


def sensor_users(token: str) -> tuple[User, ...]:
    """The users of a sensor in the account SENSORS; raises ValueError if the token cannot be one.

    It speaks MQTT alone, which knows no reply subjects: so it may share an account with others.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"{token!r} cannot be the token of a sensor")
    user = sensor_user(token)
    return (User(user, "", (f"sensor.{token}.report",), (), (f"sensor.{token}.answer",), only="MQTT"),)


def department_users(token: str) -> tuple[User, ...]:
    """The users of a department's own account; raises ValueError if the token cannot be one."""
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"{token!r} cannot be the token of a department")
    calls = (local for _, local in department_services(token))
    return (_user(department_user(token), *calls, hears=(live_of_department(token),), inbox=token),)


def live_of_department(token: str) -> str:
    """Where the department with this subject token, or `*`, hears what is sent on from the log, in LOG and at home."""
    return f"{LIVE}.{token}.>"


def department_services(token: str) -> tuple[tuple[str, str], ...]:
    """What a department may call: (the subject in BUS, the subject in its own account)."""
    consumer = f"DEPARTMENTS.{token}"
    same = (
        f"ask.{token}.*",
        f"act.{token}.*",
        f"$JS.API.CONSUMER.MSG.NEXT.{consumer}",
        *_acknowledges("DEPARTMENTS", token),
    )
    # In an account without JetStream the server itself answers $JS.API.> with an error, except for MSG.NEXT.
    # A client that wants the consumer's info sets its API prefix.
    calls = (f"CONSUMER.INFO.{consumer}", f"CONSUMER.MSG.NEXT.{consumer}")
    return (
        *((subject, subject) for subject in same),
        *((f"$JS.API.{call}", f"{DEPARTMENT_API_PREFIX}.{call}") for call in calls),
    )


def user_names() -> tuple[str, ...]:
    """Names of the users of this installation's own processes and people: each needs a password."""
    return tuple(user.name for user in (*log_users(), *bus_users()))


# Who rebuilds or audits reads the whole log through an ephemeral push consumer of its own ...
_READS_WHOLE_LOG = ("$JS.API.CONSUMER.CREATE.CASES.*", "$JS.API.CONSUMER.DELETE.CASES.*", "$JS.FC.>")
_READS_EVIDENCE = (
    *(f"$JS.API.CONSUMER.{verb}.{stream}.*" for stream in LEDGER_STREAMS for verb in ("CREATE", "DELETE")),
    "$JS.FC.>",
)
# ... but must not touch the durables of the services: create is also update, and delete would lose their
# place.
_FOREIGN_CONSUMERS = tuple(
    f"$JS.API.CONSUMER.{verb}.CASES.{service}"
    for verb in ("CREATE", "DELETE")
    for service in CONSUMING_SERVICES
)


def _provisioner() -> User:
    made = (*LOG_STREAMS, UNITS_BUCKET, KEYS_BUCKET, RECEIVERS_BUCKET, *PHOTO_STORES)
    return _user("provision", *_provisioning(made), "policy.>", *_reads("POLICY"))


def _intake() -> User:
    return _user(
        "intake",
        *_facts("intake"),
        *_service_reads(KEYS_BUCKET),
        *_reads(KEYS_BUCKET),
        *_sees_photos(),
        *(f"$O.{bucket}.{part}.*" for bucket in (PHOTOS, UPLOADS) for part in ("C", "M")),
        *_consumes("intake"),
        denied=_FOREIGN_CONSUMERS,
    )


def _dispatch() -> User:
    return _user(
        "dispatch",
        *_facts("dispatch", for_departments=True),
        "$KV.UNITS.*.*",
        *_service_reads(UNITS_BUCKET, KEYS_BUCKET),
        *_reads(UNITS_BUCKET),
        *_reads(KEYS_BUCKET),
        *_sees_photos(),
        *_consumes("dispatch"),
        *_keeps_timers(),
        denied=_FOREIGN_CONSUMERS,
    )


def _evaluation() -> User:
    return _user(
        "evaluation",
        *_facts("evaluation", for_departments=True),
        *_service_reads(KEYS_BUCKET),
        *_reads(KEYS_BUCKET),
        *_sees_photos(),
        *_consumes("evaluation"),
        denied=_FOREIGN_CONSUMERS,
    )


def _notify() -> User:
    return _user(
        "notify",
        "notice.>",
        "$KV.RECEIVERS.*.*",
        *_service_reads("NOTICES", "PERSONS", KEYS_BUCKET, RECEIVERS_BUCKET),
        *_reads("NOTICES"),
        *_reads("PERSONS"),  # nobody is opened whose erasure stands there
        *_reads(KEYS_BUCKET),
        *_reads(RECEIVERS_BUCKET),
        *_consumes("notify"),
        denied=_FOREIGN_CONSUMERS,
    )


def _ledger() -> User:
    # It reads all evidence, and can write nothing but what it signed.
    seen = (*LEDGER_STREAMS, "LEDGER")
    return _user(
        "ledger",
        "ledger.*",
        "$JS.API.INFO",
        *(f"$JS.API.STREAM.{call}.{stream}" for stream in seen for call in ("INFO", "MSG.GET")),
        f"$JS.API.STREAM.INFO.{KEYS_BUCKET}",
        *_reads(KEYS_BUCKET),
        *_READS_EVIDENCE,
        denied=_FOREIGN_CONSUMERS,
    )


def _tools_and_people() -> tuple[User, ...]:
    seen = (right for stream in LOG_STREAMS for right in (*_reads(stream), f"$JS.API.STREAM.INFO.{stream}"))
    return (
        _user("importer", "case.*.*.*", *_service_reads(), "$JS.API.CONSUMER.INFO.CASES.*"),
        _user(
            "auditor",
            "$JS.API.INFO",
            *seen,
            "$JS.API.CONSUMER.INFO.CASES.*",
            f"$JS.API.CONSUMER.INFO.TIMERS.{TIMER_CONSUMER}",
            *_READS_EVIDENCE,
            denied=_FOREIGN_CONSUMERS,
        ),
        _persons(),
        # Reads what is played to rooms. It writes there as somebody else: rooms.py.
        _user(
            "replayer",
            "$JS.API.INFO",
            *(f"$JS.API.STREAM.INFO.{stream}" for stream in ("CASES", "POLICY")),
            "$JS.API.STREAM.MSG.GET.CASES",
            *_reads("POLICY"),
            *_READS_WHOLE_LOG,
            denied=_FOREIGN_CONSUMERS,
        ),
        # Carries cases forward when the books are closed; letting go of what is old takes the break-glass user.
        _user(
            "bookkeeper",
            *_facts("ledger"),
            *_service_reads(),
            "$JS.API.CONSUMER.INFO.CASES.*",
            *_READS_WHOLE_LOG,
            denied=_FOREIGN_CONSUMERS,
        ),
        _user("keys", "$KV.KEYS.*.*", "$JS.API.INFO", *_reads(KEYS_BUCKET)),
        _backup(),
        _user("breakglass", "$JS.API.>"),
    )


def _backup() -> User:
    # Copies what is truth and not sealed; the events themselves it takes from the ledger's files.
    kept = (object_stream(PHOTOS), KEYS_BUCKET, RECEIVERS_BUCKET)
    return _user(
        "backup",
        "$JS.API.INFO",
        *(f"$JS.API.STREAM.INFO.{stream}" for stream in (*LEDGER_STREAMS, *kept)),
        *(right for stream in kept for right in _reads(stream)),
    )


def _restorer() -> User:
    """May write any fact, so it is there only while a log that is empty is filled from a backup."""
    streams = evidence(1)
    made = (*(each.name for each in streams), KEYS_BUCKET, RECEIVERS_BUCKET, object_stream(PHOTOS))
    return _user(
        RESTORER,
        *(subject for each in streams for subject in each.config["subjects"]),
        *(f"$KV.{bucket}.*.*" for bucket in (KEYS, RECEIVERS)),
        *(f"$O.{PHOTOS}.{part}.*" for part in ("C", "M")),
        "$JS.API.INFO",
        *(f"$JS.API.STREAM.{call}.{stream}" for stream in made for call in ("CREATE", "INFO")),
        *(f"$JS.API.STREAM.UPDATE.{each.name}" for each in streams),
        *(right for stream in made for right in _reads(stream)),
    )


def _persons() -> User:
    """Who finds people, gives out what is held of them, erases and holds: reads their cases, writes no fact of one."""
    return _user(
        "persons",
        "person.*.*.*",
        *_service_reads("NOTICES", "PERSONS", RECEIVERS_BUCKET),
        *(right for stream in ("CASES", "NOTICES", "PERSONS") for right in _reads(stream)),
        f"$JS.API.STREAM.MSG.GET.{RECEIVERS_BUCKET}",
    )


def _user(
    name: str,
    *publish: str,
    hears: tuple[str, ...] = (),
    denied: tuple[str, ...] = (),
    inbox: str | None = None,
    answers: bool = False,
) -> User:
    prefix = f"_INBOX_{inbox or name}"
    return User(name, prefix, publish, denied, (f"{prefix}.>", *hears), answers)


def _facts(publisher: str, *, for_departments: bool = False) -> Iterable[str]:
    for event in EVENTS:
        if f"/{publisher}" == event.SOURCE:
            yield f"case.*.{event.name()}.*"
            if for_departments:
                yield f"case.*.{event.name()}.*.*"


def _reads(stream: str) -> tuple[str, ...]:
    direct = f"$JS.API.DIRECT.GET.{stream}"
    return direct, f"{direct}.>", f"$JS.API.STREAM.MSG.GET.{stream}"


def _service_reads(*streams: str) -> Iterable[str]:
    yield "$JS.API.INFO"
    yield "$JS.API.DIRECT.GET.CASES"
    yield "$JS.API.STREAM.MSG.GET.CASES"
    yield from _reads("POLICY")
    for stream in ("CASES", "POLICY", "PARKED", *streams):
        yield f"$JS.API.STREAM.INFO.{stream}"


def _consumes(service: str) -> Iterable[str]:
    yield f"parked.{service}.*"
    yield from _takes("CASES", service)
    yield from _READS_WHOLE_LOG  # to rebuild its read models


def _sees_photos() -> Iterable[str]:
    for store in PHOTO_STORES:
        yield f"$JS.API.STREAM.INFO.{store}"
        yield from _reads(store)


def _keeps_timers() -> Iterable[str]:
    # Puts timers up and takes them down with ordinary messages: what is due, the server alone puts in its place, and
    # no call of the API that could empty the stream is needed.
    yield "timer.set.*.*"
    yield from _reads("TIMERS")
    yield "$JS.API.STREAM.INFO.TIMERS"
    yield from _takes("TIMERS", TIMER_CONSUMER)


def _takes(stream: str, consumer: str, *more: str) -> Iterable[str]:
    for call in ("INFO", "MSG.NEXT", *more):
        yield f"$JS.API.CONSUMER.{call}.{stream}.{consumer}"
    yield from _acknowledges(stream, consumer)


def _acknowledges(stream: str, consumer: str) -> tuple[str, str]:
    # The short form is that of one server, the long one names domain and account before the stream.
    return f"$JS.ACK.{stream}.{consumer}.>", f"$JS.ACK.*.*.{stream}.{consumer}.>"


def _provisioning(streams: Sequence[str]) -> Iterable[str]:
    yield "$JS.API.INFO"
    yield "$JS.API.STREAM.NAMES"
    for stream in streams:
        yield f"$JS.API.STREAM.CREATE.{stream}"
        yield f"$JS.API.STREAM.INFO.{stream}"
        yield f"$JS.API.CONSUMER.CREATE.{stream}.>"
        yield f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.*"
        yield f"$JS.API.CONSUMER.INFO.{stream}.*"
