"""What departments send for good, through the client of the library: done once, in order, or refused with a reason."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
import pytest
import pytest_asyncio

from cli.departments.serving import enable
from cli.stack.state import Stack
from libs.events.contracts.acts import ActRefused
from libs.events.contracts.dispatch import Accepted, Assigned, ProgressNoted
from libs.events.department import Case, Department, Receipt
from libs.events.envelope import Entry
from libs.events.errors import AskRefused
from libs.events.jetstream import JetStream, Message
from libs.events.log import History
from libs.events.subjects import act_subject, case_subject
from tests.support.cases import report, until_in_log
from tests.support.stack import log_of, whistle

NOBODY: Final = "0" * 20
SECONDS_MAX: Final = 180.0
AFTER: Final = "https://photos.example.org/after.jpg"
NOTES: Final = 20
CASES: Final = 5
UNREADABLE: Final = 4


@asynccontextmanager
async def department(stack: Stack, code: str) -> AsyncGenerator[Department]:
    await enable(stack, [code])
    seed = stack.department_seed_file(code)
    async with Department.connected(code, url=stack.nats_url, seed=seed) as opened:
        yield opened


@pytest_asyncio.fixture
async def water(stack: Stack) -> AsyncIterator[Department]:
    async with department(stack, "water") as opened:
        yield opened


async def a_case(stack: Stack) -> str:
    receipt = await asyncio.to_thread(report, stack)
    await until_in_log(stack, receipt["case_id"], "assigned")
    return str(receipt["case_id"])


async def heard(opened: Department, *wanted: tuple[str, type]) -> list[Case]:
    """What the department hears, in order, until it has heard all of *wanted*: case id and kind of event."""
    missing, news = set(wanted), []
    async with asyncio.timeout(SECONDS_MAX), aclosing(opened.news()) as stream:
        async for case in stream:
            news.append(case)
            missing.discard((case.id, type(case.event)))
            if not missing:
                break
    return news


async def refusal(opened: Department, case_id: str, act_id: str) -> ActRefused:
    """How the department hears that this act was refused."""
    async with asyncio.timeout(SECONDS_MAX), aclosing(opened.news()) as stream:
        async for case in stream:
            match case.event:
                case ActRefused(act=act) as refused if (case.id, act) == (case_id, act_id):
                    assert case.envelope.causationid == act_id
                    return refused
                case _:
                    pass
    raise AssertionError("the news ended")


async def history(stack: Stack, case_id: str) -> History:
    async with log_of(stack, "auditor") as (log, _):
        return await log.load(case_id)


def named(found: History, name: str) -> list[Entry]:
    return [entry for entry in found.entries if entry.name == name]


async def test_a_department_in_a_few_lines(stack: Stack, water: Department) -> None:
    case_id = await a_case(stack)
    receipts: list[Receipt] = []
    async with asyncio.timeout(SECONDS_MAX), aclosing(water.cases()) as cases:
        async for case in cases:
            if case.id == case_id:
                assert isinstance(case.event, Assigned)
                receipts.append(await case.accept())
                await case.progress("on the way")
                await case.handle("done", [AFTER])
                break
    [accepted] = named(await until_in_log(stack, case_id, "handled"), "accepted")
    assert accepted.event == Accepted(department="water")
    assert accepted.envelope.actor == "department:water"
    assert accepted.envelope.causationid == receipts[0].act
    [*_, progress, handled] = (await history(stack, case_id)).entries
    assert (progress.name, handled.name) == ("progress", "handled")


async def test_a_repeated_id_adds_nothing(stack: Stack, water: Department) -> None:
    case_id = await a_case(stack)
    for _ in range(3):
        await water.act("accept", case_id, act_id="sign")
        await water.act("progress", case_id, {"note": "half"}, act_id="tell")
    await water.act("progress", case_id, {"note": "whole"}, act_id="tell-more")
    await water.act(
        "progress", case_id, {"note": "half"}, act_id="tell"
    )  # not what was told last, and yet a repeat
    await water.act("handle", case_id, {"photos": [AFTER]}, act_id="end")
    found = await until_in_log(stack, case_id, "handled")
    assert [entry.name for entry in found.entries[3:]] == ["accepted", "progress", "progress", "handled"]
    await water.act("progress", case_id, {"note": "other"}, act_id="end")
    assert (await refusal(water, case_id, "end")).code == "id_used"


async def test_what_is_refused_says_why_and_what_could_be_done(stack: Stack, water: Department) -> None:
    case_id = await a_case(stack)
    before = datetime.now(UTC)
    await water.act("handle", case_id, {"photos": [AFTER]}, act_id="too-soon")
    refused = await refusal(water, case_id, "too-soon")
    assert (refused.code, refused.verb, refused.field) == ("not_accepted", "handle", "subject")
    assert refused.allowed == ("accept", "decline", "progress", "extend")
    await water.act("progress", case_id, {"note": "x", "photos": ["sha256:" + "0" * 64]}, act_id="no-picture")
    assert (await refusal(water, case_id, "no-picture")).code == "unknown_photo"
    assert refused.reason.isascii()
    assert not refused.reason_zh.isascii()
    assert timedelta(seconds=-1) < refused.received_at - before < timedelta(seconds=SECONDS_MAX)
    await water.act("decline", case_id, {}, act_id="no-reason")
    silent = await refusal(water, case_id, "no-reason")
    assert (silent.code, silent.field) == ("not_valid", "data.reason")
    assert silent.allowed == refused.allowed
    await water.act("accept", NOBODY, act_id="nowhere")
    assert (await refusal(water, NOBODY, "nowhere")).code == "unknown_case"
    async with department(stack, "roads") as roads:
        await roads.act("accept", case_id, act_id="not-mine")
        other = await refusal(roads, case_id, "not-mine")
    assert (other.code, other.allowed) == ("not_assigned_to_you", ())
    assert [entry.name for entry in (await history(stack, case_id)).entries] == [
        "reported",
        "filed",
        "assigned",
    ]


async def test_what_cannot_be_read_is_refused_too(stack: Stack, water: Department) -> None:
    for bytes_ in (b"\xff", b"{", b"[]"):
        await JetStream(water.client).publish(Message(act_subject("water", "accept"), bytes_, {}))
    forged = orjson.dumps({"specversion": "1.0", "id": "forged", "source": "/departments/roads"})
    await JetStream(water.client).publish(Message(act_subject("water", "accept"), forged, {}))
    codes: list[str] = []
    async with asyncio.timeout(SECONDS_MAX), aclosing(water.news()) as stream:
        async for case in stream:
            if isinstance(case.event, ActRefused) and case.id == "none":
                codes.append(case.event.code)
            if len(codes) == UNREADABLE:
                break
    assert codes == ["not_utf8", "not_json", "not_json", "forged_source"]


async def test_an_act_on_a_case_that_cannot_be_read_is_refused_and_others_go_on(
    stack: Stack, water: Department
) -> None:
    broken, sound = await a_case(stack), await a_case(stack)
    async with log_of(stack, "dispatch") as (log, jetstream):
        version = (await log.load(broken)).version + 1
        await jetstream.publish(Message(case_subject(broken, "progress", version, None), b"{}", {}))
    await water.act("accept", broken, act_id="broken")
    await water.act("accept", sound, act_id="sound")
    await until_in_log(stack, sound, "accepted")
    assert (await refusal(water, broken, "broken")).code == "case_unreadable"


async def test_the_acts_on_a_case_are_carried_out_in_order(stack: Stack, water: Department) -> None:
    case_ids = [await a_case(stack) for _ in range(CASES)]

    async def tell(case_id: str) -> None:
        await water.act("accept", case_id)
        for number in range(NOTES):
            await water.act("progress", case_id, {"note": str(number)})
        await water.act("handle", case_id, {"photos": [AFTER]})

    await asyncio.gather(*(tell(case_id) for case_id in case_ids))
    for case_id in case_ids:
        found = await until_in_log(stack, case_id, "handled")
        notes = [entry.event.note for entry in found.entries if isinstance(entry.event, ProgressNoted)]
        assert notes == [str(number) for number in range(NOTES)]


async def test_an_act_counts_from_when_the_bus_took_it(stack: Stack, water: Department) -> None:
    case_id = await a_case(stack)
    said = {
        "specversion": "1.0",
        "id": "yesterday",
        "source": "/departments/water",
        "type": "whistle.act.accept.v1",
        "subject": case_id,
        "time": (datetime.now(UTC) - timedelta(days=1)).isoformat(),
    }
    before = datetime.now(UTC)
    await JetStream(water.client).publish(Message(act_subject("water", "accept"), orjson.dumps(said), {}))
    [accepted] = named(await until_in_log(stack, case_id, "accepted"), "accepted")
    assert accepted.envelope.time >= before


async def test_whoever_asks_is_answered_at_once(stack: Stack, water: Department) -> None:
    case_id = await a_case(stack)
    with pytest.raises(AskRefused) as refused:
        await water.ask("handle", case_id, {"photos": [AFTER]})
    assert (refused.value.code, refused.value.field) == ("not_accepted", "case_id")
    assert len(await water.ask("accept", case_id)) == 1
    assert await water.ask("accept", case_id) == ()


async def test_what_is_new_comes_in_order_again_until_the_loop_went_on(stack: Stack) -> None:
    case_ids = [await a_case(stack) for _ in range(CASES)]
    wanted = [(case_id, Assigned) for case_id in case_ids]
    async with department(stack, "water") as first:
        news = await heard(first, *wanted)
        assert [case.id for case in news if (case.id, type(case.event)) in wanted] == case_ids
    async with department(stack, "water") as second:
        [again] = await heard(second, wanted[-1])
    assert again.envelope == news[-1].envelope
    assert again.redelivered


async def command(stack: Stack, *arguments: str) -> str:
    result = await asyncio.to_thread(whistle, stack, "department", *arguments, "--json")
    assert result.returncode in {0, 1}, result.stderr
    return result.stdout


async def test_the_same_from_the_command_line(stack: Stack, water: Department) -> None:
    case_id = await a_case(stack)
    refused = json.loads(await command(stack, "act", "water", "handle", case_id, "--ask"))
    assert refused["error"]["code"] == "not_accepted"
    note = json.dumps({"note": "half"})
    taken = json.loads(
        await command(stack, "act", "water", "progress", case_id, "--data", note, "--id", "tell")
    )
    assert taken["act"] == "tell"
    [told] = named(await until_in_log(stack, case_id, "progress"), "progress")
    assert told.envelope.causationid == "tell"


async def test_who_only_listens_takes_nothing_away(stack: Stack, water: Department) -> None:
    await a_case(stack)
    before = await water.left_off()
    [first] = (await command(stack, "tail", "water", "--count", "1")).splitlines()
    assert await water.left_off() == before
    async with asyncio.timeout(SECONDS_MAX), aclosing(water.news()) as news:
        heard_first = await anext(news)
    assert json.loads(first)["id"] == heard_first.envelope.id
