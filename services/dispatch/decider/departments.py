"""What the responsible department says of its case: signed, on the way, more time, handled."""

from datetime import timedelta
from typing import Final

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Accepted, Deadline, ExtensionRequested, Handled, ProgressNoted
from services.dispatch.decider.centre import resumed
from services.dispatch.decider.commands import Accept, Handle, NoteProgress, RequestExtension
from services.dispatch.decider.facts import limits_in
from services.dispatch.decider.holding import held_by
from services.dispatch.decider.refusals import Refusal
from services.dispatch.decider.states import (
    Asked,
    Done,
    InHands,
    Noted,
    Over,
    Paused,
    State,
    Unsigned,
)

NOTES_MAX: Final = 200
"""Notes on progress in one case."""
EXTENSION_DAYS_MAX: Final = 366
"""No extension reaches farther beyond the deadline."""
REQUESTS_MAX: Final = 5
"""Requests for more time in one assignment, whatever becomes of them."""

Outcome = tuple[Event, ...] | Refusal


def accept(command: Accept, state: State) -> Outcome:
    """The responsible department signs once."""
    if isinstance(state, Over) and state.department == command.department:
        return ()
    held = held_by(command.department, state)
    if isinstance(held, Refusal):
        return held
    return (Accepted(department=held.department),) if isinstance(held.stage, Unsigned) else ()


def note_progress(command: NoteProgress, state: State) -> Outcome:
    """The responsible department tells how far it is; the same words once."""
    held = held_by(command.department, state)
    if isinstance(held, Refusal):
        return held
    if held.noted == Noted(command.note, command.photos):
        return ()
    if isinstance(held.stage, Done):
        return Refusal.ALREADY_HANDLED
    if held.past.notes >= NOTES_MAX:
        return Refusal.TOO_MANY_NOTES
    return (ProgressNoted(department=held.department, note=command.note, photos=command.photos),)


def request_extension(command: RequestExtension, state: State) -> Outcome:
    """The responsible department asks for more time, before its time is over."""
    held = held_by(command.department, state)
    if isinstance(held, Refusal):
        return held
    if held.extensions.wish == Asked(command.until, command.reason):
        return ()
    refusal = _no_wish(command, held)
    if refusal:
        return refusal
    return (ExtensionRequested(department=held.department, until=command.until, reason=command.reason),)


def _no_wish(command: RequestExtension, held: InHands) -> Refusal | None:  # noqa: PLR0911 - one for each reason
    if isinstance(held.stage, Done):
        return Refusal.ALREADY_HANDLED
    if held.clocks.handle is None:
        return Refusal.NO_CLOCK
    if isinstance(held.extensions.wish, Asked):
        return Refusal.EXTENSION_OPEN
    if isinstance(held.pause, Paused):
        return Refusal.CLOCK_PAUSED
    if held.extensions.granted >= command.rules.extensions_max or held.extensions.asked >= REQUESTS_MAX:
        return Refusal.NO_EXTENSION_LEFT
    due_at = held.clocks.handle.due_at
    if command.now >= due_at:
        return Refusal.PAST_DUE
    if command.until <= due_at:
        return Refusal.UNTIL_NOT_LATER
    if command.until - due_at > timedelta(days=EXTENSION_DAYS_MAX):
        return Refusal.UNTIL_TOO_LATE
    return None


def handle(command: Handle, state: State) -> Outcome:
    """The responsible department has done it, with a photo where the rule book wants one."""
    if isinstance(state, Over) and state.department == command.department:
        return ()
    held = held_by(command.department, state)
    if isinstance(held, Refusal):
        return _lead_only(command.department, state, held)
    if isinstance(held.stage, Done):
        return ()
    if isinstance(held.stage, Unsigned):
        return Refusal.NOT_ACCEPTED
    category = command.rules.category(held.case.category)
    if category and category.photo_needed and not command.photos:
        return Refusal.PHOTO_NEEDED
    done = Handled(
        department=held.department, note=command.note, photos=command.photos, verify=_verify(command, held)
    )
    # Who handles it ends the pause as well: the stretch that it stood still does not count.
    return (*resumed(held, command.rules, command.now), done)


def _lead_only(department: str, state: State, otherwise: Refusal) -> Refusal:
    """A department that the whistle called helps, and does not answer for the case."""
    if isinstance(state, InHands) and state.past.summons_of(department):
        return Refusal.ONLY_THE_LEAD
    return otherwise


def _verify(command: Handle, held: InHands) -> Deadline | None:
    limits = limits_in(held, command.rules)
    return command.rules.deadline(limits.verify, command.now) if limits else None
