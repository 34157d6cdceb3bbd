"""What the tests of dispatch share: rules, commands, and cases grown by deciding."""

from datetime import datetime, timedelta
from typing import Final

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import Assigned, Brief, Deadline
from libs.events.contracts.evaluation import CaseClosed, CaseReopened, HandlingReturned, Outcome
from libs.events.contracts.intake import CaseAdopted
from libs.events.policy import Department, Rule
from libs.events.testing.examples import PLACE
from libs.events.testing.spec import Spec
from services.dispatch.decider import (
    INITIAL,
    Accept,
    Assign,
    AssignByHand,
    BlowWhistle,
    Command,
    Decline,
    Handle,
    ReportIn,
    RequestExtension,
    State,
    TimeUp,
    decide,
    evolve,
)
from tests.unit.specs import DEPARTMENTS, FILED, NAME, NOW, category, reported, rule_book

ALL: Final = (*DEPARTMENTS, "power")
RULES: Final = rule_book(
    departments=tuple(
        Department(code=code, name=NAME, liaisons={"qiaotou": f"{code}-qiaotou"}, unit_kinds=("repair-van",))
        for code in ALL
    ),
    categories=(
        category(),
        category("0102"),
        category("0103", fast_lane="repair-van"),
        category("0104").model_copy(update={"photo_needed": True}),
    ),
    responsibility=(
        Rule(
            id="covers", category="0101", area="qiaotou", lead="water", supporting=("roads",), limits="quick"
        ),
        Rule(id="rest", category="*", lead="roads"),
        Rule(id="last", category="0101", lead="power", priority=-1),
    ),
)


def evolve_now(state: State, event: Event) -> State:
    return evolve(state, event, NOW)


DISPATCH: Final[Spec[Command, State]] = Spec(decide, evolve_now, INITIAL)
WAITING: Final = (reported(), FILED)
ASSIGN: Final = Assign(RULES, NOW)
ACCEPT: Final = Accept("water")
HANDLE: Final = Handle("water", "done", RULES, NOW, ("after.jpg",))
DECLINE: Final = Decline("water", "not ours", RULES, NOW)
DECLINE_ROADS: Final = Decline("roads", "nor ours", RULES, NOW)
WHISTLE: Final = BlowWhistle("community:qiaotou", ("water", "roads"), "water", "both", RULES, NOW)
REPORT_IN: Final = ReportIn("roads", "roads-qiaotou", "here")
CLOSED: Final = CaseClosed(department="water", outcome=Outcome.RESOLVED, note="")
REOPENED: Final = CaseReopened(department="water", by="reporter", reason="again", count=1)
ADOPTED: Final = CaseAdopted(category="0101", place=PLACE)


def after(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def extend(until: float = 6, *, now: float = 0, reason: str = "parts") -> RequestExtension:
    return RequestExtension("water", after(until), reason, RULES, after(now))


def by_hand(department: str) -> AssignByHand:
    return AssignByHand(department, "better so", RULES, NOW)


def up(name: str, hours: float, now: float | None = None) -> TimeUp:
    return TimeUp(name, after(hours), RULES, after(hours if now is None else now))


def sent_back(count: int) -> HandlingReturned:
    return HandlingReturned(department="water", by="specialist:qiaotou", reason="rattles", count=count)


def assignment(**changes: object) -> Assigned:
    """Water has the cover at the bridge, by the rule, from now on."""
    usual: dict[str, object] = {
        "department": "water",
        "due_at": after(4),
        "warn_at": after(3),
        "sign": Deadline(due_at=after(1), warn_at=after(0.75)),
        "overdue_at": (after(28), after(76)),
        "rule": "covers",
        "brief": Brief(
            category="0101", description="Broken", place=reported().place, reported_at=NOW, photos=()
        ),
        "supporting": ("roads",),
        "limits": "quick",
    }
    return Assigned.model_validate(usual | changes)


def grown(*steps: Command | Event, start: tuple[Event, ...] = WAITING) -> tuple[Event, ...]:
    """A filed case after these commands, none of them refused, and facts of others."""
    history = start
    for step in steps:
        if isinstance(step, Event):
            history += (step,)
            continue
        outcome = decide(step, DISPATCH.fold(history))
        assert isinstance(outcome, tuple), f"{step} was refused: {outcome}"
        history += outcome
    return history
