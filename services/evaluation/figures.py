"""HTTP of figures: measures and the cases behind them, appraisals, hot spots, patrols."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from libs.events.access.web import may
from libs.events.appraisal import Scheme, Subject
from libs.events.moments import Day, Moment
from libs.events.policy import RuleBook
from libs.events.problems import FieldProblem, problem
from libs.events.readmodel import Pool, asking
from services.evaluation import alerts
from services.evaluation.judging import KNOWN, cases_behind, lines, measured, of_subjects
from services.evaluation.refusals import NOT_FOUND, NOT_VALID
from services.evaluation.scoring import AppraisalResult, appraise
from services.evaluation.scoring import Span as Period
from services.evaluation.views import By, Span, spots
from services.evaluation.views.measures import Key, Page

CASES_MAX: Final = 1_000
"""So many cases behind a figure are listed at once."""
DAYS_DEFAULT: Final = 30
PATROL_DAYS_MAX: Final = 92


@dataclass(frozen=True, slots=True)
class Asked:
    """Which cases, and as of when."""

    as_of: Moment | None = None
    since: Moment | None = None
    until: Moment | None = None

    def span(self, now: datetime) -> Span:
        """The span that is asked about: as it was at its end, if that has been, or as it is now."""
        return Span(self.as_of or min(now, self.until or now), self.since, self.until)


class Behind(BaseModel):
    """The cases behind a figure, or a part of them."""

    measure: str
    cases: list[dict[str, Any]]
    """`case_id`, and how many `times` it counts."""
    next: str | None
    """What to give as `after` for the part that follows; None at the end."""


def measure_routes(
    pool: Callable[[], Pool], book: Callable[[], RuleBook], now: Callable[[], datetime]
) -> APIRouter:
    """`GET /measures` and `GET /measures/{measure}/cases`."""
    router = APIRouter(tags=["figures"])

    @router.get("/measures", dependencies=[Depends(may("see-figures"))])
    async def measures(asked: Annotated[Asked, Depends()], by: By = By.DEPARTMENT) -> list[dict[str, Any]]:
        """Everything that is counted, one line for each key, of the cases reported from *since* before *until*.

        `key` (none where the case names none), each measure by its name, and `rates` in per cent.
        """
        async with asking(pool(), "evaluation") as connection:
            return await lines(connection, book(), by, asked.span(now()))

    @router.get(
        "/measures/{measure}/cases", response_model=Behind, dependencies=[Depends(may("see-cases-behind"))]
    )
    async def cases(
        measure: str,
        asked: Annotated[Asked, Depends()],
        by: By = By.DEPARTMENT,
        key: Annotated[str | None, Query(max_length=100)] = None,
        after: Annotated[str, Query(max_length=100)] = "",
        limit: Annotated[int, Query(ge=1, le=CASES_MAX)] = 100,
    ) -> Behind | Response:
        """The cases behind a figure; of every line without *key*, of what has no key with an empty one."""
        if measure not in KNOWN:
            return _unknown_measure()
        meant = Key(every=key is None, value=key or None)
        async with asking(pool(), "evaluation") as connection:
            found = await cases_behind(
                connection, book(), measure, by, asked.span(now()), meant, Page(limit + 1, after)
            )
        more = len(found) > limit
        return Behind(
            measure=measure, cases=found[:limit], next=found[limit - 1]["case_id"] if more else None
        )

    return router


def appraisal_routes(
    pool: Callable[[], Pool], book: Callable[[], RuleBook], now: Callable[[], datetime]
) -> APIRouter:
    """`GET /appraisal`, `GET /alerts` and `GET /patrols`."""
    router = APIRouter(tags=["figures"])

    @router.get("/appraisal", response_model=AppraisalResult, dependencies=[Depends(may("see-figures"))])
    async def appraisal(
        by: Subject = Subject.DEPARTMENT,
        scheme: Annotated[str | None, Query(max_length=100)] = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> AppraisalResult | Response:
        """The scores of all subjects by the rule book's scheme, each explained; of the last 30 days by default."""
        rules = book()
        chosen = _scheme(rules, by, scheme)
        if chosen is None:
            return _unknown_scheme(rules)
        end = until or now()
        begin = since or end - timedelta(days=DAYS_DEFAULT)
        async with asking(pool(), "evaluation") as connection:
            found = await measured(connection, rules, By(chosen.by), Span(min(end, now()), begin, end))
        subjects = of_subjects(found, rules, By(chosen.by))
        return appraise(chosen, subjects, Period(since=begin, until=end), rules.version)

    @router.get("/alerts", dependencies=[Depends(may("see-figures"))])
    async def hot_spots(until: Moment | None = None) -> list[dict[str, Any]]:
        """The hot spots of the window that ends with *until* (now by default), the worst first."""
        rules, end = book(), until or now()
        settings = alerts.settings_of(rules.alerts, rules.city.time_lapse)
        since = end - settings.window - settings.baseline
        async with asking(pool(), "evaluation") as connection:
            seen = await spots.sightings(connection, since, end)
            first = await spots.known_from(connection)
        return [asdict(alert) for alert in alerts.find_alerts(seen, settings, end, first)]

    @router.get("/patrols", response_model=list[dict[str, Any]], dependencies=[Depends(may("see-patrols"))])
    async def patrols(since: Day | None = None, until: Day | None = None) -> list[dict[str, Any]] | Response:
        """Each grid's patrols of those days (today by default): coverage, and the cases that they missed."""
        today = book().local(now()).date()
        begin, end = since or until or today, until or since or today
        if not timedelta() <= end - begin < timedelta(days=PATROL_DAYS_MAX):
            return _bad_days()
        async with asking(pool(), "evaluation") as connection:
            return await spots.coverage(connection, begin.isoformat(), end.isoformat())

    return router


def _scheme(book: RuleBook, by: Subject, code: str | None) -> Scheme | None:
    if code is None:
        return book.appraisal.scheme_for(by)
    return next((each for each in book.appraisal.schemes if each.code == code), None)


def _unknown_measure() -> Response:
    reason, reason_zh = f"The measures are: {', '.join(KNOWN)}.", f"可用指标：{'、'.join(KNOWN)}。"
    wrong = FieldProblem(field="measure", reason=reason, reason_zh=reason_zh)
    return problem(NOT_FOUND, "unknown_measure", "There is no such measure.", "没有此指标。", errors=[wrong])


def _unknown_scheme(book: RuleBook) -> Response:
    codes = ", ".join(f"{each.code} ({each.by})" for each in book.appraisal.schemes) or "-"
    reason, reason_zh = f"The rule book's schemes are: {codes}.", f"现行考核办法：{codes}。"
    wrong = FieldProblem(field="scheme", reason=reason, reason_zh=reason_zh)
    return problem(
        NOT_FOUND, "unknown_scheme", "There is no such scheme.", "没有此考核办法。", errors=[wrong]
    )


def _bad_days() -> Response:
    reason = f"From since to until there must be 1 to {PATROL_DAYS_MAX} days."
    reason_zh = f"起止日期须为 1 至 {PATROL_DAYS_MAX} 天。"
    wrong = FieldProblem(field="until", reason=reason, reason_zh=reason_zh)
    return problem(NOT_VALID, "invalid_days", reason, reason_zh, errors=[wrong])
