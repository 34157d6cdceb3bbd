"""Whether documents fit JSON Schemas, by the `jsonschema` package."""

from collections.abc import Mapping
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]  # it has no types of its own
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

_ROOT: Final = "urn:root"
_FORMATS: Final = jsonschema.FormatChecker()


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raises jsonschema.SchemaError when this is no JSON Schema (2020-12)."""
    jsonschema.Draft202012Validator.check_schema(schema)


def misfit(schema: Mapping[str, Any], data: object) -> str | None:
    """What does not fit a JSON Schema (2020-12), if anything."""
    return _first(jsonschema.Draft202012Validator(schema, format_checker=_FORMATS), data)


def misfit_within(document: Mapping[str, Any], pointer: str, data: object) -> str | None:
    """The same for the schema at *pointer* of a document; AsyncAPI's are of draft 7."""
    whole: Resource[Any] = Resource.from_contents(document, default_specification=DRAFT7)
    registry: Registry[Any] = Registry().with_resource(_ROOT, whole)
    schema = {"$ref": f"{_ROOT}#{pointer}"}
    return _first(jsonschema.Draft7Validator(schema, registry=registry, format_checker=_FORMATS), data)


def _first(validator: Any, data: object) -> str | None:
    error = next(validator.iter_errors(data), None)
    return None if error is None else str(error.message)
