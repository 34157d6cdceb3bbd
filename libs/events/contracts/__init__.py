"""Every fact there is: one module per publisher, one registry of all."""

from typing import Final

from libs.events.contracts.base import Event
from libs.events.contracts.dispatch import (
    Accepted,
    Acknowledged,
    Assigned,
    ClockPaused,
    ClockResumed,
    Declined,
    DueSoon,
    Escalated,
    ExtensionGranted,
    ExtensionRefused,
    ExtensionRequested,
    Handled,
    ProgressNoted,
    Recalled,
    ReportedIn,
    Summoned,
    UnitSent,
    WhistleBlown,
)
from libs.events.contracts.evaluation import (
    CardIssued,
    CaseClosed,
    CaseReopened,
    HandlingReturned,
    Rated,
    ServiceScored,
    Verified,
)
from libs.events.contracts.intake import (
    CaseAdopted,
    CaseFiled,
    CaseMerged,
    CaseRejected,
    CaseReported,
    ReportJoined,
)
from libs.events.contracts.ledger import CaseCarriedForward
from libs.events.contracts.patrol import CheckedIn, PatrolEnded, PatrolFound, PatrolOrdered

EVENTS: Final[tuple[type[Event], ...]] = (
    CaseReported,
    CaseFiled,
    CaseRejected,
    CaseMerged,
    ReportJoined,
    CaseAdopted,
    Assigned,
    Recalled,
    WhistleBlown,
    Summoned,
    ReportedIn,
    Acknowledged,
    UnitSent,
    Accepted,
    Declined,
    ProgressNoted,
    ExtensionRequested,
    ExtensionGranted,
    ExtensionRefused,
    ClockPaused,
    ClockResumed,
    DueSoon,
    Escalated,
    Handled,
    Verified,
    HandlingReturned,
    CaseClosed,
    Rated,
    CaseReopened,
    CardIssued,
    ServiceScored,
    PatrolOrdered,
    CheckedIn,
    PatrolFound,
    PatrolEnded,
    CaseCarriedForward,
)
"""In the order of a case's life.  A new event type is added here; everything else finds it."""
