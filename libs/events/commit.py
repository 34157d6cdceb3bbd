"""Group commit: appends of different cases share one atomic batch, and each caller hears only of its own.

What is ready is sent at once; what becomes ready while sendings are under way travels together in the next. A batch
costs the server some 6 ms however small it is, one after another, and a single message a fiftieth of that (measured):
so decisions of one event travel alone until too many are under way.
Sent again is what got no definite answer, with the same ids and expectations. When the server refuses a batch, the
log is asked whose place is taken: those get their own answer and the others travel on together. So an append
that conflicts does not spoil its neighbours, and an unknown outcome is never guessed. A batch costs the server some
5 to 20 ms however small it is (measured), so taking one apart into many would stop everybody for seconds.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import structlog

from libs.events import faults
from libs.events.errors import LogRefused, LogUnavailable, VersionConflict
from libs.events.jetstream import (
    BATCH_MESSAGES_MAX,
    REQUEST_TIMEOUT_SECONDS,
    Code,
    JetStream,
    Message,
    NotNow,
    Page,
    Refused,
    Unknown,
)
from libs.events.subjects import CASES, case_filter, case_version_filters, parse_case_subject

log = structlog.get_logger(__name__)

GROUP_MESSAGES_MAX: Final = 400
SINGLES_IN_FLIGHT_MAX: Final = 32
GROUPS_IN_FLIGHT_MAX: Final = (
    2  # the server commits one batch after the other: more would only queue up there
)
BATCHES_IN_FLIGHT_MAX: Final = 4  # a dead writer's open batches count against the 50 that a stream allows
WAITING_APPENDS_MAX: Final = 10_000
DEADLINE_SECONDS: Final = 15.0
REQUEST_SECONDS_MIN: Final = 0.05
BACKOFF_FIRST_SECONDS: Final = 0.02
BACKOFF_SECONDS_MAX: Final = 1.0


@dataclass(slots=True, eq=False)
class _Append:
    case_id: str
    messages: tuple[Message, ...]
    ids: tuple[str, ...]
    expected: int
    deadline: float
    settled: bool = False
    overtaken: bool = False
    """Its place is taken, so sending it would only spoil a batch. By whom, only the log can say: the caller may have
    sent the same before, and never heard that it got in."""
    done: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, outcome: int | Exception) -> None:
        if self.done.done():
            return  # the caller went away
        if isinstance(outcome, Exception):
            self.done.set_exception(outcome)
        else:
            self.done.set_result(outcome)


class GroupCommit:
    """Appends to `CASES` with an expectation each.  Use as an async context manager."""

    def __init__(self, jetstream: JetStream, *, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._jetstream = jetstream
        self._deadline_seconds = deadline_seconds
        self._ready: deque[_Append] = deque()
        self._behind: dict[str, deque[_Append]] = {}  # by case: what waits for the append under way
        self._room = asyncio.Semaphore(WAITING_APPENDS_MAX)
        self._slots = asyncio.Semaphore(GROUPS_IN_FLIGHT_MAX)
        self._batches = asyncio.Semaphore(BATCHES_IN_FLIGHT_MAX)
        self._wake = asyncio.Event()
        self._groups: set[asyncio.Task[None]] = set()
        self._singles: set[asyncio.Task[None]] = set()
        self._sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._sender = asyncio.create_task(self._send_forever(), name="group-commit")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._sender is not None
        self._sender.cancel()
        await asyncio.gather(self._sender, *self._groups, *self._singles, return_exceptions=True)
        while self._ready:  # settling one makes the one behind it ready
            self._settle(self._ready.popleft(), LogUnavailable("the log was closed before this was sent"))

    async def append(
        self, case_id: str, messages: Sequence[Message], ids: Sequence[str], expected: int
    ) -> int:
        """Store *messages* in order, all or none, if the case still ends at position *expected*.

        Returns the position of the last one; an append that is in already, by its ids, returns the same.
        Raises VersionConflict, LogUnavailable (not known whether it got in) or LogRefused.
        """
        assert 0 < len(messages) <= BATCH_MESSAGES_MAX, "one decision has 1 to 1,000 events"
        deadline = asyncio.get_running_loop().time() + self._deadline_seconds
        async with self._room:
            append = _Append(case_id, tuple(messages), tuple(ids), expected, deadline)
            if case_id in self._behind:
                self._behind[case_id].append(append)
            else:
                self._behind[case_id] = deque()
                self._make_ready(append)
            return await append.done

    def _make_ready(self, append: _Append) -> None:
        if len(append.messages) == 1 and not append.overtaken and len(self._singles) < SINGLES_IN_FLIGHT_MAX:
            self._start([append], self._singles.discard, self._singles)
            return
        self._ready.append(append)
        self._wake.set()

    async def _send_forever(self) -> None:
        while True:
            await self._wake.wait()
            await self._slots.acquire()
            group = self._take_group()
            if not group:
                self._slots.release()
                self._wake.clear()
                continue
            self._start(group, self._group_ended, self._groups)

    def _start(
        self,
        group: list[_Append],
        ended: Callable[[asyncio.Task[None]], None],
        among: set[asyncio.Task[None]],
    ) -> None:
        task = asyncio.create_task(self._commit(group))
        among.add(task)
        task.add_done_callback(ended)

    def _group_ended(self, task: asyncio.Task[None]) -> None:
        self._groups.discard(task)
        self._slots.release()

    def _take_group(self) -> list[_Append]:
        group: list[_Append] = []
        messages = 0
        while self._ready:
            messages += len(self._ready[0].messages)
            if group and (messages > GROUP_MESSAGES_MAX or self._ready[0].overtaken):
                break
            group.append(self._ready.popleft())
            if group[-1].overtaken:
                break
        return group

    async def _commit(self, group: list[_Append]) -> None:
        try:
            if group[0].overtaken:
                await self._decide(group[0])
            await self._until_settled(group)
        finally:
            for append in group:  # only a bug or the end of the process leaves one unsettled
                if not append.settled:
                    self._settle(append, LogUnavailable("the appender stopped before the answer came"))

    async def _until_settled(self, group: list[_Append], *, delay: float = 0.0) -> None:
        """Send *group* until each append in it has a definite answer or has come to its deadline."""
        reason = "no attempt was made"
        while True:
            await asyncio.sleep(delay * random.uniform(0.5, 1))
            group = self._in_time(group, reason)
            if not group:
                return
            delay = min(max(delay * 2, BACKOFF_FIRST_SECONDS), BACKOFF_SECONDS_MAX)
            try:
                await self._send(group)
            except Unknown as error:
                reason = str(error)  # the answer to sending it again will tell what became of it
            except NotNow as error:
                reason = str(error)
                if len(group) > 1:
                    # Batches may be impossible for seconds (a dead writer left some open); single messages are not.
                    await self._apart(group, delay, reason)
                    return
            except Refused as refused:
                reason = str(refused)
                left = await self._without_decided(group, refused)
                if len(left) == len(group) > 1:
                    await self._apart(group, delay, reason)
                    return
                if len(left) < len(group):
                    delay = 0.0
                group = left
            else:
                return

    def _in_time(self, group: list[_Append], reason: str) -> list[_Append]:
        now = asyncio.get_running_loop().time()
        for append in group:
            if not append.settled and append.deadline <= now:
                text = f"no definite answer in {self._deadline_seconds:g} s: {reason}"
                self._settle(append, LogUnavailable(text))
        return [append for append in group if not append.settled]

    async def _apart(self, group: list[_Append], delay: float, reason: str) -> None:
        log.debug("group_commit_split", appends=len(group), reason=reason)
        singles = [append for append in group if len(append.messages) == 1]
        several = [append for append in group if len(append.messages) > 1]
        half = (len(several) + 1) // 2
        parts = [[append] for append in singles] + [part for part in (several[:half], several[half:]) if part]
        await asyncio.gather(*(self._until_settled(part, delay=delay) for part in parts))

    async def _send(self, group: list[_Append]) -> None:
        messages = [message for append in group for message in append.messages]
        if len(messages) == 1:
            self._settle(group[0], await self._jetstream.publish(messages[0], self._patience(group)))
            return
        async with self._batches:
            await faults.reach("commit.before_batch")
            last = await self._jetstream.publish_batch(messages, self._patience(group))
        position = last - len(messages)
        for append in group:
            position += len(append.messages)
            self._settle(append, position)

    def _patience(self, group: list[_Append]) -> float:
        left = min(append.deadline for append in group) - asyncio.get_running_loop().time()
        return min(max(left, REQUEST_SECONDS_MIN), REQUEST_TIMEOUT_SECONDS)

    async def _without_decided(self, group: list[_Append], refused: Refused) -> list[_Append]:
        """Settle what the log can tell of *group* after the leader *refused* all of it; what is still to be sent."""
        if refused.code not in {Code.WRONG_LAST_SEQUENCE, Code.DUPLICATE_IN_BATCH}:
            if len(group) == 1:
                self._settle(group[0], LogRefused(refused.code, refused.description))
            return [append for append in group if not append.settled]
        await asyncio.gather(*(self._decide(append) for append in group))
        return [append for append in group if not append.settled]

    async def _decide(self, append: _Append) -> None:
        """Settle the append if somebody holds its place: itself, from an earlier sending, or another event.

        Only what a read finds is definite, since a version has one event for ever. What it does not find proves
        nothing: while leaders change, two reads can be answered by two servers, and the second know less than the
        first. Then only sending again can tell.
        """
        first, last = (parse_case_subject(append.messages[at].subject).version for at in (0, -1))
        places = {*case_version_filters(append.case_id, first), *case_version_filters(append.case_id, last)}
        try:
            page = await self._jetstream.multi_last(CASES, sorted(places))
        except Unknown as error:
            log.debug("nobody_said_who_was_first", case_id=append.case_id, reason=str(error))
            return
        held = {parse_case_subject(stored.subject).version: stored for stored in page.messages}
        if first not in held:
            return
        if last in held and held[last].message_id == append.ids[-1]:
            self._settle(append, held[last].sequence)
        else:  # a decision goes in whole: without its end, its beginning belongs to another one
            self._settle(append, VersionConflict(append.case_id, await self._newest(append.case_id, page)))

    async def _newest(self, case_id: str, page: Page) -> int:
        """The position to load the case up to: the newest on the leader, or what was seen if it does not say."""
        seen = max(stored.sequence for stored in page.messages)
        try:
            newest = await self._jetstream.last_on_leader(CASES, case_filter(case_id))
        except (NotNow, Unknown, Refused):
            return seen
        return max(seen, newest.sequence if newest else 0)

    def _settle(self, append: _Append, outcome: int | Exception) -> None:
        assert not append.settled, "one append has one answer"
        append.settled = True
        append.settle(outcome)
        reached = outcome.last_sequence if isinstance(outcome, VersionConflict) else outcome
        waiting = self._behind[append.case_id]
        while waiting:
            following = waiting.popleft()
            if following.done.done():
                continue
            following.overtaken = isinstance(reached, int) and following.expected < reached
            self._make_ready(following)
            return
        del self._behind[append.case_id]
