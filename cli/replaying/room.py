"""What is played to a room waits there until it is taken; a full room makes its player wait.

Each message is stored only directly behind the one before it (an expectation on the whole stream), so that many can
be under way without one ever overtaking another or going in twice. How many stand in it, ever, is its last position:
that is how far the selection was played, whatever became of the player.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from cli.replaying.choosing import Played, Selection
from cli.replaying.errors import ReplayRefused
from libs.events.errors import LogUnavailable
from libs.events.jetstream import Code, JetStream, Message, NotNow, Refused, Unknown, as_library_error
from libs.events.streams import ensure, room_consumer, room_stream
from libs.events.subjects import REPLAY

FULL_SECONDS: Final = 0.2
"""How long to wait before a room that was full is tried again."""
AWAY_SECONDS: Final = 0.5
AWAY_SECONDS_MAX: Final = 60.0
"""So long the room's server may be away before the player gives up; it can be run again."""


class Room:
    """The writing end of a room."""

    def __init__(self, jetstream: JetStream, name: str, replicas: int) -> None:
        self._jetstream = jetstream
        self._name = name
        self._replicas = replicas
        self._stored = 0

    async def open(self, selection: Selection, *, anew: bool) -> int:
        """Make the room ready for a selection; how many events of it were played before.

        Raises ReplayRefused when another one waits there, unless *anew*.
        """
        try:
            found = await self._info()
            if found is not None:
                asked = selection.as_metadata()
                same = asked.items() <= (found["config"].get("metadata") or {}).items()
                waiting = int(found["state"]["messages"])
                if same and not anew:
                    self._stored = int(found["state"]["last_seq"])
                    return self._stored
                if waiting and not anew:
                    raise ReplayRefused(
                        f"{waiting:,} events of another replay wait in room {self._name}: take them, or discard them"
                        f" with --anew · {self._name} 中还有其他回放的 {waiting:,} 条事件未取走，--anew 将其丢弃"
                    )
                await discard(self._jetstream)
            wanted = room_stream(self._name, self._replicas, selection.as_metadata())
            await ensure(self._jetstream, [wanted, room_consumer()])
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
        return 0

    async def put(self, events: Sequence[Played], on_full: Callable[[], None]) -> None:
        """Store them in order behind what was stored; waits as long as the room is full.

        Raises ReplayRefused when somebody else plays to it, LogUnavailable when it is away for long.
        """
        rest = list(events)
        silent_since: float | None = None
        while rest:
            failures = await self._send(rest)
            if not failures:
                self._stored += len(rest)
                return
            try:
                stored = await self._count()
            except (NotNow, Unknown) as error:
                silent_since = silent_since or monotonic()
                if monotonic() - silent_since > AWAY_SECONDS_MAX:
                    raise LogUnavailable(f"room {self._name} does not answer: {error}") from error
                await asyncio.sleep(AWAY_SECONDS)
                continue
            silent_since = None
            rest = rest[self._taken_in(stored, len(rest)) :]
            self._stored = stored
            if any(isinstance(each, Refused) and each.code == Code.STREAM_FULL for each in failures):
                on_full()
                await asyncio.sleep(FULL_SECONDS)

    async def waiting(self) -> int:
        """How many events wait there to be taken."""
        info = await self._jetstream.api(f"STREAM.INFO.{REPLAY}")
        return int(info["state"]["messages"])

    async def _send(self, events: Sequence[Played]) -> list[Exception]:
        """Send them all at once; what was said against any of them."""
        outcomes = await asyncio.gather(
            *(
                self._jetstream.publish(_message(event, self._stored + number))
                for number, event in enumerate(events)
            ),
            return_exceptions=True,
        )
        failures: list[Exception] = []
        for outcome in outcomes:
            if isinstance(outcome, NotNow | Unknown | Refused):
                failures.append(outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
        refused = [each for each in failures if isinstance(each, Refused)]
        for each in refused:
            if each.code not in {Code.STREAM_FULL, Code.WRONG_LAST_SEQUENCE}:
                raise as_library_error(each) from each
        return failures

    def _taken_in(self, stored: int, sent: int) -> int:
        taken = stored - self._stored
        if not 0 <= taken <= sent:
            raise ReplayRefused(
                f"somebody else plays to room {self._name}, or it was removed · 有其他程序正在向 {self._name} 回放"
            )
        return taken

    async def _count(self) -> int:
        try:
            info = await self._info()
        except Refused as refused:
            raise as_library_error(refused) from refused
        return int(info["state"]["last_seq"]) if info else -1

    async def _info(self) -> dict[str, Any] | None:
        try:
            return await self._jetstream.api(f"STREAM.INFO.{REPLAY}")
        except Refused as refused:
            if refused.code == Code.STREAM_NOT_FOUND:
                return None
            raise


async def discard(jetstream: JetStream) -> None:
    """Take away what waits in a room, if anything does.  Raises LogUnavailable, LogRefused."""
    try:
        await jetstream.api(f"STREAM.DELETE.{REPLAY}")
    except Refused as refused:
        if refused.code != Code.STREAM_NOT_FOUND:
            raise as_library_error(refused) from refused
    except (NotNow, Unknown) as error:
        raise as_library_error(error) from error


def _message(event: Played, behind: int) -> Message:
    headers = {**event.headers, "Nats-Expected-Last-Sequence": str(behind)}
    return Message(event.subject, event.payload, headers)
