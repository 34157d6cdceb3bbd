"""Which notices go to people by mail or SMS, and when they want them."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from libs.events.envelope import Entry
from libs.events.errors import SealBroken
from libs.events.log import Log
from libs.events.rules import Rules
from libs.events.sealing import Contact, person_of
from services.notify.channels.base import Medium, notice_of
from services.notify.channels.people import People, sealed_in
from services.notify.deciding.notices import REPORTER, Notice
from services.notify.deciding.schedule import welcome_at
from services.notify.deciding.wishes import Way
from services.notify.delivery.table import Planned
from services.notify.subscriptions.wishes import WishStore

WISHED: Final = {Way.MAIL: Medium.MAIL, Way.SMS: Medium.SMS}


class PeoplePlans:
    """What reporters and offices are told beside the screen."""

    def __init__(
        self,
        people: People,
        wishes: WishStore,
        cases: Log,
        rules: Rules,
        media: frozenset[Medium],
        now: Callable[[], datetime],
    ) -> None:
        """*media* are those for which there is a gateway."""
        self._people = people
        self._wishes = wishes
        self._log = cases
        self._rules = rules
        self._media = media
        self._now = now

    async def __call__(self, entry: Entry, notice: Notice) -> list[Planned]:
        """The message that a notice calls for, if it calls for one.  Raises LogUnavailable."""
        if not self._media:
            return []
        if notice.recipient == REPORTER:
            return await self._to_reporter(entry)
        if Medium.MAIL in self._media and notice.recipient in self._people.offices:
            due = notice_of(entry, Medium.MAIL, notice.recipient, lane=Medium.MAIL)
            return [Planned(due, self._now())]
        return []

    async def _to_reporter(self, entry: Entry) -> list[Planned]:
        history = await self._log.load(entry.case_id, at_least=entry.sequence)
        sealed = sealed_in(history)
        if sealed is None:
            return []
        wishes = await self._wishes.of(entry.case_id)
        if wishes.way is Way.NONE:
            return []
        medium = WISHED.get(wishes.way) or _fitting(await self._people.contact(history), self._media)
        if medium is None or medium not in self._media:
            return []
        due_at = welcome_at(self._now(), self._rules.book.zone, wishes.quiet_hours, wishes.digest)
        bundle = f"{_person(sealed, entry.case_id)}/{medium}/{due_at.isoformat()}" if wishes.digest else None
        return [Planned(notice_of(entry, medium, REPORTER, lane=medium, bundle=bundle), due_at)]


def _fitting(contact: object, media: frozenset[Medium]) -> Medium | None:
    """By mail if there is an address, else by SMS; who was forgotten gets a record that says so."""
    if not isinstance(contact, Contact):
        return min(media)
    if contact.mail and Medium.MAIL in media:
        return Medium.MAIL
    return Medium.SMS if contact.phone and Medium.SMS in media else None


def _person(sealed: str, case_id: str) -> str:
    try:
        return person_of(sealed)
    except SealBroken:  # it will be on record that it cannot be read
        return case_id
