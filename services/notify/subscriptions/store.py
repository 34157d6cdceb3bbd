"""Where subscriptions stand: in the bucket `KV_RECEIVERS` of the log, so that a lost database loses none."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from pydantic import ValidationError

from libs.events.errors import LogUnavailable
from libs.events.keyvalue import KeyValue, Value
from services.notify.subscriptions.model import Subscription

log = structlog.get_logger(__name__)

KIND: Final = "webhook"
SUBSCRIPTIONS_MAX: Final = 500
"""In all: more than one question about the bucket could answer is refused."""
READ_ATTEMPTS_MAX: Final = 40
READ_AGAIN_SECONDS: Final = 0.05


class Subscriptions:
    """All subscriptions, as new as the bucket's leader has them."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._revision = -1
        self._known: dict[str, Subscription] = {}
        self._reading = asyncio.Lock()
        self._asked = 0
        self._answered = 0

    async def all(self) -> Mapping[str, Subscription]:
        """By id: at least those that were made before this was called.  Raises LogUnavailable or LogRefused."""
        self._asked += 1
        mine = self._asked
        async with self._reading:
            # One question answers all who waited for it, since it was asked after they came.
            if mine > self._answered:
                answered = self._asked
                await self._refresh()
                self._answered = answered
            return self._known

    async def get(self, subscription_id: str) -> tuple[Subscription, int] | None:
        """One subscription with its revision, from the leader.  Raises LogUnavailable or LogRefused."""
        found = await self._bucket.get(f"{KIND}.{subscription_id}")
        return (_decoded(found), found.revision) if found and found.payload else None

    async def put(self, subscription: Subscription, revision: int | None) -> bool:
        """Whether it was written; False when somebody else changed it since *revision* (0: it is new)."""
        payload = subscription.model_dump_json().encode()
        return await self._bucket.put(f"{KIND}.{subscription.id}", payload, revision) is not None

    async def delete(self, subscription_id: str, revision: int) -> bool:
        """Whether it was deleted; False when somebody else changed it since *revision*."""
        return await self._bucket.delete(f"{KIND}.{subscription_id}", revision) is not None

    async def _refresh(self) -> None:
        newest = await self._bucket.get(f"{KIND}.*")
        revision = newest.revision if newest else 0
        if revision <= self._revision:
            return
        for attempt in range(READ_ATTEMPTS_MAX):
            if attempt:
                await asyncio.sleep(READ_AGAIN_SECONDS)
            values = await self._bucket.below(KIND)
            # Any replica answers, and may lag behind the leader.
            if max((each.revision for each in values), default=0) >= revision:
                self._known = {each.id: each for each in map(_readable, filter(_stands, values)) if each}
                self._revision = revision
                return
        raise LogUnavailable("no replica has the newest subscriptions yet")


def _stands(value: Value) -> bool:
    return bool(value.payload)


def _readable(value: Value) -> Subscription | None:
    try:
        return _decoded(value)
    except ValidationError as error:
        # Somebody else wrote it. All other receivers go on, and what is in the log can be sent to this one later.
        log.error("subscription_unreadable", key=value.key, fields=[each["loc"] for each in error.errors()])  # noqa: TRY400 - its text has the secret
        return None


def _decoded(value: Value) -> Subscription:
    return Subscription.model_validate_json(value.payload)
