"""SMS through whatever gateway a city has a contract with, as long as it takes an HTTP POST."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from typing import Final
from urllib.parse import quote_plus

from services.notify.channels.base import Due, Failed, Hopeless, Medium, Outcome, Standing, message_id_of
from services.notify.channels.people import Letter, People
from services.notify.channels.posting import Poster
from services.notify.channels.words import sms_of

NOT_THIS_ONE: Final = frozenset({400, 404, 413, 422})
"""Answers that speak of this message: another one may well be taken."""
CHARACTERS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where an SMS is posted, and how."""

    url: str
    body: str
    """With `$phone`, `$text` and `$id`, which are written as the content type asks."""
    content_type: str
    headers: tuple[tuple[str, str], ...]


class Sms:
    """The channel of all SMS: one lane, that of the gateway."""

    def __init__(self, gateway: Gateway, people: People, poster: Poster) -> None:
        self._gateway = gateway
        self._people = people
        self._poster = poster

    async def standing(self, lane: str) -> Standing:  # noqa: ARG002 - there is one
        """Always open."""
        return Standing.OPEN

    async def send(self, bundle: Sequence[Due]) -> Outcome:
        """Hand a message to the gateway."""
        letter = await self._people.letter(bundle, Medium.SMS)
        if not isinstance(letter, Letter):
            return letter
        message_id = message_id_of(bundle[0])
        headers = {
            **dict(self._gateway.headers),
            "content-type": self._gateway.content_type,
            "idempotency-key": message_id,
        }
        outcome = await self._poster.post(
            self._gateway.url, headers, body_of(self._gateway, letter, message_id)
        )
        if isinstance(outcome, Failed) and outcome.status in NOT_THIS_ONE:
            return Hopeless("the gateway does not take the message", outcome.status)
        return outcome


def body_of(gateway: Gateway, letter: Letter, message_id: str) -> str:
    """The body as this gateway wants it."""
    text = sms_of(letter.told, letter.language, CHARACTERS_MAX)
    values = {"phone": letter.address, "text": text, "id": message_id}
    return Template(gateway.body).substitute(
        {name: _written(value, gateway.content_type) for name, value in values.items()}
    )


def _written(value: str, content_type: str) -> str:
    """So that no text can break out of its place."""
    if "json" in content_type:
        return json.dumps(value, ensure_ascii=False)[1:-1]
    return quote_plus(value)
