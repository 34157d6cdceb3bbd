"""The habits of a town: who is quick, who is slow, who returns cases.  Pure: a seed, a habit."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

SLOW_DEPARTMENTS_SHARE: Final = 0.2
SIGN_SHARES: Final = (0.05, 0.7)  # of the time to sign
SIGN_LATE_SHARES: Final = (1.1, 1.6)
DONE_SHARES: Final = (0.1, 0.8)  # of the time to handle
DONE_LATE_SHARES: Final = (1.05, 1.5)
RETURNS_SHARE: Final = 0.04
EXTENDS_SHARE: Final = 0.05
PROGRESS_SHARE: Final = 0.2
LEFT_LYING_SHARE: Final = 0.02
LATE_SIGN_SHARE: Final = 0.03
MISSES_SUMMONS_SHARE: Final = 0.1
REPORT_IN_SHARES: Final = (0.05, 0.7)


@dataclass(frozen=True, slots=True)
class Dealing:
    """How a department deals with one case; shares are of the time that it has."""

    sign_share: float
    handle_share: float
    returns: bool
    extends: bool
    notes_progress: bool
    left_lying: bool
    """Nothing is done about it until the case goes up."""
    report_in_share: float | None
    """When it comes after a whistle; None: too late or not at all."""


def dealings(department: str, seed: int) -> Iterator[Dealing]:
    """How the department deals with its first case, its second, and so on without end."""
    random = Random(f"habits/{seed}/{department}")
    late_share = random.uniform(0.15, 0.3) if random.random() < SLOW_DEPARTMENTS_SHARE else 0.03
    while True:
        late = random.random() < late_share
        signs_late = random.random() < LATE_SIGN_SHARE
        yield Dealing(
            sign_share=random.uniform(*(SIGN_LATE_SHARES if signs_late else SIGN_SHARES)),
            handle_share=random.uniform(*(DONE_LATE_SHARES if late else DONE_SHARES)),
            returns=random.random() < RETURNS_SHARE,
            extends=random.random() < EXTENDS_SHARE,
            notes_progress=random.random() < PROGRESS_SHARE,
            left_lying=random.random() < LEFT_LYING_SHARE,
            report_in_share=None
            if random.random() < MISSES_SUMMONS_SHARE
            else random.uniform(*REPORT_IN_SHARES),
        )


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a reporter thinks of one closed case."""

    rates: bool
    reached: bool
    solved: bool
    stars: int
    wants_reopening: bool


def opinions(seed: int) -> Iterator[Opinion]:
    """What one reporter after the other thinks."""
    random = Random(f"opinions/{seed}")
    while True:
        solved = random.random() < 0.9
        stars = random.choices((3, 4, 5) if solved else (1, 2, 3), (1, 3, 6) if solved else (4, 3, 1))[0]
        yield Opinion(
            rates=random.random() < 0.4,
            reached=random.random() < 0.95,
            solved=solved,
            stars=stars,
            wants_reopening=not solved and random.random() < 0.5,
        )
