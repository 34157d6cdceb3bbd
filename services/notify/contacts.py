"""Opens the contact of a case for those whom the table of roles lets see it, and writes down that it did."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from libs.events.access.identity import Actor
from libs.events.access.places import NOT_YOUR_PLACE, NOT_YOUR_PLACE_ZH, covers, place_of
from libs.events.access.web import may
from libs.events.bodies import CaseId
from libs.events.errors import NotAllowed
from libs.events.log import History, Log
from libs.events.policy import RuleBook
from libs.events.problems import problem
from libs.events.sealing import Forgotten, Opener, Spot
from services.notify.channels.people import sealed_in

log = structlog.get_logger(__name__)

VERB: Final = "see-contact"


class ContactShown(BaseModel):
    """How to reach whoever reported the case; empty is what they did not say."""

    case_id: str
    name: str
    phone: str
    mail: str
    text: str
    typed: str
    """The words of the report as they were typed, where numbers were masked in it."""


@dataclass(frozen=True, slots=True)
class ContactDesk:
    """What the route works with."""

    log: Log
    opener: Opener
    book: Callable[[], RuleBook]


def contact_routes(desk: ContactDesk) -> APIRouter:
    """`GET /cases/{case_id}/contact`."""
    router = APIRouter(tags=["contacts"])

    @router.get("/cases/{case_id}/contact", response_model=ContactShown)
    async def contact(
        case_id: CaseId, response: Response, actor: Annotated[Actor, Depends(may(VERB))]
    ) -> ContactShown | Response:
        """How to reach whoever reported the case; each look is written down."""
        history = await desk.log.load(case_id)
        post = _post(actor, history, desk.book())
        sealed = sealed_in(history)
        if sealed is None:
            return problem(404, "no_contact", "No contact is known for this case.", "此案件没有联系方式。")
        opened = await desk.opener.open(sealed, Spot(case_id))
        if isinstance(opened, Forgotten):
            return problem(410, "contact_erased", "The person was erased.", "此人的个人信息已删除。")
        log.info("contact_opened", case_id=case_id, by=post, principal=actor.principal)
        response.headers["Cache-Control"] = "no-store"
        return ContactShown(
            case_id=case_id,
            name=opened.name,
            phone=opened.phone,
            mail=opened.mail,
            text=opened.text,
            typed=opened.typed,
        )

    return router


def _post(actor: Actor, history: History, book: RuleBook) -> str:
    """The post that may look, since the case is of its place; raises NotAllowed."""
    place = place_of(history.events)
    # A post of a place that the rule book does not know decides where nobody else could; it reads nobody's name.
    known = [post for post in actor.posts_for(VERB) if book.areas_of(post.partition(":")[2])]
    found = next((post for post in known if covers(post, place, book)), None)
    if found is None:
        raise NotAllowed("not_your_place", NOT_YOUR_PLACE, NOT_YOUR_PLACE_ZH)
    return found
