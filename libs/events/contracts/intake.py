"""Facts that intake states: what was reported, and whether it is a case."""

from typing import ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict

from libs.events.contracts.base import Event, ExternalReference, Place


class Answer(BaseModel):
    """What was answered to one question that the rule book asks of a category."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    question: str
    """The question's code."""
    values: tuple[str, ...]
    """Codes of the rule book where it gives values to choose from."""


class CaseReported(Event):
    """Somebody reported a problem at a place.  The first fact of every case."""

    TYPE: ClassVar[str] = "whistle.case.reported.v1"
    SOURCE: ClassVar[str] = "/intake"

    category: str
    """Code of the rule book's category."""
    channel: str
    """How it came in: app, web, hotline, patrol, sensor ..."""
    description: str
    place: Place
    reporter: str | None = None
    """Who reported and how they are reached, only ever sealed: `sealed.v1.<person>.<base64url>`, where the person is a
    pseudonym, and nobody opens the rest without that person's key.  None when nothing was said.
    """
    photos: tuple[str, ...] = ()
    external: ExternalReference | None = None
    answers: tuple[Answer, ...] = ()
    """To the questions of the category."""


class CaseFiled(Event):
    """The report was accepted as a case (立案); departments may now be made responsible."""

    TYPE: ClassVar[str] = "whistle.case.filed.v1"
    SOURCE: ClassVar[str] = "/intake"

    category: str
    """The category as confirmed, which may differ from the reported one."""
    reason: str
    """Why it was filed: `rule` (the rule book files the category at once), `trusted` (so it does with the channel),
    `specialist` (somebody confirmed it), `record` (the imported source says so).
    """


class CaseRejected(Event):
    """The report is no case; the reporter is told why."""

    TYPE: ClassVar[str] = "whistle.case.rejected.v1"
    SOURCE: ClassVar[str] = "/intake"

    reason: str
    """In the words that the reporter reads."""


class CaseMerged(Event):
    """The report tells of a case that is open already, and was joined to it."""

    TYPE: ClassVar[str] = "whistle.case.merged.v1"
    SOURCE: ClassVar[str] = "/intake"

    into: str
    """The case that it was joined to."""
    reason: str
    """`rule` (the rule book's radius, window and likeness), `specialist` (somebody said so)."""
    distance_metres: float | None = None
    similarity: float | None = None
    """How alike the two descriptions are, 0 to 1; None where nobody compared them."""


class ReportJoined(Event):
    """Another report of the same problem was joined to this case; its reporter gets this case's answer."""

    TYPE: ClassVar[str] = "whistle.case.joined.v1"
    SOURCE: ClassVar[str] = "/intake"

    report: str
    """The case id of the other report."""
    reported_at: AwareDatetime
    channel: str


class CaseAdopted(Event):
    """An imported case that was still open was taken into live work: from here on its clocks run."""

    TYPE: ClassVar[str] = "whistle.case.adopted.v1"
    SOURCE: ClassVar[str] = "/intake"

    category: str
    """The category of this city's rule book that it falls under."""
    place: Place
    """The place as this city's rule book knows it."""
