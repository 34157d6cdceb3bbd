"""Given facts, when a command comes, then facts, nothing or a refusal: how a decider is specified.

DECIDER = Spec(decide, evolve, INITIAL)
DECIDER.given(reported, filed).when(Assign(rules, now)).then(assigned)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from typing import Generic, TypeVar

from libs.events.contracts.base import Event

C = TypeVar("C")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Spec(Generic[C, S]):
    """A decider under specification."""

    decide: Callable[[C, S], tuple[Event, ...] | Enum]
    evolve: Callable[[S, Event], S]
    initial: S

    def given(self, *events: Event) -> "Given[C, S]":
        """What has happened before."""
        return Given(self, events)

    def fold(self, events: Sequence[Event]) -> S:
        """The state after *events*."""
        return reduce(self.evolve, events, self.initial)


@dataclass(frozen=True, slots=True)
class Given(Generic[C, S]):
    """A case with a past."""

    spec: Spec[C, S]
    events: tuple[Event, ...]

    def when(self, command: C) -> "Outcome[C, S]":
        """Decide once, and once more on top of what was decided."""
        outcome = self.spec.decide(command, self.spec.fold(self.events))
        return Outcome(self, command, outcome)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[C, S]):
    """What a command led to."""

    given: Given[C, S]
    command: C
    outcome: tuple[Event, ...] | Enum

    def then(self, *events: Event) -> Given[C, S]:
        """Exactly these facts; what comes back is the case after them."""
        assert self.outcome == events, f"expected the facts {events}, got {self.outcome}"
        return Given(self.given.spec, (*self.given.events, *events))

    def then_nothing(self) -> None:
        """No facts, and no refusal either: it had been done."""
        assert self.outcome == (), f"expected nothing to happen, got {self.outcome}"

    def then_refused(self, refusal: Enum) -> None:
        """Refused for exactly this reason."""
        assert self.outcome is refusal, f"expected the refusal {refusal!r}, got {self.outcome!r}"

    def then_repeated_adds_nothing(self) -> None:
        """The law of a bus that repeats: the same command, after its own facts, adds none."""
        assert isinstance(self.outcome, tuple), f"the command was refused: {self.outcome!r}"
        after = self.given.spec.fold((*self.given.events, *self.outcome))
        again = self.given.spec.decide(self.command, after)
        assert again == (), f"repeated, the command added {again}"
