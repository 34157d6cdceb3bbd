"""What is said to a service and answered: the base of all bodies, and the parts and bounds that they share."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from libs.events.ids import CASE_ID_CHARACTERS
from libs.events.masking import masked
from libs.events.photos import PHOTO_PATTERN

NUL: Final = "\0"
CODE_CHARACTERS_MAX: Final = 100
NOTE_CHARACTERS_MAX: Final = 4_000
PHOTOS_MAX: Final = 10
PHOTO_CHARACTERS_MAX: Final = 500

UNKNOWN_POST: Final = "The rule book has no place of this post."
UNKNOWN_POST_ZH: Final = "规则手册中没有此岗位所属区域。"

CaseId = Annotated[str, Field(pattern=rf"^[0-9a-z]{{{CASE_ID_CHARACTERS}}}$")]
Code = Annotated[str, Field(min_length=1, max_length=CODE_CHARACTERS_MAX)]
# What departments read is the log's own message: numbers of people are masked before anything becomes a fact.
Note = Annotated[str, Field(max_length=NOTE_CHARACTERS_MAX), AfterValidator(masked)]
Reason = Annotated[str, Field(min_length=1, max_length=NOTE_CHARACTERS_MAX), AfterValidator(masked)]
Photos = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=PHOTO_CHARACTERS_MAX, pattern=PHOTO_PATTERN)]],
    Field(max_length=PHOTOS_MAX),
]
"""Pictures that were sent to `/attachments`, or public addresses of others."""


class Body(BaseModel):
    """A field that nobody knows is a mistake; so is a text that no table takes."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*")
    @classmethod
    def _fits_into_tables(cls, value: Any) -> Any:
        """PostgreSQL has no texts with U+0000: in the log such a text would park its case in every read model."""
        if any(NUL in text for text in _texts(value)):
            raise PydanticCustomError(
                "nul_character", "A text has no character U+0000", {"reason_zh": "文字不得含空字符。"}
            )
        return value


def _texts(value: Any) -> Iterator[str]:
    """The texts in a field, however they are wrapped; a body within a body looks after its own."""
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                yield from (key, *_texts(each))
        case list():
            for each in value:
                yield from _texts(each)
        case _:
            pass


class Done(BaseModel):
    """The act is in the log."""

    case_id: str
    event_ids: list[str]
    """The facts that it added; none when it had been done before."""
