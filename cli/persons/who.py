"""How somebody is named, and which pseudonyms and cases that is."""

import re
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

from cli.embedded.errors import StackError
from cli.output import UsageError, case_id_of
from cli.persons.desk import Desk
from libs.events.contracts.intake import CaseReported
from libs.events.errors import SealBroken
from libs.events.jetstream import Unknown, as_library_error
from libs.events.log import History
from libs.events.sealing import person_of
from libs.events.subjects import CASES, parse_case_subject
from libs.events.vault.keeping import persons_of, values_of
from libs.events.vault.store import PERSON_CHARACTERS

REPORTS: Final = "case.*.reported.*"
PAGE_MESSAGES_MAX: Final = 500
_PERSON: Final = re.compile(rf"p[0-9a-hj-km-np-tv-z]{{{PERSON_CHARACTERS}}}")
_NUMBER: Final = re.compile(r"[+＋(（]?[0-9０-９][0-9０-９ ()（）.\-－–—/+]*[0-9０-９Xx]")
_SEALED: Final = re.compile(rb'"reporter":"sealed\.v1\.(p[0-9a-z]+)\.')
NUMBER_DIGITS_MIN: Final = 5
NUMBER_DIGITS_MAX: Final = 15
"""Of a telephone number (E.164); the older identity numbers have as many."""
IDENTITY_CHARACTERS: Final = 18


class Named(NamedTuple):
    """How somebody was named."""

    kind: Literal["person", "case", "said"]
    text: str
    """The pseudonym, the case id, or the number or address as it was written."""


def read(who: str) -> Named:
    """What *who* names.  Raises UsageError."""
    text = who.strip()
    if _PERSON.fullmatch(text.lower()):
        return Named("person", text.lower())
    if "@" in text or _is_number(text):
        return Named("said", text)
    try:
        return Named("case", case_id_of(text))
    except UsageError as error:
        raise UsageError(
            "write a telephone or identity number, a mail address, a tracking number, a case id or a pseudonym"
            " · 请输入电话、身份证号、邮箱、查询码、案件编号或代号"
        ) from error


def _is_number(text: str) -> bool:
    if not _NUMBER.fullmatch(text):
        return False
    digits = sum(character.isdigit() for character in text) + text.upper().count("X")
    return NUMBER_DIGITS_MIN <= digits <= NUMBER_DIGITS_MAX or digits == IDENTITY_CHARACTERS


async def the_one(desk: Desk, who: str) -> str:
    """The pseudonym of the one person whom *who* names.  Raises UsageError, StackError for nobody or several."""
    persons = await everybody(desk, who)
    if len(persons) > 1:
        raise StackError(
            f"{len(persons)} people left it: name one by pseudonym: {', '.join(persons)} · 对应多人，请用代号指定"
        )
    return persons[0]


async def everybody(desk: Desk, who: str) -> list[str]:
    """The pseudonyms of all whom *who* may name.  Raises UsageError, StackError where nobody is known so."""
    known = [
        person
        for person in await _persons_behind(desk, read(who))
        if await values_of(desk.pool, person) or (await desk.records.standing(person)).version
    ]
    if not known:
        raise StackError("nobody is known so · 没有查到此人")
    return known


async def held_by(desk: Desk, target: str) -> str:
    """What a hold on *target* stands on: a case that is named as one, or the one person.  Raises like `the_one`."""
    named = read(target)
    if named.kind != "case":
        return await the_one(desk, target)
    if not (await desk.log.load(named.text)).entries:
        raise UsageError(f"the log has no case {named.text} · 没有此案件")
    return named.text


async def _persons_behind(desk: Desk, named: Named) -> list[str]:
    match named.kind:
        case "person":
            return [named.text]
        case "said":
            return await persons_of(desk.pool, desk.index, named.text)
        case _:
            history = await desk.log.load(named.text)
            if not history.entries:
                raise UsageError(f"the log has no case {named.text} · 没有此案件")
            person = reporter_of(history)
            return [person] if person else []


def reporter_of(history: History) -> str | None:
    """The pseudonym of who reported the case, if they left anything of themselves."""
    first = history.entries[0].event if history.entries else None
    if not isinstance(first, CaseReported) or first.reporter is None:
        return None
    try:
        return person_of(first.reporter)
    except SealBroken:
        return None


async def cases_of(
    desk: Desk, persons: Iterable[str], progress: Callable[[int], None] = lambda _: None
) -> dict[str, list[str]]:
    """The case ids of each of *persons*, the first reported first; all reports of the log are looked through.

    *progress* hears at which position of the log the search is.  Raises LogUnavailable.
    """
    found: dict[str, list[str]] = {person: [] for person in persons}
    position = 0
    while True:
        try:
            page = await desk.jetstream.stretch(CASES, REPORTS, position + 1, PAGE_MESSAGES_MAX)
        except Unknown as error:
            raise as_library_error(error) from error
        if not page.messages:
            return found
        for each in page.messages:
            person = sealed_for_in(each.payload)
            if person is not None and (cases := found.get(person)) is not None:
                cases.append(parse_case_subject(each.subject).case_id)
        position = page.messages[-1].sequence
        progress(position)


def sealed_for_in(report: bytes) -> str | None:
    """For whom something is sealed in a stored report."""
    match = _SEALED.search(report)
    return match[1].decode() if match else None
