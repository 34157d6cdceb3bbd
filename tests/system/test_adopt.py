"""`whistle adopt`: imported cases that are open become live work, once, and nobody else's cases do."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from cli.stack.state import Stack
from libs.events.contracts.base import ExternalReference, Place
from libs.events.contracts.dispatch import Assigned
from libs.events.contracts.intake import CaseAdopted, CaseFiled, CaseReported
from libs.events.envelope import Context, Origin
from libs.events.ids import case_id_of_import, derived_event_id
from libs.events.log import Fact, History
from tests.support.cases import REPORTED_AT, caught_up, import_cases, until_in_log
from tests.support.stack import eventually, log_of, whistle

SYSTEM: Final = "boston311"


async def import_open(stack: Stack, keys: Sequence[str], category: str, system: str = SYSTEM) -> list[str]:
    """The case ids of imported cases that are assigned there, and open."""
    context = Context(actor=f"import:{system}", time=REPORTED_AT, origin=Origin.IMPORT)
    place = Place(time_zone="America/New_York", community="Mattapan", longitude=118.711, latitude=36.409)
    async with log_of(stack, "importer") as (log, _):
        for key in keys:
            reference = ExternalReference(system=system, key=key)
            report = CaseReported(
                category=category, channel="Call", description="Out", place=place, external=reference
            )
            events = (report, CaseFiled(category=category, reason="record"), Assigned(department="PWDx"))
            facts = [
                Fact(event, context, derived_event_id("test", system, key, str(version)))
                for version, event in enumerate(events, 1)
            ]
            await log.append(History(case_id_of_import(system, key)), facts)
    return [case_id_of_import(system, key) for key in keys]


def adopted(stack: Stack, *arguments: str) -> dict[str, Any]:
    done = whistle(stack, "adopt", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def cases(stack: Stack) -> dict[str, list[str]]:
    async def fill() -> dict[str, list[str]]:
        await import_cases(stack, ["closed-1", "closed-2"])
        return {
            "lights": await import_open(stack, ["1", "2", "3"], "Lights"),
            "odd": await import_open(stack, ["4"], "Flying saucers"),
            "other": await import_open(stack, ["1"], "Lights", system="elsewhere"),
        }

    made = asyncio.run(fill())
    asyncio.run(caught_up(stack, "evaluation"))
    return made


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    path = tmp_path / "map.yaml"
    path.write_text('categories: {Lights: "0102"}\ncommunities: {Mattapan: liuyuan}\n', encoding="utf-8")
    return str(path)


def test_open_cases_of_one_system_are_adopted_and_assigned(
    stack: Stack, cases: dict[str, list[str]], mapping: str
) -> None:
    told = adopted(stack, "--system", SYSTEM, "--category-map", mapping)
    assert (told["adopted"], told["again"], told["elsewhere"], told["rejected"]) == (3, 0, 1, 1)
    [reject] = told["rejects"]
    assert (reject["case_id"], reject["category"]) == (cases["odd"][0], "Flying saucers")
    for case_id in cases["lights"]:
        history = asyncio.run(until_in_log(stack, case_id, "adopted"))
        [taken] = [entry for entry in history.entries if isinstance(entry.event, CaseAdopted)]
        assert isinstance(taken.event, CaseAdopted)
        assert taken.event.category == "0102"
        assert taken.event.place.time_zone == "Asia/Shanghai"
        assert (taken.envelope.actor, taken.envelope.origin) == ("operator:cli", Origin.LIVE)
        asyncio.run(until_assigned_here(stack, case_id))


async def until_assigned_here(stack: Stack, case_id: str) -> None:
    """Until dispatch has assigned it, with a clock."""
    async with log_of(stack, "auditor") as (log, _):

        async def assigned() -> bool:
            return any(
                isinstance(entry.event, Assigned)
                and entry.event.due_at
                and entry.envelope.origin is Origin.LIVE
                for entry in (await log.load(case_id)).entries
            )

        await eventually(assigned)


def test_adopting_again_adds_nothing(stack: Stack, cases: dict[str, list[str]], mapping: str) -> None:
    adopted(stack, "--system", SYSTEM, "--category-map", mapping)
    before = {case_id: facts(stack, case_id) for case_id in cases["lights"] + cases["odd"] + cases["other"]}
    told = adopted(stack, "--system", SYSTEM, "--category-map", mapping)
    assert (told["adopted"], told["rejected"]) == (0, 1)
    after = {case_id: facts(stack, case_id) for case_id in before}
    assert {case_id: names.count("adopted") for case_id, names in after.items()} == {
        case_id: names.count("adopted") for case_id, names in before.items()
    }
    assert "adopted" not in after[cases["other"][0]]


def facts(stack: Stack, case_id: str) -> list[str]:
    async def names() -> list[str]:
        async with log_of(stack, "auditor") as (log, _):
            return [entry.name for entry in (await log.load(case_id)).entries]

    return asyncio.run(names())


def test_what_is_closed_is_left_alone(stack: Stack, cases: dict[str, list[str]], mapping: str) -> None:
    adopted(stack, "--category-map", mapping)
    assert facts(stack, case_id_of_import(SYSTEM, "closed-1"))[-1] == "closed"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("categories: [1", "while parsing"),
        ('categories: {Lights: "9999"}', "does not have 9999"),
        ("communities: {Mattapan: nowhere}", "does not have nowhere"),
        ("kinds: {}", "kinds"),
        (None, "No such file"),
    ],
)
def test_a_wrong_map_is_refused_with_file_and_reason(
    stack: Stack, tmp_path: Path, text: str | None, told: str
) -> None:
    path = tmp_path / "wrong.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    done = whistle(stack, "adopt", "--category-map", str(path), COLUMNS="400")
    assert (done.returncode, done.stdout) == (2, "")
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_rejects_are_named_for_people(stack: Stack, cases: dict[str, list[str]], mapping: str) -> None:
    done = whistle(stack, "adopt", "--system", SYSTEM, "--category-map", mapping)
    assert done.returncode == 0, done.stderr
    assert "Flying saucers" in done.stdout
    assert "--category-map" in done.stdout
