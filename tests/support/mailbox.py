"""A mail server that keeps what it takes, in a thread of its own."""

from asyncio import WriteTransport
from collections.abc import Generator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from cli.stack.ports import HOST, free_port

NOBODY = "nobody@resident.example"
"""An address for which it takes nothing."""


class Mailbox:
    """What a mail server took."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.messages: list[EmailMessage] = []
        self.dies = False
        """Over the next message: it is taken, and nobody hears that it was."""

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address == NOBODY:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        message["X-Envelope-To"] = ", ".join(envelope.rcpt_tos)
        self.messages.append(message)
        if self.dies:
            self.dies = False
            assert isinstance(server.transport, WriteTransport)
            server.transport.abort()
        return "250 OK"

    def of(self, address: str) -> list[EmailMessage]:
        """What came for an address."""
        return [each for each in self.messages if each["X-Envelope-To"] == address]


@contextmanager
def mail_server() -> Generator[Mailbox]:
    """A mail server on this machine, as long as the block lasts."""
    mailbox = Mailbox(free_port())
    controller = Controller(mailbox, hostname=HOST, port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
