"""`./whistle key`: API keys for other systems.  A key is shown once, when it is made; only its digest is kept."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from cli.commands.token import checked
from cli.embedded.errors import StackError
from cli.embedded.secrets import Secrets
from cli.output import Column, JsonOption, console, print_json, quiet_logs, shown_time, table
from cli.stack.state import Stack
from libs.events.access.identity import POSTS_MAX
from libs.events.access.keys import KeyRecord, KeyStore, NewKey, new_key
from libs.events.jetstream import JetStream, connected
from libs.events.keyvalue import KeyValue
from libs.events.subjects import KEYS

KEEPER: Final = "keys"
OPERATOR: Final = "operator:cli"
CONNECT_SECONDS_MAX: Final = 10.0
NAME_CHARACTERS_MAX: Final = 100
DAYS_DEFAULT: Final = 365
DAYS_MAX: Final = 3_650
OVERLAP_HOURS_DEFAULT: Final = 24
OVERLAP_HOURS_MAX: Final = 24 * 90
COLUMNS: Final = (
    Column("id", "编号", wraps=False),
    Column("name", "名称"),
    Column("posts", "岗位"),
    Column("made", "生成", wraps=False),
    Column("ends", "到期", wraps=False),
    Column("state", "状态", wraps=False),
)
T = TypeVar("T")

KeyId = Annotated[str, typer.Argument(metavar="ID", help="its 8 characters, as `key list` shows · 密钥编号")]


def register(app: typer.Typer) -> None:
    """Add the command with its parts."""
    group = typer.Typer(no_args_is_help=True, help="API keys for other systems · 外部系统的 API 密钥")
    group.command("add", help="Make a key; it is shown once · 生成密钥，仅显示一次")(add)
    group.command("list", help="Show the keys, without their secrets · 查看密钥")(show)
    group.command("rotate", help="Make a key in place of another, which ends later · 轮换密钥")(rotate)
    group.command("revoke", help="End a key at once · 立即吊销密钥")(revoke)
    app.add_typer(group, name="key")


def add(
    name: Annotated[str, typer.Argument(help="whose it is; no person's name · 名称，勿填个人姓名")],
    post: Annotated[
        list[str],
        typer.Option(metavar="POST", help="like integrator:wechat; may be given again · 岗位，可重复"),
    ],
    days: Annotated[int, typer.Option(min=1, max=DAYS_MAX, help="until it ends · 有效天数")] = DAYS_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Make a key; it is shown once · 生成密钥，仅显示一次."""
    checked(post, "--post")
    if len(post) > POSTS_MAX:
        raise typer.BadParameter(f"{POSTS_MAX} at most · 最多 {POSTS_MAX} 个岗位", param_hint="--post")
    if not 0 < len(name) <= NAME_CHARACTERS_MAX:
        reason = f"1 to {NAME_CHARACTERS_MAX} characters · 须为 1 至 {NAME_CHARACTERS_MAX} 个字符"
        raise typer.BadParameter(reason, param_hint="NAME")
    made = _new(name, tuple(post), days)
    _with_store(lambda store: store.write(made.record))
    _print_new(made, as_json=as_json)


def show(as_json: JsonOption = False) -> None:
    """Show the keys, without their secrets · 查看密钥."""
    found = sorted(_with_store(lambda store: store.all()).values(), key=lambda record: record.created_at)
    if as_json:
        print_json([_shown(record) for record in found])
        return
    rows = [
        (
            record.id,
            record.name,
            ", ".join(record.posts),
            shown_time(record.created_at),
            shown_time(record.expires_at),
            _state(record),
        )
        for record in found
    ]
    console().print(table("API keys · API 密钥", COLUMNS, rows))


def rotate(
    key_id: KeyId,
    days: Annotated[
        int, typer.Option(min=1, max=DAYS_MAX, help="until the new one ends · 有效天数")
    ] = DAYS_DEFAULT,
    overlap_hours: Annotated[
        int,
        typer.Option(min=0, max=OVERLAP_HOURS_MAX, help="how long the old one goes on · 旧密钥延用小时数"),
    ] = OVERLAP_HOURS_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Make a key with the same posts; the old one ends after a while · 轮换密钥，旧密钥稍后失效."""

    async def replace(store: KeyStore) -> NewKey:
        old = await _known(store, key_id)
        if not old.is_valid(datetime.now(UTC)):
            raise typer.BadParameter("this key has ended: make a new one · 该密钥已失效，请重新生成")
        made = _new(old.name, old.posts, days)
        await store.write(made.record)
        end = datetime.now(UTC) + timedelta(hours=overlap_hours)
        earlier = min(end, old.expires_at) if old.expires_at else end
        await store.write(old.model_copy(update={"expires_at": earlier}))
        return made

    _print_new(_with_store(replace), as_json=as_json)


def revoke(key_id: KeyId, as_json: JsonOption = False) -> None:
    """End a key at once: services refuse it within seconds; repeating it changes nothing · 立即吊销密钥."""

    async def end(store: KeyStore) -> KeyRecord:
        found = await _known(store, key_id)
        if found.revoked_at is None:
            found = found.model_copy(update={"revoked_at": datetime.now(UTC)})
            await store.write(found)
        return found

    ended = _with_store(end)
    if as_json:
        print_json(_shown(ended))
    else:
        console().print(f"{ended.id} is revoked · 已吊销")


async def _known(store: KeyStore, key_id: str) -> KeyRecord:
    found = await store.one(key_id)
    if found is None:
        raise typer.BadParameter("there is no such key: ./whistle key list · 没有此密钥", param_hint="ID")
    return found


def _new(name: str, posts: tuple[str, ...], days: int) -> NewKey:
    now = datetime.now(UTC)
    return new_key(name, posts, now, OPERATOR, now + timedelta(days=days))


def _with_store(work: Callable[[KeyStore], Awaitable[T]]) -> T:
    quiet_logs()

    async def run() -> T:
        async with _store() as store:
            return await work(store)

    return asyncio.run(run())


@asynccontextmanager
async def _store() -> AsyncGenerator[KeyStore]:
    """The keys of the servers that the environment names, as in a container, or of the stack that runs here."""
    url, folder = os.environ.get("WHISTLE_NATS_URL"), os.environ.get("WHISTLE_SECRETS_DIR")
    if url and folder:
        password = Secrets(Path(folder))(KEEPER)
    else:
        stack = Stack.load()
        url, password = stack.nats_url, stack.secret(KEEPER)
    async with AsyncExitStack() as resources:
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                client = await resources.enter_async_context(connected(url, user=KEEPER, password=password))
        except TimeoutError as error:
            raise StackError(
                f"{url} cannot be reached: nothing was changed; try again when the log's server runs"
                " · 无法连接日志服务器，未作任何更改，请稍后重试"
            ) from error
        yield KeyStore(KeyValue(JetStream(client), KEYS))


def _shown(record: KeyRecord) -> dict[str, Any]:
    return {**record.model_dump(mode="json", exclude={"digest"}), "valid": record.is_valid(datetime.now(UTC))}


def _state(record: KeyRecord) -> str:
    if record.revoked_at:
        return "revoked · 已吊销"
    return "valid · 有效" if record.is_valid(datetime.now(UTC)) else "expired · 已过期"


def _print_new(made: NewKey, *, as_json: bool) -> None:
    if as_json:
        print_json({"key": made.text, **_shown(made.record)})
        return
    out = console()
    out.print(f"key · 密钥   [bold]{made.text}[/]", soft_wrap=True)
    out.print("It is shown this once: store it where its system reads it · 仅显示这一次，请妥善保存")
    out.print(f"id · 编号    {made.record.id}   ends · 到期  {shown_time(made.record.expires_at)}")
