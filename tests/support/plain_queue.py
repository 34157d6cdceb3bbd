"""A department's queue worked out of raw CloudEvents with as little thought as possible."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

Raw = dict[str, Any]
"""A CloudEvent, and the name that its subject has: `name`."""


def plain_queue(events: Sequence[Raw], department: str) -> dict[str, tuple[object, ...]]:
    """What a department has to do, worked out with as little thought as possible."""
    cases: dict[str, list[Raw]] = {}
    for event in events:
        cases.setdefault(event["subject"], []).append(event)
    found = {case_id: _plain_line(case, department) for case_id, case in cases.items()}
    return {case_id: line for case_id, line in found.items() if line}


def _plain_line(events: Sequence[Raw], department: str) -> tuple[object, ...] | None:  # noqa: C901, PLR0912
    step, holder, due, sign = "none", None, None, None
    called: dict[str, list[str | None]] = {}
    for event in events:
        data, live = event["data"], event["origin"] == "live"
        match event["name"]:
            case "reported":
                step = "reported"
            case "filed" | "adopted":
                step = "filed"
            case "assigned" if live:
                step, holder, due = "assigned", data["department"], data.get("due_at")
                sign = (data.get("sign") or {}).get("due_at")
            case "accepted":
                step, sign = "accepted", None
            case "declined" | "recalled":
                step, holder, due, sign = "waiting", None, None, None
            case "extension-granted" | "resumed":
                due = data["due_at"]
                sign = None if event["name"] == "resumed" else sign
            case "summoned":
                called[data["department"]] = [data["report_in"]["due_at"], None]
            case "reported-in":
                called[data["department"]][1] = event["time"]
            case "handled" if live:
                step = "handled"
            case "handling-returned":
                step = "accepted"
            case "closed" | "rejected" | "merged":
                step, holder, due, sign, called = "none", None, None, None, {}
            case _:
                pass
    mine = holder == department and step in {"assigned", "accepted"}
    if not (mine or department in called) or step not in {"assigned", "accepted", "waiting"}:
        return None
    return (step, holder, _time(due), _time(sign), *map(_time, called.get(department, (None, None))))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
