"""The fast lane: seen at once, and the nearest free unit sent."""

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Acknowledged, EscalationReason, UnitSent
from services.dispatch.decider.commands import Acknowledge, MissUnit, SendUnit
from services.dispatch.decider.facts import escalated
from services.dispatch.decider.holding import in_hands
from services.dispatch.decider.refusals import Refusal
from services.dispatch.decider.states import Done, InHands, Lane, State

Outcome = tuple[Event, ...] | Refusal


def acknowledge(command: Acknowledge, state: State) -> Outcome:
    """The duty desk has seen it, once."""
    found = _in_lane(state)
    if isinstance(found, Refusal):
        return found
    held, lane = found
    return () if lane.acknowledged else (Acknowledged(department=held.department, by=command.by),)


def send_unit(command: SendUnit, state: State) -> Outcome:
    """One unit goes, once."""
    found = _in_lane(state)
    if isinstance(found, Refusal):
        return found
    held, lane = found
    if lane.unit:
        return ()
    if isinstance(held.stage, Done):
        return Refusal.ALREADY_HANDLED
    return (
        UnitSent(
            department=command.department,
            unit=command.unit,
            kind=command.kind,
            distance_metres=command.distance_metres,
            position_age_seconds=command.position_age_seconds,
            considered=command.considered,
        ),
    )


def miss_unit(command: MissUnit, state: State) -> Outcome:
    """No unit is free: the case goes up, once."""
    found = _in_lane(state)
    if isinstance(found, Refusal):
        return found
    held, lane = found
    if lane.unit or lane.none_free or isinstance(held.stage, Done):
        return ()
    return (
        escalated(
            held, EscalationReason.NO_UNIT, command.rules, department=held.department, note=command.note
        ),
    )


def _in_lane(state: State) -> tuple[InHands, Lane] | Refusal:
    held = in_hands(state)
    if isinstance(held, Refusal):
        return held
    return (held, held.lane) if held.lane else Refusal.NO_FAST_LANE
