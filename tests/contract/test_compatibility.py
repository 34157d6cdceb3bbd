"""A released contract changes in no way that breaks a reader or a sender; what would break one is known when seen."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract import release
from tests.contract.compatibility import breaks
from tests.contract.direction import Direction
from tests.contract.published import directions, schemas
from tests.contract.release import broken, released

PUBLISHED, SENT = Direction.PUBLISHED, Direction.SENT
SCHEMAS = schemas()
RELEASED = released()
DIRECTIONS = directions()

Change = Callable[[dict[str, Any]], object]

EXAMPLE: dict[str, Any] = {
    "$id": "urn:whistle:contract:whistle.case.example.v1",
    "title": "Example",
    "description": "An example.",
    "type": "object",
    "required": ["department", "count", "place", "step"],
    "properties": {
        "department": {"type": "string", "minLength": 1, "maxLength": 100},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "note": {"type": "string", "default": ""},
        "due_at": {"type": "string", "format": "date-time"},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
        "photos": {"type": "array", "items": {"type": "string", "maxLength": 500}, "maxItems": 10},
        "step": {"$ref": "#/$defs/Step"},
        "place": {"$ref": "#/$defs/Place", "description": "Where it is."},
        "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
        "either": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Choice"}]},
    },
    "$defs": {
        "Step": {"type": "string", "enum": ["sign", "handle"]},
        "Choice": {"type": "object", "required": ["of"], "properties": {"of": {"type": "string"}}},
        "Place": {
            "type": "object",
            "required": ["zone"],
            "properties": {
                "zone": {"type": "string"},
                "longitude": {"type": "number", "minimum": -180, "maximum": 180},
                "within": {"$ref": "#/$defs/Place"},
            },
        },
    },
}


def changed(change: Change) -> dict[str, Any]:
    schema = copy.deepcopy(EXAMPLE)
    change(schema)
    assert schema != EXAMPLE, "the change changes something"
    return schema


def put(path: str, value: Any) -> Change:
    def change(schema: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        for key in parents:
            schema = schema[key]
        schema[last] = value

    return change


def drop(path: str) -> Change:
    def change(schema: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        for key in parents:
            schema = schema[key]
        del schema[last]

    return change


def rename(schema: dict[str, Any]) -> None:
    schema["properties"]["memo"] = schema["properties"].pop("note")


def add_required(schema: dict[str, Any]) -> None:
    schema["properties"]["by"] = {"type": "string"}
    schema["required"].append("by")


BREAKS_BOTH: dict[str, Change] = {
    "optional field removed": drop("properties/note"),
    "field renamed": rename,
    "field made required": put("required", ["department", "count", "place", "step", "note"]),
    "new field that is required": add_required,
    "type changed": put("properties/count/type", "string"),
    "number narrowed to integer": put("$defs/Place/properties/longitude/type", "integer"),
    "one value became a list": put("properties/note", {"type": "array", "items": {"type": "string"}}),
    "items of a list changed": put("properties/photos/items/type", "integer"),
    "items of a list no longer described": drop("properties/photos/items"),
    "format added": put("properties/note/format", "uri"),
    "format changed": put("properties/due_at/format", "date"),
    "format removed": drop("properties/due_at/format"),
    "default changed": put("properties/note/default", "none"),
    "default removed": drop("properties/note/default"),
    "value of an enum removed": put("$defs/Step/enum", ["sign"]),
    "text became an enum": put("properties/department/enum", ["water"]),
    "constant instead of a text": put("properties/department/const", "water"),
    "minimum raised": put("properties/count/minimum", 2),
    "maximum lowered": put("properties/count/maximum", 8),
    "bound added": put("properties/note/maxLength", 10),
    "shorter texts": put("properties/department/maxLength", 50),
    "longer texts at least": put("properties/department/minLength", 2),
    "fewer items": put("properties/photos/maxItems", 9),
    "pattern changed": put("properties/code/pattern", "^[a-z0-9]+$"),
    "pattern added": put("properties/note/pattern", "^x"),
    "unknown fields forbidden": put("additionalProperties", False),
    "part changed: field removed": drop("$defs/Place/properties/longitude"),
    "part changed: field made required": put("$defs/Place/required", ["zone", "longitude"]),
    "part put in another's place": put("properties/place/$ref", "#/$defs/Step"),
    "a word that nobody here knows": put("properties/note/contentEncoding", "base64"),
    "alternative removed": put("properties/either/anyOf", [{"type": "string"}]),
    "part of an alternative changed": put("$defs/Choice/properties/of/type", "integer"),
    "unknown fields described": put("$defs/Place/additionalProperties", {"type": "string"}),
    "no longer an object": put("type", ["object", "null"]),
}
BREAKS_READERS: dict[str, Change] = {
    "required field made optional": put("required", ["department", "count", "place"]),
    "required field of a part made optional": put("$defs/Place/required", []),
    "value of an enum added": put("$defs/Step/enum", ["sign", "handle", "verify"]),
    "minimum lowered": put("properties/count/minimum", 0),
    "maximum raised": put("properties/count/maximum", 10),
    "longer texts": put("properties/department/maxLength", 200),
    "more items": put("properties/photos/maxItems", 20),
    "bound removed": drop("properties/photos/maxItems"),
    "pattern removed": drop("properties/code/pattern"),
}
SAFE: dict[str, Change] = {
    "new optional field": put("properties/by", {"type": "string"}),
    "new optional field of a part": put("$defs/Place/properties/latitude", {"type": "number"}),
    "title": put("title", "Other"),
    "description": put("properties/place/description", "Where it was."),
    "examples": put("examples", [{}]),
    "deprecated": put("deprecated", True),
    "part that nothing refers to": put("$defs/Other", {"type": "string"}),
    "order of what is required": put("required", ["step", "place", "count", "department"]),
    "part written in place": lambda schema: put("properties/step", schema["$defs"]["Step"])(schema),
}


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("change", BREAKS_BOTH.values(), ids=BREAKS_BOTH)
def test_what_breaks_readers_and_senders_is_caught(change: Change, direction: Direction) -> None:
    assert breaks(EXAMPLE, changed(change), direction)


@pytest.mark.parametrize("change", BREAKS_READERS.values(), ids=BREAKS_READERS)
def test_what_breaks_readers_alone_is_caught_where_we_write(change: Change) -> None:
    assert breaks(EXAMPLE, changed(change), PUBLISHED)
    assert breaks(EXAMPLE, changed(change), SENT) == ()


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("change", SAFE.values(), ids=SAFE)
def test_what_breaks_nobody_may_change(change: Change, direction: Direction) -> None:
    assert breaks(EXAMPLE, changed(change), direction) == ()


@pytest.mark.parametrize("change", SAFE.values(), ids=SAFE)
def test_back_again_is_a_change_like_any_other(change: Change) -> None:
    is_addition = "field" in next(name for name, each in SAFE.items() if each is change)
    assert bool(breaks(changed(change), EXAMPLE, PUBLISHED)) == is_addition


def test_a_break_is_named_with_its_place() -> None:
    assert breaks(EXAMPLE, changed(BREAKS_BOTH["part changed: field removed"]), PUBLISHED) == (
        "data.place.longitude: removed",
        "data.places[].longitude: removed",
    )
    assert breaks(EXAMPLE, changed(BREAKS_BOTH["type changed"]), SENT) == (
        "data.count: type was 'integer' and is 'string'",
    )


# What was really released.


def test_nothing_that_was_released_is_broken() -> None:
    advice = "see docs/contracts.md: a change that breaks somebody is a new version of the type"
    assert broken(RELEASED, SCHEMAS, DIRECTIONS) == [], advice


def test_every_event_and_act_of_the_first_release_is_guarded() -> None:
    assert {"whistle.case.reported.v1", "whistle.act.accept.v1", "whistle.envelope.v1"} <= RELEASED.keys()


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_a_real_contract_without_one_of_its_fields_is_caught(name: str) -> None:
    for field in RELEASED[name].get("properties", {}):
        now = copy.deepcopy(SCHEMAS[name])
        del now["properties"][field]
        assert broken(RELEASED, SCHEMAS | {name: now}, DIRECTIONS) == [f"{name}: data.{field}: removed"]


def test_a_contract_that_is_gone_is_caught() -> None:
    now = {name: schema for name, schema in SCHEMAS.items() if name != "whistle.case.rated.v1"}
    assert len(broken(RELEASED, now, DIRECTIONS)) == 1


def test_a_release_that_breaks_somebody_is_refused_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "RELEASED", tmp_path)
    monkeypatch.setattr(release, "released", lambda: released(tmp_path))
    assert release.main() == 0
    before = released(tmp_path)
    assert before == SCHEMAS
    now = copy.deepcopy(before)
    del now["whistle.case.rated.v1"]["properties"]["stars"]
    monkeypatch.setattr(release, "schemas", lambda: now)
    assert release.main() == 1
    assert capsys.readouterr().err == "whistle.case.rated.v1: data.stars: removed\n"
    assert released(tmp_path) == before
