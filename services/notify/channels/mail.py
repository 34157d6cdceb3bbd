"""Mail by the city's own server, each message with the id of its notice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final, Literal

import aiosmtplib

from services.notify.channels.base import (
    Due,
    Failed,
    Hopeless,
    Medium,
    Outcome,
    Sent,
    Standing,
    message_id_of,
)
from services.notify.channels.people import Letter, People
from services.notify.channels.words import mail_of, subject_of

FOR_GOOD: Final = 500
"""From this reply code on a server means it for good (RFC 5321)."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that takes our mail, and what stands in it."""

    host: str
    port: int
    security: Literal["tls", "starttls", "none"]
    user: str
    password: str
    sender: str
    public_url: str
    """Where residents reach notify; empty: no links."""

    @property
    def domain(self) -> str:
        """Of the ids of messages."""
        return self.sender.rpartition("@")[2]


class Mail:
    """The channel of all mail: one lane, that of the server."""

    def __init__(
        self, server: MailServer, people: People, now: Callable[[], datetime], seconds_max: float
    ) -> None:
        self._server = server
        self._people = people
        self._now = now
        self._seconds_max = seconds_max

    async def standing(self, lane: str) -> Standing:  # noqa: ARG002 - there is one
        """Always open."""
        return Standing.OPEN

    async def send(self, bundle: Sequence[Due]) -> Outcome:
        """Hand a message to the server."""
        letter = await self._people.letter(bundle, Medium.MAIL)
        if not isinstance(letter, Letter):
            return letter
        try:
            message = message_of(letter, message_id_of(bundle[0]), self._server, self._now())
        except ValueError:
            return Hopeless("the address is none")
        server = self._server
        try:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.user or None,
                password=server.password or None,
                use_tls=server.security == "tls",
                start_tls=server.security == "starttls",
                timeout=self._seconds_max,
            )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return _failed(error)
        return Sent()


def message_of(letter: Letter, message_id: str, server: MailServer, now: datetime) -> EmailMessage:
    """The message; the same one has the same id whenever it is made.  Raises ValueError for an address that is none."""
    message = EmailMessage()
    message["From"] = server.sender
    try:
        message["To"] = Address(addr_spec=letter.address)
    except HeaderParseError as error:  # other mistakes are ValueErrors already
        raise ValueError("the address is none") from error
    message["Subject"] = subject_of(letter.told, letter.language)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{message_id}@{server.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    link = ""
    if letter.link_key and server.public_url:
        link = f"{server.public_url}/wishes/{letter.link_key}"
        message["List-Unsubscribe"] = f"<{link}/stop>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(mail_of(letter.told, letter.language, link))
    return message


def _failed(error: Exception) -> Outcome:
    # Never the server's words, in which the address may stand.
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            codes = [each.code for each in error.recipients]
            return _refused(max(codes, default=FOR_GOOD), "the server takes nothing for this address")
        case aiosmtplib.SMTPDataError():
            return _refused(error.code, "the server does not take the message")
        case aiosmtplib.SMTPResponseException():
            return Failed(type(error).__name__, error.code)
        case _:
            return Failed(type(error).__name__)


def _refused(code: int, reason: str) -> Outcome:
    return Hopeless(reason, code) if code >= FOR_GOOD else Failed(reason, code, lane_down=False)
