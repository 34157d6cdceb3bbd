"""The CloudEvent around every fact, and how both become bytes and come back."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    TypeAdapter,
    create_model,
)
from pydantic_core import PydanticCustomError

from libs.events.contracts import EVENTS
from libs.events.contracts.base import Event, contract_uri
from libs.events.contracts.upcasting import UPCASTERS, Upcasters


class Origin(StrEnum):
    """How a fact came into the log.  Reactions, notices and timers take only live ones."""

    LIVE = "live"
    IMPORT = "import"
    REPLAY = "replay"


class Envelope(BaseModel):
    """One CloudEvents 1.0 document in structured JSON form.  `subject` is the case id."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: AwareDatetime
    """When it happened, in the zone of the place."""
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str | None = None
    """The `$id` of the JSON Schema of `data`; every service has it at `/contracts/<type>.json`."""
    recordedtime: AwareDatetime
    """When the appender wrote it."""
    origin: Origin
    actor: str
    """Who did it: `resident`, `department:water`, `system:dispatch`, `import:boston311` ..."""
    principal: str | None = None
    """The person or system behind a post, by a pseudonym that stays; see docs/access.md."""
    correlationid: str
    """The same for all that one outside request set in motion."""
    causationid: str | None = None
    """Id of the event that this one reacts to."""
    policyversion: str | None = None
    """The version of the rule book that decided."""
    traceparent: str | None = None
    data: SerializeAsAny[Event]


class Entry(NamedTuple):
    """One event as it stands in the log."""

    sequence: int
    """Its position in the log, from 1."""
    case_id: str
    name: str
    version: int
    """Its number within the case, from 1, contiguous."""
    envelope: Envelope

    @property
    def event(self) -> Event:
        return self.envelope.data


class Context(NamedTuple):
    """What surrounds a decision: who, when, why and under which rules."""

    actor: str
    time: datetime
    origin: Origin = Origin.LIVE
    correlation_id: str | None = None
    """None starts a correlation of its own."""
    causation_id: str | None = None
    policy_version: str | None = None
    principal: str | None = None
    """Who holds the post that acts, if somebody in particular does."""


def envelope_class(event: type[Event]) -> type[Envelope]:
    """The envelope that holds this event and no other."""
    kind: Any = Literal[event.TYPE]  # the literal is only known at run time
    return create_model(f"{event.__name__}Envelope", __base__=Envelope, type=(kind, ...), data=(event, ...))


_CLASS_OF: Final = {event: envelope_class(event) for event in EVENTS}


def decoder(
    classes: Mapping[type[Event], type[Envelope]], upcasters: Upcasters
) -> Callable[[bytes | str], Envelope]:
    """What makes a typed envelope of stored bytes; a fact in an older version becomes one of the newest."""

    def renewed(envelope: Envelope) -> Envelope:
        try:
            event = upcasters.upcast(envelope.data)
            told = {"type": event.TYPE, "dataschema": contract_uri(event.TYPE), "data": event}
            return classes[type(event)].model_validate({**dict(envelope), **told})
        except ValueError as error:  # its own words may hold what was written
            raise PydanticCustomError("not_upcast", "has no meaning in the newest version") from error

    def read_as(event: type[Event]) -> Any:
        is_newest = upcasters.newest(event) is event
        return classes[event] if is_newest else Annotated[classes[event], AfterValidator(renewed)]

    union: Any = Annotated[reduce(or_, map(read_as, classes)), Field(discriminator="type")]
    # The outermost configuration alone decides whether errors show what was written, which they must not.
    adapter: TypeAdapter[Envelope] = TypeAdapter(union, config=ConfigDict(hide_input_in_errors=True))
    return adapter.validate_json


def seal(
    event: Event,
    *,
    event_id: str,
    case_id: str,
    context: Context,
    recorded_at: datetime,
    traceparent: str | None = None,
) -> Envelope:
    """The envelope of a new fact.  Raises pydantic.ValidationError when a part does not fit."""
    assert UPCASTERS.newest(type(event)) is type(event), (
        "an older version is read for ever, and never written"
    )
    return _CLASS_OF[type(event)](
        id=event_id,
        source=event.SOURCE,
        type=event.TYPE,
        subject=case_id,
        time=context.time,
        dataschema=contract_uri(event.TYPE),
        recordedtime=recorded_at,
        origin=context.origin,
        actor=context.actor,
        principal=context.principal,
        correlationid=context.correlation_id or event_id,
        causationid=context.causation_id,
        policyversion=context.policy_version,
        traceparent=traceparent,
        data=event,
    )


def encode(envelope: Envelope) -> bytes:
    """The bytes that stand in the log."""
    return envelope.model_dump_json(exclude_none=True).encode()


decode: Final = decoder(_CLASS_OF, UPCASTERS)
"""The typed envelope of stored bytes.  Raises pydantic.ValidationError for anything else."""


def events_of(entries: Sequence[Entry]) -> tuple[Event, ...]:
    """The bare facts, in order: what a fold takes."""
    return tuple(entry.envelope.data for entry in entries)
