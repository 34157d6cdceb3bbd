"""HTTP of intake for those who work on reports: what waits for a specialist, and what becomes of it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, BaseModel, Field

from libs.events.access.identity import Actor, role_of
from libs.events.access.places import covers, place_of
from libs.events.access.roles import Role
from libs.events.access.web import as_post, may
from libs.events.asof import AsOf
from libs.events.bodies import UNKNOWN_POST, UNKNOWN_POST_ZH, Body, CaseId, Code, Done
from libs.events.contracts.base import Place
from libs.events.envelope import Context
from libs.events.log import History
from libs.events.masking import masked
from libs.events.past import Pasts
from libs.events.problems import FieldProblem
from services.intake import decider
from services.intake.decider import Adopt, File, Merge, Refusal, Reject
from services.intake.places import Gazetteer, Stated
from services.intake.refusals import not_valid, refused
from services.intake.routes import Desk, loaded
from services.intake.views import SETTLED, WAITING_PAGE_MAX, waiting

SORTED_WITHIN: Final = timedelta(seconds=1)
"""So long a report may take until the rule book has filed it or joined it."""
REASON_CHARACTERS_MAX: Final = 1_000

Verb = Literal["file", "reject", "merge", "adopt"]
NEEDED: Final[dict[Verb, tuple[str, ...]]] = {
    "file": (),
    "reject": ("reason",),
    "merge": ("into",),
    "adopt": ("category",),
}
VERBS: Final[dict[Verb, str]] = {
    "file": "A report that waits is a case.  Repeating it adds nothing.",
    "reject": "A report that waits is none; its reporter reads why.  Repeating it adds nothing.",
    "merge": "A report that waits tells of a case that is open already.  Repeating it adds nothing.",
    "adopt": "An imported case becomes one of this city's.  Repeating it adds nothing.",
}
ALLOWED: Final[dict[Verb, tuple[str, ...]]] = {
    "file": ("category",),
    "reject": ("reason",),
    "merge": ("into",),
    "adopt": ("category", "community", "system"),
}


class StaffBody(Body):
    """Who decides, and what a verb needs: see each field."""

    by: Annotated[str, Field(pattern=r"^[a-z-]+:.+$", max_length=200)] | None = None
    """The post, such as `specialist:liuyuan` or `centre:hebin`, of whoever holds several that may do this."""
    category: Code | None = None
    """file: the category as confirmed, the reported one when missing.  adopt: that of this city's rule book."""
    reason: (
        Annotated[str, Field(min_length=1, max_length=REASON_CHARACTERS_MAX), AfterValidator(masked)] | None
    ) = None
    """reject: in the words that the reporter reads."""
    into: CaseId | None = None
    """merge: the case that it tells of."""
    community: Code | None = None
    """adopt: where it is, if its point does not say."""
    system: Code | None = None
    """adopt: where it must have been imported from."""


class Waiting(BaseModel):
    """A page of reports that wait for a specialist."""

    reports: list[dict[str, Any]]
    next: str | None
    """What to give as `after` for the page that follows; None on the last one."""


def staff_routes(desk: Desk, pasts: Pasts) -> APIRouter:
    """`GET /waiting` and `POST /cases/{case_id}/{verb}`."""
    router = APIRouter(tags=["specialists"])

    @router.get("/waiting", response_model=Waiting, dependencies=[Depends(may("see-waiting"))])
    async def what_waits(
        community: Code | None = None,
        after: CaseId | None = None,
        limit: Annotated[int, Query(ge=1, le=WAITING_PAGE_MAX)] = WAITING_PAGE_MAX,
        as_of: AsOf | None = None,
    ) -> Waiting | Response:
        """The reports that wait for a specialist, the oldest first.

        A report stands here after a second, when the rule book has had its turn.
        With *as_of* as it was at a time, or at a position of the log.
        """
        if community is not None and community not in desk.places.now.street_of:
            return not_valid([_unknown_community("community", community)])
        async with pasts.asking(as_of, forgetting=SETTLED) as seen:
            until = seen.now - SORTED_WITHIN
            found = await waiting(seen.connection, community, after, limit, until=until)
        return Waiting(reports=found, next=found[-1]["case_id"] if len(found) == limit else None)

    for verb in NEEDED:
        _add_verb(router, desk, verb)

    path, dependencies = "/cases/{case_id}/{verb}", [Depends(may("see-waiting"))]

    @router.post(path, include_in_schema=False, dependencies=dependencies)
    async def other(case_id: str, verb: Verb) -> None:
        """Every other verb, which is none."""

    return router


def _add_verb(router: APIRouter, desk: Desk, verb: Verb) -> None:
    async def decide(
        case_id: CaseId, body: StaffBody, actor: Annotated[Actor, Depends(may(verb))]
    ) -> Done | Response:
        post = as_post(actor, verb, body.by)
        if wrong := _problems(desk.places.now, verb, post, body):
            return not_valid(wrong)
        return await _decide(desk, case_id, verb, body, _By(post, actor.principal))

    path = f"/cases/{{case_id}}/{verb}"
    router.add_api_route(
        path, decide, methods=["POST"], response_model=Done, name=verb, description=VERBS[verb]
    )


class _By(NamedTuple):
    """Who decides."""

    post: str
    principal: str | None


async def _decide(desk: Desk, case_id: str, verb: Verb, body: StaffBody, by: _By) -> Done | Response:
    gazetteer = desk.places.now
    book = gazetteer.book
    request = _Request(case_id, verb, body, gazetteer)
    if verb == "merge" and body.into is not None:
        request = _Request(
            case_id, verb, body, gazetteer, decider.fold((await loaded(desk.bus.log, body.into)).events)
        )

    def decide(history: History) -> decider.Outcome:
        # Imported history is of other places than this city's.
        if verb != "adopt" and not covers(by.post, place_of(history.events), book):
            return Refusal.NOT_YOUR_PLACE
        return request.decided(decider.fold(history.events))

    now = book.local(desk.now())
    context = Context(actor=by.post, time=now, policy_version=book.version, principal=by.principal)
    outcome = await desk.bus.handler.handle(case_id, decide, context)
    if isinstance(outcome, Refusal):
        return refused(outcome, body.category)
    return Done(case_id=case_id, event_ids=[entry.envelope.id for entry in outcome])


@dataclass(frozen=True, slots=True)
class _Request:
    case_id: str
    verb: Verb
    body: StaffBody
    gazetteer: Gazetteer
    target: decider.State = decider.INITIAL

    def decided(self, state: decider.State) -> decider.Outcome:
        """What is decided about the case in this state."""
        return decider.decide(self._command(state), state)

    def _command(self, state: decider.State) -> decider.Command:
        body, rules = self.body, self.gazetteer.book
        match self.verb:
            case "file":
                return File(rules, body.category)
            case "reject":
                assert body.reason is not None, "checked"
                return Reject(body.reason)
            case "merge":
                assert body.into is not None, "checked"
                return Merge(self.case_id, body.into, self.target)
            case "adopt":
                assert body.category is not None, "checked"
                return Adopt(rules, body.category, self._place(state), body.system)

    def _place(self, state: decider.State) -> Place:
        """Where an imported case is as this city knows it: its point, or the community that was named."""
        if isinstance(state, decider.Unreported):
            return Place(time_zone=self.gazetteer.book.city.time_zone)
        place = state.report.place
        known = self.gazetteer.place(Stated(address=place.address, community=self._community(place)))
        assert isinstance(known, Place), "only what the rule book knows was given"
        here = known.model_copy(update={"longitude": place.longitude, "latitude": place.latitude})
        return self.gazetteer.located(here)

    def _community(self, place: Place) -> str | None:
        stated = self.body.community or place.community
        return stated if stated in self.gazetteer.street_of else None


def _problems(gazetteer: Gazetteer, verb: Verb, by: str, body: StaffBody) -> list[FieldProblem]:
    given = {name for name in ALLOWED["adopt"] + ("reason", "into") if getattr(body, name) is not None}
    wrong = [
        FieldProblem(field=name, reason=f"To {verb} needs it.", reason_zh="缺少必填字段。")
        for name in NEEDED[verb]
        if name not in given
    ]
    wrong += [
        FieldProblem(field=name, reason=f"To {verb} takes no {name}.", reason_zh="不允许有此字段。")
        for name in sorted(given - set(ALLOWED[verb]))
    ]
    if role_of(by) is not Role.ADMINISTRATOR and by.partition(":")[2] not in gazetteer.book.places:
        wrong.append(FieldProblem(field="by", reason=UNKNOWN_POST, reason_zh=UNKNOWN_POST_ZH))
    if body.community is not None and body.community not in gazetteer.street_of:
        wrong.append(_unknown_community("community", body.community))
    return wrong


def _unknown_community(field: str, code: str) -> FieldProblem:
    return FieldProblem(
        field=field, reason=f"The rule book has no community {code!r}.", reason_zh="规则手册中没有此社区。"
    )
