"""What the commands of `./whistle audit` say: progress, and what is proved and what is not."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from libs.events.auditing.asking import WHOLE, Everything, OneCase, as_json
from libs.events.auditing.proving import ProvedEntry
from libs.events.auditing.sealed import ProvedFiles
from libs.events.auditing.verifying import Proved
from libs.events.ledger.notes import Checked

NOT_PROVED: Final = (
    "not proved: what came after the checkpoint · 未证明：检查点之后的事件",
    "not proved: the server's clock, who typed it, that what was recorded is true · 未证明：时钟、何人录入、所记属实",
)


@contextmanager
def progress(what: str, out: Console) -> Generator[Callable[[str, int, int], None]]:
    """A bar for each stream on a terminal; what is given takes the stream, done, of."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} events"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def on_progress(stream: str, done: int, of: int) -> None:
            if stream not in tasks:
                tasks[stream] = bar.add_task(f"{what} {stream}")
            bar.update(tasks[stream], completed=done, total=of)

        yield on_progress


def proved_as_json(each: Proved) -> dict[str, Any]:
    """For programs."""
    return {
        "stream": each.stream,
        "asked": as_json(each.asked),
        "events": each.events,
        "first": each.first,
        "last": each.last,
        "nothing_missing": isinstance(each.asked, WHOLE),
        **_checkpoint(each.checked),
        "grown_since": each.grown_since,
    }


def files_as_json(each: ProvedFiles) -> dict[str, Any]:
    """For programs."""
    return {
        "stream": each.stream,
        "events": each.events,
        "checkpoints": each.checkpoints,
        **_checkpoint(each.checked),
        "grown_since": each.grown_since,
    }


def entry_as_json(each: ProvedEntry) -> dict[str, Any]:
    """For programs."""
    leaf = each.leaf
    return {
        "stream": leaf.stream,
        "sequence": leaf.sequence,
        "subject": leaf.subject,
        "event_id": leaf.event_id,
        **_checkpoint(each.checked),
    }


def _checkpoint(checked: Checked) -> dict[str, Any]:
    return {
        "origin": checked.checkpoint.origin,
        "size": checked.checkpoint.size,
        "root": checked.checkpoint.root.hex(),
        "witnesses": {name: at.isoformat() if at else None for name, at in checked.witnesses},
    }


def told_of_entry(each: ProvedEntry) -> Iterator[str]:
    """What is proved of one event, in both languages."""
    leaf, checkpoint = each.leaf, each.checked.checkpoint
    yield f"{checkpoint.origin}, checkpoint of {checkpoint.size:,} events, root {checkpoint.root.hex()[:16]}…"
    yield (
        f"  proved: event {leaf.sequence:,} ({leaf.subject}, {leaf.event_id}) stands in the log as it is here"
        " · 已证明：该事件与封存时逐字一致"
    )
    yield from _witnessed(each.checked)


def told_of_files(each: ProvedFiles) -> Iterator[str]:
    """What is proved of sealed files, in both languages."""
    checkpoint = each.checked.checkpoint
    yield f"{checkpoint.origin}, checkpoint of {checkpoint.size:,} events, root {checkpoint.root.hex()[:16]}…"
    yield (
        f"  proved: all {each.events:,} sealed events, their hashes and {each.checkpoints:,} checkpoints agree, none is"
        f" missing · 已证明：{each.events:,} 条封存事件、哈希与全部检查点一致"
    )
    if each.events > checkpoint.size:
        yield f"  not yet signed: {each.events - checkpoint.size:,} of them · 其中尚未签名"
    yield from _grown(each.grown_since)
    yield from _witnessed(each.checked)


def told(each: Proved) -> Iterator[str]:
    """What is proved of one stream, and what is not, in both languages."""
    size, root = each.checked.checkpoint.size, each.checked.checkpoint.root.hex()
    yield f"{each.checked.checkpoint.origin}, checkpoint of {size:,} events, root {root[:16]}…"
    yield (
        f"  proved: {each.events:,} events stand in the log as they are here, at {each.first:,} to {each.last:,}"
        f" · 已证明：{each.events:,} 条事件与封存时逐字一致"
    )
    if isinstance(each.asked, Everything):
        yield "  proved: these are all events up to the checkpoint · 已证明：检查点之前的全部事件，一条不缺"
    elif isinstance(each.asked, WHOLE):
        yield f"  proved: none between {each.first:,} and {each.last:,} is missing · 已证明：区间内一条不缺"
    elif isinstance(each.asked, OneCase) and each.stream == "CASES":
        yield f"  proved: they are the case's events 1 to {each.events:,}, none missing · 已证明：案件事件连续无缺"
        yield "  not proved: that the case has no later ones (--everything proves that) · 未证明：此后再无事件"
    else:
        yield "  not proved: that no others fit what was asked for · 未证明：没有其他符合条件的事件"
    yield from _witnessed(each.checked)
    yield from _grown(each.grown_since)


def _witnessed(checked: Checked) -> Iterator[str]:
    for name, at in checked.witnesses:
        yield f"  witnessed by {name}{f', {at.isoformat()}' if at else ''} · 已由见证方签名"


def _grown(since: int | None) -> Iterator[str]:
    if since is not None:
        yield (
            f"  proved: it only grew since the checkpoint of {since:,} events that you kept"
            " · 已证明：自留存的检查点起只增未改"
        )
