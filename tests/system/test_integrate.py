"""The guide for departments' own systems: every line of it runs as it stands there, on real servers."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from cli.stack.state import Stack, repository
from libs.events.department import Department
from libs.events.errors import LogUnavailable
from libs.events.jetstream import JetStream, connected
from services.dispatch.replaying import REPLAYS_AT_ONCE_MAX, ReplayAsk, Replays
from tests.contract.checking import misfit
from tests.support.cases import report
from tests.support.stack import COMMAND_SECONDS_MAX, WAIT_SECONDS_MAX, environment, eventually

ROOT: Final = repository()
GUIDE: Final = (ROOT / "docs" / "integrate.md").read_text(encoding="utf-8")
NODE: Final = ROOT / "examples" / "node"
HANDLED, ACCEPTED = "whistle.case.handled.v1", "whistle.case.accepted.v1"
REFUSED = "whistle.act.refused.v1"


class Block(NamedTuple):
    """A box of the guide."""

    file: str | None
    """The file that it shows."""
    language: str
    text: str


BLOCKS: Final = [
    Block(*found)
    for found in re.findall(r"(?:<!-- (\S+) -->\n)?^```(\w+)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
]
LINES: Final = [block.text for block in BLOCKS if block.language == "sh"]


def shown(part: str) -> str:
    """The one box with commands that has *part* in it."""
    [text] = [text for text in LINES if part in text]
    return text


class Desk:
    """A department's machine: the examples, a shell, a key; and the city beside it."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("node_modules"))
        self._program("python", f'exec {sys.executable} "$@"')
        self._program("whistle", f'PYTHONPATH={ROOT} exec {sys.executable} -P -m cli "$@"')
        (folder / "libs").symlink_to(ROOT / "libs")
        inherited = environment(stack.home)
        del inherited["PYTHONPATH"]
        self._environment = {**inherited, "PATH": f"{folder}:{inherited['PATH']}"}
        # In every terminal, as the guide says; only the port is another.
        self._first = shown("export BUS").replace("nats://127.0.0.1:4222", stack.nats_url)

    def _program(self, name: str, line: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        path.chmod(0o755)

    def run(self, lines: str, **variables: str) -> str:
        """What the lines print, run to their end."""
        done = subprocess.run(
            ["bash", "-euc", self._first + lines],
            check=False,
            cwd=self.folder,
            env=self._environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @asynccontextmanager
    async def started(self, lines: str) -> AsyncGenerator[asyncio.StreamReader]:
        """What the lines print while the block runs; then they are stopped."""
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euc", self._first + lines),
            cwd=self.folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            await process.communicate()


def reported(stack: Stack) -> str:
    """The id of a new case of the department; the guide's own, by command, is there before."""
    case_id: str = report(stack)["case_id"]
    return case_id


async def heard(output: asyncio.StreamReader, event_type: str, case_id: str) -> dict[str, Any]:
    """The data of an event that a listening example printed."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        async for line in output:
            said_type, said_case, data = line.decode().split(" ", 2)
            if (said_type, said_case) == (event_type, case_id):
                told: dict[str, Any] = json.loads(data)
                return told
    raise AssertionError(f"{event_type} of {case_id} was not printed")


@pytest.fixture(scope="module")
def desk(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    made = Desk(tmp_path_factory.mktemp("water"), stack)
    out = made.run(shown("whistle up"))
    assert "nats://" in out
    return made


@pytest.fixture(scope="module")
def node(desk: Desk) -> str:
    """The line that installs the packages, which has run."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not on this machine")
    install = shown("npm ci").partition("node examples")[0]
    assert "npm ci" in install
    try:
        done = subprocess.run(
            ["bash", "-euc", install],
            check=False,
            cwd=desk.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm waits for a registry")
    if done.returncode and re.search(
        r"E(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT)|code E40[34]", done.stderr
    ):
        pytest.skip("npm cannot reach a registry")
    assert done.returncode == 0, done.stderr
    return install


# The guide and its files.


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.file], ids=lambda block: block.file)
def test_the_guide_shows_the_files_as_they_are(block: Block) -> None:
    assert block.file is not None
    assert block.text == (ROOT / block.file).read_text(encoding="utf-8")


def test_every_example_stands_in_a_guide() -> None:
    auditors = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    files = [path for path in (ROOT / "examples").rglob("*") if path.suffix in {".py", ".mjs"}]
    examples = [str(path.relative_to(ROOT)) for path in files if "node_modules" not in path.parts]
    assert examples
    assert [name for name in examples if name not in GUIDE and name not in auditors] == []


def test_packages_of_node_are_pinned_by_their_content_and_by_no_address() -> None:
    locks = [path for path in ROOT.rglob("package-lock.json") if "node_modules" not in path.parts]
    assert NODE / "package-lock.json" in locks
    for path in locks:
        text = path.read_text(encoding="utf-8")
        packages = {name: each for name, each in json.loads(text)["packages"].items() if name}
        assert packages
        assert all(each["integrity"].startswith("sha512-") for each in packages.values())
        assert "resolved" not in text
        assert "://" not in text
    wanted = json.loads((NODE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())


# The guide, run.


async def test_python_hears_acts_and_reads_again(desk: Desk, stack: Stack) -> None:
    case_id = reported(stack)
    async with desk.started(shown("python/listen.py")) as output:
        assigned = await heard(output, "whistle.case.assigned.v1", case_id)
        assert assigned["brief"]["category"] == "1401"
        await heard(output, ACCEPTED, case_id)
        assert "done, 1 new facts" in desk.run(shown("python/ask.py"), CASE=case_id)
        assert "will not be lost" in desk.run(shown("python/act.py"), CASE=case_id)
        assert (await heard(output, HANDLED, case_id))["note"] == "Replaced"
        too_late = shown("python/ask.py").replace("A new pipe", "Another pipe")
        assert "not done: already_handled" in desk.run(too_late, CASE=case_id)
        desk.run(shown("python/act.py").replace("handle", "progress"), CASE=case_id)
        refused = await heard(output, REFUSED, case_id)
        assert (refused["code"], refused["verb"]) == ("already_handled", "progress")
    read = desk.run(shown("python/replay.py")).splitlines()
    types = [line.split()[1] for line in read if line.endswith(f" {case_id}")]
    assert types[0] == "whistle.case.assigned.v1"
    assert {ACCEPTED, HANDLED, REFUSED} <= set(types)


async def test_the_client_of_whistle_works_a_case_to_its_end(desk: Desk, stack: Stack) -> None:
    before = datetime.now(UTC)
    case_id = reported(stack)
    async with desk.started(shown("python/work.py")), water(desk, stack) as department:

        async def is_handled() -> bool:
            told = (await asked(department, since=before.isoformat()))["events"]
            return (HANDLED, case_id) in [(each["event"]["type"], each["event"]["subject"]) for each in told]

        await eventually(is_handled)


async def test_the_shell_shows_and_acts(desk: Desk, stack: Stack) -> None:
    case_id = reported(stack)
    out = desk.run(shown("department tail"), CASE=case_id)
    assert "assigned" in out or "派遣" in out
    assert "taken" in out
    assert "done" in out


async def test_node_hears_acts_and_reads_again(desk: Desk, stack: Stack, node: str) -> None:
    case_id = reported(stack)
    async with desk.started(shown("node/listen.mjs").removeprefix(node)) as output:
        await heard(output, ACCEPTED, case_id)
        assert "will not be lost" in desk.run(shown("node/act.mjs"), CASE=case_id)
        assert (await heard(output, HANDLED, case_id))["note"] == "Replaced"
    read = desk.run(shown("node/replay.mjs")).splitlines()
    assert [line.split()[1] for line in read if line.endswith(f" {case_id}")][-1] == HANDLED


# Reading again.


async def asked(department: Department, /, **body: object) -> dict[str, Any]:
    reply = await department.client.request(
        "ask.water.replay", json.dumps(body).encode(), timeout=WAIT_SECONDS_MAX
    )
    answer: dict[str, Any] = json.loads(reply.data)
    assert (
        wrong_with("whistle.answer.page.v1" if answer["ok"] else "whistle.answer.not-done.v1", answer) is None
    )
    return answer


def wrong_with(contract: str, document: object) -> str | None:
    """What does not fit a contract as it is published, if anything."""
    schema = json.loads((ROOT / "docs" / "contracts" / f"{contract}.json").read_text(encoding="utf-8"))
    return misfit(schema, document)


@asynccontextmanager
async def water(desk: Desk, stack: Stack) -> AsyncGenerator[Department]:
    seed = desk.folder / "water.nk"
    async with Department.connected("water", url=stack.nats_url, seed=seed) as department:
        yield department


async def told_of(stack: Stack, department: Department, cases: int) -> list[dict[str, Any]]:
    """What the department was told, with positions, when it knows of so many new cases."""
    new = {reported(stack) for _ in range(cases)}
    told: list[dict[str, Any]] = []

    async def are_told() -> bool:
        told[:] = (await asked(department))["events"]
        return new <= {each["event"]["subject"] for each in told}

    await eventually(are_told)
    return told


async def test_pages_follow_one_another_without_gap_or_double(desk: Desk, stack: Stack) -> None:
    async with water(desk, stack) as department:
        positions = [each["position"] for each in await told_of(stack, department, 3)]
        assert positions == sorted(set(positions))
        paged: list[int] = []
        page: dict[str, Any] = {"after": 0, "more": True}
        while page["more"] and len(paged) < len(positions):
            page = await asked(department, after=page["after"], max=2)
            assert len(page["events"]) <= 2
            paged += [told["position"] for told in page["events"]]
        assert paged[: len(positions)] == positions


async def test_from_a_moment_on_there_is_nothing_from_before(desk: Desk, stack: Stack) -> None:
    async with water(desk, stack) as department:
        told = [each["event"] for each in await told_of(stack, department, 3)]
        middle = sorted(map(_moment, told))[len(told) // 2]
        since = (await asked(department, since=middle.isoformat()))["events"]
        wanted = [event["id"] for event in told if _moment(event) >= middle]
        assert 0 < len(wanted) < len(told)
        assert [each["event"]["id"] for each in since][: len(wanted)] == wanted
        later = datetime.now(UTC) + timedelta(hours=1)
        assert (await asked(department, since=later.isoformat()))["events"] == []


def _moment(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["recordedtime"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max": 0}, "max"),
        ({"max": 101}, "max"),
        ({"after": -1}, "after"),
        ({"since": "2026-03-01T00:00:00"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"department": "police"}, "department"),
    ],
)
async def test_what_cannot_be_read_again_is_refused_with_its_field(
    desk: Desk, stack: Stack, body: dict[str, Any], field: str
) -> None:
    async with water(desk, stack) as department:
        answer = await asked(department, **body)
    assert (answer["ok"], answer["error"]["code"], answer["error"]["field"]) == (False, "not_valid", field)
    assert answer["error"]["reason_zh"]


async def test_so_many_read_again_at_once_and_the_next_is_told_to_wait(stack: Stack) -> None:
    user = "dispatch-bus"
    async with connected(stack.nats_url, user=user, password=stack.secret(user)) as client:
        replays = Replays(JetStream(client))
        asks = [replays.answer("water", ReplayAsk()) for _ in range(REPLAYS_AT_ONCE_MAX + 3)]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, LogUnavailable)]
        assert len(refused) == 3
        assert (await replays.answer("water", ReplayAsk()))["ok"], "there is room again"


async def test_whatever_is_told_fits_its_published_contract(desk: Desk, stack: Stack) -> None:
    """Whatever the tests above have set going, refusals among it; and by itself at least an assignment."""
    async with water(desk, stack) as department:
        told = [each["event"] for each in await told_of(stack, department, 1)]
    for event in told:
        assert wrong_with("whistle.envelope.v1", event) is None
        assert wrong_with(event["dataschema"].removeprefix("urn:whistle:contract:"), event["data"]) is None


async def test_nobody_hears_of_others(desk: Desk, stack: Stack) -> None:
    async with water(desk, stack) as department:
        told = (await asked(department))["events"]
        assert {each["event"]["data"]["department"] for each in told} == {"water"}
