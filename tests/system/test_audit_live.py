"""`./whistle audit` beside a running system: evidence of what has just happened, and whether all of it agrees."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from cli.auditing.comparing import difference
from cli.stack.rulebook import example_in
from cli.stack.state import Stack
from libs.events.jetstream.reader import KeptEvent
from libs.events.ledger.archive import opened
from libs.events.ledger.growing import growing
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.notes import Signer, checkpoint_of
from libs.events.storage import FolderStore
from libs.events.subjects import CASES
from tests.support.auditing import script_says
from tests.support.cases import caught_up, import_cases, report
from tests.support.stack import eventually, running, whistle

IMPORTED: Final = 30
SERVICES: Final = ("evaluation", "dispatch", "intake", "notify")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, str]]:
    """A whole stack whose ledger signs soon, with imported cases and a live one, whose deadlines are far."""
    slow = example_in(tmp_path_factory.mktemp("policy") / "city", time_lapse=1)
    with running(policy_dir=slow, settings={"WHISTLE_LEDGER_CHECKPOINT_SECONDS": "0.5"}) as stack:

        async def fill() -> str:
            await import_cases(stack, [str(number) for number in range(IMPORTED)])
            case_id: str = report(stack)["case_id"]
            await caught_up(stack, *SERVICES)
            return case_id

        yield stack, asyncio.run(fill())


def found(stack: Stack, *words: str, code: int = 0) -> dict[str, Any]:
    done = whistle(stack, "audit", *words, "--json")
    assert done.returncode == code, (done.stdout, done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_what_has_just_happened_is_exported_once_it_is_signed_and_proved_without_us(
    city: tuple[Stack, str], tmp_path: Path
) -> None:
    stack, case_id = city
    key = whistle(stack, "audit", "key").stdout.strip()
    told = found(stack, "export", str(tmp_path / "all"), "--everything", "--wait")
    [cases] = [part for part in told["streams"] if part["stream"] == CASES]
    assert cases["events"] == cases["size"] >= IMPORTED * 5 + 1
    assert script_says([str(tmp_path / "all"), "--key", key]) is None
    case = found(stack, "export", str(tmp_path / "case"), "--case", case_id, "--wait")
    assert case["asked"] == {"what": "case", "case": case_id}
    proved = found(stack, "verify", str(tmp_path / "case"), "--key", key)
    assert proved["proved"]
    assert script_says([str(tmp_path / "case"), "--key", key]) is None
    files = whistle(stack, "audit", "verify", str(stack.home / "ledger"), "--key", key)
    assert files.returncode == 0, files.stderr
    other = str(Signer.new(key.partition("+")[0]).verifier)
    stranger = whistle(stack, "audit", "verify", str(tmp_path / "case"), "--key", other)
    assert stranger.returncode == 1


def test_all_that_is_kept_agrees_until_somebody_changes_a_table(city: tuple[Stack, str]) -> None:
    stack, case_id = city
    told = found(stack, "compare")
    assert not told["differs"]
    assert [report["service"] for report in told["models"]] == list(SERVICES)
    assert all(not report["switched"] for report in told["models"])
    [cases] = [each for each in told["streams"] if each["stream"] == CASES]
    assert cases["events"] == cases["sealed"] >= IMPORTED * 5
    before = asyncio.run(_generations(stack))
    asyncio.run(_change(stack, case_id))
    done = whistle(stack, "audit", "compare", "evaluation")
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if "differ" in line]
    assert f"evaluation.cases: 1 cases differ from what the log says: {case_id}" in line
    assert asyncio.run(_generations(stack)) == before, "what was built to compare is gone"


async def _connected(stack: Stack) -> asyncpg.Connection:
    return await asyncpg.connect(stack.postgres_dsn("whistle_evaluation"))


async def _generations(stack: Stack) -> list[tuple[int, bool]]:
    connection = await _connected(stack)
    try:
        rows = await connection.fetch(
            "SELECT generation, active FROM evaluation.generations ORDER BY generation"
        )
        schemas = await connection.fetch(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'evaluation_g%'"
        )
    finally:
        await connection.close()
    assert len(rows) == len(schemas)
    return [(row["generation"], row["active"]) for row in rows]


async def _change(stack: Stack, case_id: str) -> None:
    [(generation, _)] = [each for each in await _generations(stack) if each[1]]
    connection = await _connected(stack)
    try:
        told = await connection.execute(
            f"UPDATE evaluation_g{generation}.cases SET community = 'elsewhere' WHERE case_id = $1", case_id
        )
    finally:
        await connection.close()
    assert told == "UPDATE 1"


async def test_an_event_that_is_another_in_the_log_is_named(city: tuple[Stack, str], tmp_path: Path) -> None:
    """The log cannot be changed; so the files are, with all hashes, as those of another log would be."""
    stack, _ = city
    mine = FolderStore(stack.home / "ledger")

    async def signed() -> bool:
        return (stack.home / "ledger" / CASES / "checkpoint").exists()

    await eventually(signed)
    note = await (await opened(mine, CASES, "")).checkpoint()
    assert note is not None
    checkpoint = checkpoint_of(note)
    archive = await opened(mine, CASES, checkpoint.origin)
    events = [event async for part in archive.events(1, checkpoint.size) for event in part]
    was = events[7].leaf
    events[7] = events[7]._replace(leaf=was._replace(payload=was.payload.replace(b"2011-", b"2012-", 1)))
    other = await opened(FolderStore(tmp_path), CASES, checkpoint.origin)
    writer = await growing(other)
    await writer.seal(events)
    await writer.keep(note, checkpoint.size)
    done = await asyncio.to_thread(whistle, stack, "audit", "compare", "log", "--store", str(tmp_path))
    assert done.returncode == 1
    assert f"CASES event 8 ({was.subject}): its content differs from byte" in done.stderr
    shutil.rmtree(tmp_path / CASES)
    done = await asyncio.to_thread(whistle, stack, "audit", "compare", "log", "--store", str(tmp_path))
    assert "nothing is sealed there" in done.stderr


def test_what_differs_is_said() -> None:
    leaf = Leaf(CASES, 3, "case.a.noted.1", "e3", b"abcd")
    stored = KeptEvent(3, b"case.a.noted.1", b"abcd", b"e3", 0)
    assert difference(leaf, stored) == ""
    assert "subject is case.b" in difference(leaf, stored._replace(subject=b"case.b"))
    assert "id is e4" in difference(leaf, stored._replace(event_id=b"e4"))
    assert "from byte 3 on" in difference(leaf, stored._replace(payload=b"abXd"))
    assert "from byte 5 on" in difference(leaf, stored._replace(payload=b"abcde"))
    assert "from byte 3 on" in difference(leaf, stored._replace(payload=b"ab"))
