"""HTTP of evaluation: the scoreboard, how many cases stand where, one case, and what waits for a verifier."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from libs.events.access.web import may
from libs.events.asof import AsOf
from libs.events.ids import is_case_id
from libs.events.moments import Moment
from libs.events.past import Pasts
from libs.events.problems import problem
from services.evaluation.asked import Asked, spanned
from services.evaluation.views import By, Score, standing
from services.evaluation.views import scoreboard as scoreboard_of


def routes(pasts: Pasts) -> APIRouter:
    """`GET /scoreboard`, `GET /states`, `GET /to-verify`, `GET /imported` and `GET /cases/{case_id}`.

    All of them also as of a time, or of a position of the log.
    """
    router = APIRouter(tags=["evaluation"])

    @router.get("/scoreboard", dependencies=[Depends(may("see-figures"))])
    async def scoreboard(
        by: By = By.DEPARTMENT,
        as_of: AsOf | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> list[Score]:
        """Cases, closed, due, overdue, met and the median hours to close, as it was at *as_of*.

        Of the cases reported from *since* and before *until*, of all by default; as of *until*, or now, by default.
        """
        async with spanned(pasts, Asked(as_of, since, until)) as (connection, span):
            return await scoreboard_of(connection, by, span)

    @router.get("/states", dependencies=[Depends(may("see-figures"))])
    async def states(as_of: AsOf | None = None) -> dict[str, int]:
        """How many cases stand where, now or as of then, and how many are past their time."""
        async with pasts.asking(as_of) as seen:
            return await standing.states(seen.connection, seen.now)

    @router.get("/to-verify", dependencies=[Depends(may("see-to-verify"))])
    async def to_verify(
        community: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=standing.TO_VERIFY_MAX)] = 100,
        as_of: AsOf | None = None,
    ) -> list[dict[str, Any]]:
        """Cases that are handled and wait for somebody to look, the most urgent first."""
        async with pasts.asking(as_of) as seen:
            return await standing.to_verify(seen.connection, community, limit)

    @router.get("/imported", dependencies=[Depends(may("see-imported"))])
    async def imported(
        after: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=standing.IMPORTED_PAGE_MAX)] = standing.IMPORTED_PAGE_MAX,
        as_of: AsOf | None = None,
    ) -> list[dict[str, Any]]:
        """Imported cases that are open and were not adopted; *after* is the last case id of the page before."""
        async with pasts.asking(as_of) as seen:
            return await standing.imported(seen.connection, after, limit)

    @router.get("/cases/{case_id}", response_model=dict[str, Any], dependencies=[Depends(may("see-case"))])
    async def one_case(case_id: str, as_of: AsOf | None = None) -> dict[str, Any] | Response:
        """One case as evaluation sees it, or saw it."""
        found = None
        if is_case_id(case_id):
            async with pasts.asking(as_of, case_id=case_id) as seen:
                found = await standing.one_case(seen.connection, case_id)
        if found is None:
            return problem(404, "unknown_case", "No case has this id.", "没有此编号的案件。")
        return found

    return router
