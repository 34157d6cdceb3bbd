"""The engine: takes lanes in which something is due, works in each for a while, and gives them back."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog

from libs.events.consume import PASSING
from services.notify.channels.base import Channel, Due, Failed, Medium, Sent, Standing
from services.notify.deciding.schedule import lane_again_at
from services.notify.delivery.attempts import Attempts, bundles_of
from services.notify.delivery.table import Table, TakenLane

log = structlog.get_logger(__name__)

LANES_AT_ONCE_MAX: Final = 256
LANE_AT_ONCE_MAX: Final = 8
"""Attempts under way in one lane."""
LANE_NOTICES_MAX: Final = 100
"""Notices of a lane that are in hand at once."""
TURN_SECONDS_MAX: Final = 20.0
"""Then the lane is given back, and comes again after those that wait."""
LOOK_SECONDS: Final = 1.0
"""How often it is looked whether something has become due, or another replica has died."""
SWEEP_SECONDS: Final = 600.0
STOP_EXTRA_SECONDS: Final = 2.0
OVER: Final = "the receiver is not there any more"


class Engine:
    """Runs the deliveries of one replica."""

    def __init__(
        self,
        table: Table,
        attempts: Attempts,
        channels: Mapping[Medium, Channel],
        now: Callable[[], datetime],
        *,
        lease_seconds: float,
        attempt_seconds_max: float,
    ) -> None:
        self._table = table
        self._attempts = attempts
        self._channels = channels
        self._now = now
        self._lease_seconds = lease_seconds
        self._attempt_seconds_max = attempt_seconds_max
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Something may be due: look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; attempts that are under way then are made to their end."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._wake.clear()
                taken = await self._take(LANES_AT_ONCE_MAX - len(tasks))
                for lane in taken:
                    task = asyncio.create_task(self._work_safely(lane), name=f"lane {lane.lane}")
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                if not taken:
                    await self._wait()
        finally:
            self._stopping = True
            if tasks:
                await asyncio.wait(tasks, timeout=self._attempt_seconds_max + STOP_EXTRA_SECONDS)
            for task in list(tasks):
                task.cancel()

    async def sweep(self) -> None:
        """Forget from time to time what was settled long ago, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                rows = await self._table.sweep()
            except PASSING as error:
                log.warning("notices_not_swept", reason=str(error) or type(error).__name__)
            else:
                log.info("notices_swept", notices=rows)

    async def _take(self, lanes_max: int) -> list[TakenLane]:
        if lanes_max <= 0:
            return []
        try:
            return await self._table.take(lanes_max)
        except PASSING as error:
            log.warning("lanes_not_taken", reason=str(error) or type(error).__name__)
            return []

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _work_safely(self, lane: TakenLane) -> None:
        try:
            await self._work(lane)
        except PASSING as error:
            # Given back, or its lease runs out by itself.
            log.warning("lane_again_later", lane=lane.lane, reason=str(error) or type(error).__name__)
        except Exception:  # a bug in one channel: its lane comes again in a while, others go on
            log.exception("lane_failed", lane=lane.lane)

    async def _work(self, lane: TakenLane) -> None:
        try:
            channel = self._channels[Medium(lane.lane.partition("/")[0])]
            standing = await channel.standing(lane.lane)
            failures = lane.failures
            if standing is not Standing.HELD:
                over = OVER if standing is Standing.OVER else ""
                failures = await self._turn(Turn(lane, self._table.renew, self._lease_seconds), over)
        except Exception:
            await self._table.leave(lane, lane.failures, lane_again_at(self._now(), 1), held=False)
            raise
        closed_until = lane_again_at(self._now(), failures) if failures else None
        await self._table.leave(lane, failures, closed_until, held=standing is Standing.HELD)

    async def _turn(self, turn: "Turn", over: str) -> int:
        """Failed attempts in a row after it."""
        failures = turn.lane.failures
        while not self._stopping and turn.seconds() < TURN_SECONDS_MAX:
            notices = await self._table.due(turn.lane.lane, LANE_NOTICES_MAX)
            bundles = bundles_of(notices)[: 1 if failures else None]
            if not bundles:
                break
            sent, down = await self._window(turn, bundles, over)
            failures = 0 if sent else failures + bool(down)
            if turn.lost or failures:
                break
        return failures

    async def _window(self, turn: "Turn", bundles: Sequence[Sequence[Due]], over: str) -> tuple[int, int]:
        """Attempts that succeeded, and that failed as the next would; when one has, no more are begun."""
        waiting, sent, down = deque(bundles), 0, 0

        async def work() -> None:
            nonlocal sent, down
            while waiting and not down and not self._stopping and await turn.secured():
                if not waiting:
                    return
                match await self._attempts.make(waiting.popleft(), over=over):
                    case Sent():
                        sent += 1
                    case Failed(lane_down=True):
                        down += 1
                    case _:
                        pass

        workers = (work() for _ in range(min(LANE_AT_ONCE_MAX, len(bundles))))
        # Each to its end, also when another fails: an attempt that was begun must be recorded.
        for outcome in await asyncio.gather(*workers, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return sent, down


class Turn:
    """One stretch of work in a lane, for as long as it is ours."""

    def __init__(
        self, lane: TakenLane, renew: Callable[[str], Awaitable[bool]], lease_seconds: float
    ) -> None:
        self.lane = lane
        self.lost = False
        self._renew = renew
        self._lease_seconds = lease_seconds
        self._began_at = self._renewed_at = asyncio.get_running_loop().time()
        self._renewing = asyncio.Lock()

    def seconds(self) -> float:
        """How long it has lasted."""
        return asyncio.get_running_loop().time() - self._began_at

    async def secured(self) -> bool:
        """Whether the lane stays ours for at least half a lease, which is longer than any attempt."""
        async with self._renewing:
            now = asyncio.get_running_loop().time()
            if not self.lost and now - self._renewed_at > self._lease_seconds / 2:
                self.lost = not await self._renew(self.lane.lane)
                self._renewed_at = now
            return not self.lost
