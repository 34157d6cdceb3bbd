"""What everybody may see, as the documents of Open311: requests, services, definitions, where this all is."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin

from libs.events.contracts.evaluation import Outcome
from libs.events.photos import addresses_of
from libs.events.policy import Category, Publicity, Question, RuleBook
from libs.events.wording import OUTCOMES
from services.intake.open311.rendering import MEDIA_TYPES
from services.intake.open311.rows import RequestRow, StepRow
from services.intake.open311.wordings import Words
from services.intake.standing import STATE_NAMES, STEP_NAMES

SPECIFICATION: Final = "http://wiki.open311.org/GeoReport_v2"

Document = dict[str, Any]


class View(NamedTuple):
    """With what requests are described."""

    words: Words
    media: bool = False
    """Whether photos are for everybody."""
    extended: bool = False
    """Whether more is told than the specification names."""
    site: str = ""
    """The address below which intake's paths stand."""


def hidden(book: RuleBook) -> list[str]:
    """The categories that stand in no list."""
    return [each.code for each in book.categories if each.publicity is Publicity.HIDDEN]


def request(row: RequestRow, main: RequestRow | None, view: View, steps: Sequence[StepRow] = ()) -> Document:
    """A request as everybody sees it.  *main* is the case that it was joined to, *steps* are for `extended` alone."""
    words = view.words
    shown = _Shown.of(row, words.book)
    hands = main or row
    category = words.book.category(row.category)
    document: Document = {
        "service_request_id": row.case_id,
        "status": "closed" if row.closed else "open",
        "status_notes": _status_notes(row, main, words, shown),
        "service_name": words.category(row.category),
        "service_code": row.category,
        "description": row.description if shown.words else None,
        "agency_responsible": words.department(hands.department) if hands.department else None,
        "service_notice": words.of(category.closing) if category and not row.closed else None,
        "requested_datetime": _time(row.requested_at, words.book),
        "updated_datetime": _time(row.updated_at, words.book),
        "expected_datetime": _time(hands.due_at, words.book) if hands.due_at and not row.closed else None,
        "address": _address(row, words, shown),
        "address_id": _address_id(row, shown),
        "zipcode": None,
        "lat": row.latitude if shown.point else None,
        "long": row.longitude if shown.point else None,
        "media_url": next(iter(_photos(row, view, shown)), None),
    }
    return document | _extended(row, view, shown, steps) if view.extended else document


class _Shown(NamedTuple):
    """Which parts of a request are for everybody."""

    words: bool
    """What people wrote."""
    area: bool
    point: bool

    @classmethod
    def of(cls, row: RequestRow, book: RuleBook) -> "_Shown":
        category = book.category(row.category)
        publicity = category.publicity if category else Publicity.AREA  # whatever it was, rather less
        exact = publicity is Publicity.EXACT
        return cls(exact and row.seen, publicity is not Publicity.HIDDEN, exact)


def _status_notes(row: RequestRow, main: RequestRow | None, words: Words, shown: _Shown) -> str:
    note = f": {row.note}" if row.note and shown.point else ""
    if row.closed and row.outcome:
        return words.either(*OUTCOMES[Outcome(row.outcome)]) + note
    told = words.either(*STATE_NAMES[row.state]) + note
    if main is None or row.closed:
        return told
    return f"{told} ({main.case_id}): {words.either(*STATE_NAMES[main.state])}"


def _address(row: RequestRow, words: Words, shown: _Shown) -> str | None:
    area = words.area(row.community, row.street) if shown.area else None
    return row.address or area if shown.point else area


def _address_id(row: RequestRow, shown: _Shown) -> str | None:
    smallest = row.grid if shown.point else None
    return smallest or row.community or row.street if shown.area else None


def _photos(row: RequestRow, view: View, shown: _Shown) -> list[str]:
    shows = view.media and shown.words
    return [urljoin(view.site, each) for each in addresses_of(row.photos)] if shows else []


def _extended(row: RequestRow, view: View, shown: _Shown, steps: Sequence[StepRow]) -> Document:
    words = view.words
    category = words.book.category(row.category)
    attributes = _attributes(row, category.questions, words) if category and shown.words else []
    notes = [
        {
            "datetime": _time(step.at, words.book),
            "description": words.either(*STEP_NAMES[step.step]),
            "type": step.step,
        }
        for step in steps
    ]
    more = {
        "channel": row.channel,
        "state": row.state,
        "department": row.department,
        "street": row.street if shown.area else None,
        "community": row.community if shown.area else None,
        "grid": row.grid if shown.point else None,
        "joined_to": row.joined_to,
        "photos": [{"media_url": each} for each in _photos(row, view, shown)],
    }
    return {"attributes": attributes, "extended_attributes": more, "notes": notes}


def _attributes(row: RequestRow, questions: Iterable[Question], words: Words) -> list[Document]:
    asked = {each.code: each for each in questions}
    told: list[Document] = []
    for code, values in row.answers:
        question = asked.get(code)
        for value in values:
            choice = question.choice(value) if question else None
            told.append(
                {
                    "label": words.of(question.ask) if question else code,
                    "name": code,
                    "value": words.of(choice.name) if choice else value,
                    "code": choice.code if choice else None,
                }
            )
    return told


def services(words: Words) -> list[Document]:
    """All categories of the rule book."""
    return [_service(each, words) for each in words.book.categories]


def _service(category: Category, words: Words) -> Document:
    other = category.name.en if words.language == "zh" else category.name.zh
    return {
        "service_code": category.code,
        "service_name": words.of(category.name),
        "description": words.of(category.filing),
        "metadata": bool(category.questions),
        "type": "realtime",
        "keywords": f"{other}, {category.kind}",
        "group": words.either(*KINDS[category.kind]),
    }


KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "part": ("Damaged things", "部件"),
    "event": ("Wrong happenings", "事件"),
}
"""The groups of services."""


def definition(category: Category, words: Words) -> Document:
    """What an app asks whoever reports a case of *category*."""
    questions = [_question(each, order, words) for order, each in enumerate(category.questions, 1)]
    return {"service_code": category.code, "attributes": questions}


def _question(question: Question, order: int, words: Words) -> Document:
    return {
        "variable": not question.told,
        "code": question.code,
        "datatype": question.datatype.value,
        "required": question.required,
        "datatype_description": words.of(question.hint) if question.hint else None,
        "order": order,
        "description": words.of(question.ask),
        "values": [{"key": each.code, "name": words.of(each.name)} for each in question.values],
    }


def discovery(book: RuleBook, url: str, contact: str, key_service: str) -> Document:
    """Where this endpoint is, and when its services last changed: with the rule book."""
    changed = _time(book.published_at or datetime.fromtimestamp(0, UTC), book)
    endpoint = {
        "specification": SPECIFICATION,
        "url": url,
        "changeset": changed,
        # The clocks of an exercise run faster; nobody comes.
        "type": "production" if book.city.time_lapse == 1 else "test",
        "formats": list(MEDIA_TYPES.values()),
    }
    return {
        "changeset": changed,
        "contact": contact,
        "key_service": key_service,
        "endpoints": [endpoint],
    }


def _time(moment: datetime, book: RuleBook) -> str:
    """A moment as Open311 writes it: to the second, by the clocks of the city."""
    return book.local(moment).isoformat(timespec="seconds")
