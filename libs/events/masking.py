"""What identifies a person is taken out of free text: telephone and identity numbers, mail addresses.

Masked is what has the form of such a number *and* passes a test of its own (area code, province, birthday, check
digit).  Everything else stays, because of these rules:

- A number ends where its digits end: what is part of a longer run of digits, or of a code with Latin letters (a
  parcel's `SF138...`, a case id, a tracking number), is no telephone number.  Words such as `tel` are no code.
- Digits are joined over a space or hyphen only where people write telephone numbers so (3-4-4, 3-8 ...), hence not in
  dates, house numbers (`12-3-401`) or tracking numbers, whose groups are of four.
- A number that begins with a year is no identity number: no province has the code 19 or 20.

What is left alone although it may be private: a number without area code that nothing announces (it may be a date), a
foreign one without `+`, one written in words, a name.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import Final

MASK: Final = "***"
"""The same for every length, so that it says nothing about what stood there."""

# What a Chinese keyboard gives counts like its ASCII brother: digits and letters of full width, its spaces and hyphens.
_ASCII: Final = (
    {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
    | dict.fromkeys((0xA0, 0x3000), ord(" "))
    | dict.fromkeys((*range(0x2010, 0x2016), 0x2212), ord("-"))
)

# An event id or tracking number, in which groups of digits may look like a telephone number.
_CODE: Final = re.compile(
    r"(?<![0-9A-Za-z-])(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})"
    r"(?![0-9A-Za-z@-])"
)
_JOIN: Final = r"(?: ?- ?| {1,2})"
_END: Final = r"(?![0-9A-Za-z])"
_LOCAL_PART: Final = r"[A-Za-z0-9._%+'-]"
_DOMAIN: Final = r"@(?:[A-Za-z0-9-]++\.)+[A-Za-z]{2,}"
# A run of characters is looked at once, from its beginning; so two addresses without anything between are one.
_MAIL: Final = re.compile(rf"(?<!{_LOCAL_PART}){_LOCAL_PART}++{_DOMAIN}(?:{_LOCAL_PART}*+{_DOMAIN})*")
_IDENTITY: Final = re.compile(
    rf"(?<![0-9A-Za-z])(?P<region>[0-9]{{6}}){_JOIN}?(?P<year>[0-9]{{4}}){_JOIN}?(?P<month>[0-9]{{2}}){_JOIN}?"
    rf"(?P<day>[0-9]{{2}}){_JOIN}?(?P<serial>[0-9]{{3}})(?P<check>[0-9Xx]){_END}"
)
_IDENTITY_OF_OLD: Final = re.compile(
    rf"(?<![0-9A-Za-z])(?P<region>[0-9]{{6}})(?P<year>[0-9]{{2}})(?P<month>[0-9]{{2}})(?P<day>[0-9]{{2}})[0-9]{{3}}{_END}"
)
_PROVINCES: Final = frozenset(
    f"{region}{number}"
    for region, numbers in {1: "12345", 2: "123", 3: "1234567", 4: "123456", 5: "01234", 6: "12345"}.items()
    for number in numbers
) | {"71", "81", "82", "83", "91"}
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS: Final = "10X98765432"

_COUNTRY: Final = rf"(?:\(?(?:\+|00)?86\)?{_JOIN}?)"
_MOBILE: Final = (
    r"(?:1[3-9][0-9]{9}"
    rf"|1[3-9][0-9]{_JOIN}[0-9]{{4}}{_JOIN}[0-9]{{4}}"
    r"|1[3-9][0-9]\.[0-9]{4}\.[0-9]{4}"
    rf"|1[3-9][0-9]{_JOIN}(?P<eight>[0-9]{{8}})"
    rf"|1[3-9][0-9]{{5}}{_JOIN}[0-9]{{4}}"
    rf"|1[3-9][0-9]{{2}}{_JOIN}(?:[0-9]{{3}}{_JOIN}[0-9]{{4}}|[0-9]{{4}}{_JOIN}[0-9]{{3}})"
    rf"|1[3-9][0-9]{_JOIN}[0-9]{{3}}{_JOIN}[0-9]{{5}}"
    rf"|1[3-9][0-9]{{3}}{_JOIN}(?:[0-9]{{6}}|[0-9]{{3}}{_JOIN}[0-9]{{3}})"
    rf"|1{_JOIN}[3-9](?:{_JOIN}[0-9]){{9}})"
)
# Area codes of two digits have numbers of eight; the others of seven or eight.  Behind +86 the 0 may be left out.
_AREA: Final = rf"(?:(?:10|2[0-9])\)?{_JOIN}?[2-9][0-9]{{3}}|[3-9][0-9]{{2}}\)?{_JOIN}?[2-9][0-9]{{2,3}})"
_LANDLINE: Final = rf"\(?0{_AREA}{_JOIN}?[0-9]{{4}}"
_FOREIGN: Final = (  # the last two digits stand together: a house number of one digit behind it is not its end
    rf"\+(?!86)[0-9](?:(?:{_JOIN}|\.)?\(?[0-9]{{1,2}}\)?){{3,6}}(?:{_JOIN}|\.)?[0-9]{{2}}"
)
_FOREIGN_DIGITS_MIN: Final = 8
_ONE: Final = (
    rf"(?:{_COUNTRY}?{_MOBILE}|{_COUNTRY}\(?0?\)?{_AREA}{_JOIN}?[0-9]{{4}}|{_LANDLINE}|{_FOREIGN}){_END}"
)
_ANOTHER: Final = rf"(?=\+){_ONE.replace('?P<eight>', '?:')}"
_PHONE: Final = re.compile(rf"(?:(?<![0-9])|(?=\()){_ONE}(?:{_ANOTHER})*")
_LOCAL: Final = re.compile(
    r"(?:电话|座机|固话|[Tt]el|[Pp]hone)(?:号码|号)?[是为]?[.: ]{0,2}"
    rf"(?P<at>(?P<eight>[2-9][0-9]{{7}})|[2-9][0-9]{{2,3}}{_JOIN}?[0-9]{{4}}){_END}"
)
_DIGIT: Final = re.compile(r"\d")
_DIGITS_MIN: Final = 7
"""Of the shortest number that is masked."""
_LETTERS_BEFORE: Final = re.compile(r"[A-Za-z]+\Z")
_LETTERS_MAX: Final = 12
_PHONE_WORDS: Final = frozenset(
    {"call", "cell", "contact", "dh", "hp", "lxdh", "m", "mob", "mobile", "phone", "ring", "sj", "sjh"}
    | {"t", "tel", "telephone", "v", "vx", "w", "wechat", "weixin", "wx"}
)


def masked(text: str) -> str:
    """*text* with `***` for each telephone number, Chinese identity number and mail address; again, it adds nothing.

    The check digit of identity numbers is that of GB 11643-1999 (ISO 7064, MOD 11-2); those of before have none.
    """
    return _parted(text)[0]


def masked_in(text: str) -> tuple[str, ...]:
    """What `masked` takes out of *text*, as it stands there with digits and letters in ASCII."""
    return _parted(text)[1]


def _parted(text: str) -> tuple[str, tuple[str, ...]]:
    if len(_DIGIT.findall(text)) < _DIGITS_MIN and "@" not in text and "＠" not in text:
        return text, ()
    # Of the same length: what is found there stands at the same place here.
    plain = _CODE.sub(lambda code: "x" * len(code[0]), text.translate(_ASCII))
    taken: list[str] = []
    for pattern, is_private, part in _RULES:
        spans = [match.span(part) for match in pattern.finditer(plain) if is_private(match)]
        if spans:
            taken.extend(plain[start:end] for start, end in spans)
            plain, text = _without(plain, spans), _without(text, spans)
    return text, tuple(taken)


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(text)]
    return MASK.join(text[end:start] for end, start in zip(ends, starts, strict=True))


def _is_mail(_: re.Match[str]) -> bool:
    return True


def _is_identity(match: re.Match[str]) -> bool:
    digits = match["region"] + match["year"] + match["month"] + match["day"] + match["serial"]
    weighed = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=True))
    return (
        match["region"][:2] in _PROVINCES
        and _is_date(match["year"], match["month"], match["day"])
        and match["check"].upper() == _CHECK_DIGITS[weighed % len(_CHECK_DIGITS)]
    )


def _is_identity_of_old(match: re.Match[str]) -> bool:
    is_day = _is_date("19" + match["year"], match["month"], match["day"])
    return match["region"][:2] in _PROVINCES and is_day


def _is_phone(match: re.Match[str]) -> bool:
    before = _LETTERS_BEFORE.search(match.string, max(0, match.start() - _LETTERS_MAX), match.start())
    is_code = before is not None and before[0].lower() not in _PHONE_WORDS
    is_short = match[0].startswith("+") and sum(map(str.isdigit, match[0])) < _FOREIGN_DIGITS_MIN
    return not is_code and not is_short and _is_no_date(match)


def _is_no_date(match: re.Match[str]) -> bool:
    """Whether its eight digits are no date: a lamp post `153 20260512` is none that one could call."""
    eight: str | None = match["eight"]
    return eight is None or not _is_date(eight[:4], eight[4:6], eight[6:])


def _is_date(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return year.startswith(("19", "20"))


_RULES: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], bool], int | str], ...]] = (
    (_MAIL, _is_mail, 0),
    (_IDENTITY, _is_identity, 0),
    (_IDENTITY_OF_OLD, _is_identity_of_old, 0),
    (_PHONE, _is_phone, 0),
    (_LOCAL, _is_no_date, "at"),
)
