"""Webhooks: each fact as a signed CloudEvent to whoever subscribed to it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import orjson
import structlog

from libs.events.log import Log
from services.notify.channels.base import Dropped, Due, Failed, Hopeless, Outcome, Standing, message_id_of
from services.notify.channels.payload import public
from services.notify.channels.posting import Poster, signed
from services.notify.subscriptions.model import State, Subscription
from services.notify.subscriptions.store import Subscriptions

log = structlog.get_logger(__name__)

GONE: Final = 410


class Webhooks:
    """The channel of all subscriptions, each with a lane of its own."""

    def __init__(
        self, subscriptions: Subscriptions, cases: Log, poster: Poster, now: Callable[[], datetime]
    ) -> None:
        self._subscriptions = subscriptions
        self._log = cases
        self._poster = poster
        self._now = now

    async def standing(self, lane: str) -> Standing:
        """Open while the subscription is active."""
        found = (await self._subscriptions.all()).get(lane.partition("/")[2])
        if found is None:
            return Standing.OVER
        return Standing.OPEN if found.state is State.ACTIVE else Standing.HELD

    async def send(self, bundle: Sequence[Due]) -> Outcome:
        """Post the fact; an answer 410 disables the subscription."""
        [notice] = bundle  # webhooks are not bundled
        subscription = (await self._subscriptions.all()).get(notice.receiver)
        if subscription is None:
            return Dropped("the subscription was deleted")
        body = await self._body(notice)
        if body is None:
            return Hopeless("the log does not hold the fact any more")
        headers = signed(message_id_of(notice), self._now(), body, subscription.secrets_at(self._now()))
        outcome = await self._poster.post(subscription.url, headers, body)
        if isinstance(outcome, Failed) and outcome.status == GONE:
            await self._disable(subscription)
        return outcome

    async def _body(self, notice: Due) -> str | None:
        history = await self._log.load(notice.case_id, at_least=notice.position)
        found = next((entry for entry in history.entries if entry.version == notice.version), None)
        return orjson.dumps(public(found.envelope)).decode() if found else None

    async def _disable(self, subscription: Subscription) -> None:
        found = await self._subscriptions.get(subscription.id)
        if found is None:
            return
        now, revision = found
        # Should somebody change it at this moment, the next attempt says it again.
        if now.url == subscription.url and await self._subscriptions.put(
            now.model_copy(update={"state": State.DISABLED}), revision
        ):
            log.warning("webhook_disabled", subscription=subscription.id)
