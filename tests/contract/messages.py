"""The messages of the bus, in AsyncAPI's words: facts, acts, questions and answers, each with an example."""

from datetime import timedelta
from typing import Any, Final

import orjson
from pydantic import BaseModel

from libs.events.contracts.base import contract_uri
from libs.events.contracts.dispatch import Assigned
from libs.events.envelope import Envelope, encode
from libs.events.ledger.notes import Checkpoint, Signer
from libs.events.testing.examples import CASE_ID, REPORTED_AT
from services.dispatch.asks import ASKS, REPLAY, UNAVAILABLE, UNIT
from services.dispatch.bodies import DEPARTMENT_VERBS
from services.dispatch.inbox.faults import REASONS as FAULTS
from services.dispatch.inbox.faults import Fault
from services.dispatch.reasons import REASONS
from services.intake.sensors import SensorBody
from services.ledger.board import SOURCE, document_of
from services.notify.channels.base import Due, Medium
from services.notify.delivery.records import Record, _document  # pyright: ignore[reportPrivateUsage]
from tests.contract.golden import examples
from tests.contract.published import ACT_EXAMPLES, ENVELOPE, SENSOR_EXAMPLE, SENSOR_REPORT, act_type
from tests.contract.wire import ACT, DONE, NOT_DONE, NOTICE, PAGE, SEALED, SENSOR_ANSWER

SCHEMAS: Final = "#/components/schemas/"
CLOUD_EVENT: Final = "application/cloudevents+json"
JSON: Final = "application/json"
ANSWER: Final = "answer"

_ACT_HEAD: Final = {
    "specversion": "1.0",
    "id": "water-2026-03-02-0017",
    "source": "/departments/water",
    "subject": CASE_ID,
    "time": "2026-03-02T09:05:00+08:00",
    "datacontenttype": "application/json",
}
_UNIT_EXAMPLE: Final = {
    "unit": "van-3",
    "kind": "repair-van",
    "longitude": 116.4,
    "latitude": 39.9,
    "status": "free",
}
_REPLAY_EXAMPLE: Final = {"since": "2026-03-01T00:00:00+08:00", "max": 50}
_ABOUT_NO_CASE: Final = {UNIT: _UNIT_EXAMPLE, REPLAY: _REPLAY_EXAMPLE}
_DONE_EXAMPLE: Final = {
    "ok": True,
    "case_id": CASE_ID,
    "event_ids": ["0197c6a0-5a3e-7c3e-9a35-3d0e6a4f9f11"],
}
_NOT_DONE_EXAMPLE: Final = {
    "ok": False,
    "error": {
        "code": "not_assigned_to_you",
        "field": "department",
        "reason": "The case is not assigned to your department.",
        "reason_zh": "该案件未派遣给贵部门。",
    },
}


_TOLD: Final = Due(
    notice_id="b0e42fe7-31a5-8894-a441-007e5256afea",
    lane="webhook/water-desk",
    channel=Medium.WEBHOOK,
    receiver="water-desk",
    case_id=CASE_ID,
    version=7,
    position=4_711,
    fact="handled",
    happened_at=REPORTED_AT,
)
_FAILED: Final = Record(
    attempt=1,
    tries=1,
    state="due",
    at=REPORTED_AT,
    again_at=REPORTED_AT + timedelta(seconds=5),
    status=503,
    reason="the receiver answered 503",
    message_id=_TOLD.notice_id,
)
_NOTICE_EXAMPLE: Final = _document(_TOLD, _FAILED, "0197c6a0-5a3e-7c3e-9a35-3d0e6a4f9f12")
_SEALED_EXAMPLE: Final = document_of(
    Signer("city.example", bytes(range(32))).sign(Checkpoint("city.example/CASES", 2_917, bytes(range(32)))),
    REPORTED_AT,
)[1]
_SAYS_ITSELF: Final = ("What is wrong stands in the reason.", "原因见 reason 字段。")


def refusals() -> list[dict[str, str]]:
    """The code of everything that is refused, with its words; those without say what is wrong where it happens."""
    codes = {str(refusal): (reason.english, reason.chinese) for refusal, reason in REASONS.items()}
    codes |= {str(fault): FAULTS.get(fault, _SAYS_ITSELF) for fault in Fault}
    code, english, chinese = UNAVAILABLE
    codes[code] = (english, chinese)
    return [{"code": code, "reason": en, "reason_zh": zh} for code, (en, zh) in sorted(codes.items())]


def ask_name(verb: str) -> str:
    """By which name the message of a question is known."""
    return f"ask.{verb}"


def messages() -> dict[str, Any]:
    """Every message there is, by its name; for CloudEvents that is their type."""
    facts = {kind.TYPE: _fact(envelope) for kind, envelope in examples().items()}
    acts = {act_type(verb): _act(verb) for verb in DEPARTMENT_VERBS}
    asks = {ask_name(verb): _ask(verb) for verb in ASKS}
    return {**facts, **acts, **asks, ANSWER: _answer(), NOTICE: _notice(), SEALED: _sealed(), **_sensors()}


def _fact(envelope: Envelope) -> dict[str, Any]:
    kind = type(envelope.data)
    told = {
        "type": {"const": kind.TYPE},
        "source": {"const": kind.SOURCE},
        "dataschema": {"const": contract_uri(kind.TYPE)},
        "data": {"$ref": SCHEMAS + kind.TYPE},
    }
    payload = _cloud_event(ENVELOPE, told)
    return _message(kind.__name__, kind, CLOUD_EVENT, payload, orjson.loads(encode(envelope)))


def _act(verb: str) -> dict[str, Any]:
    name = act_type(verb)
    payload = _cloud_event(ACT, {"type": {"const": name}, "data": {"$ref": SCHEMAS + name}})
    example = {**_ACT_HEAD, "type": name, "data": ACT_EXAMPLES[verb]}
    return _message(f"Act: {verb}", DEPARTMENT_VERBS[verb], CLOUD_EVENT, payload, example)


def _ask(verb: str) -> dict[str, Any]:
    example = _ABOUT_NO_CASE[verb] if verb in _ABOUT_NO_CASE else {"case_id": CASE_ID, **ACT_EXAMPLES[verb]}
    return _message(f"Ask: {verb}", ASKS[verb], JSON, {"$ref": SCHEMAS + ask_name(verb)}, example)


def _answer() -> dict[str, Any]:
    return {
        "title": "Answer",
        "summary": "Done, with the facts that it added; a page of what was told; or why not.",
        "contentType": JSON,
        "payload": {"anyOf": [{"$ref": f"{SCHEMAS}{name}"} for name in (DONE, PAGE, NOT_DONE)]},
        "examples": [
            {"name": "done", "payload": _DONE_EXAMPLE},
            {"name": "replayed", "payload": _replayed()},
            {"name": "notDone", "payload": _NOT_DONE_EXAMPLE},
        ],
    }


def _sensors() -> dict[str, Any]:
    payload = {"$ref": SCHEMAS + SENSOR_REPORT}
    taken = {
        "ok": True,
        "id": SENSOR_EXAMPLE["id"],
        "tracking_number": "KHXR-3SGY-YQPX-TAGT",
        "case_id": CASE_ID,
    }
    return {
        SENSOR_REPORT: _message("SensorReport", SensorBody, JSON, payload, SENSOR_EXAMPLE),
        SENSOR_ANSWER: {
            "title": "SensorAnswered",
            "summary": "What became of a sensor's report.",
            "contentType": JSON,
            "payload": {"$ref": SCHEMAS + SENSOR_ANSWER},
            "examples": [{"name": "taken", "payload": taken}],
        },
    }


def _notice() -> dict[str, Any]:
    told = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string"},
        "source": {"const": "/notify"},
        "type": {"const": NOTICE},
        "subject": {"type": "string", "description": "The case id."},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "data": {"$ref": SCHEMAS + NOTICE},
    }
    return {
        "title": "NoticeAttempted",
        "summary": "Somebody was told something, or it was tried.",
        "contentType": CLOUD_EVENT,
        "payload": {"type": "object", "required": [*told], "properties": told},
        "examples": [{"name": "NoticeAttempted", "payload": orjson.loads(_NOTICE_EXAMPLE)}],
    }


def _sealed() -> dict[str, Any]:
    told = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "description": "The same for the same checkpoint."},
        "source": {"const": SOURCE},
        "type": {"const": SEALED},
        "subject": {"type": "string", "description": "The origin."},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"const": contract_uri(SEALED)},
        "data": {"$ref": SCHEMAS + SEALED},
    }
    return {
        "title": "LogSealed",
        "summary": "A signed checkpoint of a stream of evidence.",
        "contentType": CLOUD_EVENT,
        "payload": {"type": "object", "required": [*told], "properties": told},
        "examples": [{"name": "LogSealed", "payload": orjson.loads(_SEALED_EXAMPLE)}],
    }


def _replayed() -> dict[str, Any]:
    told = orjson.loads(encode(examples()[Assigned]))
    return {"ok": True, "events": [{"position": 17, "event": told}], "after": 17, "more": False}


def _cloud_event(base: str, told: dict[str, Any]) -> dict[str, Any]:
    own = {"type": "object", "required": ["type", "data"], "properties": told}
    return {"allOf": [{"$ref": SCHEMAS + base}, own]}


def _message(
    title: str, model: type[BaseModel], content_type: str, payload: dict[str, Any], example: dict[str, Any]
) -> dict[str, Any]:
    return {
        "title": title,
        "summary": " ".join((model.__doc__ or "").split()),
        "contentType": content_type,
        "payload": payload,
        "examples": [{"name": title, "payload": example}],
    }
