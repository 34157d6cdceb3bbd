"""All measures of a span: what the database counts, and what takes the rule book to judge."""

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any, Final

from libs.events.policy import RuleBook
from libs.events.readmodel import Connection
from services.evaluation.scoring import Measures, ServiceScore, rate_upward, upward_measures
from services.evaluation.views import By, Span
from services.evaluation.views.measures import (
    COUNTED,
    RATES,
    Key,
    Measured,
    Page,
    assignments_held,
    behind,
    counted,
    percent,
    scores_given,
)

RESPONSES: Final = ("responses_due", "responded")
UPWARD: Final = ("upward_earned", "upward_possible")
KNOWN: Final = (*COUNTED, *RESPONSES, *UPWARD)
"""Every measure there is."""


async def measured(connection: Connection, book: RuleBook, by: By, span: Span) -> dict[str | None, Measured]:
    """All measures, by key."""
    found = await counted(connection, by, span)
    responses = _count_responses(await assignments_held(connection, by, span), book, span)
    upward = _upward(await scores_given(connection, by, span), book)
    nothing = Measured(dict.fromkeys(COUNTED, 0))
    for key in {*found, *responses, *upward}:
        line = found.setdefault(key, nothing._replace(counts=dict(nothing.counts)))
        line.counts.update({name: responses[key][name] for name in RESPONSES} if key in responses else {})
        line.counts.update({**dict.fromkeys(RESPONSES, 0), **line.counts})
        line.counts.update(upward.get(key) or upward_measures(None))
    return found


async def lines(connection: Connection, book: RuleBook, by: By, span: Span) -> list[dict[str, Any]]:
    """All of KNOWN and all rates (in per cent), ordered by key, what has none first."""
    found = await measured(connection, book, by, span)
    return [_line(key, found[key]) for key in sorted(found, key=lambda key: (key is not None, key or ""))]


def _line(key: str | None, measured: Measured) -> dict[str, Any]:
    counts = measured.counts
    return {
        "key": key,
        **{name: counts[name] if isinstance(counts[name], int) else float(counts[name]) for name in KNOWN},
        "report_in_minutes_median": measured.report_in_minutes_median,
        "rates": {name: percent(counts[part], counts[whole]) for name, (part, whole) in RATES.items()},
    }


async def cases_behind(
    connection: Connection,
    book: RuleBook,
    measure: str,
    by: By,
    span: Span,
    key: Key,
    page: Page,
) -> list[dict[str, Any]]:
    """The cases behind a figure, each with how often it counts."""
    if measure in COUNTED:
        return await behind(connection, measure, by, span, key, page)
    if measure in UPWARD:
        return await behind(connection, "scored", by, span, key, page)
    held = await assignments_held(connection, by, span)
    wanted = [each for each in held if key.every or each["key"] == key.value]
    times = Counter(each["case_id"] for each in wanted if measure in _response(each, book, span))
    found = sorted(case_id for case_id in times if case_id > page.after)[: page.limit]
    return [{"case_id": case_id, "times": times[case_id]} for case_id in found]


def _count_responses(held: list[Any], book: RuleBook, span: Span) -> dict[str | None, Counter[str]]:
    found: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    for each in held:
        found[each["key"]].update(_response(each, book, span))
    return found


def _response(assignment: Any, book: RuleBook, span: Span) -> tuple[str, ...]:
    """A response is a signature within the rule book's time; one that may still come is not judged."""
    due_at = book.deadline(book.evaluation.response_within, assignment["valid_from"]).due_at
    if due_at > span.as_of:
        return ()
    signed_at = assignment["signed_at"]
    return RESPONSES if signed_at is not None and signed_at <= due_at else RESPONSES[:1]


def _upward(scores: list[Any], book: RuleBook) -> dict[str | None, dict[str, Decimal]]:
    scheme = book.appraisal.upward
    if scheme is None:
        return {}
    given: defaultdict[str | None, list[ServiceScore]] = defaultdict(list)
    for each in scores:
        if (
            each["number"] <= scheme.stars_max
        ):  # a scale that was longer once is not judged by the shorter one
            given[each["key"]].append(
                ServiceScore(each["key"] or "", each["detail"], each["number"], each["case_id"])
            )
    return {key: upward_measures(rate_upward(scheme, found)[key or ""]) for key, found in given.items()}


def of_subjects(found: dict[str | None, Measured], book: RuleBook, by: By) -> dict[str, Measures]:
    """What an appraisal takes: the counts of everybody whom the rule book knows, had they cases or not."""
    subjects: dict[str, Measures] = dict.fromkeys(_codes(book, by), _NOTHING)
    return subjects | {key: measured.counts for key, measured in found.items() if key is not None}


_NOTHING: Final[Measures] = dict.fromkeys(KNOWN, 0)


def _codes(book: RuleBook, by: By) -> list[str]:
    match by:
        case By.DEPARTMENT:
            return [department.code for department in book.departments]
        case By.STREET:
            return [street.code for street in book.city.streets]
        case By.COMMUNITY:
            return sorted(book.communities())
        case By.GRID:
            return [grid.code for grid in book.grids]
        case _:
            return []
