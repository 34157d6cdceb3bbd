"""`./whistle vault`: how many people's keys there are, and a new master key for them."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.embedded.errors import SecretMissing, StackError
from cli.output import Column, JsonOption, console, print_json, quiet_logs, shown_time, table
from cli.stack.databases import VAULT_MASTER
from cli.stack.state import Stack
from libs.events.errors import VaultInconsistent, VaultUnavailable
from libs.events.readmodel import Pool
from libs.events.vault import keeping
from libs.events.vault.master import master_keys
from libs.events.vault.store import reaching, vault_at

KEEPER: Final = "whistle_vault_keeper"
COLUMNS: Final = (
    Column("master key", "主密钥", wraps=False),
    Column("published", "启用", wraps=False),
    Column("people", "人数", right=True),
    Column("state", "状态"),
)
CURRENT, REPLACED, PREPARED = "in force 使用中", "being replaced 更换中", "prepared 待启用"


def register(app: typer.Typer) -> None:
    """Add the command with its parts."""
    group = typer.Typer(no_args_is_help=True, help="Keys of personal data · 个人信息密钥")
    group.command("status", help="How many people, for which master key · 查看密钥情况")(status)
    group.command("rotate", help="Put a new master key in force · 更换主密钥")(rotate)
    app.add_typer(group, name="vault")


def status(as_json: JsonOption = False) -> None:
    """How many people there are, and for which master key their keys are wrapped · 查看密钥情况."""
    quiet_logs()
    found = asyncio.run(_status())
    if as_json:
        print_json(found)
        return
    rows = [
        (each["master_key"], each["published"] or "", str(each["people"]), each["state"])
        for each in found["master_keys"]
    ]
    totals = f"{found['people']} people 人, {found['erased']} erased 已删除, {found['values']} values sealed 加密次数"
    console().print(table(totals, COLUMNS, rows))


def rotate(
    begin: Annotated[
        bool, typer.Option("--begin", help="only write the new key into the file · 仅生成新密钥")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a new master key in force and wrap everybody's key for it; may be stopped and run again · 更换主密钥."""
    quiet_logs()
    done = asyncio.run(_begin() if begin else _rotate())
    if as_json:
        print_json(done)
    elif begin:
        console().print(f"{done['master_key']} is prepared · 已生成新密钥，尚未启用")
    else:
        console().print(
            f"{done['master_key']} is in force, {done['people']} keys wrapped anew · 主密钥已更换"
        )


@dataclass(frozen=True, slots=True)
class _Keeping:
    pool: Pool
    file: Path


@asynccontextmanager
async def _opened() -> AsyncGenerator[_Keeping]:
    """The vault that the environment names, or that of the stack that runs here."""
    dsn, file = _given("WHISTLE_VAULT_DSN"), os.environ.get("WHISTLE_VAULT_MASTER_FILE")
    if bool(dsn) != bool(file):
        raise SecretMissing(
            "set both WHISTLE_VAULT_DSN and WHISTLE_VAULT_MASTER_FILE, or neither · 请同时设置两个变量"
        )
    if not dsn or not file:
        stack = Stack.load()
        dsn, file = stack.postgres_dsn(KEEPER), str(stack.secrets_folder / VAULT_MASTER)
    try:
        async with vault_at(dsn) as pool:
            with reaching():
                yield _Keeping(pool, Path(file))
    except VaultUnavailable as error:
        raise StackError(f"{error}; try again when PostgreSQL runs · 无法连接数据库，请稍后重试") from error
    except VaultInconsistent as error:
        raise StackError(
            f"{error}; use the file that belongs to this vault · 主密钥文件与此库不符，请使用配套的文件"
        ) from error


def _given(name: str) -> str | None:
    path = os.environ.get(f"{name}_FILE")
    return Path(path).read_text(encoding="utf-8").strip() if path else os.environ.get(name)


async def _status() -> dict[str, Any]:
    async with _opened() as vault:
        totals, by_key = await keeping.counts(vault.pool)
    known = [each["master_key_id"] for each in by_key]
    keys = [
        {
            "master_key": each["master_key_id"],
            "published": shown_time(each["published_at"]),
            "people": each["persons"],
            "state": CURRENT if each["is_current"] else REPLACED,
        }
        for each in by_key
    ]
    keys += [
        {"master_key": key_id, "published": None, "people": 0, "state": PREPARED}
        for key_id, _ in master_keys(vault.file)
        if key_id not in known
    ]
    return {
        "people": totals["persons"],
        "erased": totals["erased"],
        "values": totals["values_sealed"],
        "master_keys": keys,
    }


async def _begin() -> dict[str, Any]:
    async with _opened() as vault:
        await keeping.begin(vault.pool, vault.file)
        return {"master_key": master_keys(vault.file)[0][0]}


async def _rotate() -> dict[str, Any]:
    done: dict[str, Any] = {}
    err = console(stderr=True)
    async with _opened() as vault, aclosing(keeping.rotate(vault.pool, vault.file)) as steps:
        async for step in steps:
            done = {"master_key": step.master_key_id, "people": step.persons}
            if err.is_terminal:
                err.print(f"{step.persons} keys wrapped · 已重新加密 {step.persons} 个密钥")
    return done
