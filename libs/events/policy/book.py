"""The rule book as one document: which department answers for what and where, in what time, and what then."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import model_validator

from libs.events import calendar as calendars
from libs.events.appraisal import Appraisal
from libs.events.calendar import Calendar, Limit
from libs.events.contracts.base import Place
from libs.events.contracts.dispatch import Deadline
from libs.events.grid import GridTree, Location
from libs.events.policy.base import ANY, Part
from libs.events.policy.cases import Category, Limits, Pause, Rule, Ruling, TimeLimits
from libs.events.policy.city import City, Department, Grid
from libs.events.policy.consistency import Problem, problems
from libs.events.policy.escalation import Escalation, Level
from libs.events.policy.measures import (
    Alerts,
    Duplicates,
    Evaluation,
    FastLane,
    Filing,
    Patrol,
    Rating,
    Reopen,
    Retention,
)


class Inconsistent(ValueError):
    """Parts of the rule book contradict one another."""

    def __init__(self, found: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(problem.text for problem in found))
        self.problems = found


class RuleBook(Part):
    """All rules of one city, consistent in themselves."""

    city: City
    grids: tuple[Grid, ...]
    calendar: Calendar
    departments: tuple[Department, ...]
    time_limits: TimeLimits
    categories: tuple[Category, ...]
    responsibility: tuple[Rule, ...]
    escalation: Escalation
    evaluation: Evaluation
    fastlane: FastLane
    patrol: Patrol
    alerts: Alerts
    appraisal: Appraisal
    retention: Retention = Retention()

    @cached_property
    def version(self) -> str:
        """Names exactly these rules: the city's code and a digest of everything."""
        return f"{self.city.code}@{sha256(self.model_dump_json().encode()).hexdigest()[:12]}"

    @cached_property
    def published_at(self) -> datetime | None:
        """When it was published; None of a book that comes from a folder."""
        return None

    def published_as(self, version: str, moment: datetime) -> Self:
        """This book under the version that it was published as at *moment*.

        A release that adds a field would digest the same rules differently, and decisions name the old version.
        """
        vars(self).update(version=version, published_at=moment)  # where cached properties are kept
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        """The city's time zone."""
        return ZoneInfo(self.city.time_zone)

    def local(self, moment: datetime) -> datetime:
        """*moment* as the city's clocks show it, with its offset fixed."""
        return calendars.local(moment, self.zone)

    # Who answers, and where.

    def category(self, code: str) -> Category | None:
        """The category with this code, if the rule book has it."""
        return self._categories.get(code)

    def department(self, code: str) -> Department | None:
        """The department with this code, if the rule book has it."""
        return self._departments.get(code)

    def communities(self) -> frozenset[str]:
        """The codes of all communities."""
        return frozenset(self._streets)

    @cached_property
    def places(self) -> frozenset[str]:
        """The codes of the city, its streets, communities and grids: what a post can be of."""
        streets, grids = (each.code for each in self.city.streets), (each.code for each in self.grids)
        return frozenset((self.city.code, *streets, *self._streets, *grids))

    def areas_of(self, code: str) -> tuple[str, ...]:
        """The place with this code and those that it lies in, the smallest first; empty for one it does not know."""
        grid = next((each for each in self.grids if each.code == code), None)
        community = grid.community if grid else code
        street = self._streets.get(community, code)
        areas = dict.fromkeys((code, community, street, self.city.code))
        return tuple(areas) if code in self.places else ()

    def ruling(self, category: str, place: Place, without: Collection[str] = frozenset()) -> Ruling | None:
        """Who must handle such a case there, and in what time, passing over the departments in *without*.

        None when nobody is left, or the book does not have the category.
        """
        areas = {ANY, place.grid, place.community, place.street}
        for rule in self._rules.get(category, ()):
            if rule.area in areas and rule.lead not in without:
                supporting = tuple(each for each in rule.supporting if each not in without)
                limits = self.limits(rule.limits or self._categories[category].limits)
                return Ruling(rule.lead, supporting, rule.id, limits, self.version)
        return None

    def locate(self, longitude: float, latitude: float) -> Location:
        """Which grid, community and street a point lies in, and the rule that says so; ValueError for no degrees."""
        return self._tree.locate(longitude, latitude)

    def acts(self, level: Level | str, place: Place) -> str:
        """The post that must act on *level*, such as `street:hebin`.

        Of a place whose area on this level is not known, the post of the next level up that is.
        """
        areas = {
            Level.GRID: place.grid,
            Level.COMMUNITY: place.community,
            Level.STREET: place.street,
            Level.DISTRICT: self.city.code,
            Level.CITY: self.city.code,
        }
        levels = list(areas)
        known = (each for each in levels[levels.index(Level(level)) :] if areas[each])
        at = next(known)
        return f"{at}:{areas[at]}"

    # In what time.

    def limits(self, name: str) -> Limits:
        """The set of time limits with this name; KeyError for another."""
        found = self.time_limits.sets[name]
        return Limits(name, found.sign, found.handle, found.verify)

    def deadline(self, limit: Limit, start: datetime) -> Deadline:
        """When *limit* that begins at *start* runs out, and when to warn of it."""
        due_at = self.calendar.due(limit, start)
        warn_at = self.calendar.warn(limit, start, self.time_limits.warn_at)
        return Deadline(due_at=self._lapsed(start, due_at), warn_at=self._lapsed(start, warn_at))

    def shifted(self, due_at: datetime, limit: Limit, paused_at: datetime, resumed_at: datetime) -> Deadline:
        """What becomes of *due_at* when its clock stood still; one that was missed before stays.

        In an exercise, whose hours pass in seconds and know no nights, the whole pause is added.
        """
        if self.city.time_lapse > 1:
            paused = max(resumed_at - paused_at, timedelta()) if paused_at < due_at else timedelta()
            later, whole = due_at + paused, self._lapsed(resumed_at, self.calendar.due(limit, resumed_at))
            warn_at = max(later - (1 - self.time_limits.warn_at) * (whole - resumed_at), resumed_at)
        else:
            later = self.calendar.shifted(due_at, limit, paused_at, resumed_at)
            share = self.calendar.remaining(later, limit, resumed_at) - (1 - self.time_limits.warn_at)
            warn_at = self.calendar.warn(limit, resumed_at, share) if share > 0 else resumed_at
        return Deadline(due_at=self.local(later), warn_at=self.local(min(warn_at, later)))

    def overdue_at(self, due_at: datetime) -> tuple[datetime, ...]:
        """When a case that was due then takes the steps of one that stays late."""
        return tuple(self.deadline(step.after, due_at).due_at for step in self.escalation.overdue)

    def kept_until(self, category: str, ended_at: datetime) -> datetime | None:
        """Until when it is known who reported a case of *category* that ended then; None: for ever."""
        limit = self.retention.of(category)
        return self._lapsed(ended_at, self.calendar.due(limit, ended_at)) if limit else None

    def _lapsed(self, start: datetime, moment: datetime) -> datetime:
        start = start.astimezone(UTC)
        return self.local(start + (moment - start) / self.city.time_lapse)

    # By their names in the files.

    @property
    def ladder(self) -> Escalation:
        """The way up."""
        return self.escalation

    @property
    def pauses(self) -> tuple[Pause, ...]:
        """The reasons for which a clock may stand still."""
        return self.time_limits.pauses

    @property
    def extensions_max(self) -> int:
        """How often a department may be given more time for one assignment."""
        return self.time_limits.extensions_max

    @property
    def report_in(self) -> Limit:
        """The time for a department that the whistle called."""
        return self.time_limits.report_in

    @property
    def rating(self) -> Rating:
        """The reporter's rating."""
        return self.evaluation.rating

    @property
    def reopen(self) -> Reopen:
        """Reopening of a closed case."""
        return self.evaluation.reopen

    @property
    def filing(self) -> Filing:
        """Which reports become cases at once."""
        return self.evaluation.filing

    @property
    def fast_lane(self) -> FastLane:
        """The limits of the fast lane."""
        return self.fastlane

    def duplicates_of(self, category: str) -> Duplicates:
        """What makes a near-duplicate of a case of *category*."""
        usual, known = self.evaluation.duplicates, self.category(category)
        own = known.duplicate if known else None
        return usual.model_copy(update={"metres": own.metres, "within": own.within}) if own else usual

    @cached_property
    def _categories(self) -> dict[str, Category]:
        return {category.code: category for category in self.categories}

    @cached_property
    def _departments(self) -> dict[str, Department]:
        return {department.code: department for department in self.departments}

    @cached_property
    def _streets(self) -> dict[str, str]:
        return self.city.street_of()

    @cached_property
    def _rules(self) -> dict[str, tuple[Rule, ...]]:
        """The rules for each category, in the order in which they decide."""
        ordered = sorted(self.responsibility, key=lambda rule: -rule.priority)  # keeps the order among equals
        return {
            category.code: tuple(rule for rule in ordered if rule.category in {ANY, category.code})
            for category in self.categories
        }

    @cached_property
    def _tree(self) -> GridTree:
        metres = self.city.locating.outside_metres_max
        return GridTree(self.grids, self._streets, outside_metres_max=metres)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        found = tuple(problems(self))
        if found:
            raise Inconsistent(found)
        return self
