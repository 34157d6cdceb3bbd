"""Subjects of the bus: how names become tokens, and what the tokens of `case.>` mean."""

import re
from base64 import urlsafe_b64encode
from typing import Final, NamedTuple

CASES: Final = "CASES"
DEPARTMENTS: Final = "DEPARTMENTS"
ACTS: Final = "ACTS"
SENSED: Final = "SENSED"
POLICY: Final = "POLICY"
NOTICES: Final = "NOTICES"
PARKED: Final = "PARKED"
LEDGER: Final = "LEDGER"
"""The signed checkpoints of what is sealed, one subject for each sealed stream."""
TIMERS: Final = "TIMERS"
PERSONS: Final = "PERSONS"
"""What is done about people's data: holds, erasures ordered and carried out, copies given out."""
REPLAY: Final = "REPLAY"
"""In the account of each room: history that is played there, until somebody has taken it."""
UNITS: Final = "UNITS"
"""A bucket, not a stream of evidence: where the departments' units are now."""
KEYS: Final = "KEYS"
"""A bucket: the API keys, each as a digest of its secret."""
RECEIVERS: Final = "RECEIVERS"
"""A bucket: what receivers of notices asked for, their webhooks and wishes."""
UPLOADS: Final = "UPLOADS"
"""An object store: pictures that somebody sent, until a fact speaks of them or they run out."""
PHOTOS: Final = "PHOTOS"
"""An object store: pictures of which a fact speaks, kept like the facts."""

DEPARTMENT_API_PREFIX: Final = "BUS.API"
"""Where a department reaches the calls of JetStream that it may make: of its own consumer, info and next message."""

LIVE: Final = "live"
"""Below which the server sends on what a department is told, as soon as it stands in the log; nothing is kept there."""
AFTER_HEADER: Final = "Whistle-After"
"""On a fact for a department: the id of the one of the same case that it was told before, or AFTER_NOTHING."""
AFTER_NOTHING: Final = "nothing"

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-")
_ESCAPED: Final = re.compile(r"_([0-9a-f]{2})")
_VERSION_TOKEN: Final = 3


def token(name: str) -> str:
    """The subject token of a name: letters, digits and `-` stay, every other UTF-8 byte becomes `_xx`.

    Injective, so that two names never share a token.  Raises ValueError for an empty name.
    """
    if not name:
        raise ValueError("an empty name has no token")
    return "".join(chr(byte) if byte in _PLAIN else f"_{byte:02x}" for byte in name.encode())


def name_of(encoded: str) -> str:
    """The name behind a token.  Raises ValueError when it is not what `token` would have made."""
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), encoded).encode("latin-1")
    name = raw.decode()
    if not name or token(name) != encoded:
        raise ValueError(f"not a token of a name: {encoded!r}")
    return name


def ledger_subject(stream: str) -> str:
    """Where the checkpoints of a sealed stream stand."""
    return f"ledger.{stream}"


def case_filter(case_id: str) -> str:
    """All events of a case.  The server compares filters as text, so every writer must spell it this way."""
    return f"case.{case_id}.>"


def case_subject(case_id: str, event: str, version: int, department: str | None) -> str:
    """Where the case's event number *version* stands; *department* is a plain name or None."""
    subject = f"case.{case_id}.{event}.{version}"
    return f"{subject}.{token(department)}" if department else subject


def case_version_filters(case_id: str, version: int) -> tuple[str, str]:
    """The filters that find the case's event number *version*, whatever its name and addressee."""
    return f"case.{case_id}.*.{version}", f"case.{case_id}.*.{version}.*"


def case_id_in(subject: str) -> str:
    """The case of a subject below `case.` or `timer.`, whatever else stands in it."""
    parts = subject.split(".")
    return parts[2] if parts[0] == "timer" else parts[1]


class CaseSubject(NamedTuple):
    """The tokens of one subject below `case.`."""

    case_id: str
    event: str
    version: int


def parse_case_subject(subject: str) -> CaseSubject:
    """The parts of a subject of `CASES`.  Raises ValueError when it is none."""
    parts = subject.split(".")
    if parts[0] != "case" or len(parts) not in {4, 5}:
        raise ValueError(f"not a subject of a case: {subject!r}")
    return CaseSubject(parts[1], parts[2], int(parts[_VERSION_TOKEN]))


def timer_subject(case_id: str, name: str) -> str:
    """Where the timer *name* of a case stands until it is due; *name* is a token."""
    return f"timer.set.{case_id}.{name}"


def timer_filter(case_id: str) -> str:
    """All timers of a case that stand."""
    return f"timer.set.{case_id}.*"


def due_subject(case_id: str, name: str) -> str:
    """Where the timer *name* of a case arrives when it is due."""
    return f"timer.due.{case_id}.{name}"


class TimerSubject(NamedTuple):
    """What a subject below `timer.set.` or `timer.due.` names."""

    case_id: str
    name: str


def parse_timer_subject(subject: str) -> TimerSubject:
    """The parts of a subject of `TIMERS`.  Raises ValueError when it is none."""
    parts = subject.split(".")
    if parts[0] != "timer" or len(parts) != 4:
        raise ValueError(f"not a subject of a timer: {subject!r}")
    return TimerSubject(parts[2], parts[3])


def person_subject(target: str, event: str, version: int) -> str:
    """Where event number *version* about a person, by pseudonym, or about a case that is held, stands."""
    return f"person.{target}.{event}.{version}"


def person_filter(target: str) -> str:
    """All that stands in `PERSONS` about one person or case."""
    return f"person.{target}.>"


class PersonSubject(NamedTuple):
    """The tokens of one subject below `person.`."""

    target: str
    event: str
    version: int


def parse_person_subject(subject: str) -> PersonSubject:
    """The parts of a subject of `PERSONS`.  Raises ValueError when it is none."""
    parts = subject.split(".")
    if parts[0] != "person" or len(parts) != 4:
        raise ValueError(f"not a subject of a person: {subject!r}")
    return PersonSubject(parts[1], parts[2], int(parts[_VERSION_TOKEN]))


def ask_subject(department: str, verb: str) -> str:
    """Where a department asks and gets the answer at once."""
    return f"ask.{token(department)}.{verb}"


def act_subject(department: str, verb: str) -> str:
    """Where a department sends an act that must not be lost."""
    return f"act.{token(department)}.{verb}"


def act_sender(subject: str) -> str:
    """The department that sent what stands on *subject* in `ACTS`, where the verb is left out.

    Raises ValueError when it is no such subject.
    """
    prefix, _, encoded = subject.partition(".")
    if prefix != "act":
        raise ValueError(f"not a subject of an act: {subject!r}")
    return name_of(encoded)


def sensed_subject(sensor: str) -> str:
    """Where a sensor reports; over MQTT the topic `sensor/<token>/report`."""
    return f"sensor.{token(sensor)}.report"


def sensor_answer_subject(sensor: str) -> str:
    """Where a sensor hears what became of its report; over MQTT the topic `sensor/<token>/answer`."""
    return f"sensor.{token(sensor)}.answer"


def sensor_in(subject: str) -> str:
    """The sensor of a subject of `SENSED`.  Raises ValueError when it is none."""
    parts = subject.split(".")
    if parts[0] != "sensor" or len(parts) != 3:
        raise ValueError(f"not a subject of a sensor: {subject!r}")
    return name_of(parts[1])


def refused_subject(department: str, case_id: str) -> str:
    """Where a department hears that an act of its own on a case was refused."""
    return f"dept.{token(department)}.refused.{case_id}"


def room_subject(room: str, subject: str = ">") -> str:
    """Where what stands on *subject* in the log is played to a room; all of it by default."""
    return f"replay.{token(room)}.{subject}"


def room_in(subject: str) -> str:
    """The room that `replay.<room>.>` names.  Raises ValueError for any other subject."""
    parts = subject.split(".")
    if len(parts) != 3 or parts[0] != "replay" or parts[2] != ">":
        raise ValueError(f"not all that is played to a room: {subject!r}")
    return name_of(parts[1])


def live_subjects(department: str) -> str:
    """Where the server sends on what a department is told: `live.<department>.<event>.<case>`."""
    return f"{LIVE}.{token(department)}.>"


def bucket_stream(bucket: str) -> str:
    """The stream behind a key-value bucket (ADR-8)."""
    return f"KV_{bucket}"


def bucket_subject(bucket: str, key: str) -> str:
    """Where a key of a bucket stands."""
    return f"$KV.{bucket}.{key}"


def object_stream(bucket: str) -> str:
    """The stream behind an object store (ADR-20)."""
    return f"OBJ_{bucket}"


def chunk_subject(bucket: str, name: str) -> str:
    """Where the parts of an object stand, in order."""
    return f"$O.{bucket}.C.{name}"


def object_subject(bucket: str, name: str) -> str:
    """Where it is said what an object is; without that there is none."""
    return f"$O.{bucket}.M.{urlsafe_b64encode(name.encode()).decode()}"


def department_inbox(department: str) -> str:
    """The prefix of a department's own inboxes, the only thing that it may subscribe to."""
    return f"_INBOX_{token(department)}"
