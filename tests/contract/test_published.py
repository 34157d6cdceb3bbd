"""What others may rely on: schemas that are schemas, examples that fit, references that lead somewhere, all current."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from libs.events.contracts import EVENTS
from libs.events.contracts.base import Event, contract_uri
from libs.events.contracts.schemas import notes_of
from libs.events.envelope import Envelope
from services.dispatch.bodies import DEPARTMENT_VERBS, AssignBody, DeclineBody
from services.dispatch.inbox.documents import Act, read_act
from services.intake.sensors import SensorBody
from services.notify.channels.payload import public
from tests.contract.asyncapi import document
from tests.contract.checking import check_schema, misfit, misfit_within
from tests.contract.golden import TOLD, examples, golden_path
from tests.contract.published import (
    ACT_EXAMPLES,
    ENVELOPE,
    FOLDER,
    SENSOR_EXAMPLE,
    act_type,
    contracts,
    schemas,
)
from tests.contract.render_contracts import files

RENDER = "run python -m tests.contract.render_events"
SCHEMAS = schemas()
DOCUMENT = document()


def wrong_with(name: str, data: object) -> str | None:
    return misfit(SCHEMAS[name], data)


def golden(event: type[Event]) -> dict[str, Any]:
    stored: dict[str, Any] = orjson.loads(golden_path(event).read_bytes())
    return stored


def test_what_is_committed_is_what_the_code_says() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir() if path.is_file()}
    assert committed.keys() == files().keys(), RENDER
    assert [name for name, text in files().items() if committed[name] != text] == [], RENDER


def test_every_event_and_every_act_has_a_contract() -> None:
    assert SCHEMAS.keys() >= {event.TYPE for event in EVENTS}
    assert SCHEMAS.keys() >= set(map(act_type, DEPARTMENT_VERBS))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one_and_bears_the_name_that_envelopes_tell(name: str) -> None:
    check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == contract_uri(name)


@pytest.mark.parametrize("contract", contracts(), ids=lambda each: each.name)
def test_every_example_fits(contract: Any) -> None:
    if contract.example is not None:
        assert wrong_with(contract.name, contract.example) is None


@pytest.mark.parametrize("verb", DEPARTMENT_VERBS)
def test_every_example_of_an_act_is_taken(verb: str) -> None:
    DEPARTMENT_VERBS[verb].model_validate_json(orjson.dumps(ACT_EXAMPLES[verb]))


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ({}, True),
        ({"id": "a" * 64}, True),
        ({"id": "a" * 65}, False),
        ({"id": "a b"}, False),
        ({"subject": "0" * 20}, True),
        ({"subject": "0" * 19}, False),
        ({"subject": "A" * 20}, False),
        ({"specversion": "1.1"}, False),
        ({"source": "water"}, False),
        ({"type": "whistle.act.decline.v2"}, False),
        ({"datacontenttype": "text/plain"}, False),
        ({"data": {"reason": ""}}, False),
        ({"colour": "red"}, True),
        ({"the_colour": "red"}, False),
    ],
)
def test_whoever_reads_acts_and_their_contract_agree(said: dict[str, Any], fits: bool) -> None:
    name = act_type("decline")
    [example] = DOCUMENT["components"]["messages"][name]["examples"]
    act = {**example["payload"], **said}
    assert (misfit_within(DOCUMENT, f"/components/messages/{name}/payload", act) is None) == fits
    received_at = datetime.fromisoformat(example["payload"]["time"])
    assert isinstance(read_act("water", orjson.dumps(act), received_at), Act) == fits


def test_the_example_of_a_sensor_is_taken() -> None:
    SensorBody.model_validate_json(orjson.dumps(SENSOR_EXAMPLE))


@pytest.mark.parametrize("event", EVENTS)
def test_what_was_released_still_fits(event: type[Event]) -> None:
    stored = golden(event)
    assert wrong_with(event.TYPE, stored["data"]) is None
    assert wrong_with(ENVELOPE, stored) is None


@pytest.mark.parametrize("event", EVENTS)
def test_a_schema_refuses_what_is_no_such_event(event: type[Event]) -> None:
    data = golden(event)["data"]
    required = [name for name, field in event.model_fields.items() if field.is_required()]
    for name in required:
        assert wrong_with(event.TYPE, {key: value for key, value in data.items() if key != name})
    for name in data:
        other = 7 if isinstance(data[name], dict) else {"other": "kind"}
        assert wrong_with(event.TYPE, {**data, name: other})
    assert wrong_with(event.TYPE, {**data, "added_by_a_later_whistle": 1}) is None


def test_no_field_of_an_event_is_ever_null() -> None:
    names = (ENVELOPE, *(event.TYPE for event in (*EVENTS, *TOLD)))
    assert "null" not in json.dumps([SCHEMAS[name] for name in names])


def test_what_is_sent_may_hold_nothing_unknown() -> None:
    decline = "whistle.act.decline.v1"
    assert wrong_with(decline, {"reason": "not ours"}) is None
    for wrong in ({}, {"reason": ""}, {"reason": "x" * 4_001}, {"reason": "not ours", "colour": "red"}):
        assert wrong_with(decline, wrong), wrong


def test_notes_come_from_the_class_and_its_bases() -> None:
    assert notes_of(Envelope)["actor"].startswith("Who did it")
    assert "by" not in notes_of(DeclineBody)
    assert list(AssignBody.model_fields) == ["by", "department", "reason"]


@pytest.mark.parametrize("event", EVENTS)
def test_what_outsiders_are_sent_fits_the_same_contracts(event: type[Event]) -> None:
    told = public(examples()[event])
    assert wrong_with(ENVELOPE, told) is None
    assert wrong_with(event.TYPE, told["data"]) is None


# The AsyncAPI document. That it is one says AsyncAPI's own parser, which is no part of these tests.


def references(part: Any) -> Iterator[str]:
    match part:
        case dict():
            for key, value in part.items():
                if key == "$ref" and isinstance(value, str):
                    yield value
                else:
                    yield from references(value)
        case list():
            for each in part:
                yield from references(each)
        case _:
            pass


def at(reference: str) -> Any:
    found: Any = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > len(EVENTS)
    for each in found:
        assert each.startswith("#/"), each
        at(each)


def test_every_part_is_used() -> None:
    found = set(references(DOCUMENT))
    for kind in ("messages", "schemas", "securitySchemes"):
        unused = [name for name in DOCUMENT["components"][kind] if f"#/components/{kind}/{name}" not in found]
        assert unused == [], kind
    operated = {operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()}
    answered = {
        each["reply"]["channel"]["$ref"] for each in DOCUMENT["operations"].values() if "reply" in each
    }
    assert operated | answered == {f"#/channels/{name}" for name in DOCUMENT["channels"]}


def test_every_parameter_of_an_address_is_explained() -> None:
    for channel in DOCUMENT["channels"].values():
        named = re.findall(r"\{(\w+)\}", channel["address"] or "")
        assert named == list(channel.get("parameters", {}))


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_every_example_of_a_message_fits_its_payload(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    pointer = f"/components/messages/{name}/payload"
    assert message["examples"]
    for example in message["examples"]:
        payload = example["payload"]
        assert misfit_within(DOCUMENT, pointer, payload) is None
        assert misfit_within(DOCUMENT, pointer, {**payload, "type": 7, "case_id": 7, "ok": 7, "unit": 7})


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_every_cloud_event_among_the_examples_is_one(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    if message["contentType"] == "application/json":
        assert "specversion" not in message["examples"][0]["payload"]
        return
    for example in message["examples"]:
        payload = example["payload"]
        read = JSONFormat().read(CloudEvent, orjson.dumps(payload))
        assert (read.get_id(), read.get_type(), read.get_data()) == (payload["id"], name, payload["data"])


# The page.


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.elements: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.elements.add(tag)
        if told.get("id"):
            self.ids.add(f"#{told['id']}")
        if told.get("href"):
            self.links.add(str(told["href"]))


def test_every_link_of_the_page_leads_somewhere_and_nothing_comes_from_elsewhere() -> None:
    page = _Links()
    page.feed(files()["index.html"])
    assert page.links <= page.ids | set(files())
    assert page.elements.isdisjoint({"script", "img", "link", "iframe"})
    assert {f"#{name}" for name in DOCUMENT["components"]["messages"]} <= page.ids
