"""The rule book: which department answers for what and where, in what time, and what happens then.

A rule book is a folder of YAML files, checked as a whole, and published to the stream `POLICY` as one versioned
document. Services take it from there, so that the log itself says which rules decided.
"""

from libs.events.policy.base import ANY, Name
from libs.events.policy.book import RuleBook
from libs.events.policy.cases import (
    Category,
    Kind,
    Limits,
    LimitSet,
    Nearness,
    Pause,
    Publicity,
    Rule,
    Ruling,
    TimeLimits,
)
from libs.events.policy.city import City, Community, Department, Grid, Locating, Street
from libs.events.policy.escalation import Card, Escalation, Level, OverdueStep, Rung
from libs.events.policy.files import FILES, Examined, Mistake, examine, load
from libs.events.policy.measures import (
    AlertColour,
    Alerts,
    Duplicates,
    Evaluation,
    FastLane,
    Filing,
    Patrol,
    Rating,
    Reopen,
)
from libs.events.policy.publishing import (
    SUBJECT,
    TYPE,
    at_version,
    current,
    current_version,
    in_force,
    publish,
    version_in,
)
from libs.events.policy.questions import Choice, Datatype, Question

__all__ = [
    "ANY",
    "FILES",
    "SUBJECT",
    "TYPE",
    "AlertColour",
    "Alerts",
    "Card",
    "Category",
    "Choice",
    "City",
    "Community",
    "Datatype",
    "Department",
    "Duplicates",
    "Escalation",
    "Evaluation",
    "Examined",
    "FastLane",
    "Filing",
    "Grid",
    "Kind",
    "Level",
    "LimitSet",
    "Limits",
    "Locating",
    "Mistake",
    "Name",
    "Nearness",
    "OverdueStep",
    "Patrol",
    "Pause",
    "Publicity",
    "Question",
    "Rating",
    "Reopen",
    "Rule",
    "RuleBook",
    "Ruling",
    "Rung",
    "Street",
    "TimeLimits",
    "at_version",
    "current",
    "current_version",
    "examine",
    "in_force",
    "load",
    "publish",
    "version_in",
]
