"""The same five facts as domain events of the package `eventsourcing`, with the fields that ours have.

Two constants of ours, CloudEvents' `specversion` and `datacontenttype`, are left out; the case id, the version and
the type are columns there, not fields.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from libs.events.contracts.base import Event, ExternalReference, Place
from libs.events.contracts.dispatch import Assigned, Handled
from libs.events.contracts.evaluation import CaseClosed
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.log import Fact


@dataclass(frozen=True)
class PeerPlace:
    """Where the problem is."""

    time_zone: str
    address: str | None
    longitude: float | None
    latitude: float | None
    street: str | None
    community: str | None
    grid: str | None
    located_by: str | None


@dataclass(frozen=True)
class PeerReference:
    """The case's number in the system that it was imported from."""

    system: str
    key: str


@dataclass(frozen=True)
class PeerEvent:
    """What every fact has in common."""

    originator_id: str
    originator_version: int
    timestamp: datetime
    recordedtime: datetime
    id: str
    source: str
    origin: str
    actor: str
    correlationid: str


@dataclass(frozen=True)
class PeerReported(PeerEvent):
    """Somebody reported a problem at a place."""

    category: str
    channel: str
    description: str
    place: PeerPlace
    photos: list[str]
    external: PeerReference | None


@dataclass(frozen=True)
class PeerFiled(PeerEvent):
    """The report was accepted as a case."""

    category: str
    reason: str


@dataclass(frozen=True)
class PeerAssigned(PeerEvent):
    """A department was made responsible."""

    department: str
    due_at: datetime | None


@dataclass(frozen=True)
class PeerHandled(PeerEvent):
    """The department reports the case as handled."""

    department: str
    note: str
    photos: list[str]


@dataclass(frozen=True)
class PeerClosed(PeerEvent):
    """The case is over."""

    department: str | None
    outcome: str
    note: str


def peer_event(case_id: str, version: int, fact: Fact, recorded_at: datetime) -> PeerEvent:
    """The domain event that states what *fact* states."""
    context = fact.context
    common: dict[str, Any] = {
        "originator_id": case_id,
        "originator_version": version,
        "timestamp": context.time,
        "recordedtime": recorded_at,
        "id": fact.event_id,
        "source": fact.event.SOURCE,
        "origin": str(context.origin),
        "actor": context.actor,
        "correlationid": context.correlation_id or fact.event_id,
    }
    kind = _KINDS[type(fact.event)]
    return kind(**common, **{name: _plain(getattr(fact.event, name)) for name in _OWN[kind]})


def _plain(value: Any) -> Any:
    match value:
        case Place():
            return PeerPlace(**value.model_dump())
        case ExternalReference():
            return PeerReference(**value.model_dump())
        case tuple():
            return list(value)
        case str():
            return str(value)
        case _:
            return value


_KINDS: Final[dict[type[Event], type[PeerEvent]]] = {
    CaseReported: PeerReported,
    CaseFiled: PeerFiled,
    Assigned: PeerAssigned,
    Handled: PeerHandled,
    CaseClosed: PeerClosed,
}
_COMMON: Final = frozenset(field.name for field in fields(PeerEvent))
_OWN: Final = {
    kind: tuple(field.name for field in fields(kind) if field.name not in _COMMON) for kind in _KINDS.values()
}
