"""Whom an auditor believes, and which checkpoints that lets them believe."""

from typing import NamedTuple

from libs.events.ledger.notes import Checked, Note, NoteInvalid, Verifier, checked


class Keys(NamedTuple):
    """Whom the auditor believes."""

    log: Verifier
    witnesses: tuple[Verifier, ...] = ()
    """Each of them must have signed."""


class Given(NamedTuple):
    """What the auditor holds against an export beside the keys."""

    checkpoint: Note | None = None
    """From elsewhere, in place of the one in the export."""
    since: Note | None = None
    """An older one that was kept: the tree must have grown from it."""


def trusted(note: Note, keys: Keys, origin: str) -> Checked:
    """The checkpoint, signed by all who must have, and of this tree.  Raises NoteInvalid."""
    found = checked(note, keys.log, keys.witnesses)
    seen = {name for name, _ in found.witnesses}
    for each in keys.witnesses:
        if each.name not in seen:
            raise NoteInvalid(f"the witness {each.name} did not sign this checkpoint · 缺少见证方签名")
    if found.checkpoint.origin != origin:
        raise NoteInvalid(
            f"the checkpoint is of the tree {found.checkpoint.origin}, not of {origin} · 检查点属于另一棵树"
        )
    return found
