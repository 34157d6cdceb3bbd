"""JSON Schemas out of models: what others check their reading and writing against."""

import ast
import inspect
import re
import textwrap
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from libs.events.contracts.base import contract_uri

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ABSENT: Final = re.compile(r"\bNone\b")  # a word of Python, for what others do not find

_NO_KEYWORDS: Final = frozenset({"ge", "gt", "le", "lt"})
"""Bounds of moments, for which JSON Schema has no words and pydantic writes its own."""


class _AsWritten(GenerateJsonSchema):
    """As it stands on the wire: what is not known is left out, never null; each field with its meaning."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic asks so
        return False  # a title that repeats the field's name tells nothing

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        notes = notes_of(model)
        for name, field in made.get("properties", {}).items():
            for bound in _NO_KEYWORDS & field.keys():
                del field[bound]
            if name in notes:
                field["description"] = _ABSENT.sub(_absent, notes[name])
        if "description" in made:
            made["description"] = " ".join(made["description"].split())
        return made


def _absent(none: re.Match[str]) -> str:
    begins = none.string[: none.start()].rstrip()[-1:] in {"", "."}
    return "Absent" if begins else "absent"


def schema_document(name: str, model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of *model* by itself, known to the world as the contract *name*."""
    made = model.model_json_schema(schema_generator=_AsWritten)
    return {"$schema": DIALECT, "$id": contract_uri(name), **made}


def shared_schemas(models: dict[str, type[BaseModel]], ref_prefix: str) -> dict[str, Any]:
    """The schemas of many contracts by name, and of the parts that they share; references begin with *ref_prefix*.

    A part is known by its class; contracts by their own names.
    """
    references, made = models_json_schema(
        [(model, "validation") for model in models.values()],
        ref_template=ref_prefix + "{model}",
        schema_generator=_AsWritten,
    )
    parts: dict[str, Any] = made["$defs"]
    own = {
        references[model, "validation"]["$ref"].removeprefix(ref_prefix): name
        for name, model in models.items()
    }
    return {own.get(part, part): schema for part, schema in parts.items()}


def notes_of(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field in the source, those of its bases among them."""
    notes: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            notes.update(_notes_in(each))
    return notes


def _notes_in(model: type) -> dict[str, str]:
    try:
        source = inspect.getsource(model)
    except OSError:  # made at run time, out of others
        return {}
    [definition] = ast.parse(textwrap.dedent(source)).body
    assert isinstance(definition, ast.ClassDef)
    notes: dict[str, str] = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    notes[field.target.id] = " ".join(text.split())
                case _:
                    pass
    return notes
