"""What the tests of all deciders share: every event, and strategies that make cases out of them."""

from datetime import datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

from libs.events.appraisal import Appraisal
from libs.events.calendar import WEEKDAYS, Calendar, Limit
from libs.events.contracts.base import Event, ExternalReference
from libs.events.contracts.dispatch import Accepted, Assigned, EscalationReason, Handled
from libs.events.contracts.evaluation import CaseClosed, Outcome
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.policy import (
    AlertColour,
    Alerts,
    Card,
    Category,
    City,
    Community,
    Department,
    Duplicates,
    Escalation,
    Evaluation,
    FastLane,
    Filing,
    Grid,
    Kind,
    Level,
    LimitSet,
    Name,
    Nearness,
    OverdueStep,
    Patrol,
    Pause,
    Rating,
    Reopen,
    Rule,
    RuleBook,
    Rung,
    Street,
    TimeLimits,
)
from libs.events.testing.examples import EXAMPLES, PLACE, REPORTED_AT

NOW: Final = REPORTED_AT + timedelta(minutes=5)
NAME: Final = Name(zh="名", en="name")
REFERENCE: Final = ExternalReference(system="boston311", key="1")
DEPARTMENTS: Final = ("water", "roads")


def category(
    code: str = "0101",
    *,
    files_at_once: bool = True,
    limits: str = "usual",
    fast_lane: str | None = None,
    duplicate: Nearness | None = None,
) -> Category:
    return Category(
        code=code,
        name=NAME,
        kind=Kind.PART,
        limits=limits,
        filing=NAME,
        closing=NAME,
        files_at_once=files_at_once,
        fast_lane=fast_lane,
        duplicate=duplicate,
    )


def limit_set(handle: str) -> LimitSet:
    return LimitSet(
        sign=Limit.parse("1 urgent hour"), handle=Limit.parse(handle), verify=Limit.parse("2 urgent hours")
    )


GRIDS: Final = (
    Grid(
        code="qiaotou-01",
        name=NAME,
        community="qiaotou",
        polygons=((((118.70, 36.40), (118.71, 36.40), (118.71, 36.41), (118.70, 36.41), (118.70, 36.40)),),),
    ),
    Grid(
        code="liuyuan-01",
        name=NAME,
        community="liuyuan",
        polygons=((((118.71, 36.40), (118.72, 36.40), (118.72, 36.41), (118.71, 36.41), (118.71, 36.40)),),),
    ),
)
"""Two squares, side by side."""
TIME_LIMITS: Final = TimeLimits(
    sets={"usual": limit_set("8 urgent hours"), "quick": limit_set("4 urgent hours")},
    warn_at=0.75,
    report_in=Limit.parse("30 minutes"),
    extensions_max=1,
    pauses=(Pause(code="waiting-for-reporter", name=NAME), Pause(code="weather", name=NAME)),
)
ESCALATION: Final = Escalation(
    ladder=(
        Rung(level=Level.GRID, next=Level.COMMUNITY),
        Rung(level=Level.COMMUNITY, next=Level.STREET),
        Rung(level=Level.STREET, next=Level.DISTRICT),
        Rung(level=Level.DISTRICT, next=Level.CITY),
        Rung(level=Level.CITY),
    ),
    reasons={
        EscalationReason.NOT_ACKNOWLEDGED: Level.STREET,
        EscalationReason.NO_UNIT: Level.STREET,
        EscalationReason.NOT_SIGNED: Level.COMMUNITY,
        EscalationReason.NOT_HANDLED: Level.STREET,
        EscalationReason.RETURNED_TWICE: Level.STREET,
        EscalationReason.FAILED_VERIFICATION_TWICE: Level.STREET,
        EscalationReason.REOPENED: Level.STREET,
        EscalationReason.NOT_REPORTED_IN: Level.STREET,
        EscalationReason.NOT_VERIFIED: Level.STREET,
        EscalationReason.LONG_OVERDUE: Level.DISTRICT,
    },
    overdue=(
        OverdueStep(after=Limit.parse("24 urgent hours"), card=Card.YELLOW),
        OverdueStep(after=Limit.parse("72 urgent hours"), card=Card.RED),
    ),
)
EVALUATION: Final = Evaluation(
    rating=Rating(stars_max=5, satisfied_from=4, within=Limit.parse("7 natural days")),
    reopen=Reopen(within=Limit.parse("7 natural days"), by_reporter_max=1),
    filing=Filing(trusted_channels=("patrol", "sensor", "city-system")),
    duplicates=Duplicates(metres=50, within=Limit.parse("2 natural days"), similarity=0.5),
    response_within=Limit.parse("2 urgent hours"),
)
FAST_LANE: Final = FastLane(
    acknowledge=Limit.parse("1 minute"),
    dispatch=Limit.parse("3 minutes"),
    settle=Limit.parse("5 minutes"),
    position_age_max=Limit.parse("10 minutes"),
)
ALERTS: Final = Alerts(
    metres=300,
    window=Limit.parse("2 urgent hours"),
    baseline_days=28,
    colours=tuple(
        AlertColour(colour=colour, at_least=3 + step, ratio=2 + step)
        for step, colour in enumerate(("blue", "yellow", "orange", "red", "purple"))
    ),
)
APPRAISAL: Final = Appraisal.model_validate(
    {
        "schemes": [
            {
                "code": "month",
                "name": {"zh": "名", "en": "name"},
                "by": "department",
                "items": [
                    {
                        "code": "closure",
                        "name": {"zh": "名", "en": "name"},
                        "form": "share",
                        "points": 100,
                        "numerator": "closed",
                        "denominator": "due",
                    }
                ],
            }
        ]
    }
)


def rule_book(*, time_lapse: int = 1, **changes: Any) -> RuleBook:
    """Water answers for manhole covers at the bridge, roads for everything else.

    Covers there in 4 hours, all else in 8, day and night; *changes* are parts to put in place of others.
    """
    streets = (
        Street(
            code="hebin",
            name=NAME,
            communities=tuple(Community(code=code, name=NAME) for code in ("qiaotou", "liuyuan")),
        ),
    )
    covers = Rule(
        id="covers",
        category="0101",
        area="qiaotou",
        lead="water",
        supporting=("roads",),
        limits="quick",
    )
    parts: dict[str, Any] = {
        "city": City(
            code="test", name=NAME, time_zone="Asia/Shanghai", time_lapse=time_lapse, streets=streets
        ),
        "grids": GRIDS,
        "calendar": Calendar(
            time_zone="Asia/Shanghai",
            working_hours=("08:30-12:00", "14:00-18:00"),
            working_weekdays=WEEKDAYS[:5],
        ),
        "departments": tuple(
            Department(
                code=code, name=NAME, liaisons={"qiaotou": f"{code}-qiaotou"}, unit_kinds=("patrol-car",)
            )
            for code in DEPARTMENTS
        ),
        "time_limits": TIME_LIMITS,
        "categories": (category(), category("0102")),
        "responsibility": (covers, Rule(id="rest", category="*", lead="roads")),
        "escalation": ESCALATION,
        "evaluation": EVALUATION,
        "fastlane": FAST_LANE,
        "patrol": Patrol(check_in_metres_max=100, points_per_order=6),
        "alerts": ALERTS,
        "appraisal": APPRAISAL,
    }
    return RuleBook(**(parts | changes))


def reported(code: str = "0101", community: str | None = "qiaotou") -> CaseReported:
    place = PLACE.model_copy(update={"community": community})
    return CaseReported(category=code, channel="web", description="Broken", place=place)


FILED: Final = CaseFiled(category="0101", reason="rule")


def assigned(department: str = "water", due_at: datetime | None = None) -> Assigned:
    return Assigned(department=department, due_at=due_at)


def accepted(department: str = "water") -> Accepted:
    return Accepted(department=department)


def handled(department: str = "water") -> Handled:
    return Handled(department=department, note="done")


CLOSED: Final = CaseClosed(department="water", outcome=Outcome.RESOLVED, note="")

ANY_EVENT: Final[st.SearchStrategy[Event]] = st.sampled_from(
    [
        *EXAMPLES.values(),
        reported(),
        reported("unheard", None),
        FILED,
        *(
            event
            for department in DEPARTMENTS
            for event in (assigned(department), accepted(department), handled(department))
        ),
        CLOSED,
    ]
)
ANY_HISTORY: Final = st.lists(ANY_EVENT, max_size=12).map(tuple)
