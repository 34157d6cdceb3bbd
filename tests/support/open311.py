"""What the published schemas and the validators of Open311 GeoReport v2 ask of answers, in our own words."""

from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # it brings no types

TEXT: Final = {"type": "string"}
TEXT_OR_NULL: Final = {"type": ["string", "null"]}
NUMBER_OR_NULL: Final = {"type": ["number", "null"]}
MOMENT: Final = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$"}
TEXTS: Final = (
    *("status_notes", "service_name", "agency_responsible", "service_notice", "address", "address_id"),
    *("zipcode", "media_url"),
)
REQUEST: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["service_request_id", "status", "service_code", "requested_datetime"],
    "properties": {
        "service_request_id": TEXT,
        "status": {"enum": ["open", "closed"]},
        "service_code": TEXT,
        "description": {**TEXT_OR_NULL, "maxLength": 4000},
        "requested_datetime": MOMENT,
        "updated_datetime": MOMENT,
        "expected_datetime": {"anyOf": [MOMENT, {"type": "null"}]},
        "lat": NUMBER_OR_NULL,
        "long": NUMBER_OR_NULL,
        **dict.fromkeys(TEXTS, TEXT_OR_NULL),
    },
    "additionalProperties": False,
}
SERVICE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["service_code", "service_name", "metadata", "type"],
    "properties": {
        **dict.fromkeys(("service_code", "service_name", "description", "keywords", "group"), TEXT),
        "metadata": {"type": "boolean"},
        "type": {"enum": ["realtime", "batch", "blackbox"]},
    },
    "additionalProperties": False,
}
VALUE: Final = {"type": "object", "required": ["key", "name"], "properties": {"key": TEXT, "name": TEXT}}
DATATYPES: Final = ["string", "number", "datetime", "text", "singlevaluelist", "multivaluelist"]
DEFINITION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["service_code", "attributes"],
    "properties": {
        "service_code": TEXT,
        "attributes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["variable", "code", "datatype", "required"],
                "properties": {
                    "variable": {"type": "boolean"},
                    "code": TEXT,
                    "datatype": {"enum": DATATYPES},
                    "required": {"type": "boolean"},
                    "datatype_description": TEXT_OR_NULL,
                    "order": {"type": "integer", "minimum": 1},
                    "description": TEXT,
                    "values": {"type": "array", "items": VALUE},
                },
            },
        },
    },
}
ERRORS: Final[dict[str, Any]] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["code", "description"],
        "properties": {"code": {"type": "integer"}, "description": TEXT},
    },
}
ENDPOINT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["specification", "url", "changeset", "type", "formats"],
    "properties": {
        "specification": {"const": "http://wiki.open311.org/GeoReport_v2"},
        "url": {"type": "string", "pattern": "^https?://"},
        "changeset": MOMENT,
        "type": {"enum": ["production", "test"]},
        "formats": {"type": "array", "contains": {"const": "text/xml"}},
    },
}
DISCOVERY: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["changeset", "contact", "key_service", "endpoints"],
    "properties": {
        "changeset": MOMENT,
        "contact": {"type": "string", "minLength": 1},
        "key_service": {"type": "string", "minLength": 1},
        "endpoints": {"type": "array", "minItems": 1, "items": ENDPOINT},
    },
}


def list_of(item: dict[str, Any]) -> dict[str, Any]:
    """A bare array of such things."""
    return {"type": "array", "items": item}


def conforms(document: Any, schema: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError when the document is not what the schema asks for."""
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(document)
