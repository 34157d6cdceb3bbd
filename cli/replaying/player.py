"""Plays a selection of the log to a room: reads, paces, stores there, and can be stopped and run again anywhere."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from time import monotonic
from typing import Final

from cli.replaying.choosing import Played, Selection, for_room, matcher
from cli.replaying.pace import Pace
from cli.replaying.room import Room
from cli.replaying.steering import Steering
from libs.events.history import WholeLog
from libs.events.jetstream.reader import RawEvent

UNDER_WAY_MAX: Final = 200
"""Events that are sent to a room before the first of them is known to be in."""
TOGETHER_SECONDS: Final = 0.02
"""What is due so soon is sent together: no timer is finer, and a room is asked less often."""
STEP_SECONDS: Final = 0.25
"""So long may it be before a pause is noticed."""


class Doing(StrEnum):
    """What the player does now."""

    READING = "reading"
    PLAYING = "playing"
    PAUSED = "paused"
    ROOM_FULL = "room full"


@dataclass(slots=True)
class State:
    """How far it is; changes while it plays."""

    selection: Selection
    doing: Doing = Doing.READING
    position: int = 0
    """The last one that was played or passed over."""
    events: int = 0
    """Of the selection, in the room: those of earlier runs, too."""
    before: int = 0
    """Of these, played by earlier runs."""
    recorded: datetime | None = None
    """When the last one was recorded."""


class Player:
    """One run of a replay."""

    def __init__(self, state: State, room: Room, name: str, pace: Pace, steering: Steering) -> None:
        self._state = state
        self._room = room
        self._name = name
        self._pace = pace
        self._steering = steering

    async def play(self, history: WholeLog) -> None:
        """Play what of the selection was not played yet.

        Raises ReplayRefused, LogUnavailable, LogRefused, and what reading sealed files raises.
        """
        together: list[tuple[Played, int, datetime]] = []
        async for event in self._rest(history):
            played, recorded_text = for_room(self._name, event)
            recorded = datetime.fromisoformat(recorded_text)
            wait = self._pace.wait(recorded, monotonic())
            if together and (wait > TOGETHER_SECONDS or len(together) >= UNDER_WAY_MAX):
                await self._send(together)
                together = []
            await self._until(monotonic() + wait if wait > TOGETHER_SECONDS else 0.0)
            together.append((played, event.sequence, recorded))
        await self._send(together)
        self._state.position = self._state.selection.last

    async def _until(self, moment: float) -> None:
        self._state.doing = Doing.PLAYING
        while True:
            if self._steering.paused:
                self._state.doing = Doing.PAUSED
                await self._steering.when_playing()
                self._state.doing = Doing.PLAYING
            left = moment - monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, STEP_SECONDS))

    async def _send(self, together: list[tuple[Played, int, datetime]]) -> None:
        if not together:
            return
        await self._room.put([played for played, _, _ in together], self._room_full)
        self._state.doing = Doing.PLAYING
        _, self._state.position, self._state.recorded = together[-1]
        self._state.events += len(together)

    def _room_full(self) -> None:
        self._state.doing = Doing.ROOM_FULL

    async def _rest(self, history: WholeLog) -> AsyncGenerator[RawEvent]:
        """The events of the selection behind those that earlier runs played."""
        chosen, fits, passed = self._state.selection, matcher(self._state.selection.subject), 0
        async with aclosing(history.replayed(start=chosen.first, stop=chosen.last)) as batches:
            async for events in batches:
                for event in events:
                    if not fits(event.subject):
                        continue
                    passed += 1
                    if passed > self._state.before:
                        yield event
