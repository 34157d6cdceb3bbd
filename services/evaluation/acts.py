"""What verifiers, the centre, communities and reporters do, however it comes in: parsed, decided, answered."""

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field

from libs.events.access.identity import POST_CHARACTERS_MAX
from libs.events.access.places import covers, place_of
from libs.events.bodies import Body, Code, Done, Note, Photos, Reason
from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import Outcome
from libs.events.envelope import Context, Entry
from libs.events.errors import LogUnavailable
from libs.events.log import History
from libs.events.photos import Album
from libs.events.policy import RuleBook
from libs.events.rules import Rules
from libs.events.runtime import Bus
from services.evaluation import decider
from services.evaluation.decider import Close, Command, Rate, Refusal, Reopen, Score, SendBack, Verify
from services.evaluation.terms import windows

TRACKING_CHARACTERS_MAX: Final = 40
STARS_MAX: Final = 100
POSTS: Final = (
    "specialist",
    "informant",
    "grid-worker",
    "grid",
    "community",
    "street",
    "district",
    "city",
    "centre",
    "department",
)
"""Who may speak here; departments are named so that they hear why not."""

Post = Annotated[str, Field(pattern=rf"^({'|'.join(POSTS)}):\S+$", max_length=POST_CHARACTERS_MAX)]
Stars = Annotated[int, Field(strict=True, ge=0, le=STARS_MAX, description="on the rule book's scale")]


class ByPost(Body):
    """What is done by a post such as `specialist:liuyuan`."""

    by: Post | None = None
    """Which post it is, of whoever holds several that may do this."""


class VerifyBody(ByPost):
    """It is good."""

    note: Note = ""
    photos: Photos = Field(default_factory=list)

    def command(self, by: str, book: RuleBook, now: datetime) -> Command:
        """What is asked."""
        return Verify(by, windows(book, now), self.note, tuple(self.photos))


class ReturnBody(ByPost):
    """It is not good."""

    reason: Reason
    photos: Photos = Field(default_factory=list)

    def command(self, by: str, book: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all bodies have it
        """What is asked."""
        return SendBack(by, self.reason, tuple(self.photos))


class CloseBody(ByPost):
    """It is over, whatever stands; the note says why."""

    outcome: Literal["resolved", "not_resolved", "withdrawn"]
    note: Reason

    def command(self, by: str, book: RuleBook, now: datetime) -> Command:
        """What is asked."""
        return Close(by, Outcome(self.outcome), self.note, windows(book, now))


class ReopenBody(ByPost):
    """It is not over after all."""

    reason: Reason

    def command(self, by: str, book: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all bodies have it
        """What is asked."""
        return Reopen(by, self.reason)


class ScoreBody(ByPost):
    """A community scores a department."""

    department: Code
    stars: Stars
    note: Note = ""

    def command(self, by: str, book: RuleBook, now: datetime) -> Command:  # noqa: ARG002 - all bodies have it
        """What is asked."""
        return Score(by, self.department, self.stars, book.rating.stars_max, self.note)


class RatingBody(Body):
    """A reporter's rating; the tracking number is the right to rate."""

    tracking_number: Annotated[str, Field(max_length=TRACKING_CHARACTERS_MAX)]
    reached: bool
    solved: bool
    stars: Stars
    text: Note = ""
    reopen: bool = False

    def command(self, book: RuleBook, now: datetime) -> Command:
        """What is asked."""
        return Rate(
            now=now,
            reached=self.reached,
            solved=self.solved,
            stars=self.stars,
            stars_max=book.rating.stars_max,
            satisfied_from=book.rating.satisfied_from,
            text=self.text,
            reopen=self.reopen,
            reopenings_max=book.reopen.by_reporter_max,
        )


class Where(Enum):
    """In which cases somebody may act."""

    OWN_PLACE = "own place"
    """Those of the post's own place."""
    ANY_PLACE = "any place"
    """All; the decider knows better."""
    NO_PLACE = "no place"
    """All: who acts has no post, but a tracking number."""


class By(NamedTuple):
    """Who acts."""

    post: str
    principal: str | None = None
    place: Where = Where.OWN_PLACE


RESIDENT: Final = By("resident", place=Where.NO_PLACE)


class Acts:
    """Carries out what people do."""

    def __init__(self, bus: Bus, rules: Rules, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._rules = rules
        self._now = now
        self._album = Album(bus.jetstream, now)

    @property
    def book(self) -> RuleBook:
        """The rule book in force."""
        return self._rules.book

    async def act(
        self, case_id: str, by: By, command_of: Callable[[RuleBook, datetime], Command]
    ) -> Done | Refusal:
        """Do it, or say why not.  Raises LogUnavailable."""
        book = self.book
        if by.place is not Where.NO_PLACE and by.post.partition(":")[2] not in book.places:
            return Refusal.UNKNOWN_POST
        now = book.local(self._now())
        command = command_of(book, now)
        if await self._album.missing(getattr(command, "photos", ())) is not None:
            return Refusal.UNKNOWN_PHOTO

        def decide(history: History) -> tuple[Event, ...] | Refusal:
            if by.place is Where.OWN_PLACE and not covers(by.post, place_of(history.events), book):
                return Refusal.NOT_YOUR_PLACE
            return decider.decide(command, decider.fold(history.events))

        context = Context(actor=by.post, time=now, policy_version=book.version, principal=by.principal)
        outcome: tuple[Entry, ...] | Refusal = await self._bus.handler.handle(case_id, decide, context)
        if outcome is Refusal.UNKNOWN_CASE and await self._bus.log.newest(case_id):
            raise LogUnavailable(f"a replica of the log does not show case {case_id} yet")
        if isinstance(outcome, Refusal):
            return outcome
        return Done(case_id=case_id, event_ids=[entry.envelope.id for entry in outcome])
