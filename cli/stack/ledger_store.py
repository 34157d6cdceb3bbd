"""Where the ledger of this data folder keeps its files."""

from pathlib import Path

from cli.stack.plan import store_location
from libs.events.settings import read
from libs.events.storage import FileStore, S3Settings, store_at


def ledger_store(home: Path) -> FileStore:
    """The store that WHISTLE_LEDGER_STORE names, or the folder of this data folder."""
    return store_at(store_location(home), read(S3Settings))
