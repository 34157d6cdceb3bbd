"""`./whistle restore LOCATION`: an empty log becomes what sealed files say, with the same sequences and proofs."""

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from cli.backup.checking import check_all
from cli.backup.holding import Holding, holding_at
from cli.backup.restoring import restore as fill
from cli.backup.showing import progress
from cli.backup.target import Target
from cli.embedded.errors import StackError
from cli.output import Column, JsonOption, console, print_json, quiet_logs, table
from cli.stack.ledger_key import LEDGER_KEY
from cli.stack.provision import stream_replicas
from cli.stack.state import whistle_home
from cli.stopping import EXIT_INTERRUPTED, until_told_to_stop
from libs.events.ledger.notes import NoteInvalid, Signer, Verifier
from libs.events.settings import read
from libs.events.storage import FileStore, S3Settings, store_at

KEY_CHARACTERS_MAX: Final = 1_000
COLUMNS: Final = (
    Column("stream", "事件流"),
    Column("events", "事件数", right=True),
    Column("root", "根", wraps=False),
)
NEXT: Final = (
    "now ./whistle up, then ./whistle timers rebuild; what is still missing: docs/operate.md, Backup"
    " · 接着启动系统并重建定时"
)

LocationArgument = Annotated[
    str, typer.Argument(metavar="LOCATION", help="a folder, or s3://bucket/prefix · 位置")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("restore", help="Fill an empty log from a backup · 从备份恢复")(restore)


def restore(
    location: LocationArgument,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="the ledger's public key, or a file with it · 账本公钥")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="look whether all is whole, write nothing · 仅校验")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fill an empty log from a backup that is seen to be whole; may be stopped and run again · 从备份恢复."""
    quiet_logs()
    verifier = _key(key) if key else _own_key()
    began = time.monotonic()
    work = _checked(location, verifier) if check else _restored(location, verifier)
    try:
        holding, report = asyncio.run(until_told_to_stop(work))
    except asyncio.CancelledError:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    report["seconds"] = round(time.monotonic() - began, 2)
    if as_json:
        print_json(report)
    else:
        _print(holding, report, console())


async def _checked(location: str, key: Verifier | None) -> tuple[Holding, dict[str, Any]]:
    holding = await holding_at(_store(location), key)
    with progress(console(stderr=True)) as on_step:
        await check_all(holding, on_step)
    return holding, _report(holding, written=False)


async def _restored(location: str, key: Verifier | None) -> tuple[Holding, dict[str, Any]]:
    target = target_of_environment()
    holding = await holding_at(_store(location), key)
    with progress(console(stderr=True)) as on_step:
        await fill(holding, target, _ledger_store(target.home, location), stream_replicas(), on_step)
    return holding, _report(holding, written=True)


def target_of_environment() -> Target:
    """Where the environment says that the log is: somebody else's servers, or our own in the data folder."""
    secrets = os.environ.get("WHISTLE_SECRETS_DIR")
    return Target(
        home=whistle_home(),
        nats_url=os.environ.get("WHISTLE_NATS_URL", ""),
        secrets_folder=Path(secrets) if secrets else None,
        postgres_dsn=os.environ.get("WHISTLE_POSTGRES_DSN", ""),
    )


def _store(location: str) -> FileStore:
    try:
        return store_at(location, read(S3Settings))
    except ValueError as error:
        raise typer.BadParameter(f"{location}: {error}", param_hint="LOCATION") from error


def _ledger_store(home: Path, location: str) -> FileStore | None:
    """Where the ledger keeps its files; None where that is the very place that is restored from."""
    own = os.environ.get("WHISTLE_LEDGER_STORE") or str(home / "ledger")
    if own.rstrip("/") == location.rstrip("/") or (
        "://" not in own + location and Path(own).resolve() == Path(location).resolve()
    ):
        return None
    return _store(own)


def _key(given: str) -> Verifier:
    try:
        file = Path(given)
        text = (
            file.read_text(encoding="utf-8")[:KEY_CHARACTERS_MAX]
            if "+" not in given and file.exists()
            else given
        )
        return Verifier.of(text)
    except (OSError, UnicodeDecodeError, NoteInvalid) as error:
        raise typer.BadParameter(str(error), param_hint="--key") from error


def _own_key() -> Verifier | None:
    """That of the ledger whose secret lies on this machine, if one does."""
    file = (target_of_environment().secrets_folder or whistle_home() / "secrets") / LEDGER_KEY
    if not file.exists():
        return None
    try:
        return Signer.of(file.read_text(encoding="ascii")).verifier
    except (OSError, UnicodeDecodeError, NoteInvalid) as error:
        raise StackError(f"{file}: {error}") from error


def _report(holding: Holding, *, written: bool) -> dict[str, Any]:
    return {
        "deployment": holding.deployment,
        "written": written,
        "key": str(holding.key),
        "key_was_given": holding.is_vouched,
        "streams": {
            tree.stream: {"events": tree.size, "root": tree.checkpoint.root.hex()} for tree in holding.trees
        },
    }


def _print(holding: Holding, report: dict[str, Any], out: Console) -> None:
    rows = [(name, f"{each['events']:,}", each["root"][:16]) for name, each in report["streams"].items()]
    done = "restored · 已恢复" if report["written"] else "whole · 完整"
    out.print(table(f"{holding.deployment}: {done}, {report['seconds']:.1f} s", COLUMNS, rows))
    if not holding.is_vouched:
        out.print(
            "The key stood beside the files: nothing is damaged; who signed is not proved. Give --key for that."
            " · 公钥来自备份本身，未证明签名者"
        )
    if report["written"]:
        out.print(NEXT)
