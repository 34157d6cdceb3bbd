"""What the rule book says of cases: the responsibility list (责任清单), who answers, and in what time."""

from enum import StrEnum
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field

from libs.events.calendar import Limit
from libs.events.policy.base import ANY, Code, Name, Part
from libs.events.policy.questions import Question, distinct

EXTENSIONS_MAX: Final = 10
"""A rule book may allow no more extensions of one assignment."""


class Kind(StrEnum):
    """The two kinds of case: a damaged thing (部件) or a wrong happening (事件)."""

    PART = "part"
    EVENT = "event"


class Publicity(StrEnum):
    """What everybody may see of a case, in lists that need no tracking number."""

    EXACT = "exact"
    """What was said, masked, and where it is."""
    AREA = "area"
    """The community that it is in; neither what was said nor the point."""
    HIDDEN = "hidden"
    """It stands in no list; whoever knows its id learns how far it is, and no more."""


class Nearness(Part):
    """What makes two reports of one category near-duplicates."""

    metres: float = Field(gt=0, allow_inf_nan=False)
    within: Limit


class Category(Part):
    """One case type of the responsibility list (责任清单)."""

    code: Code
    name: Name
    kind: Kind
    limits: str
    """The set of time limits that holds unless a rule names another."""
    filing: Name
    """When a report of it is filed as a case (立案条件)."""
    closing: Name
    """When a case of it may be closed (结案条件)."""
    photo_needed: bool = False
    """Whether it is only handled with a photo."""
    fast_lane: Code | None = None
    """The kind of unit that is sent at once; None: an ordinary case."""
    files_at_once: bool = True
    """Whether a report is filed without a specialist's confirmation."""
    duplicate: Nearness | None = None
    """Its own near-duplicates, where the city's default does not fit."""
    publicity: Publicity = Publicity.EXACT
    """What everybody may see of a case of it."""
    questions: Annotated[tuple[Question, ...], AfterValidator(distinct)] = ()
    """What an app asks whoever reports it, beside the description."""


class Rule(Part):
    """Who answers for a category in an area."""

    id: Code
    priority: int = 0
    """The highest decides; among equals the one that stands first."""
    category: str
    """A category's code, or `*` for all."""
    area: str = ANY
    """The code of a grid, a community or a street, or `*` for the whole city."""
    lead: str
    """The department that answers."""
    supporting: tuple[str, ...] = ()
    """Departments that come when the whistle is blown."""
    limits: str | None = None
    """A set of time limits that holds instead of the category's."""


class LimitSet(Part):
    """The time for each step."""

    sign: Limit
    handle: Limit
    verify: Limit


class Pause(Part):
    """A reason for which the clock may stand still."""

    code: Code
    name: Name


class TimeLimits(Part):
    """All time limits."""

    sets: dict[Code, LimitSet]
    warn_at: float = Field(default=0.8, gt=0, lt=1)
    """The share of a limit after which those who must act are reminded."""
    report_in: Limit
    """The time for a department that the whistle called."""
    extensions_max: int = Field(default=1, ge=0, le=EXTENSIONS_MAX)
    """How often a department may be given more time for one assignment."""
    pauses: tuple[Pause, ...] = ()


class Limits(NamedTuple):
    """A set of time limits with its name."""

    name: str
    sign: Limit
    handle: Limit
    verify: Limit


class Ruling(NamedTuple):
    """What the rule book says of one case."""

    lead: str
    supporting: tuple[str, ...]
    rule: str
    limits: Limits
    policy_version: str
