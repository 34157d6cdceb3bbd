"""Cases for tests: imported ones straight into the log, live ones through the public interfaces."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cli.client import ask
from cli.stack.state import Stack
from libs.events import streams
from libs.events.contracts.base import Event, ExternalReference, Place
from libs.events.contracts.dispatch import Assigned, Handled
from libs.events.contracts.evaluation import CaseClosed, Outcome
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.envelope import Context, Origin
from libs.events.errors import LogUnavailable
from libs.events.ids import case_id_of_import, derived_event_id
from libs.events.log import Fact, History, Log
from tests.support.stack import WAIT_SECONDS_MAX, eventually, log_of

SYSTEM: Final = "boston311"
REPORTED_AT: Final = datetime(2011, 7, 1, 5, 32, 33, tzinfo=UTC)
VERIFIER: Final = "specialist:qiaotou"
APPENDS_AT_ONCE: Final = 500
DEPARTMENTS: Final = ("PWDx", "ISD", "No Q")


def facts_of_import(key: str, number: int = 0) -> list[Fact]:
    """The five facts of one imported, closed case; a third of the cases is closed too late."""
    reported_at = REPORTED_AT + timedelta(minutes=number)
    department = DEPARTMENTS[number % len(DEPARTMENTS)]
    due_at = reported_at + timedelta(hours=4)
    closed_at = reported_at + timedelta(hours=1 + number % 6)
    place = Place(time_zone="America/New_York", address="Groveland St", community="Mattapan")
    reference = ExternalReference(system=SYSTEM, key=key)
    steps: tuple[tuple[datetime, Event], ...] = (
        (
            reported_at,
            CaseReported(
                category="Lights", channel="Call", description="Out", place=place, external=reference
            ),
        ),
        (reported_at, CaseFiled(category="Lights", reason="record")),
        (reported_at, Assigned(department=department, due_at=due_at)),
        (closed_at, Handled(department=department, note="")),
        (closed_at, CaseClosed(department=department, outcome=Outcome.UNKNOWN, note="")),
    )
    context = Context(actor=f"import:{SYSTEM}", time=reported_at, origin=Origin.IMPORT)
    return [
        Fact(event, context._replace(time=moment), derived_event_id("test", SYSTEM, key, str(version)))
        for version, (moment, event) in enumerate(steps, 1)
    ]


async def import_cases(stack: Stack, keys: Sequence[str]) -> list[str]:
    """The case ids of imported cases with these keys, new in the log."""
    async with log_of(stack, "importer") as (log, _):
        case_ids: list[str] = []
        for start in range(0, len(keys), APPENDS_AT_ONCE):
            part = enumerate(keys[start : start + APPENDS_AT_ONCE], start)
            case_ids += await asyncio.gather(*(_import(log, key, number) for number, key in part))
        return case_ids


async def _import(log: Log, key: str, number: int) -> str:
    case_id = case_id_of_import(SYSTEM, key)
    await log.append(History(case_id), facts_of_import(key, number))
    return case_id


async def caught_up(stack: Stack, *services: str, seconds_max: float = WAIT_SECONDS_MAX) -> None:
    """Wait until each of these services has taken, and acknowledged, all that stands in the log."""
    assert services, "nobody is waited for"
    async with log_of(stack, "auditor") as (_, jetstream):

        async def nothing_left() -> bool:
            try:
                return not any([await streams.lag(jetstream, service) for service in services])
            except LogUnavailable:  # a consumer without a leader
                return False

        await eventually(nothing_left, seconds_max)


def report(stack: Stack, category: str = "1401", community: str = "qiaotou") -> dict[str, Any]:
    """The receipt of a case reported as a resident does."""
    body = {"category": category, "description": "Burst", "place": {"community": community}}
    receipt: dict[str, Any] = ask(stack.service_url("intake"), "/cases", body=body)
    return receipt


def act(stack: Stack, department: str, case_id: str, verb: str) -> None:
    """What a department does over HTTP."""
    path = f"/departments/{department}/cases/{case_id}/{verb}"
    body = {"note": "done", "photos": ["https://photos.example.org/after.jpg"]} if verb == "handle" else {}
    ask(stack.service_url("dispatch"), path, body=body, as_=f"department:{department}", home=stack.home)


def verify(stack: Stack, case_id: str, by: str = VERIFIER) -> None:
    """What a specialist does who finds it good."""
    path, body = f"/cases/{case_id}/verify", {"by": by}
    ask(stack.service_url("evaluation"), path, body=body, as_=by, home=stack.home)


async def until_in_log(stack: Stack, case_id: str, event: str) -> History:
    """The history of a case as soon as it has such an event."""
    async with log_of(stack, "auditor") as (log, _):
        found: list[History] = []

        async def has_it() -> bool:
            history = await log.load(case_id)
            found[:] = [history]
            return any(entry.name == event for entry in history.entries)

        await eventually(has_it)
        return found[0]


async def live_case_to_its_end(stack: Stack) -> tuple[str, History]:
    """Tracking number and history of a live case: reported, accepted, handled, verified, closed."""
    receipt = await asyncio.to_thread(report, stack)
    case_id = receipt["case_id"]
    await until_in_log(stack, case_id, "assigned")
    for verb in ("accept", "handle"):
        await asyncio.to_thread(act, stack, "water", case_id, verb)
    await asyncio.to_thread(verify, stack, case_id)
    return receipt["tracking_number"], await until_in_log(stack, case_id, "closed")
