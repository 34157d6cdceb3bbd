"""The rule book in force, as a running service has it."""

import asyncio
from datetime import datetime
from typing import Final

import structlog

from libs.events import policy
from libs.events.errors import WhistleError
from libs.events.jetstream import JetStream
from libs.events.policy import RuleBook

log = structlog.get_logger(__name__)

RULES_REFRESH_SECONDS: Final = 10.0


class Rules:
    """The rule book in force, refreshed while the service runs."""

    def __init__(
        self, jetstream: JetStream, book: RuleBook, *, refresh_seconds: float = RULES_REFRESH_SECONDS
    ) -> None:
        self._jetstream = jetstream
        self._refresh_seconds = refresh_seconds
        self.book = book

    async def at(self, moment: datetime) -> RuleBook:
        """The rule book that decided at *moment*; of a time before all of them the first.  Raises like `in_force`."""
        began = self.book.published_at
        if began is not None and began <= moment:
            return self.book
        return await policy.in_force(self._jetstream, moment)

    async def follow(self) -> None:
        """Take up newly published rules, until cancelled; what cannot be read now is read next time."""
        while True:
            await asyncio.sleep(self._refresh_seconds)
            try:
                book = await policy.current(self._jetstream)
            except WhistleError as error:  # the rules in force go on
                log.warning("rules_not_refreshed", reason=str(error))
                continue
            if book.version != self.book.version:
                log.info("rules_taken_up", policy_version=book.version)
                self.book = book
