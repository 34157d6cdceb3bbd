"""What an app asks whoever reports a case of some category, beside the description."""

from enum import StrEnum
from typing import Annotated, Protocol, Self, TypeVar

from pydantic import AfterValidator, model_validator

from libs.events.policy.base import Code, Name, Part


class Coded(Protocol):
    """Whatever has a code."""

    @property
    def code(self) -> str: ...


C = TypeVar("C", bound=Coded)


def distinct(things: tuple[C, ...]) -> tuple[C, ...]:
    """The same.  Raises ValueError when two of them have one code."""
    codes = [each.code for each in things]
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        raise ValueError(f"{twice[0]} stands twice")
    return things


class Datatype(StrEnum):
    """What an answer is; the names are those of Open311."""

    STRING = "string"
    """One line."""
    TEXT = "text"
    """Some lines."""
    NUMBER = "number"
    DATETIME = "datetime"
    SINGLE = "singlevaluelist"
    """One of the values."""
    MULTIPLE = "multivaluelist"
    """Any of the values."""


LISTS = frozenset({Datatype.SINGLE, Datatype.MULTIPLE})
"""Whose answers are values of the rule book."""


class Choice(Part):
    """One value of a list."""

    code: Code
    name: Name


class Question(Part):
    """One question; the order in which they stand is that in which they are asked."""

    code: Code
    ask: Name
    datatype: Datatype = Datatype.STRING
    required: bool = False
    hint: Name | None = None
    """How to answer."""
    told: bool = False
    """Only to be read: nothing is answered."""
    values: Annotated[tuple[Choice, ...], AfterValidator(distinct)] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.told and (self.required or self.values):
            raise ValueError("what is only told has no answer: neither required nor values")
        if not self.told and (self.datatype in LISTS) != bool(self.values):
            raise ValueError("a list needs values, and nothing else has any")
        return self

    def choice(self, code: str) -> Choice | None:
        """The value with this code, if there is one."""
        return next((each for each in self.values if each.code == code), None)
