"""`./whistle books`: the log lets go of what is sealed and proved, and goes on."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from cli.backup.showing import progress
from cli.client import ask
from cli.embedded.accounts import CONSUMING_SERVICES
from cli.output import Column, JsonOption, UsageError, case_id_of, console, print_json, quiet_logs, table
from cli.stack.ledger_key import LEDGER_KEY
from cli.stack.ledger_store import ledger_store
from cli.stack.state import Stack
from libs.events.books import Closing, Progress, bring_back, check_consumed
from libs.events.errors import BooksRefused
from libs.events.jetstream import JetStream, NotNow, Refused, Unknown, as_library_error, connected
from libs.events.jetstream.expiring import let_go
from libs.events.jetstream.reader import Credentials
from libs.events.ledger.archive import Archive
from libs.events.ledger.archive import opened as opened_archive
from libs.events.ledger.notes import Checkpoint, Signer, checked
from libs.events.log import Log, opened
from libs.events.subjects import CASES, DEPARTMENTS

KEEPER: Final = "bookkeeper"
LETS_GO: Final = "breakglass"
BUS_KEEPER: Final = "provision-bus"
KEEP_DAYS: Final = 90
KEEP_DAYS_MIN: Final = 1
COLUMNS: Final = (Column("what", "项目"), Column("value", "数值", right=True))


def register(app: typer.Typer) -> None:
    """Add the command with its parts."""
    group = typer.Typer(no_args_is_help=True, help="Let the log go of what is sealed · 结账")
    group.command("status", help="What the log has, and what is sealed · 查看结账情况")(status)
    group.command("close", help="Let go of what is older, sealed and proved · 结账")(close)
    group.command("reopen", help="Bring a case of closed books back · 恢复已结账案件")(reopen)
    app.add_typer(group, name="books")


def status(as_json: JsonOption = False) -> None:
    """What the log still has, and up to where it is sealed and signed · 查看结账情况."""
    quiet_logs()
    found = asyncio.run(_status(Stack.load()))
    if as_json:
        print_json(found)
        return
    words = {
        "first": "first event in the log · 日志首条",
        "last": "newest event · 最新一条",
        "sealed": "sealed up to · 已封存至",
        "signed": "signed up to · 已签名至",
    }
    console().print(table("", COLUMNS, [(words[name], f"{value:,}") for name, value in found.items()]))


def close(
    keep_days: Annotated[
        int, typer.Option(min=KEEP_DAYS_MIN, help="what is younger stays in the log · 保留天数")
    ] = KEEP_DAYS,
    as_json: JsonOption = False,
) -> None:
    """Let go of what is older, once all of it is seen to be sealed; may be stopped and run again · 结账."""
    quiet_logs()
    done = asyncio.run(_close(Stack.load(), timedelta(days=keep_days)))
    if as_json:
        print_json(done)
    elif not done["through"]:
        console().print(f"nothing is older than {keep_days} days · 没有早于该期限的事件")
    else:
        console().print(
            f"closed up to {done['through']:,}, {done['carried']:,} cases carried forward; the log begins at"
            f" {done['first']:,} · 已结账至 {done['through']:,}，结转案件 {done['carried']:,} 件"
        )


def reopen(
    case: Annotated[str, typer.Argument(help="case id, tracking number, or SYSTEM/KEY · 案件")],
    as_json: JsonOption = False,
) -> None:
    """Bring a case back that is in closed books alone, so that it can go on · 恢复已结账案件."""
    quiet_logs()
    try:
        case_id = case_id_of(case)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    done = asyncio.run(_reopen(Stack.load(), case_id))
    if as_json:
        print_json(done)
    else:
        console().print(f"{case_id} goes on with its {done['events']} events · 案件已恢复")


@dataclass(frozen=True, slots=True)
class _Books:
    log: Log
    jetstream: JetStream
    credentials: Credentials
    archive: Archive
    checkpoint: Checkpoint | None
    """The newest one, whose signature was checked."""


@asynccontextmanager
async def open_books(stack: Stack) -> AsyncGenerator[_Books]:
    """The log, and its sealed files with their newest checkpoint."""
    verifier = Signer.of(stack.secret(LEDGER_KEY)).verifier
    archive = await opened_archive(ledger_store(stack.home), CASES, f"{verifier.name}/{CASES}")
    note = await archive.checkpoint()
    credentials = Credentials(KEEPER, stack.secret(KEEPER))
    async with (
        connected(stack.nats_url, user=KEEPER, password=credentials.password) as client,
        opened(client) as log,
    ):
        checkpoint = checked(note, verifier).checkpoint if note else None
        yield _Books(log, JetStream(client), credentials, archive, checkpoint)


async def _status(stack: Stack) -> dict[str, int]:
    async with open_books(stack) as books:
        return {
            "first": await books.log.first_position(),
            "last": await books.log.last_position(),
            "sealed": books.archive.size,
            "signed": books.checkpoint.size if books.checkpoint else 0,
        }


async def _close(stack: Stack, keep: timedelta) -> dict[str, Any]:
    async with open_books(stack) as books:
        through = await _older_than(books, keep)
        if not through:
            return {"through": 0, "carried": 0, "first": await books.log.first_position()}
        if books.checkpoint is None:
            raise BooksRefused("nothing is sealed and signed yet: is the ledger running?")
        await asyncio.to_thread(check_parked, stack)
        await check_consumed(books.jetstream, CONSUMING_SERVICES, through)
        await check_copies(stack)
        closing = Closing(*(books.log, books.jetstream, books.credentials, books.archive), books.checkpoint)
        with progress(console(stderr=True)) as on_step:

            def tell(step: Progress) -> None:
                on_step(*step)

            closed = await closing.run(through, tell)
    async with connected(stack.nats_url, user=LETS_GO, password=stack.secret(LETS_GO)) as client:
        first = await let_go(JetStream(client), CASES, closed.through)
    return {"through": closed.through, "carried": closed.carried, "first": first}


async def _older_than(books: _Books, keep: timedelta) -> int:
    """The position up to which the server stored everything before; one event at least stays."""
    last, first = await books.log.last_position(), await books.log.first_position()
    try:
        younger = await books.jetstream.next_since_on_leader(CASES, "case.>", datetime.now(UTC) - keep)
    except (NotNow, Unknown, Refused) as error:
        raise as_library_error(error) from error
    through = (younger.sequence if younger else last) - 1
    return through if through >= first else 0


def check_parked(stack: Stack) -> None:
    """A parked case waits in the log; raises BooksRefused while there is one."""
    for service in CONSUMING_SERVICES:
        parked = ask(stack.service_url(service), "/parked", as_="administrator:books", home=stack.home)
        if parked:
            raise BooksRefused(
                f"{len(parked)} cases are parked by {service}: retry or dismiss them first (./whistle parked list)"
            )


async def check_copies(stack: Stack) -> None:
    """Raises BooksRefused while the departments' copies are behind the log."""
    async with connected(stack.nats_url, user=BUS_KEEPER, password=stack.secret(BUS_KEEPER)) as client:
        try:
            info = await JetStream(client).api(f"STREAM.INFO.{DEPARTMENTS}")
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
    behind = sum(int(source["lag"]) for source in info.get("sources", []))
    if behind:
        raise BooksRefused(f"the departments' copies are {behind} events behind: let them catch up first")


async def _reopen(stack: Stack, case_id: str) -> dict[str, Any]:
    async with open_books(stack) as books:
        entry = await bring_back(books.log, books.archive, case_id)
    return {"case_id": case_id, "events": entry.version - 1, "position": entry.sequence}
