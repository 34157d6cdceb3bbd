"""From an upload to a picture that may be shown: looked through for harm, then cleaned in a process of its own."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import structlog

from services.intake.attachments import child, cleaning
from services.intake.attachments.cleaning import Facts, Refusal
from services.intake.attachments.scanning import Scan

log = structlog.get_logger(__name__)

PIXELS_MAX: Final = 50_000_000
"""Cameras of telephones end there; a progressive JPEG of so many takes some 400 MB to decode (measured)."""
CLEAN_SECONDS_MAX: Final = 20.0
CLEANED_AT_ONCE: Final = 1
"""One for each replica: more would not be quicker, and each may take the memory of PIXELS_MAX."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What may be stored and shown."""

    content: bytes
    facts: Facts


class Pictures:
    """Makes pictures of uploads."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._room = asyncio.Semaphore(CLEANED_AT_ONCE)

    async def of(self, raw: bytes) -> Picture | Refusal:
        """The picture in an upload, or why there is none.

        Raises Harmful or NotScanned of `scanning`, and OSError when no process can be started.
        """
        kind = cleaning.sniffed(raw)
        if isinstance(kind, Refusal):
            return kind
        async with self._room:
            await self._scan.look(raw)
            return await _cleaned(raw)


async def _cleaned(raw: bytes) -> Picture | Refusal:
    argv = (sys.executable, "-I", str(Path(cleaning.__file__)), str(PIXELS_MAX))
    ended = await child.run(argv, raw, CLEAN_SECONDS_MAX)
    if ended.code != 0:
        # It met one of its bounds, or a fault of a decoder: with this picture it would again.
        log.warning("picture_not_cleaned", code=ended.code, upload_bytes=len(raw))
        return Refusal.BROKEN
    head, _, content = ended.output.partition(b"\n")
    said = orjson.loads(head)
    return Refusal(said["refusal"]) if "refusal" in said else Picture(content, Facts(**said))
