"""`./whistle room add|revoke|list`: rooms that history may be played to, each with an account of its own on the bus."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.departments.errors import NoSuchKey
from cli.departments.keyring import Keyring, load
from cli.departments.placing import AccountsOption, KeysOption, apply, place_of, say_what_next
from cli.embedded.rooms import player_user, room_user
from cli.embedded.secrets import Secrets
from cli.output import Column, JsonOption, UsageError, console, print_json, quiet_logs, shown_time, table
from cli.replaying.room import discard
from cli.stack.state import Stack
from libs.events.jetstream import JetStream, connected
from libs.events.streams import ROOM_CONSUMER
from libs.events.subjects import REPLAY, room_subject, token

GUIDE: Final = "docs/operate.md, New users on the bus"
TOKEN_CHARACTERS_MAX: Final = 100
"""Of a room's name as a subject token: its passwords lie in files of that name."""
COLUMNS: Final = (
    Column("room", "房间", wraps=False),
    Column("user", "用户名", wraps=False),
    Column("since", "启用时间", wraps=False),
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="its name · 房间名称")]


def register(app: typer.Typer) -> None:
    """Add the command with its parts."""
    group = typer.Typer(no_args_is_help=True, help="Rooms that history is played to · 回放房间")
    group.command("add", help="Make a room with users of its own · 添加房间")(add)
    group.command("revoke", help="Take it away with what waits there · 移除房间")(revoke)
    group.command("list", help="Which rooms there are · 查看房间")(show)
    app.add_typer(group, name="room")


def add(
    name: NameArgument,
    keys: KeysOption = None,
    accounts: AccountsOption = None,
    as_json: JsonOption = False,
) -> None:
    """A user who takes what is played there, and one who plays; repeating it changes nothing · 添加房间."""
    quiet_logs()
    if not name or len(token(name)) > TOKEN_CHARACTERS_MAX:
        raise UsageError(
            f"a room's name has 1 to {TOKEN_CHARACTERS_MAX} characters, those other than letters, digits and - count as"
            f" 3 or more · 房间名称须为 1 至 {TOKEN_CHARACTERS_MAX} 个字符，字母、数字、- 以外的字符按 3 个以上计"
        )
    place, user = place_of(keys, accounts), room_user(token(name))
    if isinstance(place, Stack):
        Secrets(place.secrets_folder).make([user, player_user(token(name))])

    def edit(keyring: Keyring) -> None:
        keyring.rooms.setdefault(name, datetime.now(UTC))

    asyncio.run(apply(place, edit))
    said = {
        "room": name,
        "to_subject": room_subject(name),
        "user": user,
        "consumer": f"{REPLAY}/{ROOM_CONSUMER}",
    }
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
    """Whoever is signed in there is cut off at once, and what waits there goes · 移除房间."""
    quiet_logs()
    place = place_of(keys, accounts)

    def edit(keyring: Keyring) -> None:
        if keyring.rooms.pop(name, None) is None:
            raise NoSuchKey(f"no room {name}: ./whistle room list · 没有房间 {name}")

    if isinstance(place, Stack) and name in load(place.keyring).rooms:
        asyncio.run(_empty(place, name))
    asyncio.run(apply(place, edit))
    if isinstance(place, Stack):
        for user in (room_user(token(name)), player_user(token(name))):
            (place.secrets_folder / user).unlink(missing_ok=True)
    if as_json:
        print_json({"room": name, "revoked": True})
        return
    console().print(f"revoked · 已移除: {name}", markup=False)
    say_what_next(place)


async def _empty(stack: Stack, name: str) -> None:
    user = player_user(token(name))
    async with connected(stack.nats_url, user=user, password=stack.secret(user)) as client:
        await discard(JetStream(client))


def show(keys: KeysOption = None, as_json: JsonOption = False) -> None:
    """Which rooms there are, and since when · 查看房间."""
    file: Path = keys or Stack.load().keyring
    lines = [
        {"room": name, "user": room_user(token(name)), "since": shown_time(since)}
        for name, since in sorted(load(file).rooms.items())
    ]
    if as_json:
        print_json(lines)
    else:
        console().print(table("", COLUMNS, [tuple(line.values()) for line in lines]))
