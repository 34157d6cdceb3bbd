"""Facts about people's data: what was ordered, done and held.  They stand in `PERSONS`, and name nobody.

The subject of such a fact is a person's pseudonym, or the id of a case that is held.
"""

from enum import StrEnum
from typing import ClassVar, Final

from pydantic import AwareDatetime

from libs.events.contracts.base import Event


class Ground(StrEnum):
    """Why somebody is erased."""

    REQUEST = "request"
    """They asked for it (PIPL article 47, GDPR article 17)."""
    RETENTION = "retention"
    """The time for which the rule book keeps them is over."""


class ErasureOrdered(Event):
    """A person is to be erased.  From here on nobody opens what is sealed for them; it cannot be taken back."""

    TYPE: ClassVar[str] = "whistle.person.erasure-ordered.v1"
    SOURCE: ClassVar[str] = "/persons"

    ground: Ground
    reference: str = ""
    """The number under which the request is kept, if it has one."""
    cases: int
    """In how many cases something is sealed for them."""
    cases_open: int
    """How many of these were open, whose reporter will get no answer."""


class PersonErased(Event):
    """The person's key and all by which they could be found were destroyed: the receipt of an erasure."""

    TYPE: ClassVar[str] = "whistle.person.erased.v1"
    SOURCE: ClassVar[str] = "/persons"

    receipt: str
    """The id of the order."""
    ground: Ground
    ordered_at: AwareDatetime
    values: int
    """How many sealed values open nowhere any more, as the vault counted them."""


class PersonExported(Event):
    """A copy of all that is held of a person was made, to be handed to them (PIPL article 45, GDPR article 15)."""

    TYPE: ClassVar[str] = "whistle.person.exported.v1"
    SOURCE: ClassVar[str] = "/persons"

    cases: int


class HoldPlaced(Event):
    """A person, or everybody in a case, must be kept until the hold is lifted, whatever the rules say."""

    TYPE: ClassVar[str] = "whistle.hold.placed.v1"
    SOURCE: ClassVar[str] = "/persons"

    reason: str


class HoldLifted(Event):
    """A hold is over."""

    TYPE: ClassVar[str] = "whistle.hold.lifted.v1"
    SOURCE: ClassVar[str] = "/persons"

    number: int
    """Of the fact that placed it, within its person or case."""
    reason: str


PERSON_EVENTS: Final[tuple[type[Event], ...]] = (
    HoldPlaced,
    HoldLifted,
    PersonExported,
    ErasureOrdered,
    PersonErased,
)
"""In the order of a life."""
