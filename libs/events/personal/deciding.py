"""Who may be erased, held and let go.  Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CaseClosed, CaseReopened
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseRejected, CaseReported
from libs.events.contracts.persons import (
    ErasureOrdered,
    Ground,
    HoldLifted,
    HoldPlaced,
    PersonErased,
)
from libs.events.envelope import Entry


class Hold(NamedTuple):
    """A hold that stands."""

    target: str
    number: int
    """Of its fact, within its person or case."""
    reason: str
    placed_at: datetime
    actor: str


class Order(NamedTuple):
    """An erasure that was ordered."""

    receipt: str
    ground: Ground
    ordered_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What was done about one person, or one case."""

    target: str
    version: int = 0
    holds: tuple[Hold, ...] = ()
    order: Order | None = None
    erased_at: datetime | None = None


class Case(NamedTuple):
    """A case in which something is sealed for a person."""

    case_id: str
    category: str
    """As it was confirmed last."""
    ended_at: datetime | None
    """None while it is open, and its reporter waits for an answer."""
    holds: tuple[Hold, ...] = ()


class Why(StrEnum):
    """Why something is not done."""

    HELD = "held"
    OPEN = "open"
    ERASED = "erased"
    RETURNED = "returned"
    """They have reported again since it was looked whose time is over."""
    NO_SUCH_HOLD = "no_such_hold"
    SEVERAL_HOLDS = "several_holds"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is not done, and why."""

    why: Why
    holds: tuple[Hold, ...] = ()
    cases: tuple[str, ...] = ()
    order: Order | None = None


class Asked(NamedTuple):
    """What somebody asks for who wants a person erased."""

    ground: Ground
    reference: str = ""
    even_open: bool = False


def standing_of(target: str, entries: Iterable[Entry]) -> Standing:
    """The fold of all facts about a person or a case."""
    found = Standing(target)
    for entry in entries:
        found = evolve(found, entry)
    return found


def evolve(standing: Standing, entry: Entry) -> Standing:
    """What stands after one more fact."""
    event, envelope = entry.event, entry.envelope
    now = replace(standing, version=entry.version)
    match event:
        case HoldPlaced():
            hold = Hold(standing.target, entry.version, event.reason, envelope.time, envelope.actor)
            return replace(now, holds=(*standing.holds, hold))
        case HoldLifted():
            return replace(now, holds=tuple(each for each in standing.holds if each.number != event.number))
        case ErasureOrdered():
            return replace(now, order=Order(envelope.id, event.ground, envelope.time))
        case PersonErased():
            return replace(now, erased_at=envelope.time)
        case _:
            return now


def order_erasure(person: Standing, cases: Iterable[Case], asked: Asked) -> ErasureOrdered | Refusal:
    """The order, if nothing stands against it: no hold on the person or one of their cases, no open case."""
    known = tuple(cases)
    if person.order:
        return Refusal(Why.ERASED, order=person.order)
    if holds := (*person.holds, *(hold for case in known for hold in case.holds)):
        return Refusal(Why.HELD, holds=holds)
    opened = tuple(case.case_id for case in known if case.ended_at is None)
    if opened and not asked.even_open:
        return Refusal(Why.OPEN, cases=opened)
    return ErasureOrdered(
        ground=asked.ground, reference=asked.reference, cases=len(known), cases_open=len(opened)
    )


def record_erased(person: Standing, values: int) -> PersonErased | None:
    """The receipt of an erasure that was carried out; None where it stands already."""
    if person.erased_at:
        return None
    assert person.order is not None, "only what was ordered is carried out"
    order = person.order
    return PersonErased(
        receipt=order.receipt, ground=order.ground, ordered_at=order.ordered_at, values=values
    )


def place_hold(target: Standing, reason: str) -> HoldPlaced | Refusal | None:
    """The hold; None where one with this reason stands already."""
    if target.order:
        return Refusal(Why.ERASED, order=target.order)
    if any(hold.reason == reason for hold in target.holds):
        return None
    return HoldPlaced(reason=reason)


def lift_hold(target: Standing, number: int | None, reason: str) -> HoldLifted | Refusal:
    """The end of one hold: that with this number, or the only one."""
    chosen = [hold for hold in target.holds if number in {None, hold.number}]
    match chosen:
        case []:
            return Refusal(Why.NO_SUCH_HOLD, holds=target.holds)
        case [hold]:
            return HoldLifted(number=hold.number, reason=reason)
        case several:
            return Refusal(Why.SEVERAL_HOLDS, holds=tuple(several))


@dataclass(slots=True)
class Ends:
    """When cases ended, gathered event by event."""

    ended: dict[str, datetime] = field(default_factory=dict)

    def note(self, case_id: str, event: Event, moment: datetime) -> None:
        """A rejection or a closing ends a case, a reopening begins it again.

        A report that was joined to another case is closed when that one is: until then its reporter waits, too.
        """
        match event:
            case CaseRejected() | CaseClosed():
                self.ended[case_id] = moment
            case CaseReopened():
                self.ended.pop(case_id, None)
            case _:
                pass


def case_of(case_id: str, entries: Iterable[Entry]) -> Case:
    """A case as it concerns its reporter."""
    ends, category = Ends(), ""
    for entry in entries:
        ends.note(case_id, entry.event, entry.envelope.time)
        match entry.event:
            case CaseReported() | CaseFiled() | CaseAdopted():
                category = entry.event.category
            case _:
                pass
    return Case(case_id, category, ends.ended.get(case_id))


def held(cases: Iterable[Case], holds: Mapping[str, tuple[Hold, ...]]) -> tuple[Case, ...]:
    """The cases with the holds that stand on them."""
    return tuple(case._replace(holds=holds.get(case.case_id, ())) for case in cases)
