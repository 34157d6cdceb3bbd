"""How a case stands, field by field: what the deciders know of it, in the words of whoever looks.  Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, assert_never

from libs.events.contracts.evaluation import CardIssued
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseReported, ReportJoined
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered
from libs.events.envelope import Entry
from libs.events.photos import seen_in
from services.dispatch import decider as dispatch
from services.dispatch import desk
from services.dispatch.decider import states as of_dispatch
from services.evaluation import decider as evaluation

NAMES_ZH: Final = {
    "state": "状态",
    "category": "类别",
    "street": "街道",
    "community": "社区",
    "grid": "网格",
    "department": "承办部门",
    "must_act": "待办方",
    "until": "待办时限",
    "level": "层级",
    "sign_by": "签收时限",
    "due_at": "处置时限",
    "warn_at": "提醒时间",
    "verify_by": "核查时限",
    "paused": "停表原因",
    "extension_asked": "申请延期至",
    "extension_granted": "准予延期至",
    "unit": "出动单元",
    "whistle": "吹哨",
    "summoned": "召集部门",
    "reported_in": "已报到",
    "merged_into": "并入案件",
    "outcome": "结果",
    "stars": "评价星级",
    "rate_until": "评价截止",
    "reopen_until": "可重新立案至",
    "assignments": "派遣次数",
    "returns": "退回次数",
    "reworks": "返工次数",
    "reopenings": "重新立案次数",
    "pauses": "停表次数",
    "extensions": "延期次数",
    "notes": "进展次数",
    "raised_by_hand": "人工升级次数",
    "joined_reports": "并入诉求数",
    "cards": "亮牌数",
    "scores": "下考上评分数",
    "photos": "照片数",
    "check_ins": "签到点数",
    "finds": "巡查发现数",
}
VERIFIER: Final = "verifier"
CENTRE: Final = "centre"


@dataclass(frozen=True, slots=True)
class CaseState:
    """A case, or a patrol order, at one moment; empty before it was reported."""

    state: str = "unreported"
    """`reported`, `filed`, `waiting`, `assigned`, `accepted`, `handled`, `closed`, `rejected` or `merged`."""
    category: str | None = None
    street: str | None = None
    community: str | None = None
    grid: str | None = None
    department: str | None = None
    """Who is responsible."""
    must_act: str | None = None
    """The post that must do the next thing; `verifier` and `centre` where no post in particular is named."""
    until: datetime | None = None
    """By when."""
    level: str | None = None
    sign_by: datetime | None = None
    due_at: datetime | None = None
    warn_at: datetime | None = None
    verify_by: datetime | None = None
    paused: str | None = None
    extension_asked: datetime | None = None
    extension_granted: datetime | None = None
    unit: str | None = None
    whistle: int | None = None
    summoned: tuple[str, ...] = ()
    reported_in: tuple[str, ...] = ()
    merged_into: str | None = None
    outcome: str | None = None
    stars: int | None = None
    rate_until: datetime | None = None
    reopen_until: datetime | None = None
    assignments: int = 0
    returns: int = 0
    reworks: int = 0
    reopenings: int = 0
    pauses: int = 0
    extensions: int = 0
    notes: int = 0
    raised_by_hand: int = 0
    joined_reports: int = 0
    cards: int = 0
    scores: int = 0
    photos: int = 0
    check_ins: int = 0
    finds: int = 0


FIELDS: Final = tuple(field.name for field in fields(CaseState))
Value = str | int | datetime | tuple[str, ...] | None


def state_of(entries: Sequence[Entry]) -> CaseState:
    """How it stands after these facts."""
    if not entries:
        return CaseState()
    if isinstance(entries[0].event, PatrolOrdered):
        return CaseState(**_of_patrol(entries))
    events = [entry.event for entry in entries]
    known: dict[str, Any] = {"state": "unreported"}
    known |= _place(entries) | _of_work(dispatch.fold_entries(entries)) | _counts(entries)
    known |= _of_end(evaluation.fold(events))
    known |= _who_acts(entries, known)
    return CaseState(**known)


def _place(entries: Sequence[Entry]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in entries:
        match entry.event:
            case CaseReported(category=category, place=place) | CaseAdopted(category=category, place=place):
                found = {"category": category, "street": place.street, "community": place.community}
                found["grid"] = place.grid
            case CaseFiled(category=category):
                found["category"] = category
            case _:
                pass
    return found


def _of_work(state: dispatch.State) -> dict[str, Any]:
    match state:
        case of_dispatch.Unreported():
            return {}
        case of_dispatch.Unfiled():
            return {"state": "reported"}
        case of_dispatch.Filed(past=past):
            return {"state": "filed"} | _past(past)
        case of_dispatch.Waiting(past=past):
            return {"state": "waiting"} | _past(past)
        case of_dispatch.InHands():
            return _in_hands(state) | _past(state.past)
        case of_dispatch.Over(past=past, department=department):
            return {"department": department} | _past(past)
        case _:
            assert_never(state)


def _past(past: of_dispatch.Past) -> dict[str, Any]:
    return {
        "level": past.level,
        "whistle": past.whistle.number if past.whistle else None,
        "summoned": tuple(each.department for each in past.summons),
        "reported_in": tuple(each.department for each in past.summons if each.reported_in),
        "assignments": past.assignments,
        "returns": past.returns,
        "pauses": past.pauses,
        "notes": past.notes,
        "raised_by_hand": past.raises,
    }


def _in_hands(state: of_dispatch.InHands) -> dict[str, Any]:
    handle, wish = state.clocks.handle, state.extensions.wish
    found: dict[str, Any] = {
        "department": state.department,
        "due_at": handle.due_at if handle else None,
        "warn_at": handle.warn_at if handle else None,
        "paused": state.pause.reason if isinstance(state.pause, of_dispatch.Paused) else None,
        "extension_asked": wish.until if isinstance(wish, of_dispatch.Asked) else None,
        "extension_granted": wish.until if isinstance(wish, of_dispatch.Granted) else None,
        "extensions": state.extensions.granted,
        "unit": state.lane.unit if state.lane else None,
    }
    match state.stage:
        case of_dispatch.Unsigned(sign=sign):
            return found | {"state": "assigned", "sign_by": sign.due_at if sign else None}
        case of_dispatch.Signed():
            return found | {"state": "accepted"}
        case of_dispatch.Done(verify=verify):
            return found | {"state": "handled", "verify_by": verify.due_at if verify else None}
        case _:
            assert_never(state.stage)


def _of_end(state: evaluation.State) -> dict[str, Any]:
    match state:
        case evaluation.Unknown():
            return {}
        case evaluation.Open(case=case) | evaluation.Done(case=case):
            return _judged(case)
        case evaluation.Closed(case=case, closing=closing, rated=rated):
            return _judged(case) | {
                "state": "closed",
                "outcome": closing.outcome.value,
                "rate_until": closing.rate_until,
                "reopen_until": closing.reopen_until,
                "stars": rated.stars if rated else None,
            }
        case evaluation.Rejected(case=case):
            return _judged(case) | {"state": "rejected"}
        case evaluation.Merged(case=case, into=into):
            return _judged(case) | {"state": "merged", "merged_into": into}
        case _:
            assert_never(state)


def _judged(case: evaluation.Case) -> dict[str, Any]:
    return {
        "reworks": case.reworks,
        "reopenings": case.reopenings,
        "scores": len(case.scores),
        "merged_into": case.into,
    }


def _counts(entries: Sequence[Entry]) -> dict[str, Any]:
    seen = seen_in([entry.event for entry in entries])
    return {
        "joined_reports": _number(entries, ReportJoined),
        "cards": _number(entries, CardIssued),
        "photos": len(seen.before) + len(seen.after),
    }


def _number(entries: Iterable[Entry], kind: type[object]) -> int:
    return sum(isinstance(entry.event, kind) for entry in entries)


def _who_acts(entries: Sequence[Entry], known: dict[str, Any]) -> dict[str, Any]:  # noqa: PLR0911 - a list of states
    """Who must do the next thing, and by when: the post that it went up to, or whoever's turn it is."""
    row = _row(entries)
    post = row.acts if row else None
    match known["state"]:
        case "reported":
            community = known.get("community")
            return {"must_act": f"specialist:{community}" if community else "specialist"}
        case "waiting":
            return {"must_act": post or CENTRE}
        case "assigned" if row and row.lane and row.sign_by:
            return {"must_act": post or CENTRE, "until": known["sign_by"]}  # its duty desk must acknowledge
        case "assigned":
            return {"must_act": post or f"department:{known['department']}", "until": known["sign_by"]}
        case "accepted":
            return {"must_act": post or f"department:{known['department']}", "until": known["due_at"]}
        case "handled":
            return {"must_act": post or VERIFIER, "until": known["verify_by"]}
        case _:
            return {"must_act": post}


def _row(entries: Sequence[Entry]) -> desk.Row | None:
    row: desk.Row | None = None
    for entry in entries:
        row = desk.advance(row, entry)
    return row


def _of_patrol(entries: Sequence[Entry]) -> dict[str, Any]:
    ordered = entries[0].event
    assert isinstance(ordered, PatrolOrdered), "the caller has looked"
    ended = any(isinstance(entry.event, PatrolEnded) for entry in entries)
    return {
        "state": "ended" if ended else "ordered",
        "grid": ordered.grid,
        "must_act": None if ended else ordered.worker,
        "until": ordered.until,
        "check_ins": _number(entries, CheckedIn),
        "finds": _number(entries, PatrolFound),
    }
