"""What a department is told that it could do: what the decider would let it do, and nothing else."""

from datetime import timedelta
from typing import Final

import pytest

from libs.events.contracts.base import Event
from services.dispatch.bodies import DEPARTMENT_VERBS
from services.dispatch.decider import Command
from services.dispatch.inbox.allowed import allowed
from services.dispatch.inbox.clerk import FACT_OF
from tests.unit.dispatch_cases import (
    ACCEPT,
    ASSIGN,
    CLOSED,
    DECLINE,
    DECLINE_ROADS,
    DISPATCH,
    HANDLE,
    REPORT_IN,
    RULES,
    WAITING,
    WHISTLE,
    extend,
    grown,
    sent_back,
)
from tests.unit.specs import NOW

HELD: Final = ("decline", "progress", "extend")
CASES: Final[list[tuple[str, tuple[Command | Event, ...], tuple[str, ...]]]] = [
    ("water", (), ()),
    ("water", (ASSIGN,), ("accept", *HELD)),
    ("roads", (ASSIGN,), ()),
    ("water", (ASSIGN, ACCEPT), (*HELD, "handle")),
    ("water", (ASSIGN, ACCEPT, extend()), ("decline", "progress", "handle")),
    ("water", (ASSIGN, ACCEPT, WHISTLE), ("decline", "report-in", "progress", "extend", "handle")),
    ("roads", (ASSIGN, ACCEPT, WHISTLE), ("report-in",)),
    ("roads", (ASSIGN, ACCEPT, WHISTLE, REPORT_IN), ()),
    ("water", (ASSIGN, ACCEPT, HANDLE), ()),
    ("water", (ASSIGN, ACCEPT, HANDLE, sent_back(1)), (*HELD, "handle")),
    ("water", (ASSIGN, DECLINE), ()),
    ("roads", (ASSIGN, DECLINE), ("accept", *HELD)),
    ("roads", (ASSIGN, DECLINE, DECLINE_ROADS), ()),
    ("water", (ASSIGN, ACCEPT, HANDLE, CLOSED), ()),
]


@pytest.mark.parametrize(("department", "steps", "verbs"), CASES)
def test_it_could_do_what_would_add_something(
    department: str, steps: tuple[Command | Event, ...], verbs: tuple[str, ...]
) -> None:
    state = DISPATCH.fold(grown(*steps))
    assert allowed(department, state, RULES, NOW) == verbs


def test_nothing_can_be_done_in_a_case_that_nobody_reported() -> None:
    assert allowed("water", DISPATCH.fold(()), RULES, NOW) == ()
    assert allowed("water", DISPATCH.fold(WAITING), RULES, NOW) == ()


def test_no_more_time_is_to_be_had_when_the_time_is_over() -> None:
    state = DISPATCH.fold(grown(ASSIGN, ACCEPT))
    assert allowed("water", state, RULES, NOW + timedelta(days=30)) == ("decline", "progress", "handle")


def test_every_verb_has_a_fact_that_shows_that_it_was_done() -> None:
    assert set(FACT_OF) == set(DEPARTMENT_VERBS)
