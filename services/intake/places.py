"""Where a report is: what was stated, checked against the rule book, and what the rule book finds for its point."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from libs.events.contracts.base import Place
from libs.events.policy import RuleBook
from libs.events.problems import FieldProblem

OUTSIDE: Final = "outside"
LATITUDE_MAX: Final = 90


@dataclass(frozen=True, slots=True)
class Stated:
    """What somebody says of a place; any part may be missing.  WGS84 degrees."""

    address: str | None = None
    longitude: float | None = None
    latitude: float | None = None
    street: str | None = None
    community: str | None = None
    grid: str | None = None


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """The names of one rule book: which grid lies in which community, and that in which street."""

    book: RuleBook
    community_of: Mapping[str, str]
    street_of: Mapping[str, str]

    @classmethod
    def of(cls, book: RuleBook) -> Self:
        """The names of *book*."""
        return cls(book, {grid.code: grid.community for grid in book.grids}, book.city.street_of())

    def place(self, stated: Stated) -> Place | tuple[FieldProblem, ...]:
        """The place, or what is wrong with it.

        A point that the rule book finds in a grid wins over the grid, community and street that were stated. Outside
        of every grid they stand as stated, and `located_by` says `outside`. Without a point they are completed upwards.
        """
        if wrong := tuple(self._problems(stated)):
            return wrong
        community = stated.community or self.community_of.get(stated.grid or "")
        street = stated.street or self.street_of.get(community or "")
        place = Place(
            time_zone=self.book.city.time_zone,
            address=stated.address,
            longitude=stated.longitude,
            latitude=stated.latitude,
            street=street,
            community=community,
            grid=stated.grid,
        )
        located = self.located(place)
        if located.located_by == OUTSIDE and self._lies_here(located.latitude, located.longitude):
            reason = "The point lies outside of the city: longitude and latitude seem to be swapped."
            return (_wrong("longitude", reason, "该点不在本市范围内：经度和纬度可能颠倒。"),)
        return located

    def located(self, place: Place) -> Place:
        """The same place in the grid, community and street of its point, if it has one."""
        if place.longitude is None or place.latitude is None:
            return place
        found = self.book.locate(place.longitude, place.latitude)
        if found.grid is None:
            return place.model_copy(update={"located_by": found.by})
        return place.model_copy(
            update={
                "grid": found.grid,
                "community": found.community,
                "street": found.street,
                "located_by": found.by,
            }
        )

    def _lies_here(self, longitude: float | None, latitude: float | None) -> bool:
        if longitude is None or latitude is None or abs(latitude) > LATITUDE_MAX:
            return False
        return self.book.locate(longitude, latitude).by != OUTSIDE

    def _problems(self, stated: Stated) -> list[FieldProblem]:
        wrong: list[FieldProblem] = []
        if (stated.longitude is None) != (stated.latitude is None):
            missing = "longitude" if stated.longitude is None else "latitude"
            wrong.append(
                _wrong(missing, "Give longitude and latitude, or neither.", "经度和纬度须同时给出。")
            )
        streets = {street.code for street in self.book.city.streets}
        for field, code, known in (
            ("street", stated.street, streets),
            ("community", stated.community, set(self.street_of)),
            ("grid", stated.grid, set(self.community_of)),
        ):
            if code is not None and code not in known:
                reason = f"The rule book has no {field} {code!r}."
                wrong.append(_wrong(field, reason, f"规则手册中没有此{_ZH[field]}。"))
        return wrong or self._contradictions(stated)

    def _contradictions(self, stated: Stated) -> list[FieldProblem]:
        wrong: list[FieldProblem] = []
        lies_in = self.community_of.get(stated.grid or "")
        if lies_in is not None and stated.community not in {None, lies_in}:
            reason = f"Grid {stated.grid!r} lies in community {lies_in!r}."
            wrong.append(_wrong("community", reason, f"网格 {stated.grid} 属于社区 {lies_in}。"))
        community = stated.community or lies_in
        runs_along = self.street_of.get(community or "")
        if runs_along is not None and stated.street not in {None, runs_along}:
            reason = f"Community {community!r} belongs to street {runs_along!r}."
            wrong.append(_wrong("street", reason, f"社区 {community} 属于街道 {runs_along}。"))
        return wrong


_ZH = {"street": "街道", "community": "社区", "grid": "网格"}


def _wrong(field: str, reason: str, reason_zh: str) -> FieldProblem:
    return FieldProblem(field=f"place.{field}", reason=reason, reason_zh=reason_zh)
