"""In which of the two languages somebody is answered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from libs.events.policy import Name, RuleBook

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
_ASKED: Final = re.compile(
    r"\s*([a-z]{2})(?:-[a-z0-9-]*)?\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Words:
    """The names of a rule book, in one language."""

    book: RuleBook
    language: Language

    def of(self, name: Name) -> str:
        """A name."""
        return name.zh if self.language == "zh" else name.en

    def either(self, en: str, zh: str) -> str:
        """A text that there is in both."""
        return zh if self.language == "zh" else en

    def category(self, code: str) -> str:
        """The name of a category; its code, when the rule book has it no more."""
        known = self.book.category(code)
        return self.of(known.name) if known else code

    def department(self, code: str) -> str:
        """The name of a department; its code, when the rule book has it no more."""
        known = self.book.department(code)
        return self.of(known.name) if known else code

    def area(self, *codes: str | None) -> str | None:
        """The names of communities and streets, the smallest first; None when there is none."""
        names = [self._areas[code] for code in codes if code and code in self._areas]
        return self.either(", ", "，").join(names) or None

    @cached_property
    def _areas(self) -> Mapping[str, str]:
        streets = self.book.city.streets
        communities = (each for street in streets for each in street.communities)
        return {each.code: self.of(each.name) for each in streets} | {
            each.code: self.of(each.name) for each in communities
        }


def language_of(accepted: str | None, usual: Language) -> Language:
    """The language of ours that the header `Accept-Language` likes best."""
    asked = [match for part in (accepted or "").split(",") if (match := _ASKED.fullmatch(part))]
    weights = {match[1].lower(): float(match[2] or 1) for match in reversed(asked)}
    liked: list[Language] = [language for language in LANGUAGES if weights.get(language)]
    return max(liked, key=lambda language: weights[language]) if liked else usual
