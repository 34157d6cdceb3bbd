"""Units report themselves: over HTTP, and on the bus as `ask.<department>.unit`."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from libs.events.access.identity import Actor
from libs.events.access.roles import Role
from libs.events.access.web import for_department, may
from libs.events.bodies import Body, CaseId, Code
from libs.events.problems import FieldProblem, problem
from libs.events.rules import Rules
from services.dispatch.fleet import Fleet
from services.dispatch.units import Latitude, Longitude, Status, Unit


class UnitBody(Body):
    """What a unit says of itself; WGS84 degrees."""

    kind: Code
    longitude: Longitude
    latitude: Latitude
    status: Status
    mission_over: CaseId | None = None
    """The case that it has done with; only a report that names its mission ends it."""


class UnitAsk(UnitBody):
    """The same over the bus, where the subject names only the department."""

    unit: Code


class Units:
    """Takes the reports of units."""

    def __init__(self, fleet: Fleet, rules: Rules, now: Callable[[], datetime]) -> None:
        self._fleet = fleet
        self._rules = rules
        self._now = now

    async def report(self, department: str, unit: str, body: UnitBody) -> Unit | FieldProblem:
        """The unit as it stands after its report, or what is wrong with it.  Raises LogUnavailable."""
        book = self._rules.book
        known = book.department(department)
        if known is None:
            return FieldProblem(
                field="department",
                reason=f"The rule book has no department {department!r}.",
                reason_zh="规则中没有此部门。",
            )
        if body.kind not in known.unit_kinds:
            kinds = ", ".join(known.unit_kinds) or "none"
            return FieldProblem(
                field="kind",
                reason=f"The department {department} has no units of kind {body.kind!r}; it has: {kinds}.",
                reason_zh=f"该部门没有此类单元，现有：{kinds}。",
            )
        told = body.model_dump(include={"kind", "longitude", "latitude", "status"})
        report = Unit(department=department, unit=unit, reported_at=book.local(self._now()), **told)
        return await self._fleet.report(report, body.mission_over)

    async def of(self, department: str) -> tuple[Unit, ...]:
        """The department's units, by code.  Raises LogUnavailable."""
        return await self._fleet.of([department])


def unit_routes(units: Callable[[], Units]) -> APIRouter:
    """`PUT /departments/{department}/units/{unit}` and `GET /departments/{department}/units`."""
    router = APIRouter(tags=["units"])

    @router.put("/departments/{department}/units/{unit}", response_model=Unit)
    async def report(
        department: Code, unit: Code, body: UnitBody, actor: Annotated[Actor, Depends(may("place-unit"))]
    ) -> Unit | Response:
        """A unit says where it is.  The answer names its mission, if it was sent to a case."""
        for_department(actor, department)
        outcome = await units().report(department, unit, body)
        if isinstance(outcome, FieldProblem):
            title, title_zh = "The report of this unit is not valid.", "该单元的上报无效。"
            return problem(422, "not_valid", title, title_zh, errors=[outcome])
        return outcome

    @router.get("/departments/{department}/units")
    async def listed(department: Code, actor: Annotated[Actor, Depends(may("see-units"))]) -> list[Unit]:
        """The department's units as they were last heard of, those of the last day."""
        for_department(actor, department, Role.CENTRE, Role.AUDITOR, Role.ADMINISTRATOR)
        return list(await units().of(department))

    return router
