"""What a report says of people: taken out of its text before anything is decided, and sealed."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, NamedTuple, Self

import structlog
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from libs.events.bodies import Body
from libs.events.contracts.intake import CaseReported
from libs.events.errors import VaultUnavailable
from libs.events.log import History
from libs.events.masking import masked
from libs.events.sealing import Contact, Sealer, Spot

log = structlog.get_logger(__name__)

NAME_CHARACTERS_MAX: Final = 100
PHONE_CHARACTERS_MAX: Final = 40
MAIL_CHARACTERS_MAX: Final = 254
TEXT_CHARACTERS_MAX: Final = 1_000
# Lenient: only a call or a letter shows whether somebody is there.  But one number and one address, which can be put
# into a message's header as they are: without what ends a line or adds another receiver.
PHONE: Final = r"^[+＋(（]?(?:[0-9０-９][ ()（）.\-－–—/转extEXT#]*){5,20}$"
MAIL: Final = r"""^[^@\s\x00-\x1f\x7f<>()\[\],;:\\"]+@[^@\s\x00-\x1f\x7f<>()\[\],;:\\"]+$"""


class ContactBody(Body):
    """How to reach whoever reports.  It is sealed before it is kept; only those who answer open it."""

    name: Annotated[str, Field(max_length=NAME_CHARACTERS_MAX)] = ""
    phone: Annotated[str, Field(max_length=PHONE_CHARACTERS_MAX, pattern=PHONE)] | None = None
    mail: Annotated[str, Field(max_length=MAIL_CHARACTERS_MAX, pattern=MAIL)] | None = None
    text: Annotated[str, Field(max_length=TEXT_CHARACTERS_MAX)] = ""
    """What only those who answer should read, such as when to call."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any((self.name, self.phone, self.mail, self.text)):
            raise PydanticCustomError(
                "empty_contact",
                "A contact has a name, phone, mail or text",
                {"reason_zh": "联系方式不能为空。"},
            )
        return self


class FreeTexts(NamedTuple):
    """The free texts of a report."""

    description: str
    address: str | None
    answers: Mapping[str, Sequence[str]]


def without_people(words: FreeTexts, contact: ContactBody | None) -> tuple[FreeTexts, Contact]:
    """The words as they may become a fact, and all that must be sealed: the contact, and what was typed there."""
    public = FreeTexts(
        masked(words.description),
        words.address and masked(words.address),
        {code: [masked(answer) for answer in answers] for code, answers in words.answers.items()},
    )
    typed = [words.description] if public.description != words.description else []
    typed += [words.address] if words.address and public.address != words.address else []
    typed += [answer for answers in words.answers.values() for answer in answers if masked(answer) != answer]
    given = contact or ContactBody.model_construct()
    return public, Contact(given.name, given.phone or "", given.mail or "", given.text, "\n".join(typed))


async def give_back(sealer: Sealer, sealed: str, history: History) -> None:
    """Drop the person of a value that was not written after all, unless more was sealed for them.

    A report that adds nothing was there before, or it is our own, written by an attempt whose answer was lost.
    """
    if any(isinstance(event, CaseReported) and event.reporter == sealed for event in history.events):
        return
    try:
        await sealer.discard(sealed)
    except VaultUnavailable as error:
        # A key too many harms nobody.
        log.info("sealed_value_not_given_back", case_id=history.case_id, reason=str(error))


async def seal(sealer: Sealer, contact: Contact, case_id: str) -> str | None:
    """The sealed text; None where there is nothing to seal.  Raises VaultUnavailable."""
    return await sealer.seal(contact, Spot(case_id)) if contact else None
