"""What the OpenAPI page says of these resources: their fields are Open311's, so they are named here once."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from services.intake.open311.forms import FORM
from services.intake.open311.rendering import MEDIA_TYPES, Format

_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_NUMBER_OR_NULL: Final = {"type": ["number", "null"]}
_FLAG: Final = {"type": "boolean"}


def _object(fields: Mapping[str, Any], *needed: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict(fields), "required": list(needed)}


def _list_of(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(item)}


_MOMENT: Final = {"type": "string", "format": "date-time"}
_REQUEST: Final = _object(
    {
        "service_request_id": _TEXT,
        "status": {"type": "string", "enum": ["open", "closed"]},
        **dict.fromkeys(("status_notes", "service_name", "description", "agency_responsible"), _TEXT_OR_NULL),
        "service_code": _TEXT,
        "requested_datetime": _MOMENT,
        "updated_datetime": _MOMENT,
        **dict.fromkeys(("service_notice", "address", "address_id", "zipcode", "media_url"), _TEXT_OR_NULL),
        "expected_datetime": {"type": ["string", "null"], "format": "date-time"},
        "lat": _NUMBER_OR_NULL,
        "long": _NUMBER_OR_NULL,
        "attributes": _list_of({"type": "object"}),
        "extended_attributes": {"type": "object"},
        "notes": _list_of(_object({"datetime": _MOMENT, "description": _TEXT, "type": _TEXT})),
    },
    "service_request_id",
    "status",
    "service_code",
    "requested_datetime",
    "updated_datetime",
)
_SERVICE: Final = _object(
    {
        **dict.fromkeys(("service_code", "service_name", "description", "keywords", "group"), _TEXT),
        "metadata": _FLAG,
        "type": {"type": "string", "enum": ["realtime"]},
    },
    "service_code",
    "service_name",
    "metadata",
    "type",
)
_ATTRIBUTE: Final = _object(
    {
        "variable": _FLAG,
        "code": _TEXT,
        "datatype": _TEXT,
        "required": _FLAG,
        "datatype_description": _TEXT_OR_NULL,
        "order": {"type": "integer"},
        "description": _TEXT,
        "values": _list_of(_object({"key": _TEXT, "name": _TEXT}, "key", "name")),
    },
    "variable",
    "code",
    "datatype",
    "required",
)
_ID: Final = {"service_request_id": _TEXT}
_SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "discovery": _object(
        {
            **dict.fromkeys(("changeset", "contact", "key_service"), _TEXT),
            "endpoints": _list_of({"type": "object"}),
        },
        "changeset",
        "contact",
        "key_service",
        "endpoints",
    ),
    "services": _list_of(_SERVICE),
    "service_definition": _object(
        {"service_code": _TEXT, "attributes": _list_of(_ATTRIBUTE)}, "service_code", "attributes"
    ),
    "requests": _list_of(_REQUEST),
    "request": _list_of(_REQUEST),
    "token": _list_of(_object({**_ID, "token": _TEXT}, "service_request_id", "token")),
    "post_request": _list_of(_object({**_ID, "service_notice": _TEXT_OR_NULL}, "service_request_id")),
}
_ERRORS: Final = _list_of(_object({"code": {"type": "integer"}, "description": _TEXT}, "code", "description"))

_POSTED: Final = (
    *("api_key", "service_code", "jurisdiction_id", "lat", "long", "address_string", "address_id"),
    *("description", "email", "first_name", "last_name", "phone", "media_url", "device_id", "account_id"),
)
POSTED: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    **_object(dict.fromkeys(_POSTED, _TEXT), "api_key", "service_code"),
                    "description": "Also `attribute[CODE]`, `attribute[CODE][]`; pictures as multipart/form-data.",
                }
            }
        },
    }
}
"""The form of `POST /requests`."""


def answers(name: str, form: Format, status: int = 200) -> dict[str, Any]:
    """What a route's decorator says of its answers."""
    schema = _SCHEMAS.get(name, _SCHEMAS["discovery"])
    told = {
        "description": "As Open311 GeoReport v2 says",
        "content": {MEDIA_TYPES[form]: _shape(schema, form)},
    }
    wrong = {"description": "A list of errors", "content": {MEDIA_TYPES[form]: _shape(_ERRORS, form)}}
    right = {status: told, 200: told}
    return {
        "operation_id": f"open311_{name}_{form}",
        "response_class": Response,
        "status_code": status,
        "responses": {**right, **dict.fromkeys((400, 403, 404, "default"), wrong)},
    }


def _shape(schema: dict[str, Any], form: Format) -> dict[str, Any]:
    """XML has no schema in Open311."""
    return {"schema": schema if form is Format.JSON else _TEXT}
