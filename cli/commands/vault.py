"""`./whistle vault`: how many people's keys there are, and a new master key for them."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, Final

import asyncpg
import typer

from cli.embedded.errors import StackError
from cli.output import Column, JsonOption, console, print_json, quiet_logs, shown_time, table
from cli.persons.desk import administrator, records_opened, vault_opened
from cli.stack.state import whistle_home
from libs.events.errors import VaultBackupInvalid
from libs.events.personal.carrying_out import ORDERS, carry_out
from libs.events.vault import backup as backups
from libs.events.vault import keeping
from libs.events.vault.backup import VaultNotEmpty
from libs.events.vault.master import master_keys

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
    group.command("backup", help="Write the keys to a file, never beside the log · 备份密钥库")(backup)
    group.command("restore", help="Bring them back, without who was erased since · 恢复密钥库")(restore)
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


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a new file · 新文件")],
    as_json: JsonOption = False,
) -> None:
    """Write the keys as they are wrapped to a new file, for its owner alone · 备份密钥库."""
    quiet_logs()
    path = _apart_from_the_log(file.absolute())
    persons = asyncio.run(_backup(path))
    if as_json:
        print_json({"file": str(path), "people": persons})
    else:
        console().print(f"{persons} people in {path} · 已备份", markup=False, soft_wrap=True)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="that backup wrote · 备份文件")],
    replace: Annotated[
        bool, typer.Option("--replace", help="although there are people; newer ones are lost · 覆盖现有内容")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the keys back; whoever was erased since is erased before anything is shown · 恢复密钥库."""
    quiet_logs()
    done = asyncio.run(_restore(file, replace=replace))
    if as_json:
        print_json(done)
    else:
        console().print(
            f"{done['people']} people, as of {done['made_at']}; {done['erased']} erasures on record carried out"
            f" · 已恢复 {done['people']} 人，并执行已登记的 {done['erased']} 项删除",
            soft_wrap=True,
        )


def _apart_from_the_log(path: Path) -> Path:
    if path.exists():
        raise typer.BadParameter(f"{path} is there already · 文件已存在", param_hint="FILE")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent} · 没有此文件夹", param_hint="FILE")
    if path.parent.resolve().is_relative_to(whistle_home().resolve()):
        raise typer.BadParameter(
            f"not in {whistle_home()}: whoever copies the log would have the keys, too · 不得与日志放在一起",
            param_hint="FILE",
        )
    return path


async def _backup(path: Path) -> int:
    async with vault_opened() as vault, vault.pool.acquire() as connection:
        return await backups.write(connection, path)


async def _restore(file: Path, *, replace: bool) -> dict[str, Any]:
    try:
        head = backups.examine(file)
        async with records_opened() as (_, _, records), vault_opened() as vault:
            known = {key_id for key_id, _ in master_keys(vault.file)}
            if not known & {*head.master_key_ids}:
                raise VaultBackupInvalid(f"its keys are wrapped for a master key that is not in {vault.file}")
            erased = [entry.case_id async for entry in records.about(ORDERS)]
            connection = await asyncpg.connect(administrator())
            try:
                await backups.restore(connection, file, erased, replace=replace)
            finally:
                await connection.close()
            # The receipts of those that were ordered and not carried out, and up to where all is done.
            _ = [person async for person in carry_out(records, vault.pool)]
    except (VaultBackupInvalid, OSError) as error:
        hint = "; --replace takes its place · 加 --replace 可覆盖" if isinstance(error, VaultNotEmpty) else ""
        raise StackError(f"{file}: {error}{hint}; nothing was changed · 无法恢复，未作任何更改") from error
    return {"people": head.persons, "made_at": shown_time(head.made_at), "erased": len(erased)}


async def _status() -> dict[str, Any]:
    async with vault_opened() as vault:
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
    async with vault_opened() as vault:
        await keeping.begin(vault.pool, vault.file)
        return {"master_key": master_keys(vault.file)[0][0]}


async def _rotate() -> dict[str, Any]:
    done: dict[str, Any] = {}
    err = console(stderr=True)
    async with vault_opened() as vault, aclosing(keeping.rotate(vault.pool, vault.file)) as steps:
        async for step in steps:
            done = {"master_key": step.master_key_id, "people": step.persons}
            if err.is_terminal:
                err.print(f"{step.persons} keys wrapped · 已重新加密 {step.persons} 个密钥")
    return done
