"""HTTP of Open311 GeoReport v2, below `/open311/v2`; each resource as XML and as JSON."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response

from libs.events.access.identity import Actor
from libs.events.access.web import may
from libs.events.ids import case_id_of_tracking, is_case_id, read_tracking_number
from libs.events.problems import FieldProblem
from libs.events.readmodel import asking
from services.intake.open311 import documents, table
from services.intake.open311.endpoint import (
    BASE,
    ROOT,
    JurisdictionArguments,
    ListArguments,
    Open311,
    RequestArguments,
    answered,
    headers_for,
    not_found,
    unknown_service,
    unknown_token,
)
from services.intake.open311.filters import selection
from services.intake.open311.openapi import POSTED, answers
from services.intake.open311.posting import WITH_KEY, KeyMayFollow, Posting
from services.intake.open311.rendering import Format, list_answer
from services.intake.open311.rows import RequestRow, StepRow, advance, step_of
from services.intake.refusals import not_valid
from services.intake.routes import Desk, loaded

WITH_PICTURES: Final = tuple(f"{BASE}/requests.{form}" for form in Format)
"""Where bodies may be as large as those of `/attachments`."""
READ: Final[dict[str, Any]] = {"dependencies": [Depends(may("see-requests"))]}
Jurisdiction = Annotated[JurisdictionArguments, Query()]
Accepted = Annotated[str | None, Header(alias="Accept-Language")]


def open311_routes(open311: Open311) -> APIRouter:
    """All resources."""
    router = APIRouter(tags=["open311"])
    for form in Format:
        _add_discovery(router, open311, form)
        _add_services(router, open311, form)
        _add_requests(router, open311, form)
        _add_one_request(router, open311, form)
        _add_post(router, open311, form)
    return router


def _add_discovery(router: APIRouter, open311: Open311, form: Format) -> None:
    @router.get(f"{ROOT}/discovery.{form}", **READ, **answers("discovery", form))
    @router.get(f"{BASE}/discovery.{form}", **READ, **answers("discovery_of_v2", form))
    async def discovery(request: Request, accepted: Accepted = None) -> Response:
        """Where this endpoint is, and when its services last changed."""
        settings, words = open311.settings, open311.words(accepted)
        url = settings.open311_url or f"{str(request.base_url).rstrip('/')}{BASE}"
        contact = settings.open311_contact or words.of(words.book.city.name)
        document = documents.discovery(words.book, url, contact, settings.open311_key_service)
        return answered("discovery", document, form, words)


def _add_services(router: APIRouter, open311: Open311, form: Format) -> None:
    @router.get(f"{BASE}/services.{form}", **READ, **answers("services", form))
    async def services(arguments: Jurisdiction, accepted: Accepted = None) -> Response:
        """What can be reported: the categories of the rule book."""
        words = open311.words(accepted)
        wrong = open311.wrong_jurisdiction(arguments.jurisdiction_id)
        return wrong or answered("services", documents.services(words), form, words)

    @router.get(f"{BASE}/services/{{service_code}}.{form}", **READ, **answers("service_definition", form))
    async def service(service_code: str, arguments: Jurisdiction, accepted: Accepted = None) -> Response:
        """What an app asks whoever reports a case of this service."""
        if wrong := open311.wrong_jurisdiction(arguments.jurisdiction_id):
            return wrong
        words = open311.words(accepted)
        category = words.book.category(service_code)
        if category is None:
            return unknown_service()
        return answered("service_definition", documents.definition(category, words), form, words)


def _add_requests(router: APIRouter, open311: Open311, form: Format) -> None:
    @router.get(f"{BASE}/requests.{form}", **READ, **answers("requests", form))
    async def requests(
        request: Request, arguments: Annotated[ListArguments, Query()], accepted: Accepted = None
    ) -> Response:
        """What was reported: of the last 90 days, if no dates are given, the newest first; at most 1,000."""
        if wrong := open311.wrong_jurisdiction(arguments.jurisdiction_id):
            return wrong
        asked = selection(arguments.model_dump(), open311.desk.now())
        if isinstance(asked, FieldProblem):
            return not_valid([asked])
        view = open311.view(open311.words(accepted), arguments, request)
        hidden = documents.hidden(view.words.book)
        async with asking(open311.pool(), "intake") as connection:
            rows, joined = await table.requests(connection, asked, hidden)
            steps = await table.steps(connection, [row.case_id for row in rows]) if view.extended else {}
        found = (
            documents.request(row, joined.get(row.joined_to or ""), view, steps.get(row.case_id, ()))
            for row in rows
        )
        return await list_answer("service_requests", found, form, headers_for(view.words))


def _add_one_request(router: APIRouter, open311: Open311, form: Format) -> None:
    @router.get(f"{BASE}/requests/{{service_request_id}}.{form}", **READ, **answers("request", form))
    async def request(
        request: Request,
        service_request_id: str,
        arguments: Annotated[RequestArguments, Query()],
        accepted: Accepted = None,
    ) -> Response:
        """One request, from the log itself: it is there as soon as its report was answered."""
        if wrong := open311.wrong_jurisdiction(arguments.jurisdiction_id):
            return wrong
        view = open311.view(open311.words(accepted), arguments, request)
        row, steps = await _from_log(open311.desk, service_request_id)
        if row is None or not row.live:
            return not_found("service_request_id", "There is no such request.", "没有此编号的诉求。")
        main = (await _from_log(open311.desk, row.joined_to))[0] if row.joined_to else None
        found = [documents.request(row, main, view, steps)]
        return answered("service_requests", found, form, view.words)

    @router.get(f"{BASE}/tokens/{{token}}.{form}", **READ, **answers("token", form))
    async def token(token: str, arguments: Jurisdiction, accepted: Accepted = None) -> Response:
        """The request behind a token, which is the tracking number of its report."""
        if wrong := open311.wrong_jurisdiction(arguments.jurisdiction_id):
            return wrong
        try:
            tracking = read_tracking_number(token)
        except ValueError:
            return unknown_token()
        case_id = case_id_of_tracking(tracking)
        if not (await loaded(open311.desk.bus.log, case_id)).entries:
            return unknown_token()
        found = [{"service_request_id": case_id, "token": tracking}]
        return answered("service_requests", found, form, open311.words(accepted))


def _add_post(router: APIRouter, open311: Open311, form: Format) -> None:
    @router.post(f"{BASE}/requests.{form}", **answers("post_request", form, 201), openapi_extra=POSTED)
    async def post(
        request: Request,
        actor: Annotated[Actor, Depends(KeyMayFollow(WITH_KEY))],
        accepted: Accepted = None,
        idempotency_key: Annotated[str | None, Header(min_length=8, max_length=200)] = None,
    ) -> Response:
        """Report a problem.  Once answered it is safe in the log.  Repeat with the same `Idempotency-Key` at will."""
        return await Posting(open311, request, actor, idempotency_key, open311.words(accepted)).answer(form)


async def _from_log(desk: Desk, case_id: str) -> tuple[RequestRow | None, list[StepRow]]:
    """A request and its steps as the log has them now; None when it has none."""
    row: RequestRow | None = None
    steps: list[StepRow] = []
    history = await loaded(desk.bus.log, case_id) if is_case_id(case_id) else None
    for entry in history.entries if history else ():
        row = advance(row, entry)
        if row and (step := step_of(entry)):
            steps.append(step)
    return row, steps
