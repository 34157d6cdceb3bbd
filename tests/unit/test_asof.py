"""How a past is named, on the command line and over HTTP, and where it cuts the log."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from cli.asof import as_query, asked_of, in_zone, parse_as_of, shown_as_of, until
from cli.output import UsageError
from libs.events.asof import AsOf, Cut, cut_at, origin_of, recorded_at, time_of
from libs.events.contracts.intake import CaseReported
from libs.events.envelope import Context, Entry, Origin, encode, seal
from libs.events.errors import NotYet
from libs.events.jetstream.reader import RawEvent
from libs.events.log import History
from libs.events.testing.examples import CASE_ID, EXAMPLES

CITY = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OVER_HTTP: TypeAdapter[datetime | int] = TypeAdapter(AsOf)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("48213", 48213),
        ("20110701", 20110701),
        ("2026-03-02", date(2026, 3, 2)),
        ("2026-03-02T20:00", datetime(2026, 3, 2, 20)),  # noqa: DTZ001 - that is what is written
        ("2026-03-02T12:00:00Z", NOON),
    ],
)
def test_digits_alone_are_a_position_and_all_else_is_a_time(text: str, asked: object) -> None:
    assert parse_as_of(text) == asked


@pytest.mark.parametrize("text", ["0", "000", "-5", "1e3", "٣", "soon", "2026-13-01", "12:00"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_as_of(text)
    with pytest.raises(typer.BadParameter):
        asked_of(text, "--from")


def test_what_names_no_zone_is_meant_by_the_clocks_of_the_place() -> None:
    assert in_zone(datetime(2026, 3, 2, 20), CITY) == NOON  # noqa: DTZ001 - so it was written
    assert in_zone(date(2026, 3, 2), CITY) == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert in_zone(7, CITY) == 7
    assert as_query(7) == {"as_of": "7"}
    assert OVER_HTTP.validate_python(as_query(NOON)["as_of"]) == NOON
    assert "2026-03-02 20:00:00+08:00" in shown_as_of(NOON, CITY)
    assert "position 1,200" in shown_as_of(1_200)


@given(st.integers(1, 10**17))
def test_positions_come_over_http_as_they_are(position: int) -> None:
    assert OVER_HTTP.validate_python(str(position)) == position


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(1970, 1, 2), max_value=datetime(9000, 1, 1)))  # noqa: DTZ001 - hypothesis adds the zone
def test_times_come_over_http_with_their_zone(moment: datetime) -> None:
    read = OVER_HTTP.validate_python(moment.isoformat())
    assert isinstance(read, datetime)
    assert read.timestamp() == moment.timestamp()  # a time that a clock skips equals none of another zone


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5", "2026-03-02", "2026-03-02T08:30:00", "9" * 30, "now", "1e9", None]
)
def test_over_http_a_time_needs_its_zone_and_the_field_is_told_what_is_expected(text: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        OVER_HTTP.validate_python(text)
    [error] = refused.value.errors()
    assert "2026-03-02T08:30:00+08:00" in error["msg"]
    assert "1200" in error.get("ctx", {})["reason_zh"]


def test_what_lies_ahead_is_no_past() -> None:
    assert cut_at(5, 5, NOON) == Cut(5)
    assert cut_at(NOON, 5, NOON) == Cut(5, NOON)
    assert cut_at(NOON + timedelta(seconds=60), 5, NOON).moment == NOON + timedelta(seconds=60)
    for ahead in (6, NOON + timedelta(seconds=61)):
        with pytest.raises(NotYet) as refused:
            cut_at(ahead, 5, NOON)
        assert refused.value.reason_zh


def _raw(sequence: int, moment: datetime, description: str, origin: Origin = Origin.LIVE) -> RawEvent:
    event = EXAMPLES[CaseReported].model_copy(update={"description": description})
    envelope = seal(
        event,
        event_id=description[:40] or "x",
        case_id=CASE_ID,
        context=Context(actor="resident", time=moment, origin=origin),
        recorded_at=moment + timedelta(seconds=3),
    )
    return RawEvent(sequence, b"", encode(envelope))


@given(st.text(), st.datetimes(timezones=st.just(UTC)), st.sampled_from(Origin))
def test_the_envelope_is_read_whatever_stands_in_the_data(
    description: str, moment: datetime, origin: Origin
) -> None:
    """Nobody can write a description that moves an event to another time."""
    forged = description + '","time":"1999-01-01T00:00:00Z","origin":"replay","recordedtime":"1999'
    raw = _raw(1, min(moment, datetime(9000, 1, 1, tzinfo=UTC)), forged, origin)
    assert time_of(raw) == min(moment, datetime(9000, 1, 1, tzinfo=UTC))
    assert recorded_at(raw) == time_of(raw) + timedelta(seconds=3)
    assert origin_of(raw) == origin.value


def test_an_event_at_the_very_moment_belongs_to_the_past() -> None:
    raw = _raw(4, NOON, "x")
    assert Cut(9, NOON).holds(raw)
    assert not Cut(9, NOON - timedelta(microseconds=1)).holds(raw)
    assert Cut(4).holds(raw)
    assert not Cut(3, NOON).holds(raw)


def test_a_case_is_cut_like_the_log() -> None:
    entries = tuple(
        Entry(sequence, CASE_ID, "reported", number, _envelope(NOON + timedelta(hours=number)))
        for number, sequence in enumerate((3, 7, 8), 1)
    )
    history, later = History(CASE_ID, entries), NOON + timedelta(days=9)
    assert until(history, 7, 9, later, "--as-of").version == 2
    assert until(history, NOON + timedelta(hours=1), 9, later, "--as-of").version == 1
    assert until(history, NOON, 9, later, "--as-of").version == 0
    for ahead in (10, later + timedelta(days=1)):
        with pytest.raises(typer.BadParameter, match="·"):
            until(history, ahead, 9, later, "--as-of")


def _envelope(moment: datetime) -> Any:
    return seal(
        EXAMPLES[CaseReported],
        event_id="e",
        case_id=CASE_ID,
        context=Context(actor="resident", time=moment),
        recorded_at=moment,
    )
