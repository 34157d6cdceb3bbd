"""The units of all departments, in the bucket `UNITS`: what they report, and who may have one of them.

They are read when one is needed, not watched: 800 of them take some 15 ms, and a copy in each replica would be late
in any case.  Who is first is decided by the bucket, which writes only over the value that was read.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog
from pydantic import ValidationError

from libs.events.errors import LogUnavailable
from libs.events.keyvalue import KeyValue, Value
from libs.events.subjects import token
from services.dispatch.units import Choice, Unit, after_report, choice_of, nearest_free

log = structlog.get_logger(__name__)

ATTEMPTS_MAX: Final = 50
"""How often somebody else may be faster; each time another unit, or another report, was."""


class Wanted(NamedTuple):
    """What a case needs."""

    case_id: str
    kind: str
    place: tuple[float, float]
    """Longitude and latitude."""
    first: Collection[str]
    """The departments that answer for the case: theirs come before those of others."""
    departments: Collection[str]
    """All that have units of this kind."""


class _Seen(NamedTuple):
    """A unit, and the value of the bucket that says so."""

    unit: Unit
    revision: int


class Fleet:
    """Units as the bucket knows them."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def report(self, report: Unit, mission_over: str | None) -> Unit:
        """Take a unit's report; the unit as it stands now, with its mission.  Raises LogUnavailable."""

        def reported(known: Unit | None) -> Unit:
            return after_report(known, report, mission_over)

        stands = await self._change(_key(report.department, report.unit), reported)
        assert stands is not None, "it has just reported"
        return stands

    async def of(self, departments: Iterable[str]) -> tuple[Unit, ...]:
        """The units of *departments*, by department and code.  Raises LogUnavailable."""
        seen = (await self._seen(departments)).values()
        return tuple(sorted((each.unit for each in seen), key=lambda unit: (unit.department, unit.unit)))

    async def reserve(self, wanted: Wanted, now: datetime, age_max: timedelta) -> Choice | None:
        """Give the nearest free unit the mission *wanted*; the one that has it already, if one has.

        None when there is none.  No other case gets the same unit.  Raises LogUnavailable.
        """
        seen = await self._seen(wanted.departments)
        for _ in range(ATTEMPTS_MAX):
            units = [each.unit for each in seen.values()]
            has_it = next((unit for unit in units if unit.mission == wanted.case_id), None)
            if has_it is not None:
                free = sum(unit.free and unit.kind == wanted.kind for unit in units)
                return choice_of(has_it, wanted.place, now, free + 1)
            choice = nearest_free(units, wanted.kind, wanted.place, now, age_max, wanted.first)
            if choice is None:
                return None
            key = _key(choice.department, choice.unit)
            mission = seen[key].unit.model_copy(update={"mission": wanted.case_id})
            if await self._bucket.put(key, _payload(mission), seen[key].revision) is not None:
                return choice
            newest = await self._bucket.get(key)  # from the leader: whoever was faster is in it
            seen.update(_read([newest] if newest else []))
        raise LogUnavailable(f"case {wanted.case_id} found its units taken {ATTEMPTS_MAX} times")

    async def release(self, case_id: str, department: str, unit: str) -> None:
        """End the unit's mission if it is this one.  Raises LogUnavailable."""

        def released(known: Unit | None) -> Unit | None:
            if known is None or known.mission != case_id:
                return known
            return known.model_copy(update={"mission": None})

        await self._change(_key(department, unit), released)

    async def _seen(self, departments: Iterable[str]) -> dict[str, _Seen]:
        prefixes = [token(department) for department in departments]
        return _read(await self._bucket.below(*prefixes)) if prefixes else {}

    async def _change(self, key: str, change: Callable[[Unit | None], Unit | None]) -> Unit | None:
        """Write what *change* makes of the newest value, unless it leaves it as it is."""
        for _ in range(ATTEMPTS_MAX):
            found = await self._bucket.get(key)
            known = _unit(found) if found else None
            changed = change(known)
            if changed is None or changed == known:
                return changed
            if await self._bucket.put(key, _payload(changed), found.revision if found else 0) is not None:
                return changed
        raise LogUnavailable(f"unit {key} stayed contended for {ATTEMPTS_MAX} attempts")


def _key(department: str, unit: str) -> str:
    return f"{token(department)}.{token(unit)}"


def _payload(unit: Unit) -> bytes:
    return unit.model_dump_json(exclude_none=True).encode()


def _unit(value: Value) -> Unit | None:
    try:
        return Unit.model_validate_json(value.payload)
    except ValidationError as error:  # written by another version or by hand: one unit less, not all
        log.warning("unit_unreadable", key=value.key, reason=str(error))
        return None


def _read(values: Iterable[Value]) -> dict[str, _Seen]:
    units = ((value, _unit(value)) for value in values)
    return {value.key: _Seen(unit, value.revision) for value, unit in units if unit is not None}
