"""What two moments of one case differ in: the facts between, and each field that is another one.  Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cli.output import UsageError, cloud_event
from cli.travel.state import FIELDS, NAMES_ZH, CaseState, Value, state_of
from libs.events.envelope import Entry
from libs.events.log import History


@dataclass(frozen=True, slots=True)
class Change:
    """One field that is not what it was."""

    field: str
    before: Value
    after: Value


@dataclass(frozen=True, slots=True)
class Difference:
    """Two moments of one case."""

    before: History
    after: History
    between: tuple[Entry, ...]
    """The facts of the later one that the earlier one does not have, in order."""
    changes: tuple[Change, ...]


def difference(before: History, after: History) -> Difference:
    """What they differ in.  Raises UsageError when *before* holds a fact that *after* does not: it is the later one."""
    had = {entry.version for entry in before.entries}
    if not had <= {entry.version for entry in after.entries}:
        raise UsageError(
            "--from names a later moment of this case than --to: exchange them · --from 晚于 --to，请对调"
        )
    between = tuple(entry for entry in after.entries if entry.version not in had)
    changes = tuple(changed(state_of(before.entries), state_of(after.entries)))
    return Difference(before, after, between, changes)


def changed(before: CaseState, after: CaseState) -> list[Change]:
    """Each field that is another one, in the order of the fields."""
    values = ((name, getattr(before, name), getattr(after, name)) for name in FIELDS)
    return [Change(name, was, is_now) for name, was, is_now in values if was != is_now]


def plain(value: Value) -> Any:
    """The value as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def document(found: Difference) -> dict[str, Any]:
    """The whole for programs."""
    return {
        "case_id": found.after.case_id,
        "from": _end(found.before),
        "to": _end(found.after),
        "events": [cloud_event(entry) for entry in found.between],
        "changes": [
            {
                "field": change.field,
                "name_zh": NAMES_ZH[change.field],
                "before": plain(change.before),
                "after": plain(change.after),
            }
            for change in found.changes
        ],
    }


def _end(history: History) -> dict[str, Any]:
    last = history.entries[-1] if history.entries else None
    return {
        "version": history.version,
        "position": history.sequence,
        "time": last.envelope.time.isoformat() if last else None,
        "state": {name: plain(getattr(state_of(history.entries), name)) for name in FIELDS},
    }
