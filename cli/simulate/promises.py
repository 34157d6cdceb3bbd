"""Whether the loop kept its promises to one case, judged by its facts alone.  Pure.

Written apart from the deciders on purpose: who set the clocks does not judge them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cli.simulate.clocks import Clock, Clocks, Kind
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Acknowledged,
    Assigned,
    ClockPaused,
    ClockResumed,
    Declined,
    DueSoon,
    Escalated,
    EscalationReason,
    ExtensionGranted,
    Handled,
    Recalled,
    ReportedIn,
    Summoned,
    UnitSent,
)
from libs.events.contracts.evaluation import CaseClosed, CaseReopened, HandlingReturned
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseMerged, CaseRejected
from libs.events.envelope import Entry

LEVELS: Final = ("grid", "community", "street", "district", "city")
KIND_OF: Final = {
    EscalationReason.NOT_SIGNED: Kind.SIGN,
    EscalationReason.NOT_ACKNOWLEDGED: Kind.SIGN,
    EscalationReason.NOT_HANDLED: Kind.HANDLE,
    EscalationReason.LONG_OVERDUE: Kind.OVERDUE,
    EscalationReason.NOT_VERIFIED: Kind.VERIFY,
    EscalationReason.NOT_REPORTED_IN: Kind.REPORT_IN,
}
"""The clock that each escalation for a missed deadline belongs to; the others have none."""
_HANDLING: Final = (Kind.SIGN, Kind.HANDLE, Kind.OVERDUE)


class End(StrEnum):
    """How a report can end; each is an answer to the reporter."""

    CLOSED = "closed"
    REJECTED = "rejected"


@dataclass(slots=True)
class Judgement:
    """What became of one case."""

    end: End | None = None
    """None while it is open."""
    broken: list[str] = field(default_factory=list)
    """The promises that were not kept, each as a sentence."""
    escalations_late: list[float] = field(default_factory=list)
    """By how many seconds each escalation came after its deadline, or after the deadline could fire."""


class _Judge:
    """Goes through the facts of one case in order."""

    def __init__(self, slack: timedelta) -> None:
        self._slack = slack
        self.result = Judgement()
        self._clocks = Clocks(slack, self.result.broken)
        self._nobodys_since: datetime | None = None
        self._without_unit_since: datetime | None = None
        self._level = -1
        self._joined = False

    def see(self, entry: Entry) -> None:
        event, at = entry.event, entry.envelope.time
        match event:
            case CaseFiled() | CaseAdopted() | CaseReopened():
                self._clocks.drop(at)
                self.result.end = None
                # A report that was joined to another case waits for that one.
                self._nobodys_since = None if self._joined else at
            case CaseClosed():
                self._over(at, End.CLOSED)
            case CaseRejected():
                self._over(at, End.REJECTED)
            case CaseMerged():
                self._cared_for(at)
                self._joined = True
            case Escalated():
                self._escalated(event, entry)
            case _:
                self._at_work(event, at)

    def _at_work(self, event: Event, at: datetime) -> None:
        match event:
            case Assigned():
                self._assigned(event, at)
            case Accepted() | Acknowledged():
                self._clocks.drop(at, Kind.SIGN)
            case Declined() | Recalled():
                self._unit_settled(at)
                self._clocks.drop(at, *_HANDLING)
            case Handled(department=department, verify=verify):
                self._unit_settled(at)
                self._clocks.drop(at, Kind.SIGN)
                # What was handled is not late; sent back, the same clocks run on.
                self._clocks.rest(at, Kind.HANDLE, Kind.OVERDUE, Kind.REPORT_IN)
                if verify:
                    self._clocks.start(Kind.VERIFY, department, verify.due_at, at)
            case HandlingReturned():
                self._clocks.drop(at, Kind.VERIFY)
                self._clocks.stand(at, Kind.HANDLE, Kind.OVERDUE, Kind.REPORT_IN)
            case UnitSent():
                self._unit_settled(at)
            case _:
                self._timed(event, at)

    def _timed(self, event: Event, at: datetime) -> None:
        match event:
            case Summoned(department=department, report_in=report_in):
                self._clocks.drop(at, Kind.REPORT_IN, of=department)
                self._clocks.start(Kind.REPORT_IN, department, report_in.due_at, at)
            case ReportedIn(department=department):
                self._clocks.drop(at, Kind.REPORT_IN, of=department)
            case ExtensionGranted(department=department):
                self._clocks.drop(at, Kind.HANDLE, Kind.OVERDUE)
                self._run(department, event.due_at, event.overdue_at, at)
            case ClockPaused():
                self._clocks.rest(at, *_HANDLING)
            case ClockResumed():
                self._resumed(event, at)
            case DueSoon(step=step, due_at=due_at) if at > due_at + self._slack:
                self._broken(f"was reminded to {step} after its time was over ({due_at})")
            case _:
                pass

    def finish(self, now: datetime) -> None:
        if self.result.end is None:
            self._broken("was not answered")
        self._cared_for(now)
        self._unit_settled(now)
        self._clocks.drop(now)

    def _over(self, at: datetime, end: End) -> None:
        self._cared_for(at)
        self._unit_settled(at)
        self._clocks.drop(at)
        self.result.end = end

    def _assigned(self, event: Assigned, at: datetime) -> None:
        self._cared_for(at)
        self._unit_settled(at)
        self._clocks.drop(at, *_HANDLING, Kind.VERIFY)
        self._without_unit_since = at if event.lane else None
        if event.sign:
            self._clocks.start(Kind.SIGN, event.department, event.sign.due_at, at)
        self._run(event.department, event.due_at, event.overdue_at, at)

    def _run(
        self, department: str, due_at: datetime | None, overdue_at: Iterable[datetime], at: datetime
    ) -> None:
        if due_at:
            self._clocks.start(Kind.HANDLE, department, due_at, at)
        for step, moment in enumerate(overdue_at, 1):
            self._clocks.start(Kind.OVERDUE, department, moment, at, step)

    def _resumed(self, event: ClockResumed, at: datetime) -> None:
        if event.sign:
            self._clocks.move(Kind.SIGN, event.sign.due_at)
        if event.due_at:
            self._clocks.move(Kind.HANDLE, event.due_at)
        for step, moment in enumerate(event.overdue_at, 1):
            self._clocks.move(Kind.OVERDUE, moment, step)
        self._clocks.stand(at, *_HANDLING)

    def _cared_for(self, at: datetime) -> None:
        since, self._nobodys_since = self._nobodys_since, None
        if since and at > since + self._slack:
            self._broken(f"was nobody's for {at - since}")

    def _unit_settled(self, at: datetime) -> None:
        since, self._without_unit_since = self._without_unit_since, None
        if since and at > since + self._slack:
            self._broken(f"waited {at - since} in the fast lane for a unit, and did not go up")

    def _escalated(self, event: Escalated, entry: Entry) -> None:
        if event.level in LEVELS:
            before, self._level = self._level, LEVELS.index(event.level)
            if self._level < before:
                self._broken(f"went down from {LEVELS[before]} to {event.level}")
        if event.reason is EscalationReason.NO_UNIT:
            self._unit_settled(entry.envelope.time)
        kind = KIND_OF.get(event.reason)
        if kind:
            self._missed(kind, event, entry)

    def _missed(self, kind: Kind, event: Escalated, entry: Entry) -> None:
        what = f"went up for {event.reason} of {event.due_at}"
        clock = self._meant(kind, event)
        if clock is None or not clock.stands:
            self._broken(f"{what}, which did not stand")
            return
        if clock.missed:
            self._broken(f"{what} twice")
            return
        clock.missed = True
        # The clock of the writer counts: the time of the fact is never before the deadline that it is about.
        if min(entry.envelope.time, entry.envelope.recordedtime + self._slack) < clock.due_at:
            self._broken(f"{what} before its time was over")
        late = entry.envelope.time - clock.expected_at
        self.result.escalations_late.append(late.total_seconds())
        if late > self._slack:
            self._broken(f"{what} only {late} later")

    def _meant(self, kind: Kind, event: Escalated) -> Clock | None:
        """The clock that the escalation is about, if it ever ran to that deadline."""
        clock = self._clocks.get(kind, event.department, event.step or 0)
        # What is long overdue names the time to handle; its own moment is later.
        named = self._clocks.get(Kind.HANDLE, event.department) if kind is Kind.OVERDUE else clock
        return clock if named and named.due_at == event.due_at else None

    def _broken(self, promise: str) -> None:
        self.result.broken.append(promise)


def judge(entries: Sequence[Entry], now: datetime, slack: timedelta) -> Judgement:
    """What became of the case with these facts, as of *now*; a clock may fire up to *slack* late."""
    judging = _Judge(slack)
    for entry in entries:
        judging.see(entry)
    judging.finish(now)
    return judging.result
