"""The order of a backup: what is whole, then the list that says so, then away with what it stands for."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cli.backup.checking import OnStep, hashing
from cli.backup.copying import Copied, copy_tree, tidy
from cli.backup.extras import BUCKETS, copy_bucket, copy_pictures, tidy_pictures
from cli.backup.holding import PUBLIC_KEY, Tree, newest
from cli.backup.manifest import NAME, Manifest, SaidList, SaidTree, manifest_in
from libs.events.errors import BackupRefused
from libs.events.jetstream import JetStream, NotNow, Refused, Unknown, as_library_error
from libs.events.ledger.notes import Verifier
from libs.events.storage import FileStore
from libs.events.streams import LEDGER_STREAMS
from libs.events.subjects import CASES

LOOK_AGAIN_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up."""

    ledger: FileStore
    key: Verifier | None
    jetstream: JetStream | None
    """None when the log cannot be reached: then there is what the ledger has sealed, and the pictures of before."""
    master: Path
    """The file with the master key of the vault, for which secrets are sealed."""


@dataclass(slots=True)
class Report:
    """What a backup did."""

    made_at: datetime
    sizes: dict[str, int]
    copied: Copied = field(default_factory=Copied)
    behind: dict[str, int] = field(default_factory=dict)
    """By stream: events that stood in the log when it began, and were not signed when the time was up."""
    pictures: SaidList | None = None
    is_live: bool = True


async def back_up(source: Source, store: FileStore, wait_seconds: float, on_step: OnStep) -> Report:
    """Bring the backup in *store* up to the ledger's newest checkpoint.

    Raises BackupRefused, ArchiveBroken, StretchBroken or NoteInvalid with the reason, StoreUnavailable, LogUnavailable.
    What was there before is a backup until this one is whole.
    """
    wanted = await _positions(source.jetstream) if source.jetstream else {}
    key = await _key(source, store)
    trees = await _signed(source.ledger, key, wanted, wait_seconds)
    earlier = await manifest_in(store)
    _must_go_on(trees, earlier)
    report = Report(datetime.now(UTC), {tree.stream: tree.size for tree in trees}, is_live=bool(wanted))
    report.behind = {
        stream: last - report.sizes.get(stream, 0)
        for stream, last in wanted.items()
        if last > report.sizes.get(stream, 0)
    }
    await store.put(PUBLIC_KEY, f"{key}\n".encode())
    async with hashing(sum(report.sizes.values())) as hashed:
        for tree in trees:
            copied = await copy_tree(tree, store, hashed, on_step)
            report.copied.files += copied.files
            report.copied.size_bytes += copied.size_bytes
            report.copied.events += copied.events
    manifest = await _manifest(source, store, report, earlier, on_step)
    await store.put(NAME, manifest.model_dump_json(indent=1).encode())
    if await manifest_in(store) == manifest:  # else somebody else has made one meanwhile
        await _tidy(trees, store, manifest)
    return report


async def _positions(jetstream: JetStream) -> dict[str, int]:
    """How far each stream goes now."""
    try:
        return {
            stream: int((await jetstream.api(f"STREAM.INFO.{stream}"))["state"]["last_seq"])
            for stream in LEDGER_STREAMS
        }
    except (NotNow, Unknown, Refused) as error:
        raise as_library_error(error) from error


async def _key(source: Source, store: FileStore) -> Verifier:
    beside = await source.ledger.get(PUBLIC_KEY)
    key = source.key or (Verifier.of(beside.decode(errors="replace")) if beside else None)
    if key is None:
        raise BackupRefused(
            "the ledger has laid down nothing yet: is it running? ./whistle status · 账本尚未封存"
        )
    there = await store.get(PUBLIC_KEY)
    if there is not None and there.decode(errors="replace").strip() != str(key):
        raise BackupRefused(
            "the backup there is another deployment's, or of another key: take another place · 位置已被占用"
        )
    return key


async def _signed(
    ledger: FileStore, key: Verifier, wanted: dict[str, int], wait_seconds: float
) -> list[Tree]:
    """The newest checkpoints, as soon as they hold what is *wanted*, or when the time is up."""
    deadline = asyncio.get_running_loop().time() + wait_seconds
    while True:
        found = [await newest(ledger, stream, key) for stream in LEDGER_STREAMS]
        trees = {tree.stream: tree for tree in found if tree}
        reached = all(
            stream in trees and trees[stream].size >= last for stream, last in wanted.items() if last
        )
        if reached or asyncio.get_running_loop().time() >= deadline:
            break
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    if CASES not in trees:
        raise BackupRefused(f"the ledger has signed nothing of {CASES} yet: ./whistle status · 账本尚未签名")
    return list(trees.values())


def _must_go_on(trees: list[Tree], earlier: Manifest | None) -> None:
    sizes = {tree.stream: tree.size for tree in trees}
    for said in earlier.trees if earlier else ():
        if said.size > sizes.get(said.stream, 0):
            raise BackupRefused(
                f"the backup there holds {said.size} events of {said.stream}, the ledger only"
                f" {sizes.get(said.stream, 0)}: it is left as it is; look at the ledger,"
                " or take another place · 备份比账本更新，未覆盖"
            )


async def _manifest(
    source: Source, store: FileStore, report: Report, earlier: Manifest | None, on_step: OnStep
) -> Manifest:
    manifest = Manifest(
        made_at=report.made_at,
        trees=tuple(SaidTree(stream=stream, size=size) for stream, size in report.sizes.items()),
        pictures=earlier.pictures if earlier else None,
        pictures_at=earlier.pictures_at if earlier else None,
        buckets=earlier.buckets if earlier else {},
    )
    if source.jetstream:
        pictures = await copy_pictures(source.jetstream, store, on_step)
        buckets = {
            bucket: await copy_bucket(source.jetstream, bucket, store, source.master) for bucket in BUCKETS
        }
        found = {"pictures": pictures, "pictures_at": report.made_at, "buckets": buckets}
        manifest = manifest.model_copy(update=found)
    report.pictures = manifest.pictures
    return manifest


async def _tidy(trees: list[Tree], store: FileStore, manifest: Manifest) -> None:
    for tree in trees:
        await tidy(tree, store)
    if manifest.pictures:
        await tidy_pictures(store, manifest.pictures)
    lists = {each.file for each in (manifest.pictures, *manifest.buckets.values()) if each}
    async for name in store.names("lists"):
        if name not in lists:
            await store.delete(name)
