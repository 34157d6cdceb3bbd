"""`./whistle retention`: who may be kept no longer by the rule book, and the end of it."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.progress import Progress, TextColumn

from cli.output import Column, JsonOption, console, print_json, quiet_logs, shown_time, table
from cli.persons.desk import Desk, at_desk
from cli.persons.erasing import NotDone, outstanding
from cli.persons.retaining import due_at, erase_due
from libs.events import policy
from libs.events.personal.retention import Due
from libs.events.policy import RuleBook

PERSONS_MAX: Final = 10_000
"""So many are erased in one run; the next run goes on."""
COLUMNS: Final = (
    Column("person", "代号", wraps=False),
    Column("cases", "案件", right=True),
    Column("due since", "到期", wraps=False),
    Column("held by", "保留原因"),
)


def register(app: typer.Typer) -> None:
    """Add the command with its parts."""
    group = typer.Typer(no_args_is_help=True, help="Who is kept no longer, by rule · 个人信息保存期限")
    group.command("due", help="Whose time is over · 查看到期人员")(show)
    group.command("run", help="Erase them, but for those who are held · 删除到期人员")(run)
    app.add_typer(group, name="retention")


def show(as_json: JsonOption = False) -> None:
    """Whose time is over by the rule book in force, and who of them is held · 查看到期人员."""
    quiet_logs()
    book, found = asyncio.run(_due())
    if as_json:
        print_json([_shown(book, each) for each in found])
        return
    if not _has_rule(book):
        return
    rows = [
        (each["person"], str(len(each["cases"])), each["due_since"], ", ".join(each["held"]))
        for each in (_shown(book, each) for each in found)
    ]
    console().print(table(f"{len(rows)} due · 到期", COLUMNS, rows))


def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="erase nobody · 只查看，不删除")] = False,
    at_most: Annotated[
        int, typer.Option(min=1, max=PERSONS_MAX, help="of them in this run · 本次最多人数")
    ] = PERSONS_MAX,
    as_json: JsonOption = False,
) -> None:
    """Erase everybody whose time is over and who is not held; may be stopped and run again · 删除到期人员."""
    quiet_logs()
    done = asyncio.run(_run(at_most, dry_run=dry_run))
    if as_json:
        print_json(done)
        return
    out = console()
    verb = "would be erased · 将删除" if dry_run else "erased · 已删除"
    out.print(f"{len(done['erased'])} {verb}; {done['held']} held · 保留; {done['kept']} kept · 未删除")
    if done["left"]:
        out.print(f"{done['left']} are left for the next run · 其余留待下次")


async def _due() -> tuple[RuleBook, list[Due]]:
    async with at_desk() as desk:
        await outstanding(desk)
        book = await policy.current(desk.jetstream)
        return book, await _gather(desk, book)


async def _gather(desk: Desk, book: RuleBook) -> list[Due]:
    out = console(stderr=True)
    columns = TextColumn("{task.description} up to position {task.completed:,.0f} · 已查至日志位置")
    with Progress(columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=None)
        return await due_at(
            desk,
            book,
            datetime.now(UTC),
            lambda event, position: bar.update(task, description=event, completed=position),
        )


async def _run(at_most: int, *, dry_run: bool) -> dict[str, Any]:
    async with at_desk() as desk:
        await outstanding(desk)
        book = await policy.current(desk.jetstream)
        found = await _gather(desk, book)
        free = [each for each in found if not each.holds]
        erased, kept = [], Counter[str]()
        for each in free[:at_most]:
            try:
                if not dry_run:
                    await erase_due(desk, book, each)
                erased.append(each.known.person)
            except NotDone as error:  # since they were looked for
                kept[error.refusal.why] += 1
    return {
        "erased": erased,
        "held": len(found) - len(free),
        "kept": kept.total(),
        "left": max(len(free) - at_most, 0),
        "policy": book.version,
        "dry_run": dry_run,
    }


def _shown(book: RuleBook, each: Due) -> dict[str, Any]:
    return {
        "person": each.known.person,
        "cases": [case.case_id for case in each.known.cases],
        "due_since": shown_time(each.since, book.zone),
        "held": [f"{hold.target} no. {hold.number}: {hold.reason}" for hold in each.holds],
    }


def _has_rule(book: RuleBook) -> bool:
    if book.retention.contact is None and not book.retention.categories:
        console().print("the rule book in force names no time: everybody is kept · 现行规则未规定保存期限")
        return False
    return True
