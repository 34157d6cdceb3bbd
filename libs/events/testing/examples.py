"""One example of every event, with every field filled, and the envelopes around them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from libs.events.contracts import EVENTS
from libs.events.contracts.base import Event, ExternalReference, Place
from libs.events.contracts.dispatch import (
    Accepted,
    Acknowledged,
    Assigned,
    Brief,
    ClockPaused,
    ClockResumed,
    Deadline,
    Declined,
    DueSoon,
    Escalated,
    EscalationReason,
    ExtensionGranted,
    ExtensionRefused,
    ExtensionRequested,
    Handled,
    ProgressNoted,
    Recalled,
    ReportedIn,
    Step,
    Summoned,
    UnitSent,
    WhistleBlown,
)
from libs.events.contracts.evaluation import (
    CardIssued,
    CaseClosed,
    CaseReopened,
    HandlingReturned,
    Outcome,
    Rated,
    ServiceScored,
    Verified,
)
from libs.events.contracts.intake import (
    Answer,
    CaseAdopted,
    CaseFiled,
    CaseMerged,
    CaseRejected,
    CaseReported,
    ReportJoined,
)
from libs.events.contracts.ledger import CaseCarriedForward
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered, PatrolPoint
from libs.events.envelope import Context, Entry, Envelope, Origin, seal
from libs.events.ids import derived_event_id

CASE_ID: Final = "01234567890abcdefghj"
SHANGHAI: Final = timezone(timedelta(hours=8))
REPORTED_AT: Final = datetime(2026, 3, 2, 8, 30, tzinfo=SHANGHAI)
PLACE: Final = Place(
    time_zone="Asia/Shanghai",
    address="河滨街道 12",
    longitude=116.4,
    latitude=39.9,
    street="hebin",
    community="qiaotou",
    grid="qiaotou-04",
    located_by="inside",
)


def _photo(digits: str) -> str:
    return "sha256:" + digits * 32


OTHER_CASE_ID: Final = "jhgfedcba09876543210"
BRIEF: Final = Brief(
    category="0101",
    description="The manhole cover is broken",
    place=PLACE,
    reported_at=REPORTED_AT,
    photos=(_photo("8f"),),
    answers=(Answer(question="cover", values=("broken", "rattling")),),
)


def _after(hours: float) -> datetime:
    return REPORTED_AT + timedelta(hours=hours)


def _deadline(hours: float) -> Deadline:
    return Deadline(due_at=_after(hours), warn_at=_after(hours * 0.8))


_INTAKE: Final[tuple[Event, ...]] = (
    CaseReported(
        category="0101",
        channel="web",
        description="The manhole cover is broken",
        place=PLACE,
        reporter="sealed.v1.p7c4m0t2v9x3k8r5n1hqd.3q2-7wAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        photos=(_photo("8f"),),
        external=ExternalReference(system="boston311", key="101000295613"),
        answers=(Answer(question="cover", values=("broken", "rattling")),),
    ),
    CaseFiled(category="0101", reason="rule"),
    CaseRejected(reason="The cover lies on private ground."),
    CaseMerged(into=OTHER_CASE_ID, reason="rule", distance_metres=12.5, similarity=0.75),
    ReportJoined(report=OTHER_CASE_ID, reported_at=_after(1), channel="hotline"),
    CaseAdopted(category="0101", place=PLACE),
)
_DISPATCH: Final[tuple[Event, ...]] = (
    Assigned(
        department="No Q",
        due_at=_after(4),
        rule="covers",
        brief=BRIEF,
        reason="rule",
        note="The cover belongs to the water company",
        supporting=("traffic-police",),
        limits="urgent",
        warn_at=_after(3.2),
        sign=_deadline(0.5),
        overdue_at=(_after(28), _after(76)),
        lane="repair-van",
    ),
    Recalled(department="No Q", reason="The cover belongs to the telephone company"),
    WhistleBlown(
        whistle=1,
        by="community:qiaotou",
        departments=("No Q", "traffic-police"),
        lead="No Q",
        reason="The road must be closed for the repair",
    ),
    Summoned(
        department="No Q",
        whistle=1,
        lead=True,
        officer="no-q-qiaotou",
        report_in=_deadline(0.5),
        brief=BRIEF,
    ),
    ReportedIn(department="No Q", whistle=1, officer="no-q-qiaotou", note="On the spot with two people"),
    Acknowledged(department="No Q", by="centre:hebin"),
    UnitSent(
        department="No Q",
        unit="van-3",
        kind="repair-van",
        distance_metres=640.5,
        position_age_seconds=12.0,
        considered=4,
    ),
    Accepted(department="No Q"),
    Declined(department="No Q", reason="The cover belongs to the telephone company", count=1),
    ProgressNoted(department="No Q", note="A new cover is ordered", photos=(_photo("1c"),)),
    ExtensionRequested(department="No Q", until=_after(8), reason="The cover comes in the afternoon"),
    ExtensionGranted(
        department="No Q",
        due_at=_after(8),
        warn_at=_after(7),
        overdue_at=(_after(32), _after(80)),
        note="Until the afternoon",
    ),
    ExtensionRefused(department="No Q", reason="The hole lies on the way to school"),
    ClockPaused(department="No Q", reason="waiting-for-reporter", note="Which of the two covers?"),
    ClockResumed(
        department="No Q",
        due_at=_after(9),
        warn_at=_after(8),
        overdue_at=(_after(33), _after(81)),
        sign=_deadline(1.5),
    ),
    DueSoon(step=Step.HANDLE, due_at=_after(4), department="No Q"),
    Escalated(
        reason=EscalationReason.LONG_OVERDUE,
        level="district",
        acts="district:liuhe",
        department="No Q",
        due_at=_after(4),
        step=1,
        note="Open since this morning",
    ),
    Handled(department="No Q", note="Replaced", photos=(_photo("5a"),), verify=_deadline(12)),
)
_EVALUATION: Final[tuple[Event, ...]] = (
    Verified(department="No Q", by="specialist:qiaotou", note="Verified on site", photos=(_photo("e0"),)),
    HandlingReturned(
        department="No Q",
        by="specialist:qiaotou",
        reason="It rattles",
        count=1,
        photos=(_photo("b7"),),
    ),
    CaseClosed(
        department="No Q",
        outcome=Outcome.RESOLVED,
        note="Verified on site",
        by="centre:hebin",
        joined_to=OTHER_CASE_ID,
        rate_until=_after(7 * 24),
        reopen_until=_after(7 * 24),
    ),
    Rated(department="No Q", reached=True, solved=True, stars=2, satisfied=True, text="It was quick"),
    CaseReopened(department="No Q", by="reporter", reason="It rattles again", count=1),
    CardIssued(department="No Q", colour="yellow", step=1),
    ServiceScored(
        department="No Q", community="qiaotou", stars=4, by="community:qiaotou", note="Came at once"
    ),
)
_PATROL: Final[tuple[Event, ...]] = (
    PatrolOrdered(
        grid="qiaotou-04",
        worker="grid-worker:qiaotou-04",
        day="2026-03-02",
        from_at=_after(0),
        until=_after(8),
        points=(PatrolPoint(code="qiaotou-04/1", longitude=116.4, latitude=39.9),),
    ),
    CheckedIn(point="qiaotou-04/1", longitude=116.4001, latitude=39.9, distance_metres=8.5),
    PatrolFound(case_id=OTHER_CASE_ID, category="1101"),
    PatrolEnded(passed=("qiaotou-04/1",), missed=("qiaotou-04/2",), by="worker"),
)
# Of a case with one event, a document with nothing but an id.
_LEDGER: Final[tuple[Event, ...]] = (
    CaseCarriedForward(
        through=1,
        events=1,
        digest="sha256:ce44bacca12e9f32b849489e2fc92429ebd3e8f02129cfc69e84844b01e12230",
        packed="eNpFxLsSQDAQBdB/ubVkdsUj/EqiCFmvhkFn/DupnOI4xxmGcIomzk1RVrVtKPRDlHGaV33Ivh2XRM3IcHss0aP1ILaj6UkUfVSdsin6sceDrnsBIO8ZbQ==",
    ),
)
_ALL: Final = (*_INTAKE, *_DISPATCH, *_EVALUATION, *_PATROL, *_LEDGER)
EXAMPLES: Final[dict[type[Event], Event]] = {type(event): event for event in _ALL}
"""By class, in the order of a case's life."""

assert tuple(EXAMPLES) == EVENTS, "every event has its example, in the registry's order"


def context_of(version: int, origin: Origin = Origin.LIVE) -> Context:
    """The context of a case's event number *version*, ten minutes after the one before."""
    return Context(
        actor="system:example",
        time=REPORTED_AT + timedelta(minutes=10 * (version - 1)),
        origin=origin,
        correlation_id=derived_event_id("example", "correlation"),
        causation_id=derived_event_id("example", "cause", str(version)),
        policy_version="liuhe@0123456789ab",
    )


def envelope_of(
    event: Event, version: int = 1, *, case_id: str = CASE_ID, origin: Origin = Origin.LIVE
) -> Envelope:
    """The envelope of *event* as number *version* of a case, the same whenever it is made."""
    return seal(
        event,
        event_id=derived_event_id("example", case_id, event.TYPE, str(version)),
        case_id=case_id,
        context=context_of(version, origin),
        recorded_at=datetime(2026, 3, 2, 0, 30, 1, tzinfo=UTC) + timedelta(minutes=10 * (version - 1)),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def entry_of(
    event: Event, version: int = 1, *, case_id: str = CASE_ID, origin: Origin = Origin.LIVE
) -> Entry:
    """The same as it would stand in the log, at a position that equals its version."""
    return Entry(
        version, case_id, event.name(), version, envelope_of(event, version, case_id=case_id, origin=origin)
    )
