"""What intake does about a fact: an event in, the case that must learn of it out.  Pure."""

from libs.events.contracts.intake import CaseMerged, CaseReported
from libs.events.envelope import Entry, Origin


def to_sort(entry: Entry) -> bool:
    """Whether it is a new report, about which nobody may have decided yet."""
    return entry.envelope.origin is Origin.LIVE and isinstance(entry.event, CaseReported)


def react(entry: Entry) -> str | None:
    """The case that a report was merged into just now.  Imported and replayed history starts no work."""
    if entry.envelope.origin is not Origin.LIVE:
        return None
    return entry.event.into if isinstance(entry.event, CaseMerged) else None
