"""What must hold before anything is sealed or signed.  Pure: what is known goes in, a Refusal comes out."""

from typing import NamedTuple

from libs.events.ledger.notes import Checkpoint


class Refusal(Exception):
    """The ledger does not seal: what it would sign may not be true.  The text says what differs and where."""


class LogState(NamedTuple):
    """A stream as its server describes it."""

    created: str
    """When it was made, as the server spells it."""
    first: int
    """The position of its oldest event; one more than `last` when it holds none."""
    last: int


def check_log(stream: str, state: LogState, sealed: int, created: str | None) -> None:
    """Raises Refusal unless the stream can be the one of which *sealed* events were sealed, since *created*."""
    if created is not None and created != state.created:
        raise Refusal(
            f"stream {stream} was made at {state.created}, what is sealed is of the one made at {created}:"
            " it was deleted and made anew"
        )
    if state.last < sealed:
        raise Refusal(f"stream {stream} ends at event {state.last}, and {sealed} are sealed: its end is gone")
    if state.first > sealed + 1:
        raise Refusal(
            f"stream {stream} begins at event {state.first}, and {sealed} are sealed: events {sealed + 1} to"
            f" {state.first - 1} are gone, and were never sealed"
        )


def check_size(origin: str, size: int, known: Checkpoint, where: str) -> None:
    """Raises Refusal for a tree that is shorter than one that was signed."""
    if size < known.size:
        raise Refusal(
            f"the checkpoint of {origin} {where} has {known.size} events, the sealed files have {size}: files are"
            " gone, or belong to another ledger"
        )


def check_root(known: Checkpoint, root: bytes, where: str) -> None:
    """Raises Refusal when the files lead to another root than what was signed."""
    if root != known.root:
        raise Refusal(
            f"the checkpoint of {known.origin} {where} has the root {known.root.hex()} at {known.size} events, the"
            f" sealed files give {root.hex()}"
        )


def spots(size: int, first: int, number: int) -> list[int]:
    """So many positions among those sealed and still in the log, evenly spread; the last one is one of them."""
    held = size - first + 1
    if size < 1 or held < 1:
        return []
    count = min(number, held)
    return sorted({size - held * step // count for step in range(count)})
