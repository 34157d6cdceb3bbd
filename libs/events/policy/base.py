"""What all parts of the rule book have in common: frozen, strict about unknown fields, named in two languages."""

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

ANY: Final = "*"
"""In rules: all categories, or the whole city."""


def _is_code(value: str) -> str:
    if value == ANY:
        raise ValueError(f"{ANY} is no code: in rules it stands for all")
    return value


Code = Annotated[str, Field(min_length=1), AfterValidator(_is_code)]
"""Names one thing for ever; never empty, since it becomes a token of subjects."""


class Part(BaseModel):
    """A part of the rule book."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Name(Part):
    """What people read, in both languages."""

    zh: str
    en: str
