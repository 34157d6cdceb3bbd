"""What the supervisor did and saw, as one JSON line per event."""

from pathlib import Path

import structlog
from structlog.typing import FilteringBoundLogger

from cli.embedded.process import rotate


class _File:
    """Appends lines to a file that is made at the first of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def msg(self, message: str) -> None:
        """Append one line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        rotate(self._path)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(message + "\n")

    debug = info = warning = error = critical = msg


def open_journal(path: Path) -> FilteringBoundLogger:
    """The journal in this file."""
    journal: FilteringBoundLogger = structlog.wrap_logger(
        _File(path),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )
    return journal
