"""A subscription: which facts a system of the city, or somebody else's, wants to hear of, and where.  Pure."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from libs.events.contracts import EVENTS

SECRETS_MAX: Final = 2
"""The new one and, for a while, the one before it."""
OVERLAP_HOURS_MAX: Final = 168
EVENT_TYPES: Final = frozenset(event.TYPE for event in EVENTS)


class State(StrEnum):
    """Whether a subscription is delivered."""

    ACTIVE = "active"
    PAUSED = "paused"
    """By its owner: what happens meanwhile waits."""
    DISABLED = "disabled"
    """The receiver answered that it is gone (410): what happens from then on is not for it."""


class Secret(BaseModel):
    """What deliveries are signed with."""

    model_config = ConfigDict(frozen=True)

    value: str
    """`whsec_` and 32 random bytes in base 64."""
    until: AwareDatetime | None = None
    """When it stops to be used; None for the newest."""


class Subscription(BaseModel):
    """One receiver of webhooks."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    owner: str
    """The post that made it, such as `integrator:meteo`."""
    url: str
    description: str = ""
    types: tuple[str, ...] = ()
    """Types of facts; none means all."""
    departments: tuple[str, ...] = ()
    """Facts that concern one of these; none means all."""
    areas: tuple[str, ...] = ()
    """Codes of streets, communities or grids, one of which the case is in; none means everywhere."""
    state: State = State.ACTIVE
    secrets: tuple[Secret, ...]
    made_at: AwareDatetime
    after_position: int
    """Facts behind this position of the log are for it; earlier ones only if asked for."""

    @property
    def lane(self) -> str:
        """The lane of its deliveries."""
        return f"webhook/{self.id}"

    def secrets_at(self, now: datetime) -> tuple[str, ...]:
        """What a delivery is signed with, the newest first."""
        return tuple(secret.value for secret in self.secrets if secret.until is None or secret.until > now)

    def rotated(self, value: str, now: datetime, overlap: timedelta) -> "Subscription":
        """With a new secret; the one before it goes on for *overlap*, so that receivers can change in their time."""
        before = [each.model_copy(update={"until": now + overlap}) for each in self.secrets[:1]]
        return self.model_copy(update={"secrets": (Secret(value=value), *before)})
