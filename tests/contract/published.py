"""What others may rely on: every contract by its name, and its JSON Schema."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel

from cli.stack.state import repository
from libs.events.contracts import EVENTS
from libs.events.contracts.base import contract_uri
from libs.events.contracts.deprecation import DEPRECATIONS, Deprecation
from libs.events.contracts.schemas import DIALECT, schema_document
from libs.events.envelope import Envelope, encode
from services.dispatch.bodies import DEPARTMENT_VERBS
from services.intake.sensors import SensorBody
from tests.contract.direction import Direction
from tests.contract.golden import TOLD, examples
from tests.contract.wire import DIRECTIONS, WRITTEN

FOLDER: Final = repository() / "docs" / "contracts"
ENVELOPE: Final = "whistle.envelope.v1"
SENSOR_REPORT: Final = "whistle.sensor.report.v1"


@dataclass(frozen=True, slots=True)
class Contract:
    """A schema that others know by its name."""

    name: str
    """The CloudEvents type that it describes the `data` of, such as `whistle.case.assigned.v1`."""
    model: type[BaseModel]
    direction: Direction
    example: Mapping[str, Any] | None = None


def act_type(verb: str) -> str:
    """The CloudEvents type of a department's act."""
    return f"whistle.act.{verb}.v1"


_DURING: Final = "sha256:" + "1c" * 32
_AFTER: Final = "sha256:" + "5a" * 32
ACT_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "accept": {},
    "decline": {"reason": "The cover belongs to the telephone company"},
    "report-in": {"officer": "no-q-qiaotou", "note": "On the spot with two people"},
    "progress": {"note": "A new cover is ordered", "photos": [_DURING]},
    "extend": {"until": "2026-03-02T16:30:00+08:00", "reason": "The cover comes in the afternoon"},
    "handle": {"note": "Replaced", "photos": [_AFTER]},
}

SENSOR_EXAMPLE: Final[dict[str, Any]] = {
    "id": "2026-05-01.17",
    "category": "1401",
    "description": "water level 4.2 m",
    "place": {"longitude": 116.4, "latitude": 39.9},
}


def contracts() -> tuple[Contract, ...]:
    """Those that are models in the code: the envelope, every event, every act, a sensor's report."""
    stored = {event: orjson.loads(encode(envelope))["data"] for event, envelope in examples().items()}
    published = [
        Contract(event.TYPE, event, Direction.PUBLISHED, stored[event]) for event in (*EVENTS, *TOLD)
    ]
    sent = [
        Contract(act_type(verb), body, Direction.SENT, ACT_EXAMPLES[verb])
        for verb, body in DEPARTMENT_VERBS.items()
    ]
    sent.append(Contract(SENSOR_REPORT, SensorBody, Direction.SENT, SENSOR_EXAMPLE))
    return (Contract(ENVELOPE, Envelope, Direction.PUBLISHED), *published, *sent)


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each contract, by its name."""
    written = {
        name: {"$schema": DIALECT, "$id": contract_uri(name), **each} for name, each in WRITTEN.items()
    }
    made = {contract.name: _schema(contract) for contract in contracts()} | written
    return with_deprecations(made, DEPRECATIONS)


def with_deprecations(
    made: dict[str, dict[str, Any]], deprecations: Iterable[Deprecation]
) -> dict[str, dict[str, Any]]:
    """The schemas, of which those that go say so."""
    return made | {each.contract: {**made[each.contract], **each.words()} for each in deprecations}


def directions() -> dict[str, Direction]:
    """Who writes what each contract describes."""
    return {contract.name: contract.direction for contract in contracts()} | DIRECTIONS


def _schema(contract: Contract) -> dict[str, Any]:
    schema = schema_document(contract.name, contract.model)
    if contract.example is not None:
        schema["examples"] = [contract.example]
    return bare_envelope(schema) if contract.model is Envelope else schema


def bare_envelope(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of the envelope without `data`, which has contracts of its own."""
    schema = {**schema, "properties": {k: v for k, v in schema["properties"].items() if k != "data"}}
    schema["$defs"] = {name: part for name, part in schema.get("$defs", {}).items() if name != "Event"}
    always = ("specversion", "datacontenttype", *schema["required"])
    schema["required"] = [name for name in schema["properties"] if name in always]
    return {key: value for key, value in schema.items() if value != {}}


def text_of(document: Mapping[str, Any]) -> str:
    """A document as it is committed: for eyes and for diffs."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
