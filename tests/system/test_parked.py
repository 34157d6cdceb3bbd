"""`./whistle parked`: a case that no service can go on with, seen, tried again and taken past what holds it up."""

import asyncio
import json
from typing import Any, Final

from cli.stack.state import Stack
from libs.events.envelope import encode
from libs.events.jetstream import Message
from libs.events.subjects import case_subject
from tests.support.cases import report, until_in_log
from tests.support.stack import eventually, log_of, whistle

SERVICES: Final = {"intake", "dispatch", "evaluation", "notify"}
REASON: Final = "written by hand, and never meant"


def run(stack: Stack, *arguments: str, code: int = 0) -> Any:
    result = whistle(stack, "parked", *arguments, "--json")
    assert result.returncode == code, (result.stdout, result.stderr)
    return json.loads(result.stdout) if not code else result.stderr


async def a_case_with_something_unreadable(stack: Stack) -> tuple[str, int]:
    """A case, the number of the event in it that nobody can read, and a sound one after it."""
    receipt = await asyncio.to_thread(report, stack)
    case_id = str(receipt["case_id"])
    found = await until_in_log(stack, case_id, "assigned")
    version, [first, *_] = found.version + 1, found.entries
    again = encode(first.envelope.model_copy(update={"id": f"{first.envelope.id}-again"}))
    async with log_of(stack, "dispatch") as (_, dispatch):
        await dispatch.publish(Message(case_subject(case_id, "progress", version, None), b"{}", {}))
    async with log_of(stack, "intake") as (_, intake):
        await intake.publish(Message(case_subject(case_id, "reported", version + 1, None), again, {}))
    return case_id, version


async def test_a_parked_case_is_seen_tried_again_and_taken_past_what_holds_it_up(stack: Stack) -> None:
    case_id, version = await a_case_with_something_unreadable(stack)

    async def is_parked_everywhere() -> bool:
        parked = await asyncio.to_thread(run, stack, "list")
        return {case["service"] for case in parked if case["case_id"] == case_id} == SERVICES

    await eventually(is_parked_everywhere)
    shown = run(stack, "show", case_id, "--service", "evaluation")["evaluation"]
    assert shown["event"]["payload"] == "{}", "whatever it stopped at, this is what holds it up"
    assert "CaseUnreadable" in shown["reason"]
    failing = run(stack, "retry", case_id, code=1)
    assert {line.split(":")[0] for line in failing.splitlines() if "still fails" in line} == SERVICES
    said = ("dismiss", case_id, "--reason", REASON, "--as", "administrator:hand")
    left = {answer["service"] for answer in run(stack, *said) if answer["parked_again"]}
    # Who decides reads the case as a whole, and cannot: each of its events is passed over by a word of its own.
    assert "notify" not in left
    while left:
        left = {answer["service"] for answer in run(stack, *said) if answer["parked_again"]}
    assert not [case for case in run(stack, "list") if case["case_id"] == case_id]
    assert "not parked" in run(stack, "show", case_id, code=1)
    async with log_of(stack, "auditor") as (_, auditor):
        found = await auditor.last_on_leader("PARKED", f"parked.notify.{case_id}")
    assert found is not None
    told = json.loads(found.payload)
    assert (told["by"], told["reason"], told["version"]) == ("administrator:hand", REASON, version)
