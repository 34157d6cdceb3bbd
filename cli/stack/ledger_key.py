"""The key that the ledger of this data folder signs with."""

import os
import secrets

LEDGER_KEY = "ledger-key"
"""The secret that holds it."""
NAME_BYTES = 4


def new_ledger_key() -> str:
    """A fresh key, called as `WHISTLE_LEDGER_NAME` says or like nobody else's; raises StackError for no name."""
    # Only where a key is made, since it loads cryptography.
    from cli.embedded.errors import StackError
    from libs.events.ledger.notes import NoteInvalid, Signer

    name = os.environ.get("WHISTLE_LEDGER_NAME") or f"whistle-{secrets.token_hex(NAME_BYTES)}"
    try:
        return Signer.new(name).secret()
    except NoteInvalid as error:
        raise StackError(f"WHISTLE_LEDGER_NAME: {error} · 名称不得含空格或加号") from error
