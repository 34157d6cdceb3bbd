"""Evaluation's rows: what each fact changes in them, as pure steps."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Assigned,
    ClockPaused,
    ClockResumed,
    Deadline,
    Declined,
    ExtensionGranted,
    Handled,
    Recalled,
)
from libs.events.contracts.evaluation import CaseReopened, HandlingReturned, Rated
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered
from libs.events.envelope import Entry, Origin
from libs.events.errors import CaseUnreadable
from libs.events.testing.examples import CASE_ID, EXAMPLES, PLACE, REPORTED_AT, entry_of
from services.evaluation.views import CaseRow, advance
from services.evaluation.views.applying import Changes
from services.evaluation.views.marks import MARKED, marks_of
from services.evaluation.views.patrols import PatrolRow, advance_patrol, is_patrol
from tests.unit.specs import ANY_HISTORY, CLOSED, FILED, accepted, assigned, handled, reported

OF_CASES = [event for event in EXAMPLES.values() if not is_patrol(entry_of(event))]
DUE = REPORTED_AT + timedelta(hours=4)
OPEN = (reported(), FILED, assigned("water", DUE), accepted())
RETURNED = HandlingReturned(department="water", by="specialist:qiaotou", reason="It rattles", count=1)
REOPENED = CaseReopened(department="water", by="centre:hebin", reason="It rattles", count=1)


def entries(events: Iterable[Event], origin: Origin = Origin.LIVE) -> list[Entry]:
    return [entry_of(event, version, origin=origin) for version, event in enumerate(events, 1)]


def after(*events: Event, origin: Origin = Origin.LIVE) -> CaseRow:
    row: CaseRow | None = None
    for entry in entries(events, origin):
        row = advance(row, entry)
    assert row is not None
    return row


def changes(events: Sequence[Event]) -> Changes:
    found, row = Changes(), None
    for entry in entries(events):
        before, row = row, advance(row, entry)
        found.add(before, row, entry)
    return found


def at(version: int) -> datetime:
    return REPORTED_AT + timedelta(minutes=10 * (version - 1))


def changed_by(event: Event, *before: Event) -> dict[str, object]:
    old, new = after(*before)._asdict(), after(*before, event)._asdict()
    return {name: value for name, value in new.items() if old[name] != value}


def test_a_whole_case_leaves_its_times() -> None:
    row = after(*OPEN, handled(), CLOSED)
    assert {name: value for name, value in row._asdict().items() if value is not None} == {
        "case_id": CASE_ID,
        "origin": "live",
        "category": "0101",
        "channel": "web",
        "street": "hebin",
        "community": "qiaotou",
        "grid": "qiaotou-04",
        "day": date(2026, 3, 2),
        "reported_at": at(1),
        "filed_at": at(2),
        "department": "water",
        "assigned_at": at(3),
        "due_at": DUE,
        "accepted_at": at(4),
        "handled_at": at(5),
        "closed_at": at(6),
        "outcome": "resolved",
        "longitude": 116.4,
        "latitude": 39.9,
    }


def test_each_fact_changes_only_what_it_says() -> None:
    whole = (*OPEN, handled())
    found = {event.name(): set(changed_by(event, *whole)) for event in OF_CASES[1:]}
    quiet = {"joined", "blown", "summoned", "reported-in", "acknowledged", "unit-sent", "progress"}
    quiet |= {"declined", "recalled", "extension-requested", "extension-refused", "due-soon"}  # another's
    quiet |= {"rated", "card-issued", "scored", "reopened", "carried-forward"}
    assert {name for name, fields in found.items() if not fields} >= quiet - {"reopened"}
    assert {name: fields for name, fields in found.items() if name not in quiet} == {
        "filed": {"filed_at"},
        "rejected": {"rejected_at"},
        "merged": {"merged_at", "merged_into"},
        "adopted": set(),
        "assigned": {"department", "assigned_at", "sign_due_at", "accepted_at", "handled_at"},
        "accepted": {"accepted_at"},
        "extension-granted": {"due_at"},
        "paused": {"paused_at"},
        "resumed": {"due_at", "sign_due_at"},
        "escalated": {"level"},
        "handled": {"handled_at", "verify_due_at"},
        "verified": {"verified_at"},
        "handling-returned": {"handled_at"},
        "closed": {"closed_at", "outcome"},
    }


def test_the_confirmed_category_counts() -> None:
    assert after(reported(), CaseFiled(category="0102", reason="confirmed")).category == "0102"


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        (datetime(2011, 7, 1, 3, 59, 59, tzinfo=UTC), "America/New_York", date(2011, 6, 30)),
        (datetime(2011, 7, 1, 4, 0, tzinfo=UTC), "America/New_York", date(2011, 7, 1)),
        (datetime(2011, 12, 31, 16, 0, tzinfo=UTC), "Asia/Shanghai", date(2012, 1, 1)),
        (
            datetime(2011, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=8))),
            "Asia/Shanghai",
            date(2011, 12, 31),
        ),
    ],
)
def test_the_day_is_that_of_the_clocks_of_the_place(moment: datetime, zone: str, day: date) -> None:
    event = CaseReported(
        category="x", channel="web", description="", place=PLACE.model_copy(update={"time_zone": zone})
    )
    entry = entry_of(event)
    stored = entry._replace(envelope=entry.envelope.model_copy(update={"time": moment}))
    assert advance(None, stored).day == day


@pytest.mark.parametrize("event", OF_CASES[1:])
def test_what_stands_before_the_report_is_named(event: Event) -> None:
    with pytest.raises(CaseUnreadable, match="stands before the report"):
        advance(None, entry_of(event))


def test_only_live_cases_are_looked_at_for_hot_spots() -> None:
    assert after(*OPEN, origin=Origin.IMPORT).longitude is None
    assert after(*OPEN, origin=Origin.IMPORT).street == "hebin"


# --- who it is with, and by when


def test_an_assignment_holds_from_its_own_time() -> None:
    [row] = changes(OPEN).assignments
    assert row == (CASE_ID, 3, "water", at(3), DUE, None, True)


def test_an_assignment_moves_with_its_clock() -> None:
    later = DUE + timedelta(hours=2)
    resumed = ClockResumed(department="water", due_at=later + timedelta(minutes=10))
    moved = (
        ExtensionGranted(department="water", due_at=later),
        ClockPaused(department="water", reason="weather"),
        resumed,
    )
    rows = changes((*OPEN, *moved, handled(), CLOSED)).assignments
    assert [(row.version, row.due_at, row.paused_at, row.assigned) for row in rows] == [
        (3, DUE, None, True),
        (5, later, None, False),
        (6, later, at(6), False),
        (7, resumed.due_at, None, False),
    ]


@pytest.mark.parametrize(
    "event", [Declined(department="water", reason="", count=1), Recalled(department="water", reason="")]
)
def test_what_is_given_back_is_with_nobody_and_its_time_runs_on(event: Event) -> None:
    rows = changes((*OPEN, event, assigned("roads", DUE))).assignments
    assert [(row.department, row.due_at, row.assigned) for row in rows] == [
        ("water", DUE, True),
        (None, DUE, False),
        ("roads", DUE, True),
    ]


def test_a_reopened_case_has_no_time_until_it_is_assigned_again() -> None:
    rows = changes((*OPEN, handled(), CLOSED, REOPENED, assigned("water", DUE))).assignments
    assert [(row.version, row.department, row.due_at, row.assigned) for row in rows] == [
        (3, "water", DUE, True),
        (7, "water", None, False),
        (8, "water", DUE, True),
    ]


# --- what did not stand


def test_a_handling_that_is_sent_back_is_kept_with_its_end() -> None:
    found = changes((*OPEN, handled(), RETURNED, handled(), CLOSED))
    assert found.undone == [(CASE_ID, 6, "water", at(5), None, None, at(6))]
    row = after(*OPEN, handled(), RETURNED, handled(), CLOSED)
    assert (row.handled_at, row.closed_at) == (at(7), at(8))


def test_a_closing_that_is_reopened_is_kept_with_its_end() -> None:
    found = changes((*OPEN, handled(), CLOSED, REOPENED))
    assert found.undone == [(CASE_ID, 7, "water", at(5), at(6), "resolved", at(7))]
    row = after(*OPEN, handled(), CLOSED, REOPENED)
    assert (row.handled_at, row.closed_at, row.outcome, row.accepted_at) == (None, None, None, None)


def test_what_is_assigned_anew_is_not_handled_any_more() -> None:
    found = changes((*OPEN, handled(), assigned("roads")))
    assert found.undone == [(CASE_ID, 6, "water", at(5), None, None, at(6))]


def test_the_time_to_verify_stands_while_somebody_must_look() -> None:
    verify = Deadline(due_at=DUE)
    waiting = Handled(department="water", note="", verify=verify)
    assert after(*OPEN, waiting).verify_due_at == DUE
    assert after(*OPEN, waiting, RETURNED).verify_due_at is None
    assert after(*OPEN, waiting, CLOSED).verify_due_at is None


# --- marks


def test_the_facts_that_leave_marks_are_those_that_are_named() -> None:
    before = after(*OPEN)
    assert {type(event) for event in OF_CASES if marks_of(before, entry_of(event))} == MARKED


def test_marks_say_who_when_and_by_when() -> None:
    sign = Deadline(due_at=DUE)
    with_sign = Assigned(department="water", sign=sign)
    [signed] = changes((reported(), FILED, with_sign, accepted())).marks
    assert signed == (CASE_ID, 4, "signed", "water", at(4), DUE, None, None)


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ({"reached": True, "solved": True, "satisfied": True}, ["rated", "reached", "satisfied", "solved"]),
        ({"reached": True, "solved": False, "satisfied": False}, ["rated", "reached"]),
        ({"reached": False, "solved": False, "satisfied": False}, ["rated"]),
    ],
)
def test_a_rating_leaves_a_mark_for_each_good_thing_it_says(said: dict[str, bool], kinds: list[str]) -> None:
    rated = Rated.model_validate({"department": "water", "stars": 2, **said})
    marks = changes((*OPEN, handled(), CLOSED, rated)).marks
    assert sorted(mark.kind for mark in marks if mark.version == 7) == kinds
    assert {mark.number for mark in marks if mark.version == 7} == {2}


# --- patrols


def test_a_patrol_is_counted_from_its_order_to_its_end() -> None:
    row: PatrolRow | None = None
    kinds: tuple[type[Event], ...] = (PatrolOrdered, CheckedIn, PatrolFound, CheckedIn, PatrolEnded)
    for version, kind in enumerate(kinds, 1):
        row = advance_patrol(row, entry_of(EXAMPLES[kind], version))
    assert row is not None
    until = REPORTED_AT + timedelta(hours=8)
    order = (CASE_ID, "qiaotou-04", "grid-worker:qiaotou-04", "2026-03-02", until, 1)
    assert row == (*order, 2, 1, 1, at(5), "worker")


@pytest.mark.parametrize("kind", [CheckedIn, PatrolFound, PatrolEnded])
def test_what_stands_before_the_order_is_named(kind: type[Event]) -> None:
    with pytest.raises(CaseUnreadable, match="stands before the order"):
        advance_patrol(None, entry_of(EXAMPLES[kind]))


# --- laws


@given(history=ANY_HISTORY)
def test_law_after_a_report_any_order_of_facts_leaves_a_row(history: tuple[Event, ...]) -> None:
    row = after(reported(), *history)
    assert row.case_id == CASE_ID
    assert row.handled_at is None or row.handled_at <= at(len(history) + 1)


@given(history=ANY_HISTORY)
def test_law_whatever_was_handled_or_closed_stands_or_was_undone(history: tuple[Event, ...]) -> None:
    found = changes((reported(), *history))
    versions = [row.version for row in found.undone]
    assert versions == sorted(set(versions))
    for row in found.undone:
        begun = row.handled_at or row.closed_at
        assert begun is not None
        assert begun <= row.ended_at
