"""The `accounts {}` block of nats-server, rendered from the one list of users in `accounts.py`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from cli.embedded.accounts import (
    User,
    bus_users,
    department_services,
    department_users,
    live_of_department,
    log_users,
    sensor_users,
)
from cli.embedded.rooms import BYTES_MAX, room_users
from libs.events.streams import SOURCE_API_PREFIX, SOURCE_DELIVER_PREFIX

Keys = Mapping[str, Sequence[str]]
"""Of each department, by its subject token: the public nkeys that may sign in for it."""
# How long dispatch may take to answer a department's question.
ANSWER_SECONDS_MAX = 60

# What flows between sensors and BUS: no calls, so nothing is ever answered into the other account.
_SENSED = "sensor.*.report"
_ANSWERED = "sensor.*.answer"

_ROOM_LIMITS = f"{{ max_store: {BYTES_MAX}, max_streams: 1, max_consumers: 1 }}"

_ENVIRONMENT_VARIABLE = re.compile(r"\$[A-Z][A-Z0-9_]*")
_PUBLIC_KEY = re.compile(r"U[A-Z2-7]{55}")


def render_accounts(
    departments: Keys,
    password: Callable[[str], str],
    sensors: Iterable[str] = (),
    rooms: Iterable[str] = (),
    *,
    restoring: bool = False,
) -> str:
    """The `accounts {}` block; a password like `$NAME` is left to the environment of nats-server.

    A department without a key gets no account; `sensors` and `rooms` are subject tokens, with passwords. Only
    *restoring* gives a user that may fill the log from a backup.
    Raises ValueError for what is no token, key or password.
    """
    own = _by_password(password)
    lines = [
        "accounts {",
        *_account("LOG", log_users(restoring=restoring), own, exports=_exports_to_bus()),
        *_account("BUS", bus_users(), own, exports=_exports_to_departments(), imports=_imports_of_bus()),
        *_account(
            "SENSORS",
            [user for token in sorted(sensors) for user in sensor_users(token)],
            own,
            exports=[f'{{ stream: "{_SENSED}", accounts: [BUS] }}'],
            imports=[f'{{ stream: {{ account: BUS, subject: "{_ANSWERED}" }} }}'],
        ),
    ]
    for token in sorted(rooms):
        lines += _account(f'"ROOM-{token}"', room_users(token), own, limits=_ROOM_LIMITS)
    for token, keys in sorted(departments.items()):
        if keys:
            name, users, imports = (
                f'"DEPARTMENT-{token}"',
                department_users(token),
                _imports_of_department(token),
            )
            lines += _account(name, users, _by_keys(keys), streams=False, imports=imports)
    return "\n".join((*lines, "}", ""))


Logins = Callable[[User], Iterable[str]]


def _by_password(password: Callable[[str], str]) -> Logins:
    return lambda user: (f'user: "{user.name}", password: {_password(password(user.name))}',)


def _by_keys(keys: Sequence[str]) -> Logins:
    for key in keys:
        if not _PUBLIC_KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not a public key of a user")
    return lambda _: (f"nkey: {key}" for key in keys)


# The server sources CASES into BUS with these alone: it makes a consumer there, which delivers to
# bus.deliver.>, and answers its flow control.
_SOURCING_SERVICES = (
    ("$JS.API.CONSUMER.CREATE.CASES.>", f"{SOURCE_API_PREFIX}.CONSUMER.CREATE.CASES.>"),
    ("$JS.FC.CASES.>", "$JS.FC.CASES.>"),
)


def _exports_to_bus() -> Iterable[str]:
    for subject, _ in _SOURCING_SERVICES:
        yield f'{{ service: "{subject}", response_type: stream, accounts: [BUS] }}'
    yield f'{{ stream: "{SOURCE_DELIVER_PREFIX}.>", accounts: [BUS] }}'
    # To departments, which are not listed for the reason below; each imports its own.
    yield f'{{ stream: "{live_of_department("*")}" }}'


def _imports_of_bus() -> Iterable[str]:
    for subject, local in _SOURCING_SERVICES:
        yield f'{{ service: {{ account: LOG, subject: "{subject}" }}, to: "{local}" }}'
    yield f'{{ stream: {{ account: LOG, subject: "{SOURCE_DELIVER_PREFIX}.>" }} }}'
    yield f'{{ stream: {{ account: SENSORS, subject: "{_SENSED}" }} }}'


def _exports_to_departments() -> Iterable[str]:
    # Not limited to a list of accounts: only this file makes accounts and imports, and with a list the server
    # refuses the questions of a department that is added by a reload.
    for subject in dict.fromkeys(subject for subject, _ in department_services("*")):
        yield f'{{ service: "{subject}", response_type: stream }}'
    yield f'{{ stream: "{_ANSWERED}", accounts: [SENSORS] }}'


def _imports_of_department(token: str) -> Iterable[str]:
    for subject, local in department_services(token):
        yield f'{{ service: {{ account: BUS, subject: "{subject}" }}, to: "{local}" }}'
    yield f'{{ stream: {{ account: LOG, subject: "{live_of_department(token)}" }} }}'


def _account(
    name: str,
    users: Iterable[User],
    logins: Logins,
    *,
    streams: bool = True,
    limits: str = "enabled",
    exports: Iterable[str] = (),
    imports: Iterable[str] = (),
) -> Iterable[str]:
    yield f"  {name} {{"
    if streams:
        yield f"    jetstream: {limits}"
    yield from _users_block(users, logins)
    for kind, lines in (("exports", exports), ("imports", imports)):
        yield f"    {kind}: ["
        yield from (f"      {line}" for line in lines)
        yield "    ]"
    yield "  }"


def _users_block(users: Iterable[User], logins: Logins) -> Iterable[str]:
    yield "    users: ["
    for user in users:
        for login in logins(user):
            yield from _user_block(user, login)
    yield "    ]"


def _user_block(user: User, login: str) -> Iterable[str]:
    denied = f", deny: [{_quoted(user.publish_denied)}]" if user.publish_denied else ""
    only = f' allowed_connection_types: ["{user.only}"],' if user.only else ""
    yield f"      {{ {login},{only} permissions: {{"
    yield f"        publish: {{ allow: [{_quoted(user.publish)}]{denied} }}"
    yield f"        subscribe: {{ allow: [{_quoted(user.subscribe)}] }}"
    if user.answers:
        yield f'        allow_responses: {{ max: 1, expires: "{ANSWER_SECONDS_MAX}s" }}'
    yield "      } }"


def _password(value: str) -> str:
    if _ENVIRONMENT_VARIABLE.fullmatch(value):
        return value
    if not value or set(value) & set('"\\\n'):
        raise ValueError("a password on the bus must not be empty or hold quotes, backslashes or line ends")
    return f'"{value}"'


def _quoted(subjects: Iterable[str]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)
