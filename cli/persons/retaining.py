"""Who may be kept no longer: gathered from the vault and the log."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cli.persons.desk import Desk
from cli.persons.erasing import erase_in
from cli.persons.who import PAGE_MESSAGES_MAX, sealed_for_in
from libs.events.contracts.base import Event
from libs.events.contracts.evaluation import CaseClosed, CaseReopened
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseRejected, CaseReported
from libs.events.contracts.persons import Ground
from libs.events.envelope import Entry
from libs.events.jetstream import Stored, Unknown, as_library_error
from libs.events.log import entry_of
from libs.events.personal.deciding import Asked, Case, Ends, Hold
from libs.events.personal.retention import Due, Known, due
from libs.events.policy import RuleBook
from libs.events.subjects import CASES, case_id_in
from libs.events.vault.keeping import known_persons

CATEGORIES: Final = (CaseFiled, CaseAdopted)
ENDS: Final = (CaseRejected, CaseClosed, CaseReopened)
Progress = Callable[[str, int], None]
"""Hears which events are looked through, and at which position of the log that is."""


async def due_at(desk: Desk, book: RuleBook, now: datetime, progress: Progress) -> list[Due]:
    """Whose time is over at *now*.  Raises LogUnavailable, VaultUnavailable, CaseUnreadable."""
    # The vault first: who reports while the log is looked through has one value more than was counted.
    persons = [each async for each in known_persons(desk.pool)]
    stories = _Stories()
    async for stored in _events(desk, CaseReported, progress):
        if (person := sealed_for_in(stored.payload)) is not None:
            stories.reported(person, _entry(stored))
    for event in (*CATEGORIES, *ENDS):
        async for stored in _events(desk, event, progress):
            if case_id_in(stored.subject) in stories.category:
                stories.note(_entry(stored))
    holds = await desk.records.holds()
    return due(
        (
            Known(person, made_at, values, stories.cases(person, holds), holds.get(person, ()))
            for person, made_at, values in persons
        ),
        book.kept_until,
        now,
    )


async def erase_due(desk: Desk, book: RuleBook, each: Due) -> Entry:
    """Erase somebody whose time is over.  Raises NotDone when they are held, or have reported again."""
    known = each.known
    asked = Asked(Ground.RETENTION)
    cases = [case.case_id for case in known.cases]
    return await erase_in(desk, known.person, cases, asked, book.version, values=known.values)


@dataclass(slots=True)
class _Stories:
    """What the log says of cases that somebody can be known by."""

    of_person: dict[str, list[str]] = field(default_factory=dict)
    category: dict[str, str] = field(default_factory=dict)
    ended: dict[str, tuple[int, datetime | None]] = field(default_factory=dict)
    """With the position of the fact that says so: facts of several kinds are read one kind after the other."""
    confirmed: dict[str, int] = field(default_factory=dict)

    def reported(self, person: str, entry: Entry) -> None:
        assert isinstance(entry.event, CaseReported), "it is a report"
        self.of_person.setdefault(person, []).append(entry.case_id)
        self.category[entry.case_id] = entry.event.category

    def note(self, entry: Entry) -> None:
        match entry.event:
            case CaseFiled() | CaseAdopted():
                if entry.sequence > self.confirmed.get(entry.case_id, 0):
                    self.confirmed[entry.case_id] = entry.sequence
                    self.category[entry.case_id] = entry.event.category
            case _:
                ends = Ends()
                ends.note(entry.case_id, entry.event, entry.envelope.time)
                if entry.sequence > self.ended.get(entry.case_id, (0, None))[0]:
                    self.ended[entry.case_id] = (entry.sequence, ends.ended.get(entry.case_id))

    def cases(self, person: str, holds: dict[str, tuple[Hold, ...]]) -> tuple[Case, ...]:
        return tuple(
            Case(
                case_id,
                self.category[case_id],
                self.ended.get(case_id, (0, None))[1],
                holds.get(case_id, ()),
            )
            for case_id in self.of_person.get(person, ())
        )


async def _events(desk: Desk, event: type[Event], progress: Progress) -> AsyncGenerator[Stored]:
    """All events of one kind, in the order of the log."""
    position = 0
    while True:
        try:
            page = await desk.jetstream.stretch(
                CASES, f"case.*.{event.name()}.>", position + 1, PAGE_MESSAGES_MAX
            )
        except Unknown as error:
            raise as_library_error(error) from error
        if not page.messages:
            return
        for stored in page.messages:
            yield stored
        position = page.messages[-1].sequence
        progress(event.name(), position)


def _entry(stored: Stored) -> Entry:
    return entry_of(stored.subject, stored.sequence, stored.payload)
