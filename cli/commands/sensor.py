"""`./whistle sensor add|revoke|list`: which sensors may report over MQTT, and with which password."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.departments.errors import NoSuchKey
from cli.departments.keyring import Keyring, load
from cli.departments.placing import AccountsOption, KeysOption, apply, place_of, say_what_next
from cli.embedded.accounts import sensor_user
from cli.embedded.secrets import Secrets
from cli.output import Column, JsonOption, UsageError, console, print_json, quiet_logs, shown_time, table
from cli.stack.state import Stack
from libs.events.subjects import sensed_subject, token

GUIDE: Final = "docs/operate.md, New users on the bus"
TOKEN_CHARACTERS_MAX: Final = 100
"""Of a sensor's name as a subject token: its password lies in a file of that name."""
COLUMNS: Final = (
    Column("sensor", "传感器", wraps=False),
    Column("user", "用户名", wraps=False),
    Column("since", "启用时间", wraps=False),
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="its name · 传感器名称")]


def register(app: typer.Typer) -> None:
    """Add the command with its parts."""
    group = typer.Typer(no_args_is_help=True, help="Sensors that report over MQTT · 传感器接入")
    group.command("add", help="Give a sensor a user of its own · 添加传感器")(add)
    group.command("revoke", help="Take it away: cut off at once · 吊销传感器")(revoke)
    group.command("list", help="Which sensors may report · 查看传感器")(show)
    app.add_typer(group, name="sensor")


def add(
    name: NameArgument,
    keys: KeysOption = None,
    accounts: AccountsOption = None,
    as_json: JsonOption = False,
) -> None:
    """A user and, on the servers of this machine, its password; repeating it changes nothing · 添加传感器."""
    quiet_logs()
    if not name or len(token(name)) > TOKEN_CHARACTERS_MAX:
        raise UsageError(
            f"a sensor's name has 1 to {TOKEN_CHARACTERS_MAX} characters, those other than letters, digits and - count"
            f" as 3 or more · 传感器名称须为 1 至 {TOKEN_CHARACTERS_MAX} 个字符，字母、数字、- 以外的字符按 3 个以上计"
        )
    place, user = place_of(keys, accounts), sensor_user(token(name))
    if isinstance(place, Stack):
        Secrets(place.secrets_folder).make([user])

    def edit(keyring: Keyring) -> None:
        keyring.sensors.setdefault(name, datetime.now(UTC))

    asyncio.run(apply(place, edit))
    said = {"sensor": name, "user": user, "topic": sensed_subject(name).replace(".", "/")}
    if isinstance(place, Stack):
        said["password_file"] = str(place.secrets_folder / user)
    if as_json:
        print_json(said)
        return
    for what, value in said.items():
        console().print(f"{what}: {value}", markup=False)
    say_what_next(place, GUIDE)


def revoke(
    name: NameArgument,
    keys: KeysOption = None,
    accounts: AccountsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Its connection is cut off at once · 吊销传感器."""
    quiet_logs()
    place = place_of(keys, accounts)

    def edit(keyring: Keyring) -> None:
        if keyring.sensors.pop(name, None) is None:
            raise NoSuchKey(f"no sensor {name}: ./whistle sensor list · 没有传感器 {name}")

    asyncio.run(apply(place, edit))
    if isinstance(place, Stack):
        (place.secrets_folder / sensor_user(token(name))).unlink(missing_ok=True)
    if as_json:
        print_json({"sensor": name, "revoked": True})
        return
    console().print(f"revoked · 已吊销: {name}", markup=False)
    say_what_next(place)


def show(keys: KeysOption = None, as_json: JsonOption = False) -> None:
    """Which sensors may report, and since when · 查看传感器."""
    file: Path = keys or Stack.load().keyring
    lines = [
        {"sensor": name, "user": sensor_user(token(name)), "since": shown_time(since)}
        for name, since in sorted(load(file).sensors.items())
    ]
    if as_json:
        print_json(lines)
    else:
        console().print(table("", COLUMNS, [tuple(line.values()) for line in lines]))
