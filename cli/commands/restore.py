"""`./whistle restore LOCATION`: an empty log becomes what sealed files say, with the same sequences and proofs."""

import asyncio
import os
import time
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from cli.backup.checking import check_all
from cli.backup.holding import Holding, holding_at
from cli.backup.places import (
    key_of,
    master_file,
    own_key,
    same_place,
    secrets_folder,
    store_of,
)
from cli.backup.restoring import check_extras
from cli.backup.restoring import restore as fill
from cli.backup.showing import progress
from cli.backup.target import Target
from cli.output import Column, JsonOption, console, print_json, quiet_logs, table
from cli.stack.plan import store_location
from cli.stack.provision import stream_replicas
from cli.stack.state import whistle_home
from cli.stopping import EXIT_INTERRUPTED, until_told_to_stop
from libs.events.ledger.notes import Verifier

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
    unsigned: Annotated[
        bool,
        typer.Option(
            "--unsigned", help="also what a ledger that died had sealed, and not signed yet · 含未签名部分"
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fill an empty log from a backup that is seen to be whole; may be stopped and run again · 从备份恢复."""
    quiet_logs()
    verifier = key_of(key) if key else own_key()
    began = time.monotonic()
    work = _work(location, verifier, unsigned=unsigned, check=check)
    try:
        holding, report = asyncio.run(until_told_to_stop(work))
    except asyncio.CancelledError:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    report["seconds"] = round(time.monotonic() - began, 2)
    if as_json:
        print_json(report)
    else:
        _print(holding, report, console())


async def _work(
    location: str, key: Verifier | None, *, unsigned: bool, check: bool
) -> tuple[Holding, dict[str, Any]]:
    target = _target()
    holding = await holding_at(store_of(location), key, unsigned=unsigned)
    with progress(console(stderr=True)) as on_step:
        if check:
            await check_all(holding, on_step)
            await check_extras(holding, target.master, on_step)
        else:
            own = store_location(target.home)
            ledger = None if same_place(own, location) else store_of(own)
            await fill(holding, target, ledger, stream_replicas(), on_step)
    return holding, _report(holding, written=not check)


def _target() -> Target:
    """Where the environment says that the log is: somebody else's servers, or our own in the data folder."""
    home = whistle_home()
    return Target(
        home=home,
        master=master_file(home),
        nats_url=os.environ.get("WHISTLE_NATS_URL", ""),
        secrets_folder=secrets_folder(home),
        postgres_dsn=os.environ.get("WHISTLE_POSTGRES_DSN", ""),
    )


def _report(holding: Holding, *, written: bool) -> dict[str, Any]:
    return {
        "deployment": holding.deployment,
        "written": written,
        "key": str(holding.key),
        "key_was_given": holding.is_vouched,
        "streams": {
            tree.stream: {
                "events": tree.size,
                "signed": tree.checkpoint.size,
                "root": tree.checkpoint.root.hex(),
                "left_out": tree.archive.size - tree.size if holding.manifest is None else 0,
            }
            for tree in holding.trees
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
