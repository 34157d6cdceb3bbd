"""The envelope: what goes in comes out, strangers' bytes are refused, and added fields are no obstacle."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Accepted, Handled
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.envelope import Context, Origin, decode, encode, events_of, seal
from libs.events.testing.examples import EXAMPLES, PLACE, REPORTED_AT, entry_of, envelope_of

CONTEXT = Context(actor="test", time=REPORTED_AT)
TEXT = st.text(st.characters(codec="utf-8"))


def minimal(event: Event, **changed: object) -> bytes:
    envelope = seal(event, event_id="1", case_id="a", context=CONTEXT, recorded_at=REPORTED_AT)
    return orjson.dumps(orjson.loads(encode(envelope)) | changed)


@pytest.mark.parametrize("event", EXAMPLES.values())
@pytest.mark.parametrize("origin", Origin)
def test_every_event_comes_back_as_it_went_in(event: Event, origin: Origin) -> None:
    envelope = envelope_of(event, origin=origin)
    assert decode(encode(envelope)) == envelope
    assert type(decode(encode(envelope)).data) is type(event)


@given(
    description=TEXT, category=TEXT, reporter=st.none() | TEXT, moment=st.datetimes(timezones=st.just(UTC))
)
def test_law_whatever_is_written_comes_back(
    description: str, category: str, reporter: str | None, moment: datetime
) -> None:
    event = CaseReported(
        category=category, channel="web", description=description, place=PLACE, reporter=reporter
    )
    envelope = seal(
        event, event_id="1", case_id="a", context=CONTEXT._replace(time=moment), recorded_at=moment
    )
    assert decode(encode(envelope)) == envelope


def test_the_time_keeps_the_zone_of_the_place() -> None:
    stored = orjson.loads(encode(envelope_of(EXAMPLES[CaseFiled])))
    assert stored["time"] == "2026-03-02T08:30:00+08:00"
    assert stored["recordedtime"] == "2026-03-02T00:30:01Z"


def test_what_is_not_known_is_left_out() -> None:
    assert orjson.loads(minimal(Accepted(department="water"))) == {
        "specversion": "1.0",
        "id": "1",
        "source": "/dispatch",
        "type": "whistle.case.accepted.v1",
        "subject": "a",
        "time": "2026-03-02T08:30:00+08:00",
        "datacontenttype": "application/json",
        "dataschema": "urn:whistle:contract:whistle.case.accepted.v1",
        "recordedtime": "2026-03-02T08:30:00+08:00",
        "origin": "live",
        "actor": "test",
        "correlationid": "1",
        "data": {"department": "water"},
    }


def test_a_correlation_starts_with_the_first_event_and_is_carried_on() -> None:
    event = EXAMPLES[CaseFiled]
    first = seal(event, event_id="1", case_id="a", context=CONTEXT, recorded_at=REPORTED_AT)
    context = CONTEXT._replace(correlation_id=first.correlationid, causation_id=first.id)
    second = seal(event, event_id="2", case_id="a", context=context, recorded_at=REPORTED_AT)
    assert (second.correlationid, second.causationid) == ("1", "1")


def test_fields_that_a_later_publisher_adds_are_no_obstacle() -> None:
    added = {"data": {"department": "water", "note": "done", "photos": [], "later": {"deep": 1}}}
    later = minimal(Handled(department="water", note="done"), laterextension="x", **added)
    assert decode(later).data == Handled(department="water", note="done")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"{}",
        b"{",
        b"\xff",
        minimal(Accepted(department="water"), type="whistle.case.accepted.v2"),
        minimal(Accepted(department="water"), specversion="0.3"),
        minimal(Accepted(department="water"), origin="dream"),
        minimal(Accepted(department="water"), time="2026-03-02T08:30:00"),
        minimal(Accepted(department="water"), data={}),
        minimal(Accepted(department="water"), data={"department": 7}),
        minimal(Accepted(department="water"), data=None),
        minimal(Accepted(department="water"), datacontenttype="text/plain"),
    ],
)
def test_what_is_none_of_our_events_is_refused(payload: bytes) -> None:
    with pytest.raises(ValidationError):
        decode(payload)


def test_an_error_shows_nothing_of_what_was_written() -> None:
    with pytest.raises(ValidationError) as error:
        decode(minimal(Accepted(department="water"), data={"department": ["Wang Wei, Groveland St"]}))
    assert "Wang Wei" not in str(error.value)


def test_a_fact_needs_a_time_with_a_zone() -> None:
    naive = CONTEXT._replace(time=datetime(2026, 3, 2, 8, 30))  # noqa: DTZ001  # that is the point
    with pytest.raises(ValidationError):
        seal(EXAMPLES[CaseFiled], event_id="1", case_id="a", context=naive, recorded_at=REPORTED_AT)


@pytest.mark.parametrize("event", EXAMPLES.values())
def test_facts_cannot_be_changed(event: Event) -> None:
    with pytest.raises(ValidationError):
        setattr(event, next(iter(type(event).model_fields)), "changed")
    with pytest.raises(ValidationError):
        setattr(envelope_of(event), "id", "changed")  # noqa: B010  # a plain assignment is a type error


def test_the_bare_facts_keep_their_order() -> None:
    entries = [entry_of(event, version) for version, event in enumerate(EXAMPLES.values(), 1)]
    assert events_of(entries) == tuple(EXAMPLES.values())
