"""What an integrator sends and gets over HTTP."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from libs.events.bodies import Body, Code
from libs.events.moments import Moment
from services.notify.subscriptions.model import EVENT_TYPES, OVERLAP_HOURS_MAX, Secret, State, Subscription

URL_CHARACTERS_MAX: Final = 2_000
DESCRIPTION_CHARACTERS_MAX: Final = 500
FILTERS_MAX: Final = 100
OVERLAP_HOURS: Final = 24


def _known_type(value: str) -> str:
    if value not in EVENT_TYPES:
        context = {"reason_zh": "没有此类型的事件。"}
        raise PydanticCustomError("unknown_event_type", "No event has this type", context)
    return value


EventType = Annotated[str, AfterValidator(_known_type)]


class SubscriptionBody(Body):
    """A new subscription; a filter that names nothing lets everything through."""

    url: Annotated[str, Field(min_length=1, max_length=URL_CHARACTERS_MAX)]
    """Where deliveries are posted, at https://."""
    description: Annotated[str, Field(max_length=DESCRIPTION_CHARACTERS_MAX)] = ""
    types: Annotated[list[EventType], Field(max_length=FILTERS_MAX)] = Field(default_factory=list)
    """Types of events, such as `whistle.case.assigned.v1`."""
    departments: Annotated[list[Code], Field(max_length=FILTERS_MAX)] = Field(default_factory=list)
    """Events of cases that one of these has at that moment, and events that name one of them."""
    areas: Annotated[list[Code], Field(max_length=FILTERS_MAX)] = Field(default_factory=list)
    """Codes of streets, communities or grids."""
    by: Code | None = None
    """The post that it is for, such as `integrator:meteo`; may be left out by who holds one alone."""


class RotateBody(Body):
    """How long deliveries are signed with both secrets."""

    overlap_hours: Annotated[int, Field(ge=0, le=OVERLAP_HOURS_MAX)] = OVERLAP_HOURS


class ReplayBody(Body):
    """A stretch of time: events that happened from *since* on and before *until* are delivered again."""

    since: Moment
    until: Moment | None = None
    """Now, by default."""


class Shown(BaseModel):
    """A subscription as its owner sees it; secrets are shown once, when they are made."""

    id: str
    owner: str
    url: str
    description: str
    types: tuple[str, ...]
    departments: tuple[str, ...]
    areas: tuple[str, ...]
    state: State
    made_at: datetime
    old_secret_until: datetime | None = None
    """Until when deliveries are signed with the secret before, too."""

    @classmethod
    def of(cls, subscription: Subscription) -> "Shown":
        """What may be seen of it."""
        before: list[Secret] = [each for each in subscription.secrets if each.until]
        fields = subscription.model_dump(exclude={"secrets", "after_position"})
        return cls(**fields, old_secret_until=before[0].until if before else None)


class WithSecret(Shown):
    """A subscription with the secret that was made for it."""

    secret: str
    """`whsec_...`: keep it, it is not shown again."""

    @classmethod
    def of_new(cls, subscription: Subscription, secret: str) -> "WithSecret":
        """The subscription whose newest secret is *secret*."""
        return cls(**Shown.of(subscription).model_dump(), secret=secret)


class Tested(BaseModel):
    """What came of a test delivery."""

    webhook_id: str
    delivered: bool
    status: int | None = None
    reason: str = ""


class Delivery(BaseModel):
    """One event on its way to one subscription."""

    id: str
    """The same as `webhook-id` of each attempt."""
    case_id: str
    fact: str
    happened_at: datetime
    state: str
    """`due`, `sent`, `dead` (given up) or `dropped`."""
    attempts: int
    due_at: datetime | None = None
    """When it is tried next."""
    tried_at: datetime | None = None
    status: int | None = None
    reason: str | None = None


class AttemptShown(BaseModel):
    """One attempt."""

    attempt: int
    at: datetime
    state: str
    """`sent`; `due` when it failed and was to be tried again; `dead` when it was the last."""
    status: int | None = None
    reason: str = ""
    again_at: datetime | None = None


class DeliveryWithAttempts(Delivery):
    """The same with all that was tried."""

    tried: list[AttemptShown]


class ReplayAsked(BaseModel):
    """A replay that was asked for."""

    id: str
    since: datetime
    until: datetime
    state: str = "running"
    """`running`, `done`, or `cut` when there were too many: ask again from the last one on."""
    planned: int = 0
    """Deliveries that were planned so far."""
