"""The judge of a case's promises: each one kept, and each one broken."""

from datetime import datetime, timedelta

import pytest

from cli.simulate.promises import End, Judgement, judge
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Acknowledged,
    Assigned,
    ClockPaused,
    ClockResumed,
    Deadline,
    Declined,
    DueSoon,
    Escalated,
    EscalationReason,
    ExtensionGranted,
    ExtensionRequested,
    Handled,
    Recalled,
    ReportedIn,
    Step,
    Summoned,
    UnitSent,
    WhistleBlown,
)
from libs.events.contracts.evaluation import CaseClosed, CaseReopened, HandlingReturned, Outcome
from libs.events.contracts.intake import CaseFiled, CaseMerged, CaseRejected, ReportJoined
from libs.events.envelope import Context, Entry, seal
from libs.events.ids import derived_event_id
from libs.events.testing.examples import BRIEF, CASE_ID, EXAMPLES, OTHER_CASE_ID, REPORTED_AT

SLACK = timedelta(minutes=1)
NOW = 10_000.0
Told = tuple[float, Event]
"""At which minute, and what."""

REPORTED: Told = (0, EXAMPLES[next(iter(EXAMPLES))])
FILED: Told = (0, CaseFiled(category="0101", reason="rule"))
CLOSED = CaseClosed(department="water", outcome=Outcome.RESOLVED, note="")
SIGNED = Accepted(department="water")


def after(minutes: float) -> datetime:
    """The moment so many minutes after the report."""
    return REPORTED_AT + timedelta(minutes=minutes)


def due(minutes: float) -> Deadline:
    """A deadline at that minute."""
    return Deadline(due_at=after(minutes))


def assigned(sign: float = 30, handle: float = 240, department: str = "water", **more: str) -> Assigned:
    """To be signed for and handled by these minutes; a step further when it is a day, and two days, late."""
    overdue_at = (after(handle + 1_440), after(handle + 2_880))
    return Assigned(
        department=department,
        due_at=after(handle),
        sign=due(sign),
        overdue_at=overdue_at,
        brief=BRIEF,
        lane=more.get("lane"),
    )


def handled(verify: float) -> Handled:
    """Done, and to be looked at by that minute."""
    return Handled(department="water", note="", verify=due(verify))


def up(
    reason: EscalationReason,
    minutes: float | None,
    *,
    step: int | None = None,
    level: str = "street",
    department: str | None = "water",
) -> Escalated:
    """The case goes up for what was due at that minute."""
    due_at = None if minutes is None else after(minutes)
    return Escalated(
        reason=reason, level=level, acts=f"{level}:x", department=department, due_at=due_at, step=step
    )


def history(*told: Told) -> tuple[Entry, ...]:
    """A case with these facts, reported first, and filed where that follows."""
    filed = () if isinstance(told[0][1], CaseRejected | CaseMerged) else (FILED,)
    facts = (REPORTED, *filed, *told)
    return tuple(_entry(number, minutes, event) for number, (minutes, event) in enumerate(facts, 1))


def _entry(number: int, minutes: float, event: Event) -> Entry:
    envelope = seal(
        event,
        event_id=derived_event_id("promises", str(number)),
        case_id=CASE_ID,
        context=Context(actor="system:example", time=after(minutes)),
        recorded_at=after(minutes),
    )
    return Entry(number, CASE_ID, event.name(), number, envelope)


def judged(*told: Told) -> Judgement:
    """What the judge says of such a case a week later."""
    return judge(history(*told), after(NOW), SLACK)


NOT_SIGNED = EscalationReason.NOT_SIGNED
NOT_HANDLED = EscalationReason.NOT_HANDLED
LONG_OVERDUE = EscalationReason.LONG_OVERDUE
NOT_VERIFIED = EscalationReason.NOT_VERIFIED
NOT_REPORTED_IN = EscalationReason.NOT_REPORTED_IN

IN_TIME: tuple[Told, ...] = ((0, assigned()), (10, SIGNED), (100, handled(300)), (200, CLOSED))
SIGNED_LATE: tuple[Told, ...] = ((0, assigned()), (30, up(NOT_SIGNED, 30)), (50, SIGNED), *IN_TIME[2:])
LONG_LATE: tuple[Told, ...] = (
    (0, assigned()),
    (10, SIGNED),
    (240, up(NOT_HANDLED, 240)),
    (1_680, up(LONG_OVERDUE, 240, step=1, level="district")),
    (3_120.5, up(LONG_OVERDUE, 240, step=2, level="city")),
    (4_000, handled(4_100)),
    (4_050, CLOSED),
)
SUMMONED = Summoned(department="water", whistle=1, lead=True, report_in=due(60), brief=BRIEF)
BLOWN = WhistleBlown(whistle=1, by="community:x", departments=("water", "police"), lead="water", reason="x")
CAME = ReportedIn(department="water", whistle=1, officer="water-x")
GRANTED = ExtensionGranted(
    department="water", due_at=after(480), overdue_at=(after(480 + 1_440), after(480 + 2_880))
)
RESUMED = ClockResumed(
    department="water", due_at=after(340), overdue_at=(after(340 + 1_440), after(340 + 2_880)), sign=due(130)
)
PAUSED = ClockPaused(department="water", reason="reporter")
SENT_BACK = HandlingReturned(department="water", by="specialist:x", reason="x", count=1)
UNIT = UnitSent(
    department="water",
    unit="van-1",
    kind="van",
    distance_metres=1.0,
    position_age_seconds=1.0,
    considered=1,
)

KEPT: dict[str, tuple[Told, ...]] = {
    "everything in time": IN_TIME,
    "signed late, and it went up": SIGNED_LATE,
    "long overdue, step by step, each once": LONG_LATE,
    "signed within the slack": ((0, assigned()), (30.9, SIGNED), *IN_TIME[2:]),
    "rejected": ((5, CaseRejected(reason="x")),),
    "joined and answered": (
        (0, CaseMerged(into=OTHER_CASE_ID, reason="rule")),
        (500, CaseClosed(outcome=Outcome.RESOLVED, note="", joined_to=OTHER_CASE_ID)),
    ),
    "joined, answered, and its reporter has the other case taken up again": (
        (0, CaseMerged(into=OTHER_CASE_ID, reason="rule")),
        (500, CaseClosed(outcome=Outcome.RESOLVED, note="", joined_to=OTHER_CASE_ID)),
        (600, CaseReopened(by="reporter", reason="", count=1)),
        (900, CaseClosed(outcome=Outcome.RESOLVED, note="", joined_to=OTHER_CASE_ID)),
    ),
    "another report joins": (*IN_TIME[:2], (20, EXAMPLES[ReportJoined]), *IN_TIME[2:]),
    "returned, and another department's": (
        (0, assigned()),
        (20, Declined(department="water", reason="x", count=1)),
        (20, assigned(50, 260, "gas")),
        (50, up(NOT_SIGNED, 50, department="gas")),
        (55, Accepted(department="gas")),
        (100, Handled(department="gas", note="", verify=due(300))),
        (200, CLOSED),
    ),
    "returned twice, and with the centre for long": (
        (0, assigned()),
        (20, Declined(department="water", reason="x", count=2)),
        (20, up(EscalationReason.RETURNED_TWICE, None, department=None)),
        (5_000, CLOSED),
    ),
    "recalled, its clocks with it": (
        (0, assigned()),
        (20, Recalled(department="water", reason="x")),
        (3_000, assigned(3_030, 3_240)),
        (3_010, SIGNED),
        (3_100, handled(3_300)),
        (3_200, CLOSED),
    ),
    "more time": (
        (0, assigned()),
        (10, SIGNED),
        (20, ExtensionRequested(department="water", until=after(480), reason="x")),
        (30, GRANTED),
        (480, up(NOT_HANDLED, 480)),
        (490, handled(600)),
        (500, CLOSED),
    ),
    "more time, given after it went up": (
        (0, assigned()),
        (10, SIGNED),
        (240, up(NOT_HANDLED, 240)),
        (250, GRANTED),
        (470, handled(600)),
        (500, CLOSED),
    ),
    "paused: every clock later": (
        (0, assigned()),
        (10, PAUSED),
        (110, RESUMED),
        (130, up(NOT_SIGNED, 130)),
        (135, SIGNED),
        (330, handled(600)),
        (500, CLOSED),
    ),
    "paused after it was missed: it stays missed": (
        (0, assigned()),
        (30, up(NOT_SIGNED, 30)),
        (40, PAUSED),
        (140, RESUMED.model_copy(update={"sign": due(30)})),
        (300, SIGNED),
        (330, handled(600)),
        (500, CLOSED),
    ),
    "sent back: the clock runs on": (
        *IN_TIME[:3],
        (150, SENT_BACK),
        (240, up(NOT_HANDLED, 240)),
        (250, handled(400)),
        (300, CLOSED),
    ),
    "sent back after the time: it goes up then": (
        *IN_TIME[:3],
        (290, SENT_BACK),
        (290, up(NOT_HANDLED, 240)),
        (299, handled(400)),
        (300, CLOSED),
    ),
    "verified late, and it went up": (*IN_TIME[:3], (300, up(NOT_VERIFIED, 300)), (320, CLOSED)),
    "reopened, and somebody's again": (
        *IN_TIME,
        (250, CaseReopened(department="water", by="reporter", reason="x", count=1)),
        (250, assigned(280, 500)),
        (250, up(EscalationReason.REOPENED, None)),
        (260, SIGNED),
        (400, handled(600)),
        (500, CLOSED),
    ),
    "called, and there": (*IN_TIME[:2], (20, BLOWN), (20, SUMMONED), (50, CAME), *IN_TIME[2:]),
    "called, and not there": (
        *IN_TIME[:2],
        (20, BLOWN),
        (20, SUMMONED),
        (60, up(NOT_REPORTED_IN, 60)),
        *IN_TIME[2:],
    ),
    "called again before the first time was over": (
        *IN_TIME[:2],
        (20, SUMMONED),
        (50, SUMMONED.model_copy(update={"whistle": 2, "report_in": due(90)})),
        (90, up(NOT_REPORTED_IN, 90)),
        *IN_TIME[2:],
    ),
    "the fast lane": (
        (0, assigned(1, 5, lane="van")),
        (0.5, UNIT),
        (0.8, Acknowledged(department="water", by="centre:x")),
        (3, SIGNED),
        (4, handled(300)),
        (200, CLOSED),
    ),
    "no unit": (
        (0, assigned(1, 5, lane="van")),
        (0.5, up(EscalationReason.NO_UNIT, None, level="district")),
        (1, up(EscalationReason.NOT_ACKNOWLEDGED, 1, level="city")),
        (3, SIGNED),
        (4, handled(300)),
        (200, CLOSED),
    ),
    "filed when its fast minutes were over: it goes up at once": (
        (0, assigned(-19, -15, lane="van")),
        (0, UNIT),
        (0.2, up(EscalationReason.NOT_ACKNOWLEDGED, -19)),
        (0.3, up(NOT_HANDLED, -15)),
        (21, SIGNED),
        (22, handled(300)),
        (200, CLOSED),
    ),
    "reminded in time": (
        (0, assigned()),
        (24, DueSoon(step=Step.SIGN, due_at=after(30), department="water")),
        *IN_TIME[1:],
    ),
}

BROKEN: dict[str, tuple[tuple[Told, ...], str]] = {
    "never answered": (IN_TIME[:3], "was not answered"),
    "never closed after it was joined": (
        ((0, CaseMerged(into=OTHER_CASE_ID, reason="rule")),),
        "was not answered",
    ),
    "reopened, and left alone": (
        (*IN_TIME, (250, CaseReopened(department="water", by="reporter", reason="x", count=1))),
        "was nobody's",
    ),
    "filed, and left alone": ((FILED,), "was nobody's"),
    "assigned late": (((3, assigned()), *IN_TIME[1:]), "was nobody's"),
    "signed late without going up": (
        ((0, assigned()), (50, SIGNED), *IN_TIME[2:]),
        "ran past its time to sign",
    ),
    "handled late without going up": (
        (*IN_TIME[:2], (250, handled(300)), (290, CLOSED)),
        "ran past its time to handle",
    ),
    "verified late without going up": ((*IN_TIME[:3], (320, CLOSED)), "ran past its time to verify"),
    "called, not there, and it did not go up": (
        (*IN_TIME[:2], (20, SUMMONED), (70, CAME), *IN_TIME[2:]),
        "ran past its time to report_in",
    ),
    "recalled when it was late already": (
        ((0, assigned()), (50, Recalled(department="water", reason="x")), (60, CLOSED)),
        "ran past its time to sign",
    ),
    "more time, given when it was late already": (
        ((0, assigned()), (10, SIGNED), (250, GRANTED), (400, handled(600)), (500, CLOSED)),
        "ran past its time to handle",
    ),
    "a step of what is long overdue is left out": (
        (*LONG_LATE[:3], *LONG_LATE[4:]),
        "ran past its time to overdue",
    ),
    "the same step twice": (
        (*LONG_LATE[:4], (1_680.5, up(LONG_OVERDUE, 240, step=1, level="district")), *LONG_LATE[4:]),
        "long_overdue of 2026-03-02 12:30:00+08:00 twice",
    ),
    "a step of another deadline": (
        (*LONG_LATE[:3], (1_680, up(LONG_OVERDUE, 239, step=1, level="district")), *LONG_LATE[4:]),
        "did not stand",
    ),
    "up before its time": (
        (*IN_TIME[:1], (29, up(NOT_SIGNED, 30)), (50, SIGNED), *IN_TIME[2:]),
        "before its time was over",
    ),
    "up twice": ((*SIGNED_LATE[:2], (31, up(NOT_SIGNED, 30)), *SIGNED_LATE[2:]), "twice"),
    "up too late": (((0, assigned()), (40, up(NOT_SIGNED, 30)), (50, SIGNED), *IN_TIME[2:]), "only 0:10:00"),
    "up for what was done": ((*IN_TIME[:2], (30, up(NOT_SIGNED, 30)), *IN_TIME[2:]), "did not stand"),
    "up for a deadline that was moved": (
        ((0, assigned()), (10, SIGNED), (30, GRANTED), (240, up(NOT_HANDLED, 240)), (400, handled(600)),
         (500, CLOSED)),
        "did not stand",
    ),
    "up while the clock was paused": (
        ((0, assigned()), (10, PAUSED), (30, up(NOT_SIGNED, 30)), (110, RESUMED), (120, SIGNED),
         (330, handled(600)), (500, CLOSED)),
        "did not stand",
    ),
    "up while it waited for the verifier": (
        (*IN_TIME[:3], (240, up(NOT_HANDLED, 240)), (250, CLOSED)),
        "did not stand",
    ),
    "up after it was closed": ((*IN_TIME, (240, up(NOT_HANDLED, 240))), "did not stand"),
    "up for another department": (
        ((0, assigned()), (30, up(NOT_SIGNED, 30, department="gas")), (30.5, SIGNED), *IN_TIME[2:]),
        "did not stand",
    ),
    "not resumed to its new time": (
        ((0, assigned()), (10, PAUSED), (110, RESUMED), (150, SIGNED), (330, handled(600)), (500, CLOSED)),
        "ran past its time to sign",
    ),
    "sent back after the time, and forgotten": (
        (*IN_TIME[:3], (290, SENT_BACK), (299, handled(400)), (300, CLOSED)),
        "ran past its time to handle",
    ),
    "down the ladder": (
        ((0, assigned()), (30, up(NOT_SIGNED, 30, level="district")), (35, SIGNED),
         (240, up(NOT_HANDLED, 240, level="street")), (250, handled(300)), (260, CLOSED)),
        "went down from district to street",
    ),
    "no unit, and nobody was told": (
        ((0, assigned(1, 5, lane="van")), (0.8, SIGNED), (4, handled(300)), (200, CLOSED)),
        "for a unit",
    ),
    "reminded when it was over": (
        (*SIGNED_LATE[:2], (45, DueSoon(step=Step.SIGN, due_at=after(30), department="water")),
         *SIGNED_LATE[2:]),
        "was reminded to sign",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_promise_is_seen_as_kept(name: str) -> None:
    judgement = judged(*KEPT[name])
    assert judgement.broken == []
    assert judgement.end in set(End)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_told(name: str) -> None:
    told, sentence = BROKEN[name]
    broken = judged(*told).broken
    assert any(sentence in each for each in broken), broken


@pytest.mark.parametrize("name", BROKEN)
def test_nothing_else_is_told_than_what_is_broken(name: str) -> None:
    told, _ = BROKEN[name]
    assert len(judged(*told).broken) <= 2, "the promise, and at most the one that follows from it"


def test_how_late_each_escalation_came_is_measured() -> None:
    assert judged(*LONG_LATE).escalations_late == [0, 0, 30]
    assert judged(*KEPT["sent back after the time: it goes up then"]).escalations_late == [0]


def test_what_is_open_is_judged_by_now() -> None:
    told = history(*IN_TIME[:1])
    assert judge(told, after(20), SLACK).broken == ["was not answered"]
    assert any("time to sign" in each for each in judge(told, after(32), SLACK).broken)


def test_the_clock_of_who_wrote_it_counts_too() -> None:
    told = list(history(*SIGNED_LATE))
    number = next(index for index, entry in enumerate(told) if isinstance(entry.event, Escalated))
    early = told[number].envelope.model_copy(update={"recordedtime": after(20)})
    told[number] = told[number]._replace(envelope=early)
    broken = judge(told, after(NOW), SLACK).broken
    assert len(broken) == 1
    assert "before its time was over" in broken[0]
