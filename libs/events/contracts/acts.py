"""What dispatch answers a department whose act it did not carry out.  No fact of a case: it never stands in the log."""

from typing import ClassVar

from pydantic import AwareDatetime

from libs.events.contracts.base import Event


class ActRefused(Event):
    """An act that a department sent was not carried out; nothing came of it, and sending it again changes nothing."""

    TYPE: ClassVar[str] = "whistle.act.refused.v1"
    SOURCE: ClassVar[str] = "/dispatch"

    department: str
    act: str | None = None
    """The act's id, as the department gave it; None where it could not be read."""
    verb: str | None = None
    """What was asked for; None where it could not be read."""
    case_id: str | None = None
    """None where it could not be read."""
    received_at: AwareDatetime
    """When the bus took the act."""
    code: str
    """What a program decides by; it never changes."""
    field: str | None = None
    """Where in the document it lies, such as `time` or `data.reason`; None for the document as a whole."""
    reason: str
    reason_zh: str
    allowed: tuple[str, ...] = ()
    """The verbs that this department could use in this case when the act was refused."""

    def addressee(self) -> str | None:
        return self.department
