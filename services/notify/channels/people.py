"""Who a notice goes to, found when it is sent: the address stands nowhere but in the vault or a setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from libs.events.contracts.intake import CaseReported
from libs.events.errors import LogUnavailable, SealBroken, VaultInconsistent, VaultUnavailable
from libs.events.log import History, Log
from libs.events.rules import Rules
from libs.events.sealing import Contact, Forgotten, Opener, Spot
from services.notify.channels.base import Dropped, Due, Hopeless, Medium
from services.notify.channels.words import Told, told
from services.notify.deciding.notices import REPORTER
from services.notify.deciding.wishes import Language, Way
from services.notify.subscriptions.wishes import WishStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """All that a gateway needs."""

    address: str
    """A mail address or a telephone number."""
    told: tuple[Told, ...]
    language: Language
    link_key: str
    """For the link by which a reporter changes the wishes; empty for an office."""

    def __repr__(self) -> str:
        """Nothing of the address: a letter that gets into a log says nothing there."""
        return "Letter(...)"


class People:
    """Finds receivers and words."""

    def __init__(
        self, cases: Log, rules: Rules, opener: Opener, wishes: WishStore, offices: Mapping[str, str]
    ) -> None:
        self._log = cases
        self._rules = rules
        self._opener = opener
        self._wishes = wishes
        self.offices = offices
        """Mail addresses of departments and posts."""

    async def letter(self, bundle: Sequence[Due], medium: Medium) -> Letter | Dropped | Hopeless:
        """The message of a bundle.  Raises LogUnavailable, also when the vault is away."""
        first = bundle[0]
        histories = {each.case_id: await self._history(each) for each in bundle}
        words = [told(histories[each.case_id], each.version, self._rules.book) for each in bundle]
        spoken = tuple(each for each in words if each is not None)
        if not spoken:
            return Dropped("nobody is told of this any more")
        if first.receiver != REPORTER:
            address = self.offices.get(first.receiver, "")
            return (
                Letter(address, spoken, Language.BOTH, "")
                if address
                else Dropped("no address is set any more")
            )
        found = await self.contact(histories[first.case_id])
        if not isinstance(found, Contact):
            return found
        address = found.mail if medium is Medium.MAIL else found.phone
        if not address:
            return Dropped("the reporter left no such address")
        wishes = await self._wishes.of(first.case_id)
        if wishes.way is Way.NONE:
            return Dropped("the reporter wants no more messages")
        return Letter(address, spoken, wishes.language, await self._wishes.link_key(first.case_id))

    async def contact(self, history: History) -> Contact | Dropped | Hopeless:
        """How to reach the reporter of a case; or why there is no way.  Raises LogUnavailable."""
        sealed = sealed_in(history)
        if sealed is None:
            return Dropped("the reporter left no address")
        try:
            found = await self._opener.open(sealed, Spot(history.case_id))
        except VaultUnavailable as error:
            raise LogUnavailable(str(error)) from error
        except (SealBroken, VaultInconsistent) as error:
            log.error("contact_unreadable", case_id=history.case_id, error=type(error).__name__)  # noqa: TRY400 - its text says enough
            return Hopeless("the address cannot be read")
        return Dropped("the reporter was forgotten") if isinstance(found, Forgotten) else found

    async def _history(self, notice: Due) -> History:
        return await self._log.load(notice.case_id, at_least=notice.position)


def sealed_in(history: History) -> str | None:
    """The reporter of a case as the log has them."""
    first = history.entries[0].event if history.entries else None
    return first.reporter if isinstance(first, CaseReported) else None
