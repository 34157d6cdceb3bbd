"""How the ledger stands with one stream: what probes, metrics and people are told."""

from datetime import datetime
from typing import Final

import structlog

from libs.events import telemetry
from libs.events.ledger.notes import Checkpoint
from libs.events.web import Check

log = structlog.get_logger(__name__)

EXIT_REFUSED: Final = 4
"""With which the process ends once it refused to seal."""


class Standing:
    """Of one stream."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.sealed = 0
        """Events in the files."""
        self.lag = 0
        """Events in the log that are not."""
        self.checkpoint: Checkpoint | None = None
        """The newest that is signed and kept."""
        self.refusal = ""
        self.trouble = "not looked at yet"
        """Why it does not go on at this moment; it is tried again."""
        telemetry.set_ledger_refused(stream, refused=False)

    def refuse(self, reason: str) -> None:
        """Nothing is sealed any more until a person has looked; one line says why."""
        self.refusal = reason
        telemetry.set_ledger_refused(self.stream, refused=True)
        log.error("ledger_refused", stream=self.stream, reason=reason)

    def grown(self, sealed: int, events: int = 0) -> None:
        """So many events are sealed, *events* of them just now."""
        self.sealed = sealed
        self.lag = max(0, self.lag - events)
        telemetry.set_ledger_size(self.stream, sealed, events)

    def looked(self, last: int) -> None:
        """The log ends there, and is what it was."""
        self.trouble = ""
        self.lag = max(0, last - self.sealed)
        telemetry.set_ledger_lag(self.stream, self.lag)

    def signed(self, checkpoint: Checkpoint, at: datetime) -> None:
        """A checkpoint is shown and kept."""
        self.checkpoint = checkpoint
        telemetry.set_ledger_checkpoint(self.stream, at.timestamp())

    def checks(self, lag_events_max: int) -> list[Check]:
        """What of it makes the service ready."""
        found = [Check(f"{self.stream} sealed", ok=not self.refusal, detail=self.refusal or "as it was")]
        if not self.refusal:
            found.append(Check(f"{self.stream} followed", ok=not self.trouble, detail=self.trouble or "yes"))
            detail = f"{self.lag} events not sealed yet, at most {lag_events_max}"
            found.append(Check(f"{self.stream} lag", ok=self.lag <= lag_events_max, detail=detail))
        return found
