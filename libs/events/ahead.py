"""News of a department that come ahead: the server sends a fact on as soon as it stands in the log.

What is kept for a department in `DEPARTMENTS` comes to it for certain, but later (decision 56).  Both bring the same
fact; it is given out once, in the order of its case, whichever way brings it first.  What is sent on and not heard is
lost on that way alone.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from typing import Final, NamedTuple, Self

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from libs.events.jetstream.pull import Delivery
from libs.events.subjects import AFTER_HEADER, AFTER_NOTHING, live_subjects

log = structlog.get_logger(__name__)

WAITING_MAX: Final = 1_000
"""Facts sent on that the department has not taken up yet; more are left to the certain way."""
AHEAD_MAX: Final = 10_000
"""Facts given out ahead that the certain way has not brought yet; more are left to it."""
CASES_KNOWN_MAX: Final = 10_000
"""Cases of which it is known what was given out last; of others only the first fact is given out ahead."""


class Order:
    """Which of the facts that come on two ways are given out: each once, in the order of its case.

    A fact says which one its department was told of the case before it.  So a gap shows, wherever it comes from.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[str, str] = OrderedDict()  # by case: the fact that was given out last
        self._ahead: set[str] = set()

    def gives_ahead(self, case_id: str, event_id: str, after: str | None) -> bool:
        """Whether a fact that was sent on is the next of its case; then it counts as given out."""
        if len(self._ahead) >= AHEAD_MAX or after != self._last.get(case_id, AFTER_NOTHING):
            return False
        self._note(case_id, event_id)
        self._ahead.add(event_id)
        return True

    def gives_kept(self, case_id: str, event_id: str) -> bool:
        """Whether a fact that comes on the certain way was not given out ahead."""
        if event_id in self._ahead:
            self._ahead.remove(event_id)
            return False
        self._note(case_id, event_id)
        return True

    def _note(self, case_id: str, event_id: str) -> None:
        self._last[case_id] = event_id
        self._last.move_to_end(case_id)
        if len(self._last) > CASES_KNOWN_MAX:
            self._last.popitem(last=False)


class SentOn(NamedTuple):
    """A fact that was sent on."""

    payload: bytes
    after: str | None
    """Which fact of its case the department was told before; `AFTER_NOTHING`: none; None: the writer does not say."""


class Ahead:
    """Hears what the server sends on to a department.  Use it as an async context manager."""

    def __init__(self, client: Client, department: str | None, wake: Callable[[], None]) -> None:
        """*wake* is called when something has come; without a department nothing does."""
        self._client = client
        self._subject = live_subjects(department) if department else None
        self._wake = wake
        self._waiting: deque[SentOn] = deque()
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        if self._subject is not None:
            self._subscription = await self._client.subscribe(self._subject, cb=self.hear)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._subscription is not None and not self._client.is_closed:
                await self._subscription.unsubscribe()
        except (NatsError, OSError) as error:
            log.info("ahead_not_unsubscribed", reason=str(error) or type(error).__name__)

    def take(self) -> SentOn | None:
        """What has waited longest, if anything does."""
        return self._waiting.popleft() if self._waiting else None

    async def hear(self, message: Msg) -> None:
        """Keep a message until it is taken; the client calls it."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(SentOn(message.data, (message.headers or {}).get(AFTER_HEADER)))
            self._wake()


class Next:
    """The next delivery, waited for beside something else.  Use it as an async context manager."""

    def __init__(self, deliveries: AsyncGenerator[Delivery], wake: Callable[[], None]) -> None:
        """*wake* is called when it is there."""
        self._deliveries = deliveries
        self._wake = wake

    async def __aenter__(self) -> Self:
        self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_there(self) -> bool:
        """Whether `take` gives it."""
        return self._task.done()

    def take(self) -> Delivery:
        """What came; raises what went wrong."""
        return self._task.result()

    def begin(self) -> None:
        """Wait for the one after it, which comes when this one is done with."""
        self._task = asyncio.create_task(self._one(), name="next-news")
        self._task.add_done_callback(lambda _: self._wake())

    async def _one(self) -> Delivery:
        return await anext(self._deliveries)
