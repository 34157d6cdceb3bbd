"""What all channels have in common: what is to be sent, and what can come of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from libs.events.envelope import Entry
from libs.events.ids import derived_event_id


class Medium(StrEnum):
    """How somebody is told."""

    SCREEN = "screen"
    WEBHOOK = "webhook"
    MAIL = "mail"
    SMS = "sms"


@dataclass(frozen=True, slots=True)
class Due:
    """A notice that is to be sent; its words and its address are found when it is."""

    notice_id: str
    lane: str
    """The receiver of webhooks, or the gateway, whose turn it takes: `webhook/<subscription>`, `mail`, `sms`."""
    channel: Medium
    receiver: str
    """A subscription, `reporter`, `department:water` or `post:street:hebin`."""
    case_id: str
    version: int
    """The case's version that it tells of."""
    position: int
    """Where that fact stands in the log."""
    fact: str
    happened_at: datetime
    bundle: str | None = None
    """Notices of one bundle that are due together go as one message."""
    replay: int = 0
    """When it was asked for again, in milliseconds; 0 when it was not."""
    attempts: int = 0
    """How often it was tried."""
    tries: int = 0
    """How often it was tried since it was last asked for."""
    planned_at: datetime | None = None


def notice_of(
    entry: Entry, channel: Medium, receiver: str, *, lane: str, bundle: str | None = None, replay: int = 0
) -> Due:
    """The notice of a fact to a receiver: with the same id whenever it is made."""
    return Due(
        notice_id=derived_event_id("notice", channel, receiver, entry.envelope.id),
        lane=lane,
        channel=channel,
        receiver=receiver,
        case_id=entry.case_id,
        version=entry.version,
        position=entry.sequence,
        fact=entry.name,
        happened_at=entry.envelope.time,
        bundle=bundle,
        replay=replay,
    )


def message_id_of(notice: Due) -> str:
    """The id of the message that brings a notice: its own, or that of its bundle."""
    return derived_event_id("bundle", notice.bundle) if notice.bundle else notice.notice_id


@dataclass(frozen=True, slots=True)
class Sent:
    """The receiver, or the gateway, said yes."""

    status: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Another attempt may bring it there."""

    reason: str
    status: int | None = None
    lane_down: bool = True
    """Whether others would fail there as well; False when it is this notice alone."""
    again_seconds: float | None = None
    """The wait that the receiver asked for."""


@dataclass(frozen=True, slots=True)
class Hopeless:
    """No attempt will bring it there: an address that is none, a message that nobody takes."""

    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """There is nobody to be told any more; nothing was sent."""

    reason: str


Outcome = Sent | Failed | Hopeless | Dropped


class Standing(StrEnum):
    """Whether a lane may be used."""

    OPEN = "open"
    HELD = "held"
    """Its notices wait: the receiver has paused, or does not want any more."""
    OVER = "over"
    """There is no such receiver any more."""


class Channel(Protocol):
    """A way to tell somebody.  Whatever it raises counts as a failed attempt."""

    async def standing(self, lane: str) -> Standing:
        """Whether this lane may be used now.  Raises LogUnavailable."""
        ...

    async def send(self, bundle: Sequence[Due]) -> Outcome:
        """One attempt to bring notices of one bundle, mostly one, to their receiver, in one message.

        Raises LogUnavailable when what is to be said cannot be read: then nothing was sent.
        """
        ...
