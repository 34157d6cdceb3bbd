"""HTTP of intake for everybody: report a problem, and see where it stands.  Parse, call, map a refusal to a status."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final, NamedTuple

import structlog
from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, Field

from libs.events.access.identity import Actor
from libs.events.access.web import may, permit
from libs.events.asof import AsOf
from libs.events.bodies import Body, Code, Photos
from libs.events.contracts.base import Place
from libs.events.envelope import Context, Entry
from libs.events.errors import LogUnavailable
from libs.events.ids import (
    case_id_of_tracking,
    new_tracking_number,
    read_tracking_number,
    tracking_number_for,
)
from libs.events.log import History, Log
from libs.events.past import history_as_of
from libs.events.photos import UNKNOWN_PHOTO, UNKNOWN_PHOTO_ZH, Album
from libs.events.policy import RuleBook
from libs.events.problems import FieldProblem, problem
from libs.events.rules import Rules
from libs.events.runtime import Bus
from libs.events.sealing import Contact, Sealer
from services.intake import decider
from services.intake.answers import ANSWER_CHARACTERS_MAX, read_answers
from services.intake.contacts import ContactBody, FreeTexts, give_back, seal, without_people
from services.intake.decider import Refusal, Report
from services.intake.places import Gazetteer, Stated
from services.intake.refusals import not_valid, refused
from services.intake.sorting import Sorter
from services.intake.standing import Standing, main_case, standing

log = structlog.get_logger(__name__)

DESCRIPTION_CHARACTERS_MAX: Final = 4_000
ADDRESS_CHARACTERS_MAX: Final = 500
QUESTIONS_MAX: Final = 100
MERGES_FOLLOWED_MAX: Final = 2


Answers = Annotated[
    list[Annotated[str, Field(max_length=ANSWER_CHARACTERS_MAX)]], Field(max_length=QUESTIONS_MAX)
]


class PlaceBody(Body):
    """Where it is; WGS84 degrees.  The rule book finds grid, community and street of a point."""

    address: Annotated[str, Field(min_length=1, max_length=ADDRESS_CHARACTERS_MAX)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    street: Code | None = None
    community: Code | None = None
    grid: Code | None = None


class ReportBody(Body):
    """A report.  Names and numbers belong into `contact` alone: in other texts, numbers are masked."""

    category: Code
    description: Annotated[str, Field(min_length=1, max_length=DESCRIPTION_CHARACTERS_MAX)]
    channel: Code = "web"
    place: PlaceBody
    photos: Photos = Field(default_factory=list)
    contact: ContactBody | None = None
    answers: dict[Code, Answers] = Field(default_factory=dict, max_length=QUESTIONS_MAX)
    """To the questions that the rule book asks of the category, by their codes."""


class Receipt(BaseModel):
    """What a reporter keeps: with the tracking number anyone can see where the case stands."""

    tracking_number: str
    case_id: str


class Places:
    """The names of the rule book in force, worked out once for each."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._gazetteer = Gazetteer.of(rules.book)

    @property
    def now(self) -> Gazetteer:
        """Those of the rule book in force."""
        if self._gazetteer.book is not self._rules.book:
            self._gazetteer = Gazetteer.of(self._rules.book)
        return self._gazetteer


@dataclass(frozen=True, slots=True)
class Desk:
    """What intake's routes work with."""

    bus: Bus
    places: Places
    sorter: Sorter
    secret: str
    """Tracking numbers of repeated requests are computed with it."""
    now: Callable[[], datetime]
    sealer: Sealer
    album: Album
    """Says whether the pictures that a report names are there."""


def routes(desk: Desk) -> APIRouter:
    """`POST /cases` and `GET /cases/{tracking_number}`."""
    router = APIRouter(tags=["cases"])

    @router.post("/cases", status_code=201, response_model=Receipt, responses={200: {"model": Receipt}})
    async def report(
        body: ReportBody,
        response: Response,
        actor: Annotated[Actor, Depends(may("report"))],
        idempotency_key: Annotated[str | None, Header(min_length=8, max_length=200)] = None,
    ) -> Receipt | Response:
        """Report a problem.  Once answered it is safe in the log.  Repeat with the same `Idempotency-Key` at will.

        A channel that the rule book trusts, such as `patrol`, is for grid workers and integrators alone.
        """
        taken = await take(desk, body, idempotency_key, actor)
        if isinstance(taken, Response):
            return taken
        response.status_code = 201 if taken.is_new else 200
        response.headers["Location"] = f"/cases/{taken.receipt.tracking_number}"
        return taken.receipt

    @router.get("/cases/{tracking_number}", response_model=Standing, dependencies=[Depends(may("track"))])
    async def where_it_stands(tracking_number: str, as_of: AsOf | None = None) -> Standing | Response:
        """Where the case with this tracking number stands; of a report that was joined to another, that one.

        With *as_of* where it stood at a time, or at a position of the log; 404 where it was not reported yet.
        """
        try:
            tracking = read_tracking_number(tracking_number)
        except ValueError as error:
            wrong = FieldProblem(field="tracking_number", reason=str(error), reason_zh="查询码格式不正确。")
            return problem(422, "invalid_tracking_number", str(error), "查询码格式不正确。", errors=[wrong])
        load = _loading(desk, as_of)
        history = await load(case_id_of_tracking(tracking))
        if not history.entries:
            return problem(
                404, "unknown_tracking_number", "No case has this tracking number.", "没有此查询码的案件。"
            )
        main = await _main(load, history)
        return standing(tracking, history, desk.places.now.book, main)

    return router


async def loaded(log: Log, case_id: str) -> History:
    """The case; empty when there is none, which is asked of the leader: a replica may lag behind an answer."""
    history = await log.load(case_id)
    if not history.entries:
        history = await log.load(case_id, at_least=await log.newest(case_id))
    return history


class Taken(NamedTuple):
    """A report that is safe in the log."""

    receipt: Receipt
    is_new: bool
    """Whether it was not there before: the same again adds nothing."""


async def take(desk: Desk, body: ReportBody, idempotency_key: str | None, actor: Actor) -> Taken | Response:
    """Take a report, through whatever door it came; or what to answer instead.

    Raises LogUnavailable, and NotAllowed or NotSignedIn when *actor* may not use the channel.
    """
    # Who is trusted is no resident: a grid worker on patrol, a sensor, another system of the city.
    if body.channel in desk.places.now.book.filing.trusted_channels:
        permit(actor, "report-trusted")
    if not desk.bus.log.is_connected:
        raise LogUnavailable("the log is away")
    tracking = tracking_number_for(desk.secret, idempotency_key) if idempotency_key else new_tracking_number()
    case_id = case_id_of_tracking(tracking)
    outcome = await _report(desk, case_id, body, actor.principal)
    if isinstance(outcome, Response):
        return outcome
    return Taken(Receipt(tracking_number=tracking, case_id=case_id), outcome)


async def _report(desk: Desk, case_id: str, body: ReportBody, principal: str | None) -> bool | Response:
    """Whether it is new; or what to answer instead."""
    gazetteer = desk.places.now
    book, now = gazetteer.book, gazetteer.book.local(desk.now())
    words, contact = without_people(
        FreeTexts(body.description, body.place.address, body.answers), body.contact
    )
    stated = body.place.model_copy(update={"address": words.address})
    place = gazetteer.place(Stated(**stated.model_dump()))
    if not isinstance(place, Place):
        return not_valid(place)
    category = book.category(body.category)
    if category is None:
        return refused(Refusal.UNKNOWN_CATEGORY, body.category)
    answered = read_answers(category.questions, words.answers)
    if answered.wrong:
        return not_valid(answered.wrong)
    missing = await desk.album.missing(body.photos)
    if missing is not None:
        field = f"photos.{missing}"
        wrong = FieldProblem(field=field, reason=UNKNOWN_PHOTO, reason_zh=UNKNOWN_PHOTO_ZH)
        return problem(422, "unknown_photo", UNKNOWN_PHOTO, UNKNOWN_PHOTO_ZH, errors=[wrong])
    command = Report(
        rules=book,
        now=now,
        category=body.category,
        channel=body.channel,
        description=words.description,
        place=place,
        photos=tuple(body.photos),
        answers=answered.answers,
    )
    trusted = body.channel in book.filing.trusted_channels
    actor = f"channel:{body.channel}" if trusted else "resident"
    context = Context(actor=actor, time=now, policy_version=book.version, principal=principal)
    outcome = await _decided(desk, case_id, command, contact, context)
    if isinstance(outcome, Refusal):
        return refused(outcome, body.category)
    if outcome:
        await _sort_now(desk, History(case_id, outcome), book)
    return bool(outcome)


async def _decided(
    desk: Desk, case_id: str, report: Report, contact: Contact, context: Context
) -> tuple[Entry, ...] | Refusal:
    reporter = await seal(desk.sealer, contact, case_id)
    command = replace(report, reporter=reporter)
    outcome = await desk.bus.handler.handle(
        case_id,
        lambda history: decider.decide(command, decider.fold(history.events)),
        context,
        believed=History(case_id),
    )
    if reporter and (isinstance(outcome, Refusal) or not outcome):
        await give_back(desk.sealer, reporter, await loaded(desk.bus.log, case_id))
    return outcome


async def _sort_now(desk: Desk, history: History, book: RuleBook) -> None:
    """File it or join it at once; should that fail, the reaction to the report does it a moment later."""
    try:
        await desk.sorter.sort(history, book)
    except LogUnavailable as error:
        log.info("report_sorted_later", case_id=history.case_id, reason=str(error))


def _loading(desk: Desk, as_of: datetime | int | None) -> Callable[[str], Awaitable[History]]:
    """How a case is read: as it is, or as it was."""
    if as_of is None:
        return lambda case_id: loaded(desk.bus.log, case_id)
    return lambda case_id: history_as_of(desk.bus.log, case_id, as_of, desk.now())


async def _main(load: Callable[[str], Awaitable[History]], history: History) -> History | None:
    """The case that this report was joined to, if it was."""
    main: History | None = None
    for _ in range(MERGES_FOLLOWED_MAX):
        into = main_case(main or history)
        if into is None:
            break
        main = await load(into)
    return main
