"""The rule book on real servers: checked, published, taken up while a service runs, and read again as it was."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from cli.stack.rulebook import example_policy
from cli.stack.state import Stack
from libs.events import policy
from libs.events.contracts.base import Place
from libs.events.errors import NotProvisioned, RuleBookInvalid
from libs.events.jetstream import JetStream, Message, connected
from libs.events.policy import RuleBook
from libs.events.rules import Rules
from tests.support.stack import COMMAND_SECONDS_MAX, WAIT_SECONDS_MAX, environment

REFRESH_SECONDS: Final = 0.05
THERE: Final = Place(time_zone="Asia/Shanghai", street="hebin", community="qiaotou", grid="qiaotou-01")


def whistle(home: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli", "policy", *map(str, arguments)],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS_MAX,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(example_policy(), tmp_path / "policy"))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@asynccontextmanager
async def provisioner(stack: Stack) -> AsyncGenerator[JetStream]:
    async with connected(stack.nats_url, user="provision", password=stack.secret("provision")) as client:
        yield JetStream(client)


@asynccontextmanager
async def followed(stack: Stack) -> AsyncGenerator[Rules]:
    """The rules as dispatch follows them, with dispatch's own rights."""
    async with connected(stack.nats_url, user="dispatch", password=stack.secret("dispatch")) as client:
        jetstream = JetStream(client)
        rules = Rules(jetstream, await policy.current(jetstream), refresh_seconds=REFRESH_SECONDS)
        following = asyncio.create_task(rules.follow())
        try:
            yield rules
        finally:
            following.cancel()


async def until_in_force(rules: Rules, version: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while rules.book.version != version:  # noqa: ASYNC110 - rules tell nobody
            await asyncio.sleep(0)


async def until_logged(logs: list[Any], event: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while all(entry["event"] != event for entry in logs):  # noqa: ASYNC110 - a log tells nobody
            await asyncio.sleep(0)


def changed(book: RuleBook, **limits: object) -> RuleBook:
    changes = {"time_limits": book.time_limits.model_copy(update=limits)}
    return RuleBook.model_validate(
        book.model_dump(mode="json") | {name: part.model_dump(mode="json") for name, part in changes.items()}
    )


async def test_what_is_published_is_taken_up_and_garbage_leaves_the_rules_in_force(servers: Stack) -> None:
    async with provisioner(servers) as jetstream, followed(servers) as rules:
        first = rules.book
        second = changed(first, extensions_max=2)
        assert await policy.publish(jetstream, second)
        await until_in_force(rules, second.version)
        assert rules.book.extensions_max == 2
        with capture_logs() as logs:
            await jetstream.publish(Message(policy.SUBJECT, b"no rule book", {}))
            await until_logged(logs, "rules_not_refreshed")
        assert rules.book.version == second.version
        assert {entry["log_level"] for entry in logs} == {"warning"}
        third = changed(first, extensions_max=3)
        assert await policy.publish(jetstream, third)
        await until_in_force(rules, third.version)
        assert not await policy.publish(jetstream, third)
        assert await policy.publish(jetstream, first)
        await until_in_force(rules, first.version)


async def test_a_rule_book_that_contradicts_itself_is_not_taken_up(servers: Stack) -> None:
    async with provisioner(servers) as jetstream, followed(servers) as rules:
        before = rules.book
        published = json.loads(before.model_dump_json())
        published["responsibility"][0]["lead"] = "space"
        event = {"id": "liuhe@garbage", "subject": "liuhe", "time": "2026-11-22T00:00:00Z", "data": published}
        with capture_logs() as logs:
            await jetstream.publish(Message(policy.SUBJECT, json.dumps(event).encode(), {}))
            await until_logged(logs, "rules_not_refreshed")
        assert "space" in str(logs[0]["reason"])
        assert rules.book.version == before.version
        with pytest.raises(RuleBookInvalid, match="space"):
            await policy.current(jetstream)
        assert await policy.publish(jetstream, before)


async def test_what_was_decided_is_decided_again_by_the_rules_of_then(servers: Stack) -> None:
    async with provisioner(servers) as jetstream:
        then = await policy.current(jetstream)
        decided = then.ruling("1401", THERE)
        assert decided is not None
        other = next(each.code for each in then.departments if each.code != decided.lead)
        changes = [
            rule.model_dump(mode="json") | {"lead": other, "supporting": []} for rule in then.responsibility
        ]
        now = RuleBook.model_validate(then.model_dump(mode="json") | {"responsibility": changes})
        assert await policy.publish(jetstream, now)
        in_force = (await policy.current(jetstream)).ruling("1401", THERE)
        assert in_force is not None
        assert in_force.lead == other
        again = (await policy.at_version(jetstream, decided.policy_version)).ruling("1401", THERE)
        assert again == decided
        with pytest.raises(NotProvisioned, match="liuhe@never"):
            await policy.at_version(jetstream, "liuhe@never")
        assert await policy.publish(jetstream, then)


def test_check_needs_no_stack_and_names_everything_that_is_wrong(folder: Path, tmp_path: Path) -> None:
    right = whistle(tmp_path, "check", folder)
    assert (right.returncode, policy.load(folder).version in right.stdout) == (0, True)
    replace(folder / "evaluation.yaml", "similarity: 0.5", "similarity: 5")
    replace(folder / "escalation.yaml", "{ level: city }", "{ level: city, next: grid }")
    wrong = whistle(tmp_path, "check", folder)
    assert wrong.returncode == 1
    assert "evaluation.yaml:" in wrong.stderr
    told = json.loads(whistle(tmp_path, "check", folder, "--json").stdout)
    assert told["version"] is None
    files = {Path(each["file"]).name for each in told["mistakes"]}
    assert files == {"evaluation.yaml", "escalation.yaml"}
    assert all(each["line"] and each["reason"] and each["reason_zh"] for each in told["mistakes"])


def test_publish_says_what_was_in_force_and_what_is(servers: Stack, folder: Path) -> None:
    before = policy.load(folder).version
    same = whistle(servers.home, "publish", folder)
    assert (same.returncode, "in force already" in same.stdout) == (0, True), same.stderr
    replace(folder / "limits.yaml", "extensions_max: 1", "extensions_max: 2")
    version = policy.load(folder).version
    told = whistle(servers.home, "publish", folder)
    assert (told.returncode, f"{before} → {version}" in told.stdout) == (0, True), told.stderr
    again = json.loads(whistle(servers.home, "publish", folder, "--json").stdout)
    assert again == {"published": False, "before": version, "version": version}
    replace(folder / "limits.yaml", "extensions_max: 2", "extensions_max: many")
    refused = whistle(servers.home, "publish", folder)
    assert refused.returncode == 1
    assert "limits.yaml:" in refused.stderr
    back = json.loads(whistle(servers.home, "publish", "--json").stdout)
    assert back == {"published": True, "before": version, "version": before}


def test_publish_without_a_stack_says_so(tmp_path: Path) -> None:
    assert whistle(tmp_path, "publish").returncode == 3
