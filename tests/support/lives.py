"""Cases that live by the deciders themselves: whatever may be decided about them is decided, at random."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any, Final

from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import Outcome
from libs.events.envelope import Context, Entry, Origin, seal
from libs.events.ids import derived_event_id
from libs.events.log import History
from libs.events.policy import RuleBook
from libs.events.testing.examples import PLACE
from services.dispatch import decider as dispatch
from services.dispatch.decider.alarms import alarms
from services.evaluation import decider as evaluation
from services.evaluation.terms import windows
from services.intake import decider as intake
from tests.unit.dispatch_cases import RULES
from tests.unit.specs import NOW

CASE_ID: Final = "0123456789abcdefghjk"
DEPARTMENTS: Final = ("water", "roads", "power")
CATEGORIES: Final = ("0101", "0102", "0103", "0104")


class Life:
    """One case; *book* decides."""

    def __init__(self, chance: random.Random, book: RuleBook = RULES, case_id: str = CASE_ID) -> None:
        self.chance = chance
        self.book = book
        self.case_id = case_id
        self.now = NOW
        self.entries: list[Entry] = []

    @property
    def history(self) -> History:
        return History(self.case_id, tuple(self.entries))

    @property
    def events(self) -> list[Event]:
        return [entry.event for entry in self.entries]

    def lives(self, steps: int) -> History:
        """Reported, and then so many things that may happen or not."""
        category, grid = self.chance.choice(CATEGORIES), PLACE.model_copy(update={"grid": None})
        report = intake.Report(self.book, self.now, category, "web", "A leak", grid)
        self.takes(intake.decide(report, intake.fold(self.events)), "resident")
        for _ in range(steps):
            self.now += timedelta(seconds=self.chance.randrange(1, 1_800))
            kinds = (self._by_intake, self._by_dispatch, self._by_time, self._by_people)
            self.chance.choices(kinds, weights=(1, 6, 1, 3))[0]()
        return self.history

    def takes(
        self,
        outcome: tuple[Event, ...] | Enum,
        actor: str,
        *,
        origin: Origin = Origin.LIVE,
    ) -> None:
        """Write what was decided as one append, in order as a handler does; a refusal is no fact."""
        if isinstance(outcome, Enum):
            return
        time = max([self.now, *(entry.envelope.time for entry in self.entries[-1:])])
        recorded = time + timedelta(microseconds=len(self.entries) + 1)
        version = self.book.version if origin is Origin.LIVE else None
        context = Context(actor, time, origin, policy_version=version)
        for event in outcome:
            number = len(self.entries) + 1
            event_id = derived_event_id("life", self.case_id, str(number))
            envelope = seal(
                event, event_id=event_id, case_id=self.case_id, context=context, recorded_at=recorded
            )
            self.entries.append(Entry(100 + number, self.case_id, event.name(), number, envelope))

    def _by_intake(self) -> None:
        command: intake.Command = self.chance.choice(
            (
                intake.Sort(self.book, self.now),
                intake.File(self.book, self.chance.choice(CATEGORIES)),
                intake.Join(self.chance.choice(("a" * 20, "b" * 20)), self.now, "web"),
                *((intake.Reject("no case"),) if self.chance.random() < 0.1 else ()),
            )
        )
        self.takes(intake.decide(command, intake.fold(self.events)), "specialist:qiaotou")

    def _by_dispatch(self) -> None:
        department, book, now = self._department(), self.book, self.now
        pairs: Sequence[Callable[[], dispatch.Command]] = (
            lambda: dispatch.Assign(book, now),
            lambda: dispatch.Assign(book, now),
            lambda: dispatch.RaiseFailed(book),
            lambda: dispatch.AssignByHand(department, "better so", book, now),
            lambda: dispatch.Recall("wrong"),
            lambda: dispatch.Escalate(f"because {self.chance.randrange(3)}", book),
            lambda: dispatch.Grant(None, book, now, "well"),
            lambda: dispatch.Refuse("no"),
            lambda: dispatch.Pause("weather", book),
            lambda: dispatch.Resume(book, now),
            lambda: dispatch.BlowWhistle("community:qiaotou", ("water", "roads"), "roads", "both", book, now),
            lambda: dispatch.Acknowledge("centre:hebin"),
            lambda: dispatch.SendUnit("water", "van-1", "repair-van", 120.0, 4.5, 3),
            lambda: dispatch.MissUnit(book, "none is free"),
            lambda: dispatch.Accept(department),
            lambda: dispatch.Accept(department),
            lambda: dispatch.Decline(department, "not ours", book, now),
            lambda: dispatch.ReportIn(department, "officer"),
            lambda: dispatch.NoteProgress(department, f"note {self.chance.randrange(5)}"),
            lambda: dispatch.RequestExtension(department, now + timedelta(days=2), "parts", book, now),
            lambda: dispatch.RequestExtension(department, now + timedelta(days=2), "parts", book, now),
            lambda: dispatch.Handle(department, "done", book, now, ("https://photos.example.org/1.jpg",)),
            lambda: dispatch.Handle(department, "done", book, now, ("https://photos.example.org/1.jpg",)),
        )
        command = self.chance.choice(pairs)()
        self.takes(dispatch.decide(command, dispatch.fold_entries(self.entries)), f"department:{department}")

    def _department(self) -> str:
        """Mostly the one that has the case."""
        state = dispatch.fold_entries(self.entries)
        holder = state.department if isinstance(state, dispatch.InHands) else None
        return holder if holder and self.chance.random() < 0.7 else self.chance.choice(DEPARTMENTS)

    def _by_time(self) -> None:
        """The next deadline is here, if one stands."""
        state = dispatch.fold_entries(self.entries)
        standing = sorted(alarms(state).items(), key=lambda each: (each[1].at, each[0]))
        if standing:
            name, alarm = standing[0]
            self.now = max(self.now, alarm.at)
            command = dispatch.TimeUp(name, alarm.at, self.book, self.now)
            self.takes(dispatch.decide(command, state), "system:dispatch")

    def _by_people(self) -> None:
        ends = windows(self.book, self.now)
        stars = self.chance.randrange(1, 6)
        rate = evaluation.Rate(
            now=self.now,
            reached=True,
            solved=False,
            stars=stars,
            stars_max=self.book.rating.stars_max,
            satisfied_from=self.book.rating.satisfied_from,
            reopen=self.chance.random() < 0.5,
            reopenings_max=self.book.reopen.by_reporter_max,
        )
        commands: tuple[Any, ...] = (
            evaluation.Verify("specialist:qiaotou", ends, "seen"),
            evaluation.Verify("specialist:qiaotou", ends, "seen"),
            evaluation.Verify("specialist:qiaotou", ends, "seen"),
            evaluation.SendBack("specialist:qiaotou", f"not good {self.chance.randrange(9)}"),
            evaluation.SendBack("specialist:qiaotou", f"not good {self.chance.randrange(9)}"),
            rate,
            evaluation.Reopen("centre:hebin", "again"),
            evaluation.ReopenForReport("a" * 20, "again"),
            evaluation.Score("community:qiaotou", self.chance.choice(DEPARTMENTS), stars, 5),
            evaluation.IssueCard("water", 1, "yellow"),
            evaluation.CloseHandled(ends),
            *((evaluation.Close("centre:hebin", Outcome.WITHDRAWN, "-", ends),) if stars == 1 else ()),
        )
        command = self.chance.choice(commands)
        self.takes(evaluation.decide(command, evaluation.fold(self.events)), "specialist:qiaotou")
