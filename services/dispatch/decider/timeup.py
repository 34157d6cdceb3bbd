"""What becomes of a deadline that is here."""

from typing import assert_never

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import DueSoon
from services.dispatch.decider.alarms import SOON, Late, Soon, alarms
from services.dispatch.decider.commands import TimeUp
from services.dispatch.decider.facts import escalated
from services.dispatch.decider.states import Filed, InHands, State, Waiting


def time_up(command: TimeUp, state: State) -> tuple[Event, ...]:
    """The case goes up, or somebody is reminded.

    A timer that fires late, twice or early, or whose deadline was moved, paused or met, says nothing.
    """
    stand = alarms(state)
    alarm = stand.get(command.name)
    if alarm is None or alarm.at != command.due_at or command.now < alarm.at:
        return ()
    if isinstance(alarm, Soon) and command.now >= alarm.due_at:
        # A reminder after the deadline reminds nobody: the deadline itself is here.
        alarm = stand[command.name.removesuffix(SOON)]
    assert isinstance(state, Filed | Waiting | InHands), "only open cases have deadlines"
    match alarm:
        case Late(_, reason, due_at, department, step):
            return (escalated(state, reason, command.rules, department=department, due_at=due_at, step=step),)
        case Soon(_, step, due_at, department):
            return (DueSoon(step=step, due_at=due_at, department=department),)
        case _:
            assert_never(alarm)
