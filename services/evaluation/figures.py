"""HTTP of figures: measures and the cases behind them, appraisals, hot spots, patrols."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from libs.events.access.web import may
from libs.events.appraisal import Scheme, Subject
from libs.events.asof import AsOf
from libs.events.moments import Day, Moment
from libs.events.past import Pasts
from libs.events.policy import RuleBook
from libs.events.problems import FieldProblem, problem
from libs.events.rules import Rules
from services.evaluation import alerts
from services.evaluation.asked import Asked, spanned
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


class Behind(BaseModel):
    """The cases behind a figure, or a part of them."""

    measure: str
    cases: list[dict[str, Any]]
    """`case_id`, and how many `times` it counts."""
    next: str | None
    """What to give as `after` for the part that follows; None at the end."""


def measure_routes(pasts: Pasts, rules: Rules) -> APIRouter:
    """`GET /measures` and `GET /measures/{measure}/cases`."""
    router = APIRouter(tags=["figures"])

    @router.get("/measures", dependencies=[Depends(may("see-figures"))])
    async def measures(asked: Annotated[Asked, Depends()], by: By = By.DEPARTMENT) -> list[dict[str, Any]]:
        """Everything that is counted, one line for each key, of the cases reported from *since* before *until*.

        `key` (none where the case names none), each measure by its name, and `rates` in per cent.
        """
        async with spanned(pasts, asked) as (connection, span):
            return await lines(connection, await _book(rules, asked, span), by, span)

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
        async with spanned(pasts, asked) as (connection, span):
            book = await _book(rules, asked, span)
            found = await cases_behind(connection, book, measure, by, span, meant, Page(limit + 1, after))
        more = len(found) > limit
        return Behind(
            measure=measure, cases=found[:limit], next=found[limit - 1]["case_id"] if more else None
        )

    return router


def appraisal_routes(pasts: Pasts, rules: Rules) -> APIRouter:
    """`GET /appraisal`, `GET /alerts` and `GET /patrols`."""
    router = APIRouter(tags=["figures"])

    @router.get("/appraisal", response_model=AppraisalResult, dependencies=[Depends(may("see-figures"))])
    async def appraisal(
        by: Subject = Subject.DEPARTMENT,
        scheme: Annotated[str | None, Query(max_length=100)] = None,
        since: Moment | None = None,
        until: Moment | None = None,
        as_of: AsOf | None = None,
    ) -> AppraisalResult | Response:
        """The scores of all subjects by the rule book's scheme, each explained; of the last 30 days by default.

        With *as_of* as it was at a time, or at a position of the log: by the rule book that was in force then.
        """
        asked = Asked(as_of, since, until)
        async with spanned(pasts, asked) as (connection, span):
            book = await _book(rules, asked, span)
            chosen = _scheme(book, by, scheme)
            if chosen is None:
                return _unknown_scheme(book)
            end = until or span.as_of
            begin = since or end - timedelta(days=DAYS_DEFAULT)
            found = await measured(connection, book, By(chosen.by), Span(span.as_of, begin, end))
        subjects = of_subjects(found, book, By(chosen.by))
        return appraise(chosen, subjects, Period(since=begin, until=end), book.version)

    @router.get("/alerts", dependencies=[Depends(may("see-figures"))])
    async def hot_spots(until: Moment | None = None, as_of: AsOf | None = None) -> list[dict[str, Any]]:
        """The hot spots of the window that ends with *until* (*as_of*, or now, by default), the worst first.

        With *as_of* as they were at a time, or at a position of the log: by the rule book that was in force then.
        """
        asked = Asked(as_of)
        async with spanned(pasts, asked) as (connection, span):
            book, end = await _book(rules, asked, span), until or span.as_of
            settings = alerts.settings_of(book.alerts, book.city.time_lapse)
            since = end - settings.window - settings.baseline
            seen = await spots.sightings(connection, since, end, span.as_of)
            first = await spots.known_from(connection, span.as_of)
        return [asdict(alert) for alert in alerts.find_alerts(seen, settings, end, first)]

    @router.get("/patrols", response_model=list[dict[str, Any]], dependencies=[Depends(may("see-patrols"))])
    async def patrols(
        since: Day | None = None, until: Day | None = None, as_of: AsOf | None = None
    ) -> list[dict[str, Any]] | Response:
        """Each grid's patrols of those days (today by default): coverage, and the cases that they missed.

        With *as_of* as it was at a time, or at a position of the log.
        """
        async with pasts.asking(as_of) as seen:
            today = rules.book.local(seen.now).date()
            begin, end = since or until or today, until or since or today
            if not timedelta() <= end - begin < timedelta(days=PATROL_DAYS_MAX):
                return _bad_days()
            return await spots.coverage(seen.connection, begin.isoformat(), end.isoformat())

    return router


async def _book(rules: Rules, asked: Asked, span: Span) -> RuleBook:
    """What judged then, if a past is asked about; else the rule book in force."""
    return rules.book if asked.as_of is None else await rules.at(span.as_of)


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
