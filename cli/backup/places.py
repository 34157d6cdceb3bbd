"""Where the ledger's files, its key and the passwords are, as the environment says."""

import os
from pathlib import Path
from typing import Final

import typer

from cli.embedded.errors import StackError
from cli.stack.databases import VAULT_MASTER
from cli.stack.ledger_key import LEDGER_KEY
from cli.stack.state import whistle_home
from libs.events.ledger.notes import NoteInvalid, Signer, Verifier
from libs.events.settings import read
from libs.events.storage import FileStore, S3Settings, store_at

KEY_CHARACTERS_MAX: Final = 1_000


def secrets_folder(home: Path) -> Path:
    """With a file for each password."""
    given = os.environ.get("WHISTLE_SECRETS_DIR")
    return Path(given) if given else home / "secrets"


def same_place(one: str, other: str) -> bool:
    """Whether two locations are the same."""
    if "://" in one or "://" in other:
        return one.rstrip("/") == other.rstrip("/")
    return Path(one).resolve() == Path(other).resolve()


def store_of(location: str) -> FileStore:
    """The files there.  Raises typer.BadParameter for what is no location."""
    try:
        return store_at(location, read(S3Settings))
    except ValueError as error:
        raise typer.BadParameter(f"{location}: {error}", param_hint="LOCATION") from error


def master_file(home: Path) -> Path:
    """The file with the master key of the vault."""
    given = os.environ.get("WHISTLE_VAULT_MASTER_FILE")
    return Path(given) if given else secrets_folder(home) / VAULT_MASTER


def key_of(given: str) -> Verifier:
    """The public key that is said, or stands in a file.  Raises typer.BadParameter."""
    try:
        file = Path(given)
        text = file.read_text(encoding="utf-8")[:KEY_CHARACTERS_MAX] if file.is_file() else given
        return Verifier.of(text)
    except (OSError, UnicodeDecodeError, NoteInvalid) as error:
        raise typer.BadParameter(str(error), param_hint="--key") from error


def own_key() -> Verifier | None:
    """That of the ledger whose secret lies on this machine, if one does.  Raises StackError."""
    file = secrets_folder(whistle_home()) / LEDGER_KEY
    if not file.exists():
        return None
    try:
        return Signer.of(file.read_text(encoding="ascii")).verifier
    except (OSError, UnicodeDecodeError, NoteInvalid) as error:
        raise StackError(f"{file}: {error}") from error
