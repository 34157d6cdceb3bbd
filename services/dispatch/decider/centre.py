"""What the command centre decides of a case in hands: more time, a pause, up the ladder."""

from datetime import datetime, timedelta
from typing import Final, assert_never

from libs.events.calendar import Limit
from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    ClockPaused,
    ClockResumed,
    Deadline,
    EscalationReason,
    ExtensionGranted,
    ExtensionRefused,
)
from libs.events.policy import RuleBook
from services.dispatch.decider.commands import Escalate, Grant, Pause, Refuse, Resume
from services.dispatch.decider.facts import clock_limits, escalated
from services.dispatch.decider.holding import in_hands
from services.dispatch.decider.refusals import Refusal
from services.dispatch.decider.states import (
    Asked,
    Clock,
    Clocks,
    Denied,
    Done,
    Filed,
    Granted,
    InHands,
    Over,
    Paused,
    State,
    Unfiled,
    Unreported,
    Unsigned,
    Waiting,
)

PAUSES_MAX: Final = 50
"""Of one case's clock."""
RAISES_MAX: Final = 20
"""How often one case goes up by hand."""
GRANT_DAYS_MAX: Final = 366
"""No extension reaches farther beyond the deadline."""

Outcome = tuple[Event, ...] | Refusal


def escalate(command: Escalate, state: State) -> Outcome:
    """Up by hand, once for each reason given."""
    match state:
        case Unreported():
            return Refusal.UNKNOWN_CASE
        case Unfiled():
            return Refusal.NOT_FILED
        case Over():
            return Refusal.CASE_CLOSED
        case Filed(past=past) | Waiting(past=past) | InHands(past=past):
            if past.raised_because == command.reason:
                return ()
            if past.raises >= RAISES_MAX:
                return Refusal.ESCALATED_TOO_OFTEN
            department = state.department if isinstance(state, InHands) else None
            by_hand = EscalationReason.BY_HAND
            return (escalated(state, by_hand, command.rules, department=department, note=command.reason),)
        case _:
            assert_never(state)


def grant(command: Grant, state: State) -> Outcome:  # noqa: PLR0911 - one for each reason
    """More time, as much as was asked for or another measure, from which all later moments follow."""
    held = in_hands(state)
    if isinstance(held, Refusal):
        return held
    wish, handle = held.extensions.wish, held.clocks.handle
    if isinstance(wish, Granted) and wish.until == (command.until or wish.asked):
        return ()
    if not isinstance(wish, Asked) or handle is None:
        return Refusal.NO_EXTENSION_OPEN
    if isinstance(held.stage, Done):
        return Refusal.ALREADY_HANDLED
    if isinstance(held.pause, Paused):
        return Refusal.CLOCK_PAUSED
    until = command.until or wish.until
    if until <= max(handle.due_at, command.now):
        return Refusal.UNTIL_NOT_LATER
    if until - handle.due_at > timedelta(days=GRANT_DAYS_MAX):
        return Refusal.UNTIL_TOO_LATE
    return (_granted(held.department, until, command),)


def _granted(department: str, until: datetime, command: Grant) -> ExtensionGranted:
    rules = command.rules
    until = rules.local(until)
    warn_at = command.now + (until - command.now) * rules.time_limits.warn_at
    return ExtensionGranted(
        department=department,
        due_at=until,
        warn_at=rules.local(warn_at),
        overdue_at=rules.overdue_at(until),
        note=command.note,
    )


def refuse(command: Refuse, state: State) -> Outcome:
    """No more time: the clock runs on."""
    held = in_hands(state)
    if isinstance(held, Refusal):
        return held
    match held.extensions.wish:
        case Denied(reason) if reason == command.reason:
            return ()
        case Asked():
            return (ExtensionRefused(department=held.department, reason=command.reason),)
        case _:
            return Refusal.NO_EXTENSION_OPEN


def pause(command: Pause, state: State) -> Outcome:  # noqa: PLR0911 - one for each reason
    """The clock stands still, for a reason that the rule book names."""
    held = in_hands(state)
    if isinstance(held, Refusal):
        return held
    if isinstance(held.pause, Paused):
        return () if held.pause.reason == command.reason else Refusal.PAUSED_OTHERWISE
    if isinstance(held.stage, Done):
        return Refusal.ALREADY_HANDLED
    if command.reason not in {each.code for each in command.rules.pauses}:
        return Refusal.UNKNOWN_PAUSE
    if held.clocks.handle is None:
        return Refusal.NO_CLOCK
    if held.past.pauses >= PAUSES_MAX:
        return Refusal.PAUSED_TOO_OFTEN
    return (ClockPaused(department=held.department, reason=command.reason, note=command.note),)


def resume(command: Resume, state: State) -> Outcome:
    """The clock runs again."""
    held = in_hands(state)
    return held if isinstance(held, Refusal) else resumed(held, command.rules, command.now)


def resumed(held: InHands, rules: RuleBook, now: datetime) -> tuple[Event, ...]:
    """The clock runs again, every deadline later by the stretch that it stood still; nothing where it ran."""
    if not isinstance(held.pause, Paused):
        return ()
    limits = clock_limits(held, rules)
    sign = held.stage.sign if isinstance(held.stage, Unsigned) else None
    handle = held.clocks.handle
    if limits is None or held.pause.at is None or handle is None:
        return (_as_it_was(held, sign),)
    sign_limit, handle_limit = limits
    later = _Shift(rules, held.pause.at, now)
    due = later.shift(handle, handle_limit)
    return (
        ClockResumed(
            department=held.department,
            due_at=due.due_at,
            warn_at=due.warn_at,
            overdue_at=later.overdue(held.clocks, due, handle_limit),
            sign=later.shift(sign, sign_limit) if sign else None,
        ),
    )


class _Shift:
    """By how much deadlines move."""

    def __init__(self, rules: RuleBook, paused_at: datetime, resumed_at: datetime) -> None:
        self._rules = rules
        self._paused_at = paused_at
        self._resumed_at = resumed_at

    def shift(self, clock: Clock, limit: Limit) -> Deadline:
        return self._rules.shifted(clock.due_at, limit, self._paused_at, self._resumed_at)

    def overdue(self, clocks: Clocks, due: Deadline, limit: Limit) -> tuple[datetime, ...]:
        """Counted from the new deadline; where that was missed before the pause, each later by the pause."""
        if clocks.handle and clocks.handle.due_at == due.due_at:
            return tuple(self.shift(each, limit).due_at for each in clocks.overdue)
        return self._rules.overdue_at(due.due_at)


def _as_it_was(held: InHands, sign: Clock | None) -> ClockResumed:
    handle = held.clocks.handle
    return ClockResumed(
        department=held.department,
        due_at=handle.due_at if handle else None,
        warn_at=handle.warn_at if handle else None,
        overdue_at=tuple(each.due_at for each in held.clocks.overdue),
        sign=Deadline(due_at=sign.due_at, warn_at=sign.warn_at) if sign else None,
    )
