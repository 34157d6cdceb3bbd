"""Where the sealed files lie, which trees are in them, and keys and checkpoints as somebody gives them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer

from cli.output import UsageError
from cli.stack.plan import store_location
from cli.stack.state import whistle_home
from libs.events.auditing.trusting import Keys
from libs.events.ledger.archive import Archive, ArchiveBroken, opened
from libs.events.ledger.notes import Note, NoteInvalid, Verifier, checkpoint_of, parsed
from libs.events.settings import read
from libs.events.storage import FileStore, FolderStore, S3Settings, store_at
from libs.events.streams import LEDGER_STREAMS

STREAMS: Final = LEDGER_STREAMS
KEY_BYTES_MAX: Final = 10_000

StoreOption = typer.Option(
    "--store",
    metavar="LOCATION",
    help="the sealed files: folder or s3://bucket/prefix; default WHISTLE_LEDGER_STORE · 封存文件位置",
)


def location_of(given: str | None) -> str:
    """Where the sealed files are: as given, or by WHISTLE_LEDGER_STORE, or in the data folder."""
    return given or store_location(whistle_home())


def store_of(location: str) -> FileStore:
    """The store there.  Raises UsageError."""
    try:
        store = store_at(location, read(S3Settings))
    except ValueError as error:
        raise UsageError(f"{location}: {error} · 存储位置无效") from error
    if isinstance(store, FolderStore) and not Path(location).is_dir():
        raise UsageError(f"{location}: there is no such folder of sealed files (--store) · 没有该封存文件夹")
    return store


async def archive_of(store: FileStore, stream: str) -> tuple[Archive, Note] | None:
    """A stream's archive and its newest checkpoint; None where nothing is sealed.

    Raises ArchiveBroken, StoreUnavailable.
    """
    content = await store.get(f"{stream}/checkpoint")
    if content is None:
        return None
    try:
        note = parsed(content)
        origin = checkpoint_of(note).origin
    except NoteInvalid as error:
        raise ArchiveBroken(f"{stream}/checkpoint: {error} · 检查点无效") from error
    return await opened(store, stream, origin), note


def key_of(given: str) -> Verifier:
    """The public key that a text or a file holds.  Raises UsageError."""
    try:
        path = Path(given)
        text = path.read_bytes()[:KEY_BYTES_MAX].decode() if _is_file(path) else given
        return Verifier.of(text)
    except (OSError, UnicodeDecodeError, NoteInvalid) as error:
        raise UsageError(f"--key {given[:80]}: {error} · 公钥无效") from error


def keys_of(key: str, witnesses: Sequence[str]) -> Keys:
    """The key of the log and those of witnesses.  Raises UsageError."""
    return Keys(key_of(key), tuple(map(key_of, witnesses)))


def note_of(file: Path | None) -> Note | None:
    """The checkpoint in a file; None without one.  Raises UsageError."""
    try:
        return parsed(file.read_bytes()) if file else None
    except (OSError, NoteInvalid) as error:
        raise UsageError(f"{file}: {error} · 检查点无效") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text longer than a name may be
        return False
