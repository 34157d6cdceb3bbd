"""Deadlines as scheduled messages: one for each case and name, put up, moved, taken down, and handled when due.

The stream `TIMERS` is no evidence. It says when to look at a case again, and follows from the log: what ought to stand
is folded from the case's facts. So a timer that is late, or comes twice, or was not taken down, does no harm, as long
as whoever hears of it decides by the log; and one that is missing is put up again by whoever handles the case's
facts once more.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, Final, NamedTuple

import orjson
import structlog

from libs.events import telemetry
from libs.events.consume import Park, consume
from libs.events.errors import LogUnavailable
from libs.events.jetstream import Code, JetStream, Message, NotNow, Page, Refused, Unknown, as_library_error
from libs.events.jetstream.pull import Delivery, PullConsumer
from libs.events.jetstream.schedules import scheduled, unscheduled
from libs.events.streams import TIMER_CONSUMER
from libs.events.subjects import (
    TIMERS,
    due_subject,
    parse_timer_subject,
    timer_filter,
    timer_subject,
)

log = structlog.get_logger(__name__)

DUE_KEPT_SECONDS: Final = 7 * 86_400  # handled or not; after that a rebuild brings back what is still due
CANCELLED_KEPT_SECONDS: Final = 60  # the place of a timer that was taken down
CASES_PER_PAGE_MAX: Final = 100
AT_ONCE_MAX: Final = 500  # messages under way for one caller
ATTEMPTS_MAX: Final = 20
AGAIN_SECONDS: Final = 0.02
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


class Due(NamedTuple):
    """A timer whose time has come."""

    case_id: str
    name: str
    due_at: datetime


class Standing(NamedTuple):
    """What the server holds for one name of a case."""

    due_at: datetime | None
    """None: it was taken down a moment ago."""
    sequence: int


Deadlines = Mapping[str, datetime]
"""By name: when the case must be looked at again, with a time zone."""
Fire = Callable[[Due], Awaitable[None]]
"""Decides what follows when a time is up.  Done twice or late it adds nothing."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What it took to make the timers of a case what they ought to be."""

    put_up: int
    taken_down: int


class Timers:
    """Timers over one connection.  Each call raises LogUnavailable, or LogRefused for a bug or a missing right."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream
        self._room = asyncio.Semaphore(AT_ONCE_MAX)

    async def set(self, case_id: str, name: str, at: datetime) -> None:
        """Let the timer *name* be due at *at*, and at no other time; at once when that is past."""
        await self.set_many([Due(case_id, name, at)])

    async def set_many(self, timers: Iterable[Due]) -> None:
        """The same for several timers."""
        await self._store([_put_up(timer) for timer in timers])

    async def cancel(self, case_id: str, name: str) -> None:
        """Let the timer *name* never be due; what has come due already will still be heard."""
        await self.cancel_many([(case_id, name)])

    async def cancel_many(self, timers: Iterable[tuple[str, str]]) -> None:
        """The same for several timers."""
        await self._store([_take_down(case_id, name) for case_id, name in timers])

    async def standing(self, case_ids: Sequence[str]) -> dict[str, dict[str, Standing]]:
        """What stands of these cases, by case and name, as some copy of the stream knows it."""
        found: dict[str, dict[str, Standing]] = {case_id: {} for case_id in case_ids}
        for start in range(0, len(case_ids), CASES_PER_PAGE_MAX):
            for page in await self._pages(case_ids[start : start + CASES_PER_PAGE_MAX]):
                for stored in page.messages:
                    case_id, name = parse_timer_subject(stored.subject)
                    due_at = due_of(stored.payload).due_at if stored.payload else None
                    found[case_id][name] = Standing(due_at, stored.sequence)
        return found

    async def cases(self) -> frozenset[str]:
        """Every case for which the server holds something."""
        found: list[str] = []
        offset = 0
        while True:
            body = {"subjects_filter": timer_filter("*"), "offset": offset}
            answer = await self._api(f"STREAM.INFO.{TIMERS}", body)
            subjects: Mapping[str, Any] = answer["state"].get("subjects") or {}
            found.extend(parse_timer_subject(subject).case_id for subject in subjects)
            offset += len(subjects)
            if not subjects or offset >= int(answer.get("total", offset)):
                return frozenset(found)

    async def keep(
        self, case_id: str, wanted: Callable[[], Awaitable[Deadlines]], anew: Collection[str] = ()
    ) -> Kept:
        """Make the timers of a case what *wanted* says, whoever else is at it.

        What stands is looked at first and *wanted* asked for afterwards, and each message is stored only if nothing
        has changed in its place since: so nobody who knows less of the case ever undoes what one did who knows more.
        Names in *anew* are put up even if they seem to stand: a copy that lags may still show one that has gone.
        """
        for attempt in range(ATTEMPTS_MAX):
            await asyncio.sleep(AGAIN_SECONDS * attempt)
            standing = (await self.standing([case_id]))[case_id]
            deadlines = await wanted()
            kept = await self.adjust(case_id, standing, deadlines, anew)
            if kept is not None:
                return kept
        raise LogUnavailable(f"the timers of case {case_id} stayed contended for {ATTEMPTS_MAX} attempts")

    async def adjust(
        self, case_id: str, standing: Mapping[str, Standing], wanted: Deadlines, anew: Collection[str] = ()
    ) -> Kept | None:
        """One attempt to make *wanted* of what is *standing*; None when somebody else changed it meanwhile."""
        held = {name: each.due_at for name, each in standing.items()}
        put_up = [name for name, due_at in wanted.items() if name in anew or held.get(name) != due_at]
        taken_down = [name for name, due_at in held.items() if due_at is not None and name not in wanted]
        last = {name: each.sequence for name, each in standing.items()}
        messages = [
            *(_put_up(Due(case_id, name, wanted[name]), last.get(name, 0)) for name in put_up),
            *(_take_down(case_id, name, last[name]) for name in taken_down),
        ]
        try:
            await self._store(messages)
        except _Changed:
            return None
        return Kept(len(put_up), len(taken_down))

    async def _store(self, messages: Sequence[Message]) -> None:
        # All are sent whatever becomes of one, and the first trouble is told when none is under way any more.
        outcomes = await asyncio.gather(*map(self._store_one, messages), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _store_one(self, message: Message) -> None:
        async with self._room:
            if not self._jetstream.is_connected:
                # It would be kept in this process, and change the stream long after somebody else saw to the case.
                raise LogUnavailable("not connected")
            try:
                await self._jetstream.publish(message)
            except Refused as refused:
                if refused.code == Code.WRONG_LAST_SEQUENCE:
                    raise _Changed(message.subject) from refused
                raise as_library_error(refused) from refused
            except (NotNow, Unknown) as error:
                raise as_library_error(error) from error

    async def _pages(self, case_ids: Sequence[str]) -> list[Page]:
        try:
            page = await self._jetstream.multi_last(TIMERS, [timer_filter(case_id) for case_id in case_ids])
        except Unknown as error:
            raise as_library_error(error) from error
        if page.complete or len(case_ids) == 1:
            return [page]
        half = len(case_ids) // 2  # more timers than the server gives at once
        return [*await self._pages(case_ids[:half]), *await self._pages(case_ids[half:])]

    async def _api(self, call: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._jetstream.api(call, body)
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error


class _Changed(Exception):
    """Somebody else put up or took down this timer since it was looked at."""


async def run_timers(jetstream: JetStream, fire: Fire, park: Park, *, batch_messages_max: int) -> None:
    """Have *fire* decide about every timer that is due, shared with other replicas, until cancelled.

    A timer is done with when *fire* returns. While the servers are away it is tried again; what cannot be decided
    is parked with its case, whose facts are handled again when it is taken up, and put up what still has to stand.
    """

    async def decide(deliveries: Sequence[Delivery]) -> None:
        started = perf_counter()
        outcomes = await asyncio.gather(
            *(_decide(fire, delivery) for delivery in deliveries), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        log.debug("timers_decided", timers=len(deliveries), seconds=round(perf_counter() - started, 3))
        telemetry.count_consumed(TIMER_CONSUMER, "due", len(deliveries))

    async with PullConsumer(jetstream, TIMERS, TIMER_CONSUMER, batch_messages_max=batch_messages_max) as pull:
        await consume(TIMER_CONSUMER, pull, decide, park)


async def _decide(fire: Fire, delivery: Delivery) -> None:
    await fire(due_of(delivery.payload))


def due_of(payload: bytes) -> Due:
    """The timer that a message of `TIMERS` is about.  Raises ValueError."""
    try:
        body = orjson.loads(payload)
        due_at = datetime.fromisoformat(body["due_at"])
        due = Due(str(body["case_id"]), str(body["name"]), due_at)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a timer: {payload[:200]!r}") from error
    if due_at.tzinfo is None:
        raise ValueError(f"a timer without a time zone: {payload[:200]!r}")
    return due


def _put_up(timer: Due, last_sequence: int | None = None) -> Message:
    case_id, name, due_at = timer
    assert _NAME.fullmatch(name), f"{name!r} cannot be the name of a timer"
    assert due_at.tzinfo is not None, "a deadline has a time zone"
    body = {"case_id": case_id, "name": name, "due_at": due_at.isoformat()}
    return scheduled(
        timer_subject(case_id, name),
        orjson.dumps(body),
        at=due_at,
        target=due_subject(case_id, name),
        kept_seconds=DUE_KEPT_SECONDS,
        last_sequence=last_sequence,
    )


def _take_down(case_id: str, name: str, last_sequence: int | None = None) -> Message:
    return unscheduled(
        timer_subject(case_id, name), kept_seconds=CANCELLED_KEPT_SECONDS, last_sequence=last_sequence
    )
