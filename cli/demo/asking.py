"""How a department asks on the bus: the same question again until there is a definite answer, within bounds."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from cli.demo.deeds import Deeds
from libs.events.subjects import ask_subject

log = structlog.get_logger(__name__)

ASKS_AT_ONCE_MAX: Final = 20
ASK_SECONDS_MAX: Final = 5.0
ASK_ATTEMPTS_MAX: Final = 12
AGAIN_SECONDS_MIN: Final = 0.1
AGAIN_SECONDS_MAX: Final = 5.0
PASSING: Final = frozenset({"log_unavailable", "internal_error"})
"""Refusals that pass by themselves; every other one is an answer."""


class Reply(NamedTuple):
    """A definite answer."""

    body: Mapping[str, Any]
    repeated: bool
    """Whether it may have been asked before, and have been done then."""

    @property
    def refusal(self) -> str | None:
        """The code of a refusal; None for a success."""
        return None if self.body["ok"] else str(self.body["error"]["code"])

    @property
    def done(self) -> bool:
        """Whether it was done, and newly so."""
        return bool(self.body["ok"]) and (self.repeated or bool(self.body.get("event_ids")))


class Asking:
    """The questions of one department."""

    def __init__(self, department: str, client: Client, deeds: Deeds) -> None:
        self._department = department
        self._client = client
        self._deeds = deeds
        self._room = asyncio.Semaphore(ASKS_AT_ONCE_MAX)

    async def ask(self, verb: str, **said: Any) -> Reply | None:
        """The definite answer; None when there was none after ASK_ATTEMPTS_MAX.  Counted in the deeds if not done."""
        async with self._room:
            reply = await self._ask(verb, orjson.dumps(said))
        if reply is None:
            self._deeds.unanswered += 1
        elif reply.refusal is not None:
            self._deeds.refused[verb, reply.refusal] += 1
            log.info("ask_refused", department=self._department, verb=verb, error=reply.body["error"], **said)
        return reply

    async def _ask(self, verb: str, body: bytes) -> Reply | None:
        subject = ask_subject(self._department, verb)
        for attempt in range(ASK_ATTEMPTS_MAX):
            try:
                message = await self._client.request(subject, body, ASK_SECONDS_MAX)
            except (NatsError, OSError) as error:  # nobody there, no answer in time, no connection
                reason = str(error) or type(error).__name__
            else:
                reply = Reply(orjson.loads(message.data), repeated=attempt > 0)
                if reply.refusal not in PASSING:
                    return reply
                reason = str(reply.refusal)
            self._deeds.again += 1
            log.warning("asked_again", department=self._department, verb=verb, reason=reason)
            await asyncio.sleep(min(AGAIN_SECONDS_MIN * 2**attempt, AGAIN_SECONDS_MAX))
        return None
