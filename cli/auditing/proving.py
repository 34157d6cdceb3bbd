"""`./whistle audit prove`: the proof of one event, or of each event of a case, as files that others' tools read."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli.auditing.places import STREAMS, StoreOption, archive_of, location_of, store_of
from cli.output import UsageError, case_id_of
from libs.events.auditing.asking import case_of
from libs.events.auditing.proving import ENTRY_SUFFIX, PROOF_SUFFIX, entry_of, prove
from libs.events.ledger.archive import Archive
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.notes import Note, checkpoint_of
from libs.events.storage import FileStore
from libs.events.subjects import CASES


class NotSealed(Exception):
    """What is to be proved is not under a checkpoint; the text says so in both languages."""


def prove_(
    what: Annotated[
        str,
        typer.Argument(metavar="CASE|EVENT", help="case, id of an event, or CASES/17 · 案件、事件 ID 或位置"),
    ],
    to: Annotated[Path, typer.Option("--to", help="the folder for the files · 输出文件夹")] = Path(),
    store: Annotated[str | None, StoreOption] = None,
) -> None:
    """Write the proof of one event, or of each event of a case, and the entry that it proves · 单条事件的证明.

    NAME.tlog-proof (c2sp.org/tlog-proof) holds index, hashes and checkpoint; NAME.entry the bytes that were hashed.
    """
    for line in asyncio.run(_prove(store_of(location_of(store)), what, to)):
        typer.echo(line)


async def _prove(store: FileStore, what: str, to: Path) -> list[str]:
    stream, slash, position = what.partition("/")
    if slash and stream in STREAMS and position.isdecimal():
        archive, note = await _opened(store, stream)
        if not 1 <= int(position) <= checkpoint_of(note).size:
            raise NotSealed(
                f"{what}: the checkpoint is of {checkpoint_of(note).size} events · 该位置尚未封存"
            )
        return [await _write(archive, note, await entry_of(archive, int(position)), to)]
    found: list[str] = []
    case_id = _case_or_none(what)
    for each in STREAMS if case_id is None else (CASES,):
        if await store.get(f"{each}/checkpoint") is None:
            continue
        archive, note = await _opened(store, each)
        async for part in archive.events(1, checkpoint_of(note).size):
            for event in part:
                if event.leaf.event_id == what or (case_id and case_of(event.leaf.subject) == case_id):
                    found.append(await _write(archive, note, event.leaf, to))  # noqa: PERF401 - it writes
    if not found:
        raise NotSealed(f"{what}: no sealed event has this id or is of this case · 已封存的事件中没有该编号")
    return found


async def _opened(store: FileStore, stream: str) -> tuple[Archive, Note]:
    opened = await archive_of(store, stream)
    if opened is None:
        raise NotSealed(f"nothing is sealed of {stream} · 尚未封存")
    return opened


def _case_or_none(what: str) -> str | None:
    try:
        return case_id_of(what)
    except UsageError:
        return None  # the id of an event is no case's


async def _write(archive: Archive, note: Note, leaf: Leaf, to: Path) -> str:
    proof = (await prove(archive, note, leaf.sequence)).encode()
    name = to / f"{leaf.stream}-{leaf.sequence}"
    _write_files(name, proof, leaf.entry())
    return f"{name}{PROOF_SUFFIX}: {len(proof):,} bytes, {leaf.subject}"


def _write_files(name: Path, proof: bytes, entry: bytes) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    name.with_suffix(ENTRY_SUFFIX).write_bytes(entry)
    name.with_suffix(PROOF_SUFFIX).write_bytes(proof)
