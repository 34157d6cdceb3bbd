"""`./whistle department add|rotate|revoke|list`: who may sign in on the bus for a department, and with which key.

`tail` and `act`, which sign in, have files of their own.

On the servers of this machine a change is in force at once. For servers elsewhere (`--keys`, `--accounts`) the files
are written that their operator lays down there: docs/departments.md.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.commands.department_acting import act
from cli.commands.department_listening import tail
from cli.departments.errors import NoSuchDepartment
from cli.departments.keyring import Key, Keyring, load, new_seed, public_of
from cli.departments.placing import (
    AccountsOption,
    Edit,
    Elsewhere,
    KeysOption,
    Place,
    apply,
    place_of,
    say_what_next,
)
from cli.departments.serving import write_seed
from cli.output import Column, JsonOption, console, print_json, quiet_logs, shown_time, table
from cli.stack.state import Stack
from libs.events import policy, streams
from libs.events.jetstream import JetStream, connected
from libs.events.policy import RuleBook
from libs.events.subjects import DEPARTMENTS, token

READER: Final = "auditor"
PROVISIONER: Final = "provision-bus"
STDOUT: Final = "-"
COLUMNS: Final = (
    Column("department", "部门", wraps=False),
    Column("name", "名称"),
    Column("key", "公钥", wraps=False),
    Column("since", "启用时间", wraps=False),
    Column("waiting", "待收", right=True, wraps=False),
)

CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="its code in the rule book · 部门代码")]
ToOption = Annotated[
    Path | None,
    typer.Option(
        "--to", help="file for the secret key, or - to print it once · 密钥文件", show_default=False
    ),
]
PolicyOption = Annotated[
    Path | None, typer.Option("--policy", help="rule book of those servers · 外部服务器的规则目录")
]


def register(app: typer.Typer) -> None:
    """Add the command with its parts."""
    group = typer.Typer(no_args_is_help=True, help="Departments' keys on the bus · 部门接入密钥")
    group.command("add", help="Give a department its first key · 添加部门密钥")(add)
    group.command("rotate", help="Give a new key beside the old one · 轮换密钥")(rotate)
    group.command("revoke", help="Take a key away, or all: cut off at once · 吊销密钥")(revoke)
    group.command("list", help="Who may sign in, and since when · 查看密钥")(show)
    group.command("tail", help="What a department is told, live · 实时查看部门消息")(tail)
    group.command("act", help="Act on a case as a department · 以部门身份办理")(act)
    app.add_typer(group, name="department")


def add(
    code: CodeArgument,
    to: ToOption = None,
    keys: KeysOption = None,
    accounts: AccountsOption = None,
    rules: PolicyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the department's key, its account and its consumer; nobody else is disturbed · 添加部门密钥."""
    place = place_of(keys, accounts, rules)
    _give(place, code, to, lambda keyring, key: keyring.add(code, key), as_json=as_json)


def rotate(
    code: CodeArgument,
    to: ToOption = None,
    keys: KeysOption = None,
    accounts: AccountsOption = None,
    as_json: JsonOption = False,
) -> None:
    """A new key; the old one works on until it is revoked · 轮换密钥."""
    place = place_of(keys, accounts)
    _give(place, code, to, lambda keyring, key: keyring.rotate(code, key), as_json=as_json)


def revoke(
    code: CodeArgument,
    key: Annotated[str | None, typer.Option("--key", help="only this public key · 仅此公钥")] = None,
    keys: KeysOption = None,
    accounts: AccountsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Whoever is signed in with it is cut off at once; its place in the events is kept · 吊销密钥."""
    quiet_logs()
    place = place_of(keys, accounts)
    taken: list[Key] = []
    asyncio.run(apply(place, lambda keyring: taken.extend(keyring.revoke(code, key))))
    if isinstance(place, Stack):
        _forget(place.department_seed_file(code), {each.public for each in taken})
    if as_json:
        print_json({"department": code, "revoked": [each.public for each in taken]})
        return
    for each in taken:
        console().print(f"revoked · 已吊销: {each.public}", markup=False)
    say_what_next(place)


def show(keys: KeysOption = None, as_json: JsonOption = False) -> None:
    """Every department with its keys, and how many events wait for it · 查看密钥."""
    quiet_logs()
    if keys is not None:
        lines = _lines(load(keys), {}, {})
    else:
        stack = Stack.load()
        lines = _lines(load(stack.keyring), *asyncio.run(_known(stack)))
    if as_json:
        print_json(lines)
        return
    rows = [
        (
            line["department"],
            line["name"],
            key,
            since,
            "" if line["waiting"] is None else f"{line['waiting']:,}",
        )
        for line in lines
        for key, since in ([(each["key"], each["since"]) for each in line["keys"]] or [("", "")])
    ]
    console().print(table("", COLUMNS, rows))


def _give(
    place: Place, code: str, to: Path | None, edit: Callable[[Keyring, Key], None], *, as_json: bool
) -> None:
    quiet_logs()
    file = to or (place.department_seed_file(code) if isinstance(place, Stack) else Path(f"{code}.nk"))
    seed = new_seed()
    key = Key(public_of(seed), datetime.now(UTC))
    asyncio.run(_given(place, code, lambda keyring: edit(keyring, key)))
    printed = str(file) == STDOUT
    if not printed:
        write_seed(file, seed)
    if as_json:
        secret = {"seed": seed} if printed else {"seed_file": str(file.absolute())}
        print_json({"department": code, "key": key.public, **secret})
        return
    if printed:
        console().print(seed, markup=False)
    else:
        console().print(f"{code}: {key.public}\nsecret key, only here · 密钥仅存于: {file}", markup=False)
    say_what_next(place)


async def _given(place: Place, code: str, edit: Edit) -> None:
    """The key is in force when the department's consumer is there: what it missed waits for it."""
    if isinstance(place, Elsewhere):
        _must_know(policy.load(place.policy), code)
        await apply(place, edit)
        return
    async with connected(place.nats_url, user=READER, password=place.secret(READER)) as client:
        _must_know(await policy.current(JetStream(client)), code)
    async with connected(place.nats_url, user=PROVISIONER, password=place.secret(PROVISIONER)) as client:
        await streams.ensure(JetStream(client), streams.department_consumers([code]))
    await apply(place, edit)


def _must_know(book: RuleBook, code: str) -> None:
    codes = [department.code for department in book.departments]
    if code not in codes:
        raise NoSuchDepartment(
            f"the rule book {book.version} knows no department {code}: {', '.join(codes)} · 规则中没有此部门"
        )


async def _known(stack: Stack) -> tuple[dict[str, str], dict[str, int]]:
    """Names of the departments in force, and how many events wait for each."""
    async with connected(stack.nats_url, user=READER, password=stack.secret(READER)) as client:
        book = await policy.current(JetStream(client))
    names = {department.code: department.name.zh for department in book.departments}
    async with connected(stack.nats_url, user=PROVISIONER, password=stack.secret(PROVISIONER)) as client:
        jetstream = JetStream(client)
        return names, {code: await streams.lag(jetstream, token(code), DEPARTMENTS) for code in names}


def _lines(keyring: Keyring, names: dict[str, str], waiting: dict[str, int]) -> list[dict[str, Any]]:
    codes: Iterable[str] = dict.fromkeys((*names, *keyring.keys))
    return [
        {
            "department": code,
            "name": names.get(code, ""),
            "keys": [
                {"key": key.public, "since": shown_time(key.since)} for key in keyring.keys.get(code, ())
            ],
            "waiting": waiting.get(code),
        }
        for code in codes
    ]


def _forget(file: Path, revoked: set[str]) -> None:
    """A secret key that opens nothing any more is of no use on this machine."""
    if file.exists() and public_of(file.read_text(encoding="ascii")) in revoked:
        file.unlink()
