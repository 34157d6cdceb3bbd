"""`./whistle audit verify`: an export, a single proof, or the sealed files themselves; no server is asked."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.auditing.places import STREAMS, archive_of, keys_of, note_of, store_of
from cli.auditing.telling import (
    NOT_PROVED,
    entry_as_json,
    files_as_json,
    progress,
    proved_as_json,
    told,
    told_of_entry,
    told_of_files,
)
from cli.backup.manifest import NAME as BACKUP
from cli.output import JsonOption, UsageError, console, harmless, print_json
from libs.events.auditing.exports import ABOUT
from libs.events.auditing.proving import ENTRY_SUFFIX, PROOF_SUFFIX, proof_of, verify_proof
from libs.events.auditing.sealed import ProvedFiles, verify_files
from libs.events.auditing.trusting import Given, Keys
from libs.events.auditing.verifying import verify
from libs.events.auditing.walking import Differs
from libs.events.ledger.notes import Note, NoteInvalid

EXIT_NOT_PROVED: Final = 1


def verify_(
    what: Annotated[
        str,
        typer.Argument(help="export, .tlog-proof, or place of sealed files · 导出、单条证明或封存文件位置"),
    ],
    key_text: Annotated[
        str, typer.Option("--key", metavar="KEY", help="public key, or a file that holds it · 公钥或公钥文件")
    ],
    witness: Annotated[
        list[str] | None,
        typer.Option(help="key of one who must have signed; repeatable · 见证方公钥，可重复"),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="from elsewhere, in place of the export's own · 另行取得的检查点")
    ] = None,
    since: Annotated[
        Path | None, typer.Option(help="an older one that you kept: only grown since? · 留存的旧检查点")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes; default: one a core · 进程数")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check an export with nothing but itself, a checkpoint and public keys: no server, no database · 离线验证.

    Says what is proved and what is not, and names the first event that differs. Exit code 1: not proved.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the other processes end as well
    keys, given = keys_of(key_text, witness or ()), Given(note_of(checkpoint), note_of(since))
    count = workers or len(os.sched_getaffinity(0))
    try:
        lines, found = _verified(what, keys, given, count)
    except Differs as error:
        if not as_json:
            raise
        print_json({"proved": False, **error.as_json()})
        raise typer.Exit(EXIT_NOT_PROVED) from error
    if as_json:
        print_json({"proved": True, "streams": found})
        return
    for line in (*lines, *NOT_PROVED):
        console().print(harmless(line), markup=False, soft_wrap=True)


def _verified(what: str, keys: Keys, given: Given, workers: int) -> tuple[list[str], list[dict[str, Any]]]:
    path = Path(what)
    if what.endswith(PROOF_SUFFIX):
        entry = verify_proof(proof_of(path.read_bytes()), path.with_suffix(ENTRY_SUFFIX).read_bytes(), keys)
        return list(told_of_entry(entry)), [entry_as_json(entry)]
    if (path / ABOUT).is_file():
        with progress("verify · 验证", console(stderr=True)) as on_progress:
            proved = verify(path, keys, given, workers=workers, on_progress=on_progress)
        return [line for each in proved for line in told(each)], [proved_as_json(each) for each in proved]
    if given.checkpoint:
        raise UsageError("--checkpoint goes with an export, --since with sealed files · 该选项仅用于导出")
    files = asyncio.run(_verify_store(what, keys, given.since, workers))
    return [line for each in files for line in told_of_files(each)], [files_as_json(each) for each in files]


async def _verify_store(location: str, keys: Keys, since: Note | None, workers: int) -> list[ProvedFiles]:
    store, found = store_of(location), list[ProvedFiles]()
    with progress("verify · 验证", console(stderr=True)) as on_progress:
        for stream in STREAMS:
            if opened := await archive_of(store, stream):
                proved = await verify_files(opened[0], keys, since, workers=workers, on_progress=on_progress)
                found.append(proved)
    if not found and await store.get(BACKUP) is not None:
        raise UsageError(
            f"{location}: a backup, which ./whistle restore {location} --check --key KEY verifies"
            " · 这是备份，请用 restore --check 校验"
        )
    if not found:
        raise UsageError(
            f"{location}: no export, it has no {ABOUT}; and nothing is sealed there · 既非导出也无封存文件"
        )
    if since and not any(each.grown_since is not None for each in found):
        raise NoteInvalid("--since: that checkpoint is of none of these streams · 该检查点与这些流无关")
    return found
