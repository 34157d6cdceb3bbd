"""What notify decides: who is told what about which fact.  Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Assigned,
    ClockPaused,
    DueSoon,
    Escalated,
    ExtensionGranted,
    Handled,
    Summoned,
    UnitSent,
)
from libs.events.contracts.evaluation import (
    CardIssued,
    CaseClosed,
    CaseReopened,
    HandlingReturned,
    Outcome,
)
from libs.events.contracts.intake import CaseFiled, CaseMerged, CaseRejected, CaseReported
from libs.events.envelope import Entry, Origin
from libs.events.policy import RuleBook
from libs.events.wording import COLOURS, NOTHING, REASONS, STEPS, Text
from services.notify.deciding.texts import ENDINGS, Words

REPORTER: Final = "reporter"
CENTRE: Final = "centre"
"""The command centre, where a step is nobody else's."""


class Occasion(StrEnum):
    """When somebody is told something."""

    REPORTED = "reported"
    FILED = "filed"
    REJECTED = "rejected"
    MERGED = "merged"
    ASSIGNED = "assigned"
    UNIT_SENT = "unit_sent"
    PAUSED = "paused"
    EXTENSION_GRANTED = "extension_granted"
    HANDLED = "handled"
    HANDLING_RETURNED = "handling_returned"
    CLOSED = "closed"
    REOPENED = "reopened"
    ESCALATED = "escalated"
    DUE_SOON = "due_soon"
    SUMMONED = "summoned"
    CARD_ISSUED = "card_issued"


@dataclass(frozen=True, slots=True)
class Notice:
    """What somebody is told of a case; one notice has one cause."""

    case_id: str
    version: int
    """The case's version that it tells of."""
    cause_id: str
    """Id of the event that it tells of."""
    recipient: str
    """`reporter`, a post such as `post:street:hebin`, or a department such as `department:water`."""
    occasion: Occasion
    text: str
    text_zh: str


def notice_about(entry: Entry, rules: RuleBook) -> Notice | None:
    """The notice that a fact calls for, if it calls for one.  Imported and replayed history tells nobody."""
    if entry.envelope.origin is not Origin.LIVE:
        return None
    words = Words(rules)
    about = _to_reporter(entry.event, words)
    told = (REPORTER, *about) if about else _to_office(entry.event, words, entry.case_id)
    if told is None:
        return None
    recipient, occasion, text = told
    return Notice(entry.case_id, entry.version, entry.envelope.id, recipient, occasion, text.en, text.zh)


def _to_reporter(event: Event, words: Words) -> tuple[Occasion, Text] | None:  # noqa: PLR0911 - each fact
    match event:
        case CaseReported():
            return Occasion.REPORTED, Text("Your report has arrived.", "您的诉求已收到。")
        case CaseFiled(reason="specialist"):  # what is filed at once has only just been told to have arrived
            return Occasion.FILED, Text("Your report was accepted as a case.", "您的诉求已立案。")
        case CaseRejected():
            return Occasion.REJECTED, Text(
                f"Your report was not accepted as a case: {event.reason}",
                f"您的诉求不予立案，原因：{event.reason}",
            )
        case CaseMerged():
            return Occasion.MERGED, Text(
                "Your report tells of a case that is open already. It was joined to it, and you get its answer.",
                "您反映的问题已有在办案件，您的诉求已并入办理，办理结果将一并告知您。",
            )
        case Assigned() | UnitSent() | ClockPaused() | ExtensionGranted() | Handled() | HandlingReturned():
            return _under_way(event, words)
        case CaseClosed():
            return Occasion.CLOSED, _closed(event, words)
        case CaseReopened():
            return Occasion.REOPENED, Text("Your case was reopened.", "您的案件已重新立案办理。")
        case _:
            return None


_UnderWay = Assigned | UnitSent | ClockPaused | ExtensionGranted | Handled | HandlingReturned


def _under_way(event: _UnderWay, words: Words) -> tuple[Occasion, Text]:
    department = words.department(event.department)
    match event:
        case Assigned():
            until = words.until(event.due_at)
            return Occasion.ASSIGNED, Text(
                f"The department {department.en} takes care of your report{until.en}.",
                f"您的诉求已派遣至{department.zh}{until.zh}。",
            )
        case UnitSent():
            return Occasion.UNIT_SENT, Text(
                f"{department.en} has sent a unit, which is on its way.",
                f"{department.zh}已派出处置力量赶往现场。",
            )
        case ClockPaused():
            reason = words.pause(event.reason)
            return Occasion.PAUSED, Text(
                f"The work on your report has to wait: {reason.en}.", f"您的诉求暂停计时，原因：{reason.zh}。"
            )
        case ExtensionGranted():
            due = words.time(event.due_at)
            return Occasion.EXTENSION_GRANTED, Text(
                f"{department.en} was given more time for your report, until {due}.",
                f"您的诉求经批准延期，新的期限为 {due}。",
            )
        case Handled():
            return Occasion.HANDLED, Text(
                f"{department.en} reports that it is done; somebody else will look at it.",
                f"{department.zh}报告已处置完毕，将由他人核查。",
            )
        case HandlingReturned():
            return Occasion.HANDLING_RETURNED, Text(
                f"Somebody looked, and it is not good yet: back to {department.en}.",
                f"经核查尚未达到要求，已退回{department.zh}继续处置。",
            )


def _closed(event: CaseClosed, words: Words) -> Text:
    text = ENDINGS[event.outcome]
    if event.outcome is Outcome.NOT_RESOLVED:
        why = Text(f": {event.note}", f"，原因：{event.note}") if event.note else Text(".", "。")
        text = Text(text.en + why.en, text.zh + why.zh)
    rate = reopen = NOTHING
    if event.rate_until is not None:
        until = words.time(event.rate_until)
        rate = Text(f"You can rate it until {until}.", f"您可在 {until} 前评价。")
    if event.reopen_until is not None:
        until = words.time(event.reopen_until)
        reopen = Text(
            f"If it is not good, you can have it reopened until {until}.",
            f"如不满意，可在 {until} 前要求重新办理。",
        )
    return text.then(rate, reopen)


def _to_office(event: Event, words: Words, case_id: str) -> tuple[str, Occasion, Text] | None:
    match event:
        case Escalated():
            return f"post:{event.acts}", Occasion.ESCALATED, _escalated(event, words, case_id)
        case DueSoon():
            step, due = STEPS[event.step], words.time(event.due_at)
            return (
                f"department:{event.department}" if event.department else CENTRE,
                Occasion.DUE_SOON,
                Text(f"Case {case_id}: {step.en} until {due}.", f"案件 {case_id}：请在 {due} 前{step.zh}。"),
            )
        case Summoned():
            return f"department:{event.department}", Occasion.SUMMONED, _summoned(event, words, case_id)
        case CardIssued():
            colour = COLOURS.get(event.colour, Text(event.colour, event.colour))
            return (
                f"department:{event.department}",
                Occasion.CARD_ISSUED,
                Text(
                    f"A {colour.en} card for case {case_id}, which is long overdue.",
                    f"案件 {case_id} 长期超期，现亮{colour.zh}牌。",
                ),
            )
        case _:
            return None


def _escalated(event: Escalated, words: Words, case_id: str) -> Text:
    reason, late = REASONS[event.reason], NOTHING
    if event.due_at is not None:
        due = words.time(event.due_at)
        late = Text(f", due {due}", f"（期限 {due}）")
    return Text(
        f"Case {case_id} is yours to decide now: {reason.en}{late.en}.",
        f"案件 {case_id} 已升级，现由您处理：{reason.zh}{late.zh}。",
    )


def _summoned(event: Summoned, words: Words, case_id: str) -> Text:
    due = words.time(event.report_in.due_at)
    officer = Text(f", {event.officer}", f"（{event.officer}）") if event.officer else NOTHING
    lead = Text(" You answer for the case.", "贵部门为牵头部门。") if event.lead else NOTHING
    return Text(
        f"The whistle was blown for case {case_id}: report in until {due}{officer.en}.{lead.en}",
        f"案件 {case_id} 已吹哨：请在 {due} 前报到{officer.zh}。{lead.zh}",
    )
