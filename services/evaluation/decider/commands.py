"""What can be asked of evaluation, and why it is refused."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from libs.events.contracts.evaluation import Outcome

REWORKS_MAX: Final = 10
"""How often the handling of one case can be sent back; after that it can only be closed by hand."""
REOPENINGS_MAX: Final = 10
"""How often one case can be reopened, by whomever."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Until when the reporter may speak, as the rule book reckons from the closing."""

    rate_until: datetime
    reopen_until: datetime


@dataclass(frozen=True, slots=True)
class Verify:
    """Somebody has looked at what was handled, and it is good (核查通过)."""

    by: str
    """The post that looked, such as `specialist:liuyuan`."""
    windows: Windows
    note: str = ""
    photos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SendBack:
    """Somebody has looked at what was handled, and it is not good (返工)."""

    by: str
    reason: str
    photos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Close:
    """Close a case by hand, whatever stands, and say how it ended."""

    by: str
    outcome: Outcome
    note: str
    windows: Windows


@dataclass(frozen=True, slots=True)
class CloseHandled:
    """Close what was handled, where the rule book asks for no verification."""

    windows: Windows


@dataclass(frozen=True, slots=True)
class CloseJoined:
    """The case that this report was joined to is over, and so is the report."""

    into: str
    outcome: Outcome
    note: str
    windows: Windows


@dataclass(frozen=True, slots=True)
class RecordClosed:
    """Another system states that the case was closed."""

    at: datetime
    reported_at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Rate:
    """The reporter says what they think of it (评价)."""

    now: datetime
    reached: bool
    solved: bool
    stars: int
    stars_max: int
    satisfied_from: int
    """With how many stars somebody counts as satisfied."""
    text: str = ""
    reopen: bool = False
    """Whether it shall be taken up again."""
    reopenings_max: int = 1
    """How often the rule book lets a reporter have a case reopened."""

    @property
    def satisfied(self) -> bool:
        """Whether the stars count as satisfied."""
        return self.stars >= self.satisfied_from


@dataclass(frozen=True, slots=True)
class Reopen:
    """The centre takes a closed case up again."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReopenForReport:
    """The reporter of a report that was joined to this case is dissatisfied."""

    report: str
    """The case id of that report."""
    reason: str


@dataclass(frozen=True, slots=True)
class IssueCard:
    """A department is shown a card, since its case is long overdue."""

    department: str
    step: int
    colour: str


@dataclass(frozen=True, slots=True)
class Score:
    """A community scores a department that served it (下考上)."""

    by: str
    department: str
    stars: int
    stars_max: int
    note: str = ""


Command = (
    Verify
    | SendBack
    | Close
    | CloseHandled
    | CloseJoined
    | RecordClosed
    | Rate
    | Reopen
    | ReopenForReport
    | IssueCard
    | Score
)


class Refusal(StrEnum):
    """Why evaluation refuses."""

    UNKNOWN_CASE = "unknown_case"
    UNKNOWN_POST = "unknown_post"
    NOT_YOUR_PLACE = "not_your_place"
    UNKNOWN_PHOTO = "unknown_photo"
    NOT_FILED = "not_filed"
    NOT_HANDLED = "not_handled"
    NOT_CLOSED = "not_closed"
    NOT_ADOPTED = "not_adopted"
    CASE_CLOSED = "case_closed"
    CASE_REJECTED = "case_rejected"
    CASE_MERGED = "case_merged"
    NOT_JOINED_THERE = "not_joined_there"
    VERIFIER_IS_HANDLER = "verifier_is_handler"
    NOT_FOR_DEPARTMENTS = "not_for_departments"
    TOO_MANY_REWORKS = "too_many_reworks"
    TOO_MANY_REOPENINGS = "too_many_reopenings"
    CLOSED_BEFORE_REPORTED = "closed_before_reported"
    STARS_OUT_OF_SCALE = "stars_out_of_scale"
    RATED_ALREADY = "rated_already"
    RATING_OVER = "rating_over"
    SATISFIED = "satisfied"
    REOPENING_OVER = "reopening_over"
    REOPENED_ALREADY = "reopened_already"
    NOT_A_COMMUNITY = "not_a_community"
    NOT_THEIR_CASE = "not_their_case"
    DID_NOT_SERVE = "did_not_serve"
    NOTHING_TO_SCORE = "nothing_to_score"
    SCORED_ALREADY = "scored_already"
