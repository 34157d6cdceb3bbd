"""HTTP for integrators: their subscriptions, what became of deliveries, and having them sent again."""

import secrets
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from libs.events.access.identity import Actor
from libs.events.access.roles import Role
from libs.events.access.web import as_post, may
from libs.events.ids import new_event_id
from libs.events.log import Log
from libs.events.problems import FieldProblem, problem
from services.notify.channels.base import Sent
from services.notify.channels.posting import Poster, signed
from services.notify.delivery.looking import SHOWN_MAX, Looking
from services.notify.delivery.replays import Replays
from services.notify.delivery.table import Table
from services.notify.subscriptions.addresses import Address, WrongAddress
from services.notify.subscriptions.bodies import (
    Delivery,
    DeliveryWithAttempts,
    ReplayAsked,
    ReplayBody,
    RotateBody,
    Shown,
    SubscriptionBody,
    Tested,
    WithSecret,
)
from services.notify.subscriptions.model import Secret, State, Subscription
from services.notify.subscriptions.store import SUBSCRIPTIONS_MAX, Subscriptions
from services.notify.subscriptions.trial import trial_event

VERB: Final = "webhooks"
OWN_MAX: Final = 50
"""Subscriptions of one post."""
SECRET_BYTES: Final = 32
ID_BYTES: Final = 8

Who = Annotated[Actor, Depends(may(VERB))]
Found = tuple[Subscription, int]


@dataclass(frozen=True, slots=True)
class Desk:
    """What these routes work with."""

    subscriptions: Subscriptions
    table: Table
    looking: Looking
    replays: Replays
    poster: Poster
    log: Log
    address: Address
    now: Callable[[], datetime]

    async def own(self, actor: Actor, subscription_id: str) -> Found | Response:
        """A subscription of the actor's, or of anybody for an administrator; or the answer that there is none."""
        found = await self.subscriptions.get(subscription_id) if subscription_id.isalnum() else None
        if found is None or not (found[0].owner in actor.posts or Role.ADMINISTRATOR in actor.roles):
            return problem(404, "unknown_webhook", "You have no such subscription.", "没有此订阅。")
        return found

    async def change(self, changed: Subscription, revision: int) -> Response | None:
        """Write it; an answer when somebody else has changed it meanwhile."""
        if await self.subscriptions.put(changed, revision):
            return None
        return problem(409, "changed_meanwhile", "It was changed at the same moment.", "订阅刚被他人修改。")


def routes(desk: Callable[[], Desk]) -> APIRouter:
    """`/webhooks` and what is below."""
    router = APIRouter(tags=["webhooks"])
    _add_subscriptions(router, desk)
    _add_states(router, desk)
    _add_deliveries(router, desk)
    _add_replays(router, desk)
    return router


def _add_subscriptions(router: APIRouter, desk: Callable[[], Desk]) -> None:
    @router.post("/webhooks", status_code=201, response_model=WithSecret)
    async def subscribe(actor: Who, body: SubscriptionBody) -> WithSecret | Response:
        """Subscribe; the answer holds the secret with which deliveries are signed (Standard Webhooks)."""
        owner, at = as_post(actor, VERB, body.by), desk()
        try:
            url = at.address.checked(body.url)
        except WrongAddress as error:
            return _wrong("url", error.reason, error.reason_zh)
        known = (await at.subscriptions.all()).values()
        if len(known) >= SUBSCRIPTIONS_MAX or sum(each.owner == owner for each in known) >= OWN_MAX:
            title = f"There are too many subscriptions: {OWN_MAX} for each, {SUBSCRIPTIONS_MAX} in all."
            return problem(409, "too_many_webhooks", title, "订阅数量已达上限。")
        secret = _new_secret()
        made = Subscription(
            **body.model_dump(exclude={"by", "url"}),
            id=secrets.token_hex(ID_BYTES),
            owner=owner,
            url=url,
            secrets=(Secret(value=secret),),
            made_at=at.now(),
            after_position=await at.log.last_position(),
        )
        return await at.change(made, 0) or WithSecret.of_new(made, secret)

    @router.get("/webhooks")
    async def subscriptions(actor: Who) -> list[Shown]:
        """Your subscriptions; for an administrator those of everybody."""
        known = (await desk().subscriptions.all()).values()
        all_of_them = Role.ADMINISTRATOR in actor.roles
        return [Shown.of(each) for each in known if all_of_them or each.owner in actor.posts]

    @router.get("/webhooks/{webhook}", response_model=Shown)
    async def one(actor: Who, webhook: str) -> Shown | Response:
        """One subscription."""
        found = await desk().own(actor, webhook)
        return found if isinstance(found, Response) else Shown.of(found[0])

    @router.delete("/webhooks/{webhook}", status_code=204)
    async def delete(actor: Who, webhook: str) -> Response:
        """End it; what was not delivered is dropped."""
        at = desk()
        found = await at.own(actor, webhook)
        if isinstance(found, Response):
            return found
        await at.subscriptions.delete(found[0].id, found[1])
        await at.table.open(found[0].lane)
        return Response(status_code=204)


def _add_states(router: APIRouter, desk: Callable[[], Desk]) -> None:
    async def turned(actor: Actor, webhook: str, state: State) -> Shown | Response:
        at = desk()
        found = await at.own(actor, webhook)
        if isinstance(found, Response):
            return found
        changed = found[0].model_copy(update={"state": state})
        if refused := await at.change(changed, found[1]):
            return refused
        await at.table.open(changed.lane)
        return Shown.of(changed)

    @router.post("/webhooks/{webhook}/pause", response_model=Shown)
    async def pause(actor: Who, webhook: str) -> Shown | Response:
        """Let deliveries wait; what waits for too long is given up."""
        return await turned(actor, webhook, State.PAUSED)

    @router.post("/webhooks/{webhook}/resume", response_model=Shown)
    async def resume(actor: Who, webhook: str) -> Shown | Response:
        """Deliver again, also after the receiver answered 410."""
        return await turned(actor, webhook, State.ACTIVE)

    @router.post("/webhooks/{webhook}/rotate", response_model=WithSecret)
    async def rotate(actor: Who, webhook: str, body: RotateBody) -> WithSecret | Response:
        """A new secret; for *overlap_hours* deliveries are signed with both."""
        at = desk()
        found = await at.own(actor, webhook)
        if isinstance(found, Response):
            return found
        secret = _new_secret()
        changed = found[0].rotated(secret, at.now(), timedelta(hours=body.overlap_hours))
        return await at.change(changed, found[1]) or WithSecret.of_new(changed, secret)

    @router.post("/webhooks/{webhook}/test", response_model=Tested)
    async def test(actor: Who, webhook: str) -> Tested | Response:
        """Post a test event at once, and say what came of it."""
        at = desk()
        found = await at.own(actor, webhook)
        if isinstance(found, Response):
            return found
        webhook_id, now = new_event_id(), at.now()
        body = trial_event(webhook_id, found[0].id, now)
        outcome = await at.poster.post(
            found[0].url, signed(webhook_id, now, body, found[0].secrets_at(now)), body
        )
        delivered = isinstance(outcome, Sent)
        reason = getattr(outcome, "reason", "")
        status = getattr(outcome, "status", None)
        return Tested(webhook_id=webhook_id, delivered=delivered, status=status, reason=reason)


def _add_deliveries(router: APIRouter, desk: Callable[[], Desk]) -> None:
    @router.get("/webhooks/{webhook}/deliveries", response_model=list[Delivery])
    async def deliveries(
        actor: Who,
        webhook: str,
        state: Literal["due", "sent", "dead", "dropped"] | None = None,
        after: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=SHOWN_MAX)] = 50,
    ) -> list[dict[str, Any]] | Response:
        """Deliveries, the newest event first; *after* is the last id of the page before."""
        at = desk()
        found = await at.own(actor, webhook)
        if isinstance(found, Response):
            return found
        return await at.looking.of_receiver(found[0].id, state, str(after) if after else None, limit)

    @router.get("/webhooks/{webhook}/deliveries/{delivery}", response_model=DeliveryWithAttempts)
    async def delivery_with_attempts(actor: Who, webhook: str, delivery: UUID) -> dict[str, Any] | Response:
        """One delivery with every attempt."""
        at = desk()
        found = await at.own(actor, webhook)
        if isinstance(found, Response):
            return found
        shown = await at.looking.one(str(delivery))
        return shown[1] if shown and shown[0].receiver == found[0].id else _unknown_delivery()

    @router.post("/webhooks/{webhook}/deliveries/{delivery}/replay", status_code=202)
    async def replay_one(actor: Who, webhook: str, delivery: UUID) -> Response:
        """Deliver it again, with the same id."""
        at = desk()
        found = await at.own(actor, webhook)
        if isinstance(found, Response):
            return found
        shown = await at.looking.one(str(delivery))
        if shown is None or shown[0].receiver != found[0].id:
            return _unknown_delivery()
        await at.looking.again(shown[0], at.now())
        return Response(status_code=202)


def _add_replays(router: APIRouter, desk: Callable[[], Desk]) -> None:
    @router.post("/webhooks/{webhook}/replay", status_code=202, response_model=ReplayAsked)
    async def replay(actor: Who, webhook: str, body: ReplayBody) -> ReplayAsked | Response:
        """Deliver all events of a stretch of time that it is for, again or for the first time."""
        at = desk()
        found = await at.own(actor, webhook)
        if isinstance(found, Response):
            return found
        until = body.until or at.now()
        if until <= body.since:
            return _wrong("until", "It must be after `since`.", "截止时间必须晚于开始时间。")
        replay_id = await at.replays.ask(found[0].id, body.since, until, at.now())
        return ReplayAsked(id=replay_id, since=body.since, until=until)

    @router.get("/webhooks/{webhook}/replays", response_model=list[ReplayAsked])
    async def replays(actor: Who, webhook: str) -> list[ReplayAsked] | Response:
        """The newest replays, and how far they are."""
        at = desk()
        found = await at.own(actor, webhook)
        if isinstance(found, Response):
            return found
        rows = await at.replays.shown(found[0].id)
        return [ReplayAsked.model_validate({**row, "id": str(row["replay_id"])}) for row in rows]


def _new_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _wrong(field: str, reason: str, reason_zh: str) -> Response:
    wrong = FieldProblem(field=field, reason=reason, reason_zh=reason_zh)
    return problem(422, "not_valid", "The request is not valid.", "请求无效。", errors=[wrong])


def _unknown_delivery() -> Response:
    return problem(404, "unknown_delivery", "There is no such delivery.", "没有此推送记录。")
