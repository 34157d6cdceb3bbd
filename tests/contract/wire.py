"""What is said on the bus and has no model in the code: acts' envelopes, answers, records of notices."""

from typing import Any, Final

from tests.contract.direction import Direction

ACT: Final = "whistle.act.v1"
DONE: Final = "whistle.answer.done.v1"
PAGE: Final = "whistle.answer.page.v1"
NOT_DONE: Final = "whistle.answer.not-done.v1"
NOTICE: Final = "whistle.notice.attempted.v1"
SEALED: Final = "whistle.ledger.sealed.v1"
SENSOR_ANSWER: Final = "whistle.sensor.answer.v1"
DIRECTIONS: Final = {
    ACT: Direction.SENT,
    DONE: Direction.PUBLISHED,
    PAGE: Direction.PUBLISHED,
    NOT_DONE: Direction.PUBLISHED,
    NOTICE: Direction.PUBLISHED,
    SEALED: Direction.PUBLISHED,
    SENSOR_ANSWER: Direction.PUBLISHED,
}

_ID: Final = "[A-Za-z0-9._-]{1,64}"
_WRONG: Final[dict[str, Any]] = {
    "code": {"type": "string", "description": "What a program decides by; it never changes."},
    "field": {"type": ["string", "null"], "description": "Where it lies in what was asked."},
    "reason": {"type": "string"},
    "reason_zh": {"type": "string"},
}
WRITTEN: Final[dict[str, dict[str, Any]]] = {
    ACT: {
        "title": "Act",
        "description": "The CloudEvent around every act of a department.",
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
        "propertyNames": {"pattern": "^[a-z0-9]{1,20}$"},
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {
                "type": "string",
                "pattern": f"^{_ID}$",
                "description": "Yours, and different for each act: a repeated one adds nothing.",
            },
            "source": {
                "type": "string",
                "pattern": "^/departments/.+$",
                "description": "`/departments/` and the department's code.",
            },
            "type": {"type": "string", "pattern": "^whistle\\.act\\.[a-z-]+\\.v1$"},
            "subject": {
                "type": "string",
                "pattern": "^[0-9a-z]{20}$",
                "description": "The case id.",
            },
            "time": {
                "type": "string",
                "format": "date-time",
                "description": "When it was done; with a zone.",
            },
            "datacontenttype": {"const": "application/json"},
            "data": {"type": "object"},
        },
    },
    DONE: {
        "title": "Done",
        "description": "The answer to what was done.",
        "type": "object",
        "required": ["ok"],
        "properties": {
            "ok": {"const": True},
            "case_id": {"type": "string"},
            "event_ids": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The facts that it added; none when it had been done before.",
            },
        },
    },
    PAGE: {
        "title": "Page",
        "description": "A page of what the department was told, in that order. While `more` is true, ask again with "
        "this `after`.",
        "type": "object",
        "required": ["ok", "events", "after", "more"],
        "properties": {
            "ok": {"const": True},
            "events": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["position", "event"],
                    "properties": {
                        "position": {"type": "integer", "description": "Its place in the stream, growing."},
                        "event": {"type": "object", "description": "The CloudEvent as it was told."},
                    },
                },
            },
            "after": {"type": "integer", "minimum": 0},
            "more": {"type": "boolean"},
        },
    },
    NOT_DONE: {
        "title": "NotDone",
        "description": "The answer to what was not done.",
        "type": "object",
        "required": ["ok", "error"],
        "properties": {
            "ok": {"const": False},
            "error": {
                "type": "object",
                "required": ["code", "reason", "reason_zh"],
                "properties": _WRONG,
            },
        },
    },
    NOTICE: {
        "title": "NoticeAttempted",
        "description": "Somebody was told something, or it was tried.",
        "type": "object",
        "required": ["notice_id", "channel", "receiver", "fact", "attempt", "tries", "state", "reason"],
        "properties": {
            "notice_id": {"type": "string", "description": "The same for every attempt of one notice."},
            "channel": {"type": "string"},
            "receiver": {"type": "string"},
            "fact": {
                "type": "string",
                "description": "The name of the event that it tells of, such as `filed`.",
            },
            "attempt": {"type": "integer", "minimum": 1},
            "tries": {
                "type": "integer",
                "minimum": 0,
                "description": "The same, counted anew when the notice is asked for again.",
            },
            "state": {"type": "string", "enum": ["sent", "due", "dead", "dropped"]},
            "again_at": {"type": ["string", "null"], "format": "date-time"},
            "status": {"type": ["integer", "null"], "description": "What the receiver's server answered."},
            "reason": {"type": "string"},
            "replay": {"type": "integer"},
            "message_id": {"type": "string", "description": "Under which id the receiver has it."},
        },
    },
    SEALED: {
        "title": "LogSealed",
        "description": "A signed checkpoint: what a stream of evidence was, up to one of its events.",
        "type": "object",
        "required": ["origin", "size", "root", "note"],
        "properties": {
            "origin": {"type": "string", "description": "The deployment's name, `/`, and the stream."},
            "size": {
                "type": "integer",
                "minimum": 1,
                "description": "The events under it, from the first on.",
            },
            "root": {"type": "string", "description": "The root of their Merkle tree (RFC 9162), base64."},
            "note": {
                "type": "string",
                "description": "The same, signed: a note of C2SP (tlog-checkpoint). Only this proves anything.",
            },
        },
    },
    SENSOR_ANSWER: {
        "title": "SensorAnswered",
        "description": "What became of a sensor's report.",
        "type": "object",
        "required": ["ok"],
        "properties": {
            "id": {"type": "string", "description": "The report's own id, where it could be read."},
            "ok": {"type": "boolean"},
            "tracking_number": {"type": "string", "description": "Where it was taken: the case's number."},
            "case_id": {"type": "string"},
            "error": {
                "type": "object",
                "description": "Where it was not taken.",
                "required": ["code"],
                "properties": _WRONG,
            },
        },
    },
}
