"""A row becomes the facts that it proves, through the deciders; what the log has already is not said again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.importing.facts import Contradiction, is_reworded, missing_facts
from cli.importing.rows import Row
from libs.events.contracts.base import Place
from libs.events.contracts.dispatch import Assigned
from libs.events.contracts.evaluation import CaseClosed, Outcome
from libs.events.contracts.intake import CaseReported
from libs.events.envelope import Entry, Origin, seal
from libs.events.ids import case_id_of_import, derived_event_id
from libs.events.log import Fact, History

REPORTED = datetime(2011, 7, 1, 1, 32, 33, tzinfo=UTC)
CASE = case_id_of_import("city", "7")
OPEN = Row(
    line=2,
    key="7",
    case_id=CASE,
    reported_at=REPORTED,
    due_at=REPORTED + timedelta(days=2),
    closed_at=None,
    category="lamp",
    channel="app",
    department="ROAD",
    description="dark",
    closing_note="",
    place=Place(time_zone="UTC"),
)
CLOSED = OPEN._replace(closed_at=REPORTED + timedelta(days=1), closing_note="lit")
NOBODYS = CLOSED._replace(department=None, due_at=None)


def facts(row: Row, history: History) -> tuple[Fact, ...]:
    found = missing_facts(row, history, "city")
    assert not isinstance(found, Contradiction), found
    return found


def refused(row: Row, history: History) -> Contradiction:
    found = missing_facts(row, history, "city")
    assert isinstance(found, Contradiction), found
    return found


def after(history: History, facts: tuple[Fact, ...]) -> History:
    entries = tuple(
        Entry(
            version,
            history.case_id,
            fact.event.name(),
            version,
            seal(
                fact.event, event_id=fact.event_id, case_id=CASE, context=fact.context, recorded_at=REPORTED
            ),
        )
        for version, fact in enumerate(facts, history.version + 1)
    )
    return History(history.case_id, (*history.entries, *entries))


def imported(row: Row) -> History:
    return after(History(CASE), facts(row, History(CASE)))


def names(facts: tuple[Fact, ...]) -> list[str]:
    return [fact.event.name() for fact in facts]


def test_a_closed_row_proves_five_facts() -> None:
    found = facts(CLOSED, History(CASE))
    assert names(found) == ["reported", "filed", "assigned", "handled", "closed"]
    closed_at = REPORTED + timedelta(days=1)
    assert [fact.context.time for fact in found] == [REPORTED] * 3 + [closed_at] * 2
    assert {fact.context.origin for fact in found} == {Origin.IMPORT}
    assert {fact.context.actor for fact in found} == {"import:city"}
    assert len({fact.context.correlation_id for fact in found}) == 1
    assert [fact.event_id for fact in found] == [
        derived_event_id("import", "city", "7", str(version)) for version in range(1, 6)
    ]
    reported, closed = found[0].event, found[-1].event
    assert isinstance(reported, CaseReported)
    assert reported.reporter is None
    assert reported.external is not None
    assert (reported.external.system, reported.external.key) == ("city", "7")
    assert closed == CaseClosed(department="ROAD", outcome=Outcome.UNKNOWN, note="lit")


def test_an_open_row_proves_three_facts() -> None:
    found = facts(OPEN, History(CASE))
    assert names(found) == ["reported", "filed", "assigned"]
    assert found[2].event == Assigned(department="ROAD", due_at=REPORTED + timedelta(days=2))


def test_a_row_without_a_department_was_assigned_to_nobody() -> None:
    row = NOBODYS
    assert names(facts(row, History(CASE))) == ["reported", "filed", "closed"]


def test_a_row_that_was_closed_since_adds_only_that() -> None:
    history = imported(OPEN)
    found = facts(CLOSED, history)
    assert names(found) == ["handled", "closed"]
    assert found[0].event_id == derived_event_id("import", "city", "7", "4")


def test_an_older_file_takes_nothing_back() -> None:
    assert facts(OPEN, imported(CLOSED)) == ()
    assert facts(NOBODYS, imported(CLOSED)) == ()


@pytest.mark.parametrize(
    ("name", "contradicting"),
    [
        ("reported_at", CLOSED._replace(reported_at=REPORTED + timedelta(seconds=1))),
        ("category", CLOSED._replace(category="litter")),
        ("department", CLOSED._replace(department="WASTE")),
        ("due_at", CLOSED._replace(due_at=REPORTED)),
        ("closed_at", CLOSED._replace(closed_at=REPORTED + timedelta(days=3))),
    ],
)
def test_a_row_that_says_otherwise_is_refused(name: str, contradicting: Row) -> None:
    found = refused(contradicting, imported(CLOSED))
    assert found.name == name
    assert CASE in found.reason


def test_a_due_time_that_came_later_is_refused_not_dropped() -> None:
    found = refused(OPEN, imported(OPEN._replace(due_at=None)))
    assert (found.name, found.reason) == ("due_at", f"case {CASE} in the log has nothing for due_at")


def test_closed_before_it_was_reported_is_refused() -> None:
    found = refused(OPEN._replace(closed_at=REPORTED - timedelta(seconds=1)), History(CASE))
    assert (found.name, found.reason) == ("closed_at", "was closed before it was reported")


def test_other_texts_leave_the_first_ones_standing_and_are_counted() -> None:
    history = imported(CLOSED)
    reworded = CLOSED._replace(description="very dark")
    assert facts(reworded, history) == ()
    assert is_reworded(reworded, history)
    assert is_reworded(CLOSED._replace(closing_note="still dark"), history)
    assert not is_reworded(CLOSED, history)


MOMENTS = st.datetimes(min_value=datetime(1990, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone


def row(closed_at: datetime | None, department: str | None, due_at: datetime | None) -> Row:
    closed_at = max(closed_at, REPORTED) if closed_at else None
    return OPEN._replace(closed_at=closed_at, department=department, due_at=due_at if department else None)


ROWS = st.builds(row, st.none() | MOMENTS, st.none() | st.sampled_from(["ROAD", "No Q"]), st.none() | MOMENTS)


@given(ROWS)
def test_the_same_row_again_adds_nothing(row: Row) -> None:
    history = after(History(CASE), facts(row, History(CASE)))
    assert facts(row, history) == ()
    assert not is_reworded(row, history)
