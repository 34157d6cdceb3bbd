"""What a reporter may see of a case: where it stands, and nothing about people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from pydantic import BaseModel

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Assigned,
    ClockPaused,
    ClockResumed,
    Declined,
    ExtensionGranted,
    Recalled,
)
from libs.events.contracts.evaluation import CaseClosed, CaseReopened, Outcome
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseMerged, CaseRejected, CaseReported
from libs.events.envelope import Entry
from libs.events.log import History
from libs.events.masking import masked
from libs.events.photos import addresses_of, seen_in
from libs.events.policy import RuleBook
from libs.events.wording import OUTCOMES

STATE_NAMES: Final = {
    "reported": ("Reported", "已上报"),
    "filed": ("Filed as a case", "已立案"),
    "rejected": ("Not accepted as a case", "不予立案"),
    "merged": ("Joined to a case that is open already", "已并入在办案件"),
    "adopted": ("Taken over from another system", "已由其他系统转入"),
    "assigned": ("Assigned to a department", "已派遣"),
    "recalled": ("Taken back, to be assigned anew", "已收回，待重新派遣"),
    "blown": ("Several departments called together", "已吹哨，多部门联合处置"),
    "acknowledged": ("Seen by the duty desk", "值班台已受理"),
    "unit-sent": ("A unit is on its way", "处置力量已出动"),
    "accepted": ("Signed for by the department", "已签收"),
    "declined": ("Returned by the department, to be assigned anew", "部门已退回，待重新派遣"),
    "paused": ("Waiting, the clock stands still", "已暂停计时"),
    "resumed": ("Going on, the clock runs", "已恢复计时"),
    "handled": ("Handled, to be verified", "已处置，待核查"),
    "handling-returned": ("Verified as not done, back to the department", "核查未通过，已返工"),
    "verified": ("Verified", "核查通过"),
    "closed": ("Closed", "已结案"),
    "reopened": ("Reopened", "已重新立案"),
}
"""The steps after which a case stands where it did not stand before."""
STEP_NAMES: Final = STATE_NAMES | {
    "summoned": ("A department was called", "部门已被吹哨"),
    "reported-in": ("A department has come", "部门已报到"),
    "progress": ("Progress was noted", "处置有进展"),
    "extension-requested": ("More time was asked for", "部门申请延期"),
    "extension-granted": ("More time was given", "已批准延期"),
    "extension-refused": ("No more time was given", "未批准延期"),
    "escalated": ("Passed up to the next level", "已升级督办"),
    "rated": ("You rated it", "您已评价"),
}
"""What the reporter sees of a case's way."""
INTERNAL: Final = frozenset({"joined", "due-soon", "card-issued", "scored", "carried-forward"})
"""Between offices: reminders, cards, marks, that others reported it too; and what only the log's keeping needs."""


class Step(BaseModel):
    """One step of a case."""

    state: str
    name: str
    name_zh: str
    time: datetime


class BeforeAndAfter(BaseModel):
    """What one sees of a case: its pictures, by address; a path is one of intake's own."""

    before: list[str]
    """As this reporter sent them."""
    after: list[str]
    """Of the newest handling, as long as nobody has found it wanting."""


class Ending(BaseModel):
    """How a case ended, and what its reporter may still do."""

    outcome: Outcome
    name: str
    name_zh: str
    note: str
    rate_until: datetime | None = None
    reopen_until: datetime | None = None


class Standing(BaseModel):
    """Where a case stands."""

    tracking_number: str
    state: str
    name: str
    name_zh: str
    category: str
    category_name: str | None = None
    category_name_zh: str | None = None
    reported_at: datetime
    department: str | None = None
    department_name: str | None = None
    department_name_zh: str | None = None
    due_at: datetime | None = None
    closed_at: datetime | None = None
    ending: Ending | None = None
    reason: str | None = None
    """Why it is no case, if it is none."""
    joined: bool = False
    """Whether it was joined to another report of the same problem, whose state this is."""
    photos: BeforeAndAfter
    steps: list[Step]


def main_case(history: History) -> str | None:
    """The case that this report was joined to, if it was."""
    return next((event.into for event in history.events if isinstance(event, CaseMerged)), None)


def standing(
    tracking_number: str, history: History, rules: RuleBook, main: History | None = None
) -> Standing:
    """Where the case stands after *history*, which has at least its report.

    *main* is the case that the report was joined to: then it stands where that one stands.
    """
    first, leading = history.entries[0], main if main and main.entries else history
    assert isinstance(first.event, CaseReported), "a case begins with its report"
    # Of the main case only what came after this report was made: before, it was somebody else's story.
    later = [
        each
        for each in leading.entries
        if leading is not history and each.envelope.time >= first.envelope.time
    ]
    shown = sorted((*history.entries, *later), key=lambda entry: entry.envelope.time)
    last = next(entry for entry in reversed(leading.entries) if entry.name in STATE_NAMES)
    category = _category(leading.events) or first.event.category
    known, hands = rules.category(category), _hands(leading.events)
    department = rules.department(hands.department) if hands.department else None
    closing = last.event if isinstance(last.event, CaseClosed) else None
    step = _step(last)
    return Standing(
        tracking_number=tracking_number,
        state=step.state,
        name=step.name,
        name_zh=step.name_zh,
        category=category,
        category_name=known.name.en if known else None,
        category_name_zh=known.name.zh if known else None,
        reported_at=first.envelope.time,
        department=hands.department,
        department_name=department.name.en if department else None,
        department_name_zh=department.name.zh if department else None,
        due_at=hands.due_at,
        closed_at=last.envelope.time if closing else None,
        ending=_ending(closing, history) if closing else None,
        reason=next(
            (masked(event.reason) for event in history.events if isinstance(event, CaseRejected)), None
        ),
        joined=main is not None,
        photos=_before_and_after(
            history.events if leading is history else [first.event, *(each.event for each in later)]
        ),
        steps=[_step(entry) for entry in shown if entry.name in STEP_NAMES],
    )


def _before_and_after(events: Sequence[Event]) -> BeforeAndAfter:
    seen = seen_in(events)
    return BeforeAndAfter(before=addresses_of(seen.before), after=addresses_of(seen.after))


class _Hands(NamedTuple):
    """With whom a case is, and until when it must be handled."""

    department: str | None = None
    due_at: datetime | None = None


def _hands(events: Sequence[Event]) -> _Hands:
    hands = _Hands()
    for event in events:
        match event:
            case Assigned():
                hands = _Hands(event.department, event.due_at)
            case Recalled() | Declined():
                hands = _Hands() if event.department == hands.department else hands
            case CaseReopened():
                hands = _Hands()
            case ClockPaused():
                hands = _Hands(hands.department)
            case ExtensionGranted() | ClockResumed():
                hands = _Hands(hands.department, event.due_at)
            case _:
                pass
    return hands


def _category(events: Sequence[Event]) -> str | None:
    return next(
        (event.category for event in reversed(events) if isinstance(event, CaseFiled | CaseAdopted)), None
    )


def _ending(closing: CaseClosed, own: History) -> Ending:
    # Until when this reporter may rate and reopen stands in the closing of this reporter's own report.
    mine = next((event for event in reversed(own.events) if isinstance(event, CaseClosed)), closing)
    name, name_zh = OUTCOMES[closing.outcome]
    return Ending(
        outcome=closing.outcome,
        name=name,
        name_zh=name_zh,
        note=masked(closing.note),
        rate_until=mine.rate_until,
        reopen_until=mine.reopen_until,
    )


def _step(entry: Entry) -> Step:
    name, name_zh = STEP_NAMES[entry.name]
    return Step(state=entry.name, name=name, name_zh=name_zh, time=entry.envelope.time)
