"""Why intake refuses."""

from enum import StrEnum

from libs.events.contracts.base import Event


class Refusal(StrEnum):
    """Why intake refuses."""

    UNKNOWN_CATEGORY = "unknown_category"
    REPORTED_DIFFERENTLY = "reported_differently"
    NOT_REPORTED = "not_reported"
    NOT_FILED = "not_filed"
    ALREADY_FILED = "already_filed"
    ALREADY_REJECTED = "already_rejected"
    ALREADY_MERGED = "already_merged"
    CASE_CLOSED = "case_closed"
    INTO_ITSELF = "into_itself"
    INTO_UNKNOWN = "into_unknown"
    INTO_NOT_FILED = "into_not_filed"
    INTO_MERGED = "into_merged"
    INTO_CLOSED = "into_closed"
    INTO_NOT_LIVE = "into_not_live"
    NOT_IMPORTED = "not_imported"
    OTHER_SYSTEM = "other_system"
    NOT_YOUR_PLACE = "not_your_place"


Outcome = tuple[Event, ...] | Refusal
"""New facts; an empty tuple when there is nothing to do; or why not."""
