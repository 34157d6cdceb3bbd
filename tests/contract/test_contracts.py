"""What was released stays readable: golden files, the CloudEvents rules, and a page that is current."""

import re
from datetime import datetime
from pathlib import Path

import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from libs.events.contracts import EVENTS
from libs.events.contracts.base import Event
from libs.events.contracts.intake import CaseReported
from libs.events.contracts.patrol import PatrolOrdered
from libs.events.contracts.upcasting import UPCASTERS
from libs.events.envelope import Envelope, Origin, decode, encode
from libs.events.testing.examples import EXAMPLES, entry_of, envelope_of
from services.dispatch import decider as dispatch
from services.evaluation import decider as evaluation
from services.evaluation.views import CaseRow, advance
from services.intake import decider as intake
from tests.contract.golden import GOLDEN, TOLD, examples, golden_path
from tests.contract.render_events import PAGE, page

GOLDEN_FILES = sorted(GOLDEN.glob("*.json"))
RENDER = "run python -m tests.contract.render_events"


def golden(event: type[Event]) -> bytes:
    return golden_path(event).read_bytes()


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_a_golden_file(event: type[Event]) -> None:
    assert golden_path(event).exists(), RENDER


@pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda path: path.stem)
def test_every_golden_file_is_of_an_event_that_is_still_known(path: Path) -> None:
    assert path.stem in {event.TYPE for event in (*EVENTS, *TOLD)}, "a released event can never be removed"


@pytest.mark.parametrize("event", EVENTS)
def test_what_was_released_is_still_decoded_to_the_last_field(event: type[Event]) -> None:
    envelope = decode(golden(event))
    assert type(envelope.data) is UPCASTERS.newest(event)
    if type(envelope.data) is not event:
        return  # its meaning in the newest version is for the upcaster's own test to say
    again = orjson.loads(encode(envelope))
    stored = orjson.loads(golden(event))
    assert again == {**again, **stored}, "fields may be added, never removed, renamed or read differently"
    assert again["data"] == {**again["data"], **stored["data"]}


@pytest.mark.parametrize("event", TOLD)
def test_what_was_told_is_still_read_to_the_last_field(event: type[Event]) -> None:
    example = examples()[event]
    read = type(example).model_validate_json(golden(event))
    assert read == example
    assert orjson.loads(encode(read)) == orjson.loads(golden(event))


def test_a_released_history_still_folds() -> None:
    events = [decode(golden(event)).data for event in EVENTS]
    assert isinstance(intake.fold(events), intake.Filed)
    assert isinstance(dispatch.fold(events), dispatch.Over), "joined to another case, where the work is done"
    assert isinstance(evaluation.fold(events), evaluation.Open), "among its last facts is a reopening"
    row: CaseRow | None = None
    for version, event in enumerate(events, 1):
        row = advance(row, entry_of(event, version))
    assert row is not None
    assert (row.closed_at, row.merged_into) == (None, "jhgfedcba09876543210")


@pytest.mark.parametrize("event", EVENTS)
def test_types_are_literals_that_name_publisher_and_version(event: type[Event]) -> None:
    assert re.fullmatch(r"whistle\.(case|patrol)\.[a-z-]+\.v[1-9]\d*", event.TYPE)
    publisher = event.__module__.rpartition(".")[2].replace("patrol", "dispatch")
    assert f"/{publisher}" == event.SOURCE


def test_names_in_subjects_are_unique() -> None:
    assert len({event.name() for event in EVENTS}) == len(EVENTS)
    assert CaseReported.name() == "reported"
    assert PatrolOrdered.name() == "patrol-ordered"


def test_types_are_unique() -> None:
    assert len({event.TYPE for event in EVENTS}) == len(EVENTS)


def test_every_event_there_is_stands_in_the_registry() -> None:
    publishers = ("dispatch", "evaluation", "intake", "ledger", "patrol")
    modules = {f"libs.events.contracts.{name}" for name in publishers}
    assert {each for each in Event.__subclasses__() if each.__module__ in modules} == set(EVENTS)


def test_every_field_of_every_event_has_an_example() -> None:
    for event in EXAMPLES.values():
        empty = [name for name, value in event if value in (None, ())]
        assert not empty, f"{type(event).__name__} has no example of {empty}"


def _cloud_event(payload: bytes) -> CloudEvent:
    event = JSONFormat().read(CloudEvent, payload)
    assert isinstance(event, CloudEvent)
    return event


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("origin", Origin)
def test_the_cloudevents_package_reads_every_envelope(event: type[Event], origin: Origin) -> None:
    envelope: Envelope = envelope_of(EXAMPLES[event], 3, origin=origin)
    read = _cloud_event(encode(envelope))
    assert (read.get_specversion(), read.get_id(), read.get_type()) == ("1.0", envelope.id, event.TYPE)
    assert (read.get_source(), read.get_subject()) == (event.SOURCE, envelope.subject)
    assert read.get_time() == envelope.time
    assert read.get_dataschema() == f"urn:whistle:contract:{event.TYPE}"
    assert read.get_extension("origin") == origin.value
    assert read.get_extension("correlationid") == envelope.correlationid
    assert read.get_data() == orjson.loads(encode(envelope))["data"]


@pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda path: path.stem)
def test_the_cloudevents_package_reads_whatever_was_released(path: Path) -> None:
    stored = orjson.loads(path.read_bytes())
    read = _cloud_event(path.read_bytes())
    told = {**read.get_attributes(), "data": read.get_data(), "time": stored["time"]}
    assert read.get_time() == datetime.fromisoformat(stored["time"])
    assert told == stored, "attributes and extensions, to the last one"


@pytest.mark.parametrize("event", EVENTS)
def test_what_the_cloudevents_package_writes_is_read_here(event: type[Event]) -> None:
    envelope = envelope_of(EXAMPLES[event], 3)
    assert decode(JSONFormat().write(_cloud_event(encode(envelope)))) == envelope


def test_extension_names_are_those_that_cloudevents_allows() -> None:
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in Envelope.model_fields)


def test_the_page_about_events_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), RENDER
