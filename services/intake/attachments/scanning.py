"""The hook for a virus scanner: a program that reads the upload, or an address that it is sent to.

Without a setting nothing is scanned.  With one, what could not be scanned is not taken.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import httpx
import structlog

from services.intake.attachments import child

log = structlog.get_logger(__name__)

SCAN_SECONDS_MAX: Final = 20.0
FOUND_CODE: Final = 1
"""Exit code of a scanner that found something, as of `clamdscan`; 0 is clean, all else is a scanner that failed."""
FOUND_STATUS: Final = 406
"""Answer of a scanning service that found something; 200 and 204 are clean, all else is a service that failed."""


class Harmful(Exception):
    """The scanner found something in it."""


class NotScanned(Exception):
    """The scanner did not say; the text says why."""


class Scan(Protocol):
    """Looks through an upload."""

    async def look(self, raw: bytes) -> None:
        """Returns when it is clean.  Raises Harmful or NotScanned."""
        ...


class NoScan:
    """Looks at nothing: the city has set no scanner."""

    async def look(self, raw: bytes) -> None:
        """Always returns."""


class CommandScan:
    """A program that reads the upload from stdin, such as `clamdscan --no-summary -`."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv

    async def look(self, raw: bytes) -> None:
        """Run it.  Raises Harmful or NotScanned."""
        try:
            ended = await child.run(self._argv, raw, SCAN_SECONDS_MAX)
        except OSError as error:
            raise NotScanned(f"it cannot be started: {error.strerror}") from error
        if ended.code == FOUND_CODE:
            raise Harmful
        if ended.code != 0:
            late = f"it took more than {SCAN_SECONDS_MAX:g} s"
            raise NotScanned(late if ended.code is None else f"it ended with code {ended.code}")


class AddressScan:
    """A service that takes the upload as the body of a POST."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http

    async def look(self, raw: bytes) -> None:
        """Ask it.  Raises Harmful or NotScanned."""
        headers = {"Content-Type": "application/octet-stream"}
        try:
            answer = await self._http.post(
                self._url, content=raw, headers=headers, timeout=SCAN_SECONDS_MAX, follow_redirects=False
            )
        except httpx.HTTPError as error:
            raise NotScanned(f"{type(error).__name__}") from error
        if answer.status_code == FOUND_STATUS:
            raise Harmful
        if answer.status_code not in {200, 204}:
            raise NotScanned(f"it answered {answer.status_code}")
