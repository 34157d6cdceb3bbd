"""What the players of the demo did and saw, counted and timed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cli.demo.deeds import Deeds


class Receipt(NamedTuple):
    """What a resident keeps of a report that was acknowledged."""

    tracking_number: str
    sent_at: float
    """When the report was first sent, by the clock of the event loop, in seconds."""


@dataclass(slots=True)
class Figures:
    """One day's figures; each player adds its own."""

    receipts: dict[str, Receipt] = field(default_factory=dict)
    """The acknowledged reports, by case id."""
    deeds: Deeds = field(default_factory=Deeds)
    """What departments, specialists and verifiers did."""
    requests_again: int = 0
    """How often a resident's request had to be sent again."""
    reports_refused: int = 0
    reports_given_up: int = 0
    lookups: int = 0
    lookups_failed: int = 0

    received_at: dict[str, float] = field(default_factory=dict)
    """When a department first heard of its case, by case id; the same clock."""
    redelivered: int = 0
    hours_to_close: dict[str, list[float]] = field(default_factory=dict)
    """Real hours from report to closure, by department, of the closures that it heard of."""

    def seconds_to_assignment(self) -> list[float]:
        """From report to assignment, as the departments saw it, of this run's cases, in order of size."""
        pairs = ((at, self.receipts.get(case_id)) for case_id, at in self.received_at.items())
        return sorted(at - receipt.sent_at for at, receipt in pairs if receipt)


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value below or at which *share* of the sorted *values* lie; None without values."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None
