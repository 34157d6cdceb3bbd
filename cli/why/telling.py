"""An explanation as programs and as people read it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from cli.output import event_name, shown_time
from cli.story import Narrator
from cli.travel.differing import plain
from cli.travel.state import FIELDS, NAMES_ZH, CaseState, state_of
from cli.why.again import Again, told_command
from cli.why.decisions import Decision
from cli.why.rules import Rule, Verdict
from libs.events.envelope import Entry
from libs.events.log import History
from libs.events.policy import RuleBook
from libs.events.wording import Text

DEPARTMENT = "department:"
SYSTEM = "system:"
_MARKS = {Verdict.SAME: "✓", Verdict.NOT_DECIDED: "-"}
_NOTHING = CaseState(state="")


class Explained(NamedTuple):
    """One decision with all that is known of it."""

    decision: Decision
    rules: tuple[Rule, ...]
    again: Again
    book: RuleBook | None = None
    """The rule book of then."""
    no_book: str | None = None
    """Why the rule book of then cannot be read, if it cannot."""


class Cause(NamedTuple):
    """What a decision followed from."""

    kind: str
    """`event` of the log, `act` that a department sent over the bus, `request` that somebody made, or `elsewhere`."""
    text: Text
    case_id: str | None = None
    position: int | None = None


def cause_of(decision: Decision, history: History) -> Cause:
    """What asked for it."""
    envelope = decision.envelope
    if decision.stated_elsewhere:
        return Cause("elsewhere", Text("another system's record", "来源系统的记录"))
    if envelope.causationid is None:
        return _uncaused(decision)
    cases: Mapping[str, History] = {history.case_id: history, **decision.elsewhere}
    for case_id, case in cases.items():
        for entry in case.entries:
            if entry.envelope.id == envelope.causationid:
                return _event(entry, case_id, history)
    if envelope.actor.startswith(DEPARTMENT):
        told = f"the act {envelope.causationid} that the department sent over the bus"
        return Cause("act", Text(told, f"部门经总线发来的操作 {envelope.causationid}"))
    told = f"the event {envelope.causationid}, which is in no case that was looked at"
    return Cause("event", Text(told, f"事件 {envelope.causationid}（不在所查案件中）"))


def _uncaused(decision: Decision) -> Cause:
    if decision.envelope.actor.startswith(SYSTEM):
        return Cause("time", Text("a deadline that was here", "时限到期"))
    return Cause("request", Text("a request of whoever decided it", "决定者提出的请求"))


def _event(entry: Entry, case_id: str, history: History) -> Cause:
    of = "" if case_id == history.case_id else f" of case {case_id}"
    of_zh = "" if case_id == history.case_id else f"（案件 {case_id}）"
    text = Text(f"{entry.name} ({entry.version}){of}", f"{event_name(entry)}（{entry.version}）{of_zh}")
    return Cause("event", text, case_id, entry.sequence)


# For programs.


def document(history: History, explained: list[Explained]) -> dict[str, Any]:
    """The whole for programs."""
    return {"case_id": history.case_id, "decisions": [_decision(each, history) for each in explained]}


def _decision(explained: Explained, history: History) -> dict[str, Any]:
    decision, again = explained.decision, explained.again
    envelope, cause = decision.envelope, cause_of(decision, history)
    before = decision.before
    return {
        "events": [
            {"version": each.version, "position": each.sequence, "name": each.name, "id": each.envelope.id}
            for each in decision.entries
        ],
        "time": envelope.time.isoformat(),
        "recordedtime": envelope.recordedtime.isoformat(),
        "origin": envelope.origin.value,
        "decided_by": {"actor": envelope.actor, "principal": envelope.principal, "service": envelope.source},
        "cause": {
            "kind": cause.kind,
            "id": envelope.causationid,
            "case_id": cause.case_id,
            "position": cause.position,
            **_text(cause.text),
        },
        "correlation_id": envelope.correlationid,
        "policy_version": envelope.policyversion,
        "policy_unreadable": explained.no_book,
        "rules": [{"rule": rule.name, **_text(rule.text)} for rule in explained.rules],
        "saw": {
            "version": before.version,
            "position": before.sequence,
            "state": {name: plain(getattr(state_of(before.entries), name)) for name in FIELDS},
        },
        "asked": jsonable(told_command(again.command)) if again.command else None,
        "again": {
            "verdict": again.verdict.value,
            **_text(again.text),
            "differences": [
                {"field": each.field, "stands": jsonable(each.stands), "again": jsonable(each.again)}
                for each in again.differences
            ],
        },
    }


def _text(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}


def jsonable(value: Any) -> Any:
    """The value as JSON has it."""
    match value:
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case dict():
            return {str(name): jsonable(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [jsonable(each) for each in value]
        case None | str() | int() | float() | bool():
            return value
        case _:
            return str(value)


# For people.


def lines(explained: Explained, history: History, narrator: Narrator, zone: ZoneInfo) -> Iterator[str]:
    """The explanation of one decision."""
    decision = explained.decision
    for entry in decision.entries:
        text = narrator.sentence(entry)
        minute = f"{entry.envelope.time.astimezone(zone):%Y-%m-%d %H:%M}"
        yield f"({entry.version}) {minute}  {text.zh}"
        yield f"{'':{len(str(entry.version)) + 2}} {'':{len(minute)}}  {text.en}"
    for label, told in _parts(explained, history, zone):
        yield f"    {label}  {told.zh}" if told.zh else f"    {label}  {told.en}"
        if told.zh and told.en:
            yield f"    {'':{len(label)}}  {told.en}"
    yield ""


def _parts(explained: Explained, history: History, zone: ZoneInfo) -> Iterator[tuple[str, Text]]:
    decision, again = explained.decision, explained.again
    envelope = decision.envelope
    who = envelope.actor + (f" ({envelope.principal})" if envelope.principal else "")
    yield "who · 决定者", Text(who, "")
    yield "after · 起因", cause_of(decision, history).text
    yield "under · 规则", Text(envelope.policyversion or "-", "")
    if explained.no_book:
        yield "", Text(explained.no_book, "无法读取该版本规则")
    for rule in explained.rules:
        yield f"by · 依据 [{rule.name}]", rule.text
    yield "saw · 所见", _saw(state_of(decision.before.entries), zone)
    mark = _MARKS.get(again.verdict, "✗")
    yield f"again · 重算 {mark}", again.text
    for each in again.differences:
        stands, comes = jsonable(each.stands), jsonable(each.again)
        yield (
            "",
            Text(
                f"{each.field}: {stands} stands, {comes} comes out",
                f"{each.field}：记录 {stands}，重算 {comes}",
            ),
        )


def _saw(state: CaseState, zone: ZoneInfo) -> Text:
    """What of the state says something."""
    told, told_zh = [], []
    for name in FIELDS:
        value = getattr(state, name)
        if value == getattr(_NOTHING, name):
            continue
        shown = shown_time(value, zone) if isinstance(value, datetime) else value
        shown = ", ".join(shown) if isinstance(shown, tuple) else shown
        told.append(f"{name} {shown}")
        told_zh.append(f"{NAMES_ZH[name]} {shown}")
    return Text("; ".join(told), "；".join(told_zh))
