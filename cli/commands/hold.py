"""`./whistle hold`: somebody, or everybody in a case, is kept whatever the rules say, until the hold is lifted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import typer

from cli.embedded.errors import StackError
from cli.output import Column, JsonOption, UsageError, console, print_json, quiet_logs, shown_time, table
from cli.persons.desk import Desk, at_desk
from cli.persons.erasing import NotDone, now_by, outstanding
from cli.persons.telling import told
from cli.persons.who import held_by
from libs.events.contracts.base import Event
from libs.events.contracts.persons import HoldLifted
from libs.events.masking import masked
from libs.events.personal.deciding import Hold, Refusal, Standing, lift_hold, place_hold

T = TypeVar("T")
REASON_CHARACTERS_MAX: Final = 200
COLUMNS: Final = (
    Column("person or case", "人员或案件", wraps=False),
    Column("no.", "序号", right=True),
    Column("since", "起始", wraps=False),
    Column("by", "登记人"),
    Column("reason", "原因"),
)

Target = Annotated[
    str,
    typer.Argument(
        metavar="CASE|PERSON",
        help="a case, or a person by pseudonym, number or mail address · 案件，或人员（代号、电话、邮箱）",
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="no names · 原因，勿填姓名")]


def register(app: typer.Typer) -> None:
    """Add the command with its parts."""
    group = typer.Typer(no_args_is_help=True, help="Who must be kept until it is lifted · 个人信息法定保留")
    group.command("add", help="Keep somebody, or everybody in a case · 登记保留")(add)
    group.command("list", help="The holds that stand · 查看保留")(show)
    group.command("lift", help="End a hold · 解除保留")(lift)
    app.add_typer(group, name="hold")


def add(target: Target, reason: Reason, as_json: JsonOption = False) -> None:
    """Keep somebody, or everybody in a case: nothing erases them until it is lifted · 登记保留."""
    words = _words(reason)
    hold = _run(lambda desk: _add(desk, target, words))
    if as_json:
        print_json(hold)
    else:
        console().print(f"held · 已保留  {hold['target']} no. {hold['number']}", soft_wrap=True)


def show(as_json: JsonOption = False) -> None:
    """The holds that stand · 查看保留."""
    holds = _run(_all)
    if as_json:
        print_json(holds)
        return
    rows = [
        (each["target"], str(each["number"]), each["since"], each["by"], each["reason"]) for each in holds
    ]
    console().print(table("", COLUMNS, rows))


def lift(
    target: Target,
    reason: Reason,
    number: Annotated[
        int | None, typer.Option(min=1, help="which, where several stand · 序号（有多项时）")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """End a hold: what the rules say counts again · 解除保留."""
    words = _words(reason)
    lifted = _run(lambda desk: _lift(desk, target, number, words))
    if as_json:
        print_json(lifted)
    else:
        console().print(f"lifted · 已解除  {lifted['target']} no. {lifted['number']}", soft_wrap=True)


async def _add(desk: Desk, target: str, reason: str) -> dict[str, Any]:
    held = await held_by(desk, target)

    async def place(standing: Standing) -> Event | None:
        return _or_raise(place_hold(standing, reason))

    await desk.records.record(held, place, now_by(desk))
    [hold] = [each for each in (await desk.records.standing(held)).holds if each.reason == reason]
    return _shown(desk, hold)


async def _lift(desk: Desk, target: str, number: int | None, reason: str) -> dict[str, Any]:
    held = await held_by(desk, target)

    async def end(standing: Standing) -> Event | None:
        return _or_raise(lift_hold(standing, number, reason))

    written = await desk.records.record(held, end, now_by(desk))
    assert written is not None, "a hold was lifted, or it was refused"
    assert isinstance(written.event, HoldLifted), "nothing else was decided"
    return {"target": held, "number": written.event.number}


async def _all(desk: Desk) -> list[dict[str, Any]]:
    found = [hold for holds in (await desk.records.holds()).values() for hold in holds]
    return [_shown(desk, hold) for hold in sorted(found, key=lambda hold: hold.placed_at)]


def _or_raise(decided: Event | Refusal | None) -> Event | None:
    if isinstance(decided, Refusal):
        raise NotDone(decided)
    return decided


def _shown(desk: Desk, hold: Hold) -> dict[str, Any]:
    return {
        "target": hold.target,
        "number": hold.number,
        "since": shown_time(hold.placed_at, desk.zone),
        "by": hold.actor,
        "reason": hold.reason,
    }


def _words(reason: str) -> str:
    """The reason as it may become a fact: as everywhere, without numbers of people."""
    words = " ".join(reason.split())
    if not 0 < len(words) <= REASON_CHARACTERS_MAX:
        limits = f"1 to {REASON_CHARACTERS_MAX} characters · 须为 1 至 {REASON_CHARACTERS_MAX} 个字符"
        raise typer.BadParameter(limits, param_hint="--reason")
    return masked(words)


def _run(work: Callable[[Desk], Awaitable[T]]) -> T:
    quiet_logs()

    async def run() -> T:
        async with at_desk() as desk:
            await outstanding(desk)
            return await work(desk)

    try:
        return asyncio.run(run())
    except UsageError as error:
        raise typer.BadParameter(str(error), param_hint="CASE|PERSON") from error
    except NotDone as error:
        raise StackError(told(error.refusal)) from error
