"""The timekeeper of dispatch: which timers its cases have, and what follows when one is due."""

from collections.abc import Callable
from datetime import datetime

from libs.events.envelope import Context
from libs.events.rules import Rules
from libs.events.runtime import Bus
from libs.events.timekeeping import TimeIsUp, Timekeeper
from libs.events.timers import Due, Timers
from services.dispatch.clocks import QUIET, timer_of
from services.dispatch.decider import TimeUp, decide, fold_entries
from services.dispatch.patrol import decider as patrol


def timekeeper(bus: Bus, rules: Rules, now: Callable[[], datetime]) -> Timekeeper:
    """The timekeeper of dispatch: its rule book, its deciders."""

    def time_is_up(due: Due) -> TimeIsUp:
        book = rules.book
        # The server has seen the time come: a clock of ours that is a little behind must not deny it.
        moment = book.local(max(now(), due.due_at))
        context = Context(actor="system:dispatch", time=moment, policy_version=book.version)
        if due.name == patrol.TIMER:
            over = patrol.TimeUp(due.due_at)
            return TimeIsUp(lambda history: patrol.decide(over, patrol.fold(history.events)), context)
        command = TimeUp(due.name, due.due_at, book, moment)
        return TimeIsUp(lambda history: decide(command, fold_entries(history.entries)), context)

    timers = Timers(bus.jetstream)
    return Timekeeper(timers, bus.log, bus.handler, deadlines_of=timer_of, time_is_up=time_is_up, quiet=QUIET)
