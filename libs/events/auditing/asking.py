"""Which events an export holds: what was asked for, and what that promises of each event and of all together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

import orjson

from libs.events.ledger.leaf import Leaf
from libs.events.subjects import CASES, NOTICES, token


@dataclass(frozen=True, slots=True)
class Everything:
    """All that was sealed up to the checkpoint."""


@dataclass(frozen=True, slots=True)
class Positions:
    """The events from *first* to *last* of a stream, all of them."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class OneCase:
    """The events whose subject names the case."""

    case_id: str


@dataclass(frozen=True, slots=True)
class OneDepartment:
    """All events of each case of which an event names the department, in its subject or in its data."""

    department: str


@dataclass(frozen=True, slots=True)
class Between:
    """The events whose own `time` is not before *start*, and before *end*."""

    start: datetime
    end: datetime


Asked: TypeAlias = Everything | Positions | OneCase | OneDepartment | Between

WHOLE: Final = (Everything, Positions)
"""Of these an export has no gaps, so that nothing can be left out of it."""


def as_json(asked: Asked) -> dict[str, Any]:
    """As it stands in `export.json`."""
    match asked:
        case Everything():
            return {"what": "everything"}
        case Positions(first, last):
            return {"what": "positions", "first": first, "last": last}
        case OneCase(case_id):
            return {"what": "case", "case": case_id}
        case OneDepartment(department):
            return {"what": "department", "department": department}
        case Between(start, end):
            return {"what": "time", "from": start.isoformat(), "to": end.isoformat()}


def asked_of(content: Mapping[str, Any]) -> Asked:
    """What stands there.  Raises ValueError, KeyError or TypeError for anything else."""
    asked: Asked
    match content["what"]:
        case "everything":
            asked = Everything()
        case "positions":
            asked = Positions(int(content["first"]), int(content["last"]))
            if not 1 <= asked.first <= asked.last:
                raise ValueError("the positions are no stretch")
        case "case":
            asked = OneCase(content["case"])
        case "department":
            asked = OneDepartment(content["department"])
        case "time":
            asked = Between(datetime.fromisoformat(content["from"]), datetime.fromisoformat(content["to"]))
        case other:
            raise ValueError(f"an export of {other!r} is not known")
    if as_json(asked) != content:
        raise ValueError("what was asked for is not in its only spelling")
    return asked


def case_of(subject: str) -> str | None:
    """The case that a subject of `CASES` or `NOTICES` names; None for another one."""
    parts = subject.split(".")
    return parts[1] if len(parts) > 2 and parts[0] in {"case", "notice"} else None


def names_department(leaf: Leaf, department: str) -> bool:
    """Whether the event names the department: as the one that hears of it, or in its data."""
    parts = leaf.subject.split(".")
    if len(parts) == 5 and parts[0] == "case" and parts[4] == token(department):
        return True
    if department.encode() not in leaf.payload:  # spelled in UTF-8 as the log has it
        return False
    data = _field(leaf.payload, "data")
    return isinstance(data, dict) and data.get("department") == department


def time_of(payload: bytes) -> datetime | None:
    """When an event happened, as it says itself; None when it says none."""
    try:
        moment = datetime.fromisoformat(str(_field(payload, "time")))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _field(payload: bytes, name: str) -> Any:
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return event.get(name) if isinstance(event, dict) else None


class PromiseBroken(Exception):
    """The events of an export are not those that were asked for; the text says why, in both languages."""


@dataclass(slots=True)
class Promise:
    """Whether events are those that were asked for: hears each, in order, and says so at the end."""

    asked: Asked
    stream: str
    _versions: dict[str, int] = field(default_factory=dict)
    _missing: set[str] = field(default_factory=set)

    def hear(self, leaf: Leaf) -> None:
        """Raises PromiseBroken for an event that does not belong, and for one before which another is missing."""
        match self.asked:
            case OneCase(case_id):
                if case_of(leaf.subject) != case_id:
                    raise PromiseBroken(f"it is not of the case {case_id} · 不属于该案件")
                self._count(leaf)
            case OneDepartment(department):
                self._hear_of(department, leaf)
            case Between(start, end):
                moment = time_of(leaf.payload)
                if moment is None or not start <= moment < end:
                    raise PromiseBroken("it did not happen in the time that was asked for · 不在所查时段内")
            case Everything() | Positions():
                pass

    def end(self) -> None:
        """Raises PromiseBroken when the last event has been heard and something is missing."""
        if self._missing:
            raise PromiseBroken(
                f"no event of the case {min(self._missing)} names the department · 案件与部门无关"
            )

    def _hear_of(self, department: str, leaf: Leaf) -> None:
        case_id = case_of(leaf.subject)
        if case_id is None:
            raise PromiseBroken("it is of no case · 不属于任何案件")
        if case_id not in self._versions and self.stream == CASES:
            self._missing.add(case_id)
        if names_department(leaf, department):
            self._missing.discard(case_id)
        self._count(leaf)

    def _count(self, leaf: Leaf) -> None:
        """Versions of a case are contiguous: none of its events is left out before its last one here."""
        if self.stream == NOTICES:
            return
        _, case_id, *rest = leaf.subject.split(".")
        before = self._versions.get(case_id, 0)
        if rest[1:2] != [str(before + 1)]:
            raise PromiseBroken(
                f"it is {'.'.join(rest)} of the case {case_id}, and number {before + 1} is missing before it"
                f" · 案件第 {before + 1} 条事件缺失"
            )
        self._versions[case_id] = before + 1
