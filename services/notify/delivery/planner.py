"""Which deliveries a fact calls for, kept before its position is: what is planned again is planned once."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from libs.events import faults
from libs.events.contracts.ledger import CaseCarriedForward
from libs.events.envelope import Entry, Origin
from libs.events.log import Log
from services.notify.channels.base import Due, Medium, notice_of
from services.notify.delivery.table import Planned, Table
from services.notify.subscriptions.matching import concern_of, concerns, hears_type, listens, needs_case
from services.notify.subscriptions.model import Subscription
from services.notify.subscriptions.store import Subscriptions


def webhook_notice(entry: Entry, subscription: Subscription, replay: int = 0) -> Due:
    """The notice of a fact to a subscription."""
    return notice_of(entry, Medium.WEBHOOK, subscription.id, lane=subscription.lane, replay=replay)


class WebhookPlans:
    """What subscriptions want to hear of."""

    def __init__(self, subscriptions: Subscriptions, cases: Log, now: Callable[[], datetime]) -> None:
        self._subscriptions = subscriptions
        self._log = cases
        self._now = now

    async def __call__(self, entry: Entry) -> list[Planned]:
        """The notices of one live fact.  Raises LogUnavailable."""
        known = (await self._subscriptions.all()).values()
        listening = [each for each in known if listens(each, entry.envelope.type, entry.sequence)]
        if any(needs_case(each) for each in listening):
            listening = await self._concerned(entry, listening)
        now = self._now()
        return [Planned(webhook_notice(entry, each), now) for each in listening]

    async def of(self, entry: Entry, subscription_id: str, replay: int) -> list[Planned]:
        """The notice of a fact to one subscription that asked for it again, if it is for it."""
        subscription = (await self._subscriptions.all()).get(subscription_id)
        if subscription is None or not hears_type(subscription, entry.envelope.type):
            return []
        listening = [subscription]
        if needs_case(subscription):
            listening = await self._concerned(entry, listening)
        return [Planned(webhook_notice(entry, each, replay), self._now()) for each in listening]

    async def _concerned(self, entry: Entry, listening: Sequence[Subscription]) -> list[Subscription]:
        history = await self._log.load(entry.case_id, at_least=entry.sequence)
        concern = concern_of(history.events[: entry.version])
        return [each for each in listening if concerns(each, concern)]


class Planner:
    """Keeps planned notices: those of one moment in one transaction."""

    def __init__(self, table: Table, wake: Callable[[], None]) -> None:
        self._table = table
        self._wake = wake
        self._waiting: list[tuple[Sequence[Planned], asyncio.Future[None]]] = []
        self._keeping: asyncio.Task[None] | None = None

    async def keep(self, planned: Sequence[Planned]) -> None:
        """Returns when they are in the table.  Raises what says that the database is away."""
        if not planned:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((planned, done))
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_all(), name="planner")
        await done

    async def _keep_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._table.plan([each for planned, _ in batch for each in planned])
                await faults.reach("notify.planned")
            except Exception as error:  # raised again by each who waits for it
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)
                self._wake()
        self._keeping = None


def is_told(entry: Entry) -> bool:
    """Whether anybody is told of a fact: nobody hears of imported or replayed history, nor twice of what was told."""
    return entry.envelope.origin is Origin.LIVE and not isinstance(entry.event, CaseCarriedForward)
