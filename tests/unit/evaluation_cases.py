"""What the tests of evaluation's decider share: a case on its way to its end, and commands for it."""

from datetime import timedelta
from typing import Final

from hypothesis import strategies as st

from libs.events.contracts.evaluation import (
    CaseClosed,
    CaseReopened,
    HandlingReturned,
    Outcome,
    Rated,
    Verified,
)
from libs.events.testing.examples import REPORTED_AT
from libs.events.testing.spec import Spec
from services.evaluation.decider import (
    INITIAL,
    Close,
    CloseHandled,
    CloseJoined,
    Command,
    IssueCard,
    Rate,
    RecordClosed,
    Reopen,
    ReopenForReport,
    Score,
    SendBack,
    State,
    Verify,
    Windows,
    decide,
    evolve,
)
from tests.unit.specs import FILED, NOW, accepted, assigned, handled, reported

EVALUATION: Final[Spec[Command, State]] = Spec(decide, evolve, INITIAL)
REPORT: Final = "report00000000000000"
MAIN: Final = "main0000000000000000"
SPECIALIST: Final = "specialist:qiaotou"
CENTRE: Final = "centre:hebin"
COMMUNITY: Final = "community:qiaotou"
WINDOWS: Final = Windows(rate_until=NOW + timedelta(days=7), reopen_until=NOW + timedelta(days=5))

OPEN: Final = (reported(), FILED, assigned(), accepted())
HANDLED: Final = (*OPEN, handled())
VERIFIED: Final = Verified(department="water", by=SPECIALIST, note="")
GOOD: Final = CaseClosed(
    department="water",
    outcome=Outcome.RESOLVED,
    note="",
    rate_until=WINDOWS.rate_until,
    reopen_until=WINDOWS.reopen_until,
)
CLOSED_CASE: Final = (*HANDLED, VERIFIED, GOOD)
RETURNED: Final = HandlingReturned(department="water", by=SPECIALIST, reason="It rattles", count=1)
REOPENED: Final = CaseReopened(department="water", by=CENTRE, reason="It rattles", count=1)
RATED: Final = Rated(
    department="water", reached=True, solved=False, stars=2, satisfied=False, text="It rattles"
)

VERIFY: Final = Verify(by=SPECIALIST, windows=WINDOWS)
SEND_BACK: Final = SendBack(by=SPECIALIST, reason="It rattles")
CLOSE: Final = Close(by=CENTRE, outcome=Outcome.NOT_RESOLVED, note="Nobody's ground", windows=WINDOWS)
RECORD: Final = RecordClosed(at=NOW, reported_at=REPORTED_AT, note="Case closed")
RATE: Final = Rate(
    now=NOW, reached=True, solved=False, stars=2, stars_max=5, satisfied_from=4, text="It rattles"
)
REOPEN: Final = Reopen(by=CENTRE, reason="It rattles")
CARD: Final = IssueCard(department="water", step=1, colour="yellow")
SCORE: Final = Score(by=COMMUNITY, department="water", stars=4, stars_max=5)
JOINED: Final = CloseJoined(into=MAIN, outcome=Outcome.RESOLVED, note="Replaced", windows=WINDOWS)

COMMANDS: Final[st.SearchStrategy[Command]] = st.sampled_from(
    [
        VERIFY,
        SEND_BACK,
        CLOSE,
        CloseHandled(WINDOWS),
        JOINED,
        RECORD,
        RATE,
        Rate(NOW, reached=True, solved=True, stars=5, stars_max=5, satisfied_from=4),
        Rate(NOW, reached=False, solved=False, stars=1, stars_max=5, satisfied_from=4, reopen=True),
        REOPEN,
        ReopenForReport(REPORT, "It rattles"),
        CARD,
        IssueCard(department="roads", step=2, colour="red"),
        SCORE,
        Score(by="community:liuyuan", department="roads", stars=1, stars_max=5),
        Verify(by="department:water", windows=WINDOWS),
        SendBack(by="department:water", reason="Not ours"),
    ]
)
