"""`./whistle person`: find somebody, hand out what is held of them, erase them."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.progress import Progress, TextColumn

from cli.embedded.errors import StackError
from cli.output import (
    Column,
    JsonOption,
    UsageError,
    console,
    harmless,
    print_json,
    quiet_logs,
    shown_time,
    table,
)
from cli.persons.copying import copy_of
from cli.persons.desk import Desk, at_desk
from cli.persons.erasing import NotDone, erase_in, now_by, outstanding, receipt_of
from cli.persons.telling import lines, told
from cli.persons.who import cases_of, everybody, the_one
from libs.events.contracts.base import Event
from libs.events.contracts.persons import Ground, PersonErased, PersonExported
from libs.events.envelope import Entry
from libs.events.personal.deciding import Asked, Standing

T = TypeVar("T")
REFERENCE_CHARACTERS_MAX: Final = 60
COLUMNS: Final = (
    Column("person", "代号", wraps=False),
    Column("state", "状态"),
    Column("cases", "案件"),
)

Who = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="telephone or identity number, mail address, tracking number, case id or pseudonym"
        " · 电话、身份证号、邮箱、查询码、案件编号或代号",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command with its parts."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Find, hand out, erase what is held of somebody · 个人信息的查询、提供与删除",
    )
    group.command("find", help="Which pseudonym and cases somebody has · 查询代号与案件")(find)
    group.command("export", help="All that is held of somebody, for them · 导出本人信息")(export)
    group.command("erase", help="Destroy somebody's key, for good · 永久删除个人信息")(erase)
    group.command("replay-erasures", help="Carry out erasures on record again · 重新执行已登记的删除")(replay)
    app.add_typer(group, name="person")


def find(who: Who, as_json: JsonOption = False) -> None:
    """Which pseudonym and which cases somebody has, and nothing more · 查询代号与案件."""
    found = _run(lambda desk: _find(desk, who))
    if as_json:
        print_json(found)
        return
    rows = [(each["person"], _state(each), ", ".join(each["cases"]) or "-") for each in found]
    console().print(table("", COLUMNS, rows))


def export(
    who: Who,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="write JSON there, for its owner alone · 写入文件"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """All that is held of somebody, opened, to be handed to them; that it was made goes on record · 导出本人信息."""
    if out is not None and out.exists():
        raise typer.BadParameter(f"{out} is there already · 文件已存在", param_hint="--out")
    copy = _run(lambda desk: _export(desk, who))
    if out is not None:
        _write(out, copy)
        console(stderr=True).print(f"written to {out} · 已写入", markup=False)
    elif as_json:
        print_json(copy)
    else:
        for line in lines(copy):
            console().print(harmless(line), markup=False, soft_wrap=True)


def erase(
    who: Who,
    reference: Annotated[
        str,
        typer.Option(metavar="NUMBER", help="under which the request is kept; no name · 申请编号，勿填姓名"),
    ] = "",
    even_open: Annotated[
        bool, typer.Option("--even-open", help="although they wait for an answer · 即使尚有未结案件")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask · 不再询问")] = False,
    as_json: JsonOption = False,
) -> None:
    """Destroy somebody's key and all by which they are found, for good; the receipt · 永久删除个人信息，并给出回执."""
    if len(reference) > REFERENCE_CHARACTERS_MAX:
        reason = f"{REFERENCE_CHARACTERS_MAX} characters at most · 最多 {REFERENCE_CHARACTERS_MAX} 个字符"
        raise typer.BadParameter(reason, param_hint="--reference")
    asked = Asked(Ground.REQUEST, reference, even_open)
    receipt = _run(lambda desk: _erase(desk, who, asked, yes=yes))
    if as_json:
        print_json(receipt)
    else:
        out = console()
        out.print(f"erased · 已删除  {receipt['person']}  {receipt['erased_at']}", soft_wrap=True)
        out.print(
            f"receipt · 回执  {receipt['receipt']}   values · 密文数  {receipt['values']}", soft_wrap=True
        )


def replay(as_json: JsonOption = False) -> None:
    """Carry out every erasure on record that this vault has not, as after a restore · 重新执行已登记的删除."""

    async def nothing_more(_: Desk, done: list[str]) -> list[str]:
        return done

    done = _run_after(nothing_more)
    if as_json:
        print_json({"erased": done})
    else:
        console().print(
            f"{len(done)} erasures were outstanding, and are carried out · 已补执行 {len(done)} 项删除"
        )


async def _find(desk: Desk, who: str) -> list[dict[str, Any]]:
    persons = await everybody(desk, who)
    cases = await _cases(desk, persons)
    return [await _found(desk, person, cases[person]) for person in persons]


async def _found(desk: Desk, person: str, cases: list[str]) -> dict[str, Any]:
    standing = await desk.records.standing(person)
    return {
        "person": person,
        "cases": cases,
        "erased_at": _shown(desk, standing.erased_at),
        "held": [hold.number for hold in standing.holds],
    }


async def _export(desk: Desk, who: str) -> dict[str, Any]:
    person, cases = await _one(desk, who)

    async def made(standing: Standing) -> Event:
        if standing.order:
            raise StackError(
                f"they were erased on {shown_time(standing.order.ordered_at, desk.zone)} · 该人信息已删除"
            )
        return PersonExported(cases=len(cases))

    copy = await copy_of(desk, person, cases)
    await desk.records.record(person, made, now_by(desk))
    return copy


async def _erase(desk: Desk, who: str, asked: Asked, *, yes: bool) -> dict[str, Any]:
    person, cases = await _one(desk, who)
    if (before := await receipt_of(desk, person)) is not None:
        return {**_receipt(desk, person, before), "again": True}
    if not yes:
        _confirm(person, cases)
    return {**_receipt(desk, person, await erase_in(desk, person, cases, asked)), "again": False}


def _receipt(desk: Desk, person: str, entry: Entry) -> dict[str, Any]:
    assert isinstance(entry.event, PersonErased), "it is a receipt"
    return {
        "person": person,
        **entry.event.model_dump(mode="json"),
        "ordered_at": _shown(desk, entry.event.ordered_at),
        "erased_at": _shown(desk, entry.envelope.time),
    }


def _confirm(person: str, cases: list[str]) -> None:
    question = (
        f"Erase {person}, in {len(cases)} cases, for good? · 永久删除该人在 {len(cases)} 个案件中的个人信息？"
    )
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "nobody is here to ask: give --yes · 无法询问，请加 --yes", param_hint="--yes"
        )
    if not typer.confirm(question, err=True):
        raise typer.Abort


async def _one(desk: Desk, who: str) -> tuple[str, list[str]]:
    """The one person whom it names, with their cases."""
    person = await the_one(desk, who)
    return person, (await _cases(desk, [person]))[person]


async def _cases(desk: Desk, persons: list[str]) -> dict[str, list[str]]:
    out = console(stderr=True)
    columns = TextColumn("reports up to position {task.completed:,.0f} · 已查至日志位置")
    with Progress(columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=None)
        return await cases_of(desk, persons, lambda position: bar.update(task, completed=position))


def _run(work: Callable[[Desk], Awaitable[T]]) -> T:
    async def after(desk: Desk, _: list[str]) -> T:
        return await work(desk)

    return _run_after(after)


def _run_after(work: Callable[[Desk, list[str]], Awaitable[T]]) -> T:
    """Carry out what is outstanding, then do the work."""
    quiet_logs()

    async def run() -> T:
        async with at_desk() as desk:
            return await work(desk, await outstanding(desk))

    try:
        return asyncio.run(run())
    except UsageError as error:
        raise typer.BadParameter(str(error), param_hint="WHO") from error
    except NotDone as error:
        raise StackError(told(error.refusal)) from error


def _state(found: dict[str, Any]) -> str:
    if found["erased_at"]:
        return f"erased 已删除 {found['erased_at']}"
    return "held · 保留中" if found["held"] else "known · 在册"


def _shown(desk: Desk, moment: datetime | None) -> str | None:
    return moment.astimezone(desk.zone).isoformat(timespec="seconds") if moment else None


def _write(path: Path, copy: dict[str, Any]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(copy, file, ensure_ascii=False, indent=2)
        file.write("\n")
