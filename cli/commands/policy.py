"""`./whistle policy check` and `./whistle policy publish`: a rule book is looked at, and put in force."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.output import JsonOption, console, print_json, quiet_logs
from cli.stack.rulebook import example_policy
from cli.stack.state import Stack
from libs.events import policy
from libs.events.errors import NotProvisioned
from libs.events.jetstream import JetStream, connected
from libs.events.policy import Examined, Mistake, RuleBook

EXIT_WRONG = 1
PROVISIONER = "provision"
FolderArgument = Annotated[
    Path | None, typer.Argument(metavar="[FOLDER]", help="the rule book's folder, or the example · 规则目录")
]


def register(app: typer.Typer) -> None:
    """Add the command with its two parts."""
    group = typer.Typer(no_args_is_help=True, help="Check the rule book, put it in force · 检查、发布规则")
    group.command("check", help="Say everything that is wrong with a rule book · 检查规则")(check)
    group.command("publish", help="Put a rule book in force · 发布规则")(publish)
    app.add_typer(group, name="policy")


def check(folder: FolderArgument = None, as_json: JsonOption = False) -> None:
    """Everything that is wrong, with file, line and reason; exits with 1 when something is · 检查规则."""
    examined = _examine(folder)
    if as_json:
        print_json(_as_json(examined))
    else:
        _print(examined)
    if examined.book is None:
        raise typer.Exit(EXIT_WRONG)


def publish(folder: FolderArgument = None, as_json: JsonOption = False) -> None:
    """Put a rule book in force in the running stack; services take it up within seconds · 发布规则."""
    quiet_logs()
    examined = _examine(folder)
    if examined.book is None:
        if as_json:
            print_json(_as_json(examined) | {"published": False})
        else:
            _print(examined)
        raise typer.Exit(EXIT_WRONG)
    before, published = asyncio.run(_publish(Stack.load(), examined.book))
    version = examined.book.version
    if as_json:
        print_json({"published": published, "before": before, "version": version})
        return
    for warning in examined.warnings:
        _say(warning)
    if published:
        console().print(f"{before or 'none · 无'} → {version}: in force · 已发布", markup=False)
    else:
        console().print(f"{version} is in force already · 规则已是最新", markup=False)


async def _publish(stack: Stack, book: RuleBook) -> tuple[str | None, bool]:
    """The version before, and whether anything changed."""
    password = stack.secret(PROVISIONER)
    async with connected(stack.nats_url, user=PROVISIONER, password=password) as client:
        jetstream = JetStream(client)
        try:
            before = await policy.current_version(jetstream)
        except NotProvisioned:
            before = None
        return before, await policy.publish(jetstream, book)


def _examine(folder: Path | None) -> Examined:
    return policy.examine(folder or example_policy(), datetime.now(UTC).date())


def _print(examined: Examined) -> None:
    for mistake in (*examined.mistakes, *examined.warnings):
        _say(mistake)
    if examined.book is None:
        count = len(examined.mistakes)
        console().print(f"{count} wrong: the rule book cannot be published · {count} 处错误，规则不能发布")
        return
    book = examined.book
    counts = f"{len(book.categories)} categories, {len(book.responsibility)} rules, {len(book.grids)} grids"
    counts_zh = f"{len(book.categories)} 类别、{len(book.responsibility)} 规则、{len(book.grids)} 网格"
    console().print(f"{book.version} is right: {counts} · 规则无误：{counts_zh}", markup=False)


def _say(mistake: Mistake) -> None:
    console(stderr=True).print(f"{mistake} · {mistake.text_zh}", markup=False, soft_wrap=True)


def _as_json(examined: Examined) -> dict[str, Any]:
    return {
        "version": examined.book.version if examined.book else None,
        "mistakes": [_mistake_as_json(each) for each in examined.mistakes],
        "warnings": [_mistake_as_json(each) for each in examined.warnings],
    }


def _mistake_as_json(mistake: Mistake) -> dict[str, Any]:
    return {
        "file": str(mistake.file),
        "line": mistake.line,
        "where": mistake.where,
        "reason": mistake.text,
        "reason_zh": mistake.text_zh,
    }
