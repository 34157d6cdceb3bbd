"""What a message says, in the language that its receiver reads.  Pure but for the templates, which are read at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from libs.events.contracts.intake import CaseReported
from libs.events.envelope import Entry
from libs.events.log import History
from libs.events.masking import masked
from libs.events.policy import RuleBook
from libs.events.wording import Text
from services.notify.deciding.notices import REPORTER, Notice, notice_about
from services.notify.deciding.wishes import Language

LANGUAGES: Final = {
    Language.BOTH: (Language.ZH, Language.EN),
    Language.ZH: (Language.ZH,),
    Language.EN: (Language.EN,),
}
SUBJECT: Final = Text("Your report", "您反映的问题")
SUBJECT_OFFICE: Final = Text("Case", "案件")
_FOLDER: Final = Path(__file__).parent / "templates"
_TEMPLATES: Final = {
    (name, language): Template((_FOLDER / f"{name}.{language}.txt").read_text(encoding="utf-8"))
    for name in ("mail", "office", "stop")
    for language in (Language.ZH, Language.EN)
}


@dataclass(frozen=True, slots=True)
class Told:
    """One notice in words."""

    notice: Notice
    text: Text
    category: Text
    reported_at: str
    city: Text


def told(history: History, version: int, rules: RuleBook) -> Told | None:
    """What a case's fact number *version* has somebody told; None when nobody is, by the rules of today."""
    entry = next((each for each in history.entries if each.version == version), None)
    notice = notice_about(entry, rules) if entry else None
    if entry is None or notice is None:
        return None
    text = Text(masked(notice.text), masked(notice.text_zh))
    city = rules.city.name
    return Told(notice, text, *_report(history.entries[0], rules), Text(city.en, city.zh))


def subject_of(all_told: Sequence[Told], language: Language) -> str:
    """The line that a mail program shows."""
    first = all_told[0]
    head = SUBJECT if first.notice.recipient == REPORTER else SUBJECT_OFFICE
    more = f" (+{len(all_told) - 1})" if len(all_told) > 1 else ""
    return " / ".join(f"{_in(head, each)}: {_in(first.category, each)}{more}" for each in LANGUAGES[language])


def mail_of(all_told: Sequence[Told], language: Language, link: str) -> str:
    """The words of a mail."""
    reporter = all_told[0].notice.recipient == REPORTER
    parts = [
        _filled("mail" if reporter else "office", each, words)
        for each in LANGUAGES[language]
        for words in all_told
    ]
    stops = [_TEMPLATES["stop", each].substitute(link=link) for each in LANGUAGES[language]] if link else []
    return "\n".join((*_joined(parts), *stops))


def sms_of(all_told: Sequence[Told], language: Language, characters_max: int) -> str:
    """The words of an SMS, cut off where it would get too long."""
    text = " ".join(_in(words.text, each) for each in LANGUAGES[language] for words in all_told)
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def _filled(name: str, language: Language, words: Told) -> str:
    return _TEMPLATES[name, language].substitute(
        text=_in(words.text, language),
        category=_in(words.category, language),
        reported_at=words.reported_at,
        city=_in(words.city, language),
    )


def _report(first: Entry, rules: RuleBook) -> tuple[Text, str]:
    assert isinstance(first.event, CaseReported), "a case begins with its report"
    known = rules.category(first.event.category)
    category = Text(known.name.en, known.name.zh) if known else Text(*[first.event.category] * 2)
    return category, f"{rules.local(first.envelope.time):%Y-%m-%d %H:%M}"


def _joined(parts: Iterable[str]) -> Iterable[str]:
    for number, part in enumerate(parts):
        if number:
            yield "-" * 20
        yield part


def _in(text: Text, language: Language) -> str:
    return text.zh if language is Language.ZH else text.en
