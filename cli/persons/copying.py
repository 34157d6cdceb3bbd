"""All that is held of a person, opened, to be handed to them: one document, which says nothing about anybody else."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from cli.persons.desk import OPERATOR, Desk
from libs.events import policy
from libs.events.contracts.evaluation import CaseReopened, Rated
from libs.events.contracts.intake import CaseReported
from libs.events.contracts.persons import PersonExported
from libs.events.jetstream import NotNow, Refused, Unknown, as_library_error
from libs.events.keyvalue import KeyValue
from libs.events.log import History
from libs.events.photos import addresses_of
from libs.events.policy import RuleBook
from libs.events.sealing import Forgotten, Spot
from libs.events.subjects import NOTICES, RECEIVERS, person_filter
from libs.events.vault.opening import PostgresOpener
from services.intake.standing import main_case, standing

REPORTER: Final = "reporter"
"""As whom notices know the person."""
WISH: Final = "wish"
FORMAT: Final = "whistle.person.copy.v1"


async def copy_of(desk: Desk, person: str, case_ids: list[str]) -> dict[str, Any]:
    """The document.  Raises LogUnavailable, VaultUnavailable, VaultInconsistent."""
    book = await policy.current(desk.jetstream)
    opener = PostgresOpener(desk.pool, desk.master, desk.records.is_erased)
    cases = [await _case(desk, opener, book, case_id) for case_id in case_ids]
    return {
        "format": FORMAT,
        "person": person,
        "made_at": _local(desk, datetime.now(UTC)),
        "made_by": OPERATOR,
        "cases": cases,
        "copies": [_local(desk, moment) async for moment in _copies(desk, person)],
    }


async def _case(desk: Desk, opener: PostgresOpener, book: RuleBook, case_id: str) -> dict[str, Any]:
    history = await desk.log.load(case_id)
    main = main_case(history)
    leading = await desk.log.load(main) if main else None
    seen = standing("", history, book, leading).model_dump(mode="json", exclude={"tracking_number"})
    return {
        "case_id": case_id,
        "said": said(history),
        "contact": await _contact(opener, history),
        "standing": seen,
        "ratings": list(ratings(history)),
        "reopenings": list(reopenings(history)),
        "wishes": await _wishes(desk, case_id),
        "notices": [notice async for notice in _notices(desk, case_id)],
    }


def said(history: History) -> dict[str, Any]:
    """What the person reported, as it stands in the log."""
    report = history.entries[0].event
    assert isinstance(report, CaseReported), "a case begins with its report"
    return {
        "reported_at": history.entries[0].envelope.time.isoformat(),
        "category": report.category,
        "channel": report.channel,
        "description": report.description,
        "place": report.place.model_dump(mode="json", exclude_none=True),
        "answers": {each.question: list(each.values) for each in report.answers},
        "photos": addresses_of(report.photos),
    }


async def _contact(opener: PostgresOpener, history: History) -> dict[str, str] | None:
    report = history.entries[0].event
    assert isinstance(report, CaseReported), "a case begins with its report"
    assert report.reporter is not None, "it is looked at because of its reporter"
    opened = await opener.open(report.reporter, Spot(history.case_id))
    if isinstance(opened, Forgotten):
        return None
    return {name: text for name, text in asdict(opened).items() if text}


def ratings(history: History) -> Iterator[dict[str, Any]]:
    """What the person thought of it."""
    for entry in history.entries:
        if isinstance(entry.event, Rated):
            given = entry.event.model_dump(mode="json", include={"reached", "solved", "stars", "text"})
            yield {"time": entry.envelope.time.isoformat(), **given}


def reopenings(history: History) -> Iterator[dict[str, str]]:
    """How the person had it taken up again."""
    for entry in history.entries:
        if isinstance(entry.event, CaseReopened) and entry.event.by == REPORTER:
            yield {"time": entry.envelope.time.isoformat(), "reason": entry.event.reason}


async def _wishes(desk: Desk, case_id: str) -> Any:
    found = await KeyValue(desk.jetstream, RECEIVERS).get(f"{WISH}.{case_id}")
    return orjson.loads(found.payload) if found and found.payload else None


async def _notices(desk: Desk, case_id: str) -> AsyncGenerator[dict[str, Any]]:
    """What the person was told, or what became of it; what others were told of the case is none of theirs."""
    position = 1
    while True:
        try:
            stored = await desk.jetstream.next_on_leader(NOTICES, f"notice.{case_id}.>", position)
        except (NotNow, Unknown, Refused) as error:
            raise as_library_error(error) from error
        if stored is None:
            return
        position = stored.sequence + 1
        document = orjson.loads(stored.payload)
        if (told := notice(document)) is not None:
            yield told | {"time": _local(desk, datetime.fromisoformat(told["time"]))}


def notice(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """One notice, or one attempt to bring it, as the person may see it; None of what is for somebody else."""
    data: dict[str, Any] = document["data"]
    if REPORTER not in {data.get("recipient"), data.get("receiver")}:
        return None
    shown = ("channel", "occasion", "text", "text_zh", "fact", "attempt", "state", "reason")
    return {"time": document["time"], **{name: data[name] for name in shown if data.get(name)}}


def _local(desk: Desk, moment: datetime) -> str:
    return moment.astimezone(desk.zone).isoformat(timespec="seconds")


async def _copies(desk: Desk, person: str) -> AsyncGenerator[datetime]:
    """When copies were made before."""
    async for entry in desk.records.about(person_filter(person)):
        if isinstance(entry.event, PersonExported):
            yield entry.envelope.time
