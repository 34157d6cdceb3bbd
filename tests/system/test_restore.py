"""An empty log is filled from sealed files: the same events, sequences and proofs, or nothing."""

import asyncio
import json
import shutil
import signal
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from cli.backup.target import Target, filling
from cli.departments.serving import accounts_of
from cli.embedded.nats import NatsServer
from cli.embedded.secrets import Secrets
from cli.stack.ports import free_port
from cli.stack.rulebook import example_policy
from libs.events import policy, streams
from libs.events.contracts.dispatch import Assigned
from libs.events.contracts.intake import CaseFiled, CaseReported
from libs.events.envelope import Context, Origin
from libs.events.errors import BackupRefused, NotProvisioned
from libs.events.jetstream import JetStream, Message, connected
from libs.events.ledger.archive import opened
from libs.events.ledger.growing import growing
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.merkle import check_consistency
from libs.events.ledger.notes import Signer
from libs.events.log import Fact, History
from libs.events.restoring import Restoring
from libs.events.storage import FolderStore
from libs.events.testing.examples import EXAMPLES, REPORTED_AT
from tests.support import nodes
from tests.support.sealing import DEPLOYMENT, events_of, seal_all
from tests.support.stack import whistle_at

CASES: Final = 400
"""Each of three events, so that some batches are full."""
NOTICES: Final = 30
TWICE: Final = "said-twice"
"""An id that stands twice, further apart than the server remembers."""
SIGNER: Final = Signer.new(DEPLOYMENT)
LIVE: Final = Context(actor="test", time=REPORTED_AT, origin=Origin.LIVE)


@dataclass(frozen=True)
class Sealed:
    """A log that is gone, as files."""

    folder: Path
    events: dict[str, list[Leaf]]

    @property
    def key(self) -> str:
        return str(SIGNER.verifier)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """What a log of some thousand events left behind: the sealed files alone."""
    folder = tmp_path_factory.mktemp("sealed")

    async def fill() -> dict[str, list[Leaf]]:
        async with nodes.single(tmp_path_factory.mktemp("lost") / "nats") as servers:
            await _cases(servers)
            provisioner = await servers.jetstream("provision")
            await policy.publish(provisioner, policy.load(example_policy()))
            notify = await servers.jetstream("notify")
            for number in range(NOTICES):
                headers = {"Nats-Msg-Id": f"n{number}"} if number % 3 else {}
                await notify.publish(Message(f"notice.c{number}.screen.1", b"told", headers))
            return await seal_all(await servers.jetstream("auditor"), FolderStore(folder), SIGNER)

    return Sealed(folder, asyncio.run(fill()))


async def _cases(servers: nodes.Servers) -> None:
    log = await servers.log("dispatch")
    importer = await servers.log()

    async def one(number: int) -> None:
        case_id = f"{number:020d}"
        facts = [
            Fact(EXAMPLES[event], nodes.CONTEXT, f"{event.name()}-{number}")
            for event in (CaseReported, CaseFiled)
        ]
        entries = await importer.append(History(case_id), facts)
        # A live fact names its department in its subject, which has one token more.
        await log.append(History(case_id, entries), [Fact(EXAMPLES[Assigned], LIVE, f"assigned-{number}")])

    await asyncio.gather(*map(one, range(CASES)))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty machine's data folder."""
    folder = tmp_path / "w"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def restoring(home: Path, location: Path, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return whistle_at(home, "restore", str(location), *options, **settings)


@asynccontextmanager
async def log_in(home: Path) -> AsyncGenerator[dict[str, JetStream]]:
    """The log that lies in *home*, served with the accounts of every day: some of its users."""
    secrets = Secrets(home / "secrets")
    server = NatsServer(home / "nats", port=free_port(), accounts=lambda: accounts_of(home, secrets))
    await server.start()
    try:
        async with (
            connected(server.url, user="auditor", password=secrets("auditor")) as auditor,
            connected(server.url, user="provision", password=secrets("provision")) as provision,
        ):
            yield {"auditor": JetStream(auditor), "provision": JetStream(provision)}
    finally:
        await server.stop()


async def held(home: Path) -> dict[str, list[Leaf]]:
    async with log_in(home) as users:
        await streams.ensure(users["provision"], streams.evidence(1))  # it is as declared
        return {stream: await events_of(users["auditor"], stream) for stream in streams.LEDGER_STREAMS}


async def test_an_empty_machine_has_the_same_log_and_proofs(home: Path, sealed: Sealed) -> None:
    done = restoring(home, sealed.folder, "--key", sealed.key, "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert {name: each["events"] for name, each in told["streams"].items()} == {
        "CASES": 3 * CASES,
        "POLICY": 1,
        "NOTICES": NOTICES,
    }
    assert (told["deployment"], told["key_was_given"]) == (DEPLOYMENT, True)
    assert await held(home) == sealed.events

    # The ledger's own files are there again, with the hashes, and grow on.
    old = await opened(FolderStore(sealed.folder), "CASES", f"{DEPLOYMENT}/CASES")
    new = await opened(FolderStore(home / "ledger"), "CASES", f"{DEPLOYMENT}/CASES")
    root, size = await old.root(old.size), old.size
    assert (await new.root(new.size), new.size) == (root, size)
    assert await new.checkpoint() == await old.checkpoint()
    [stretch] = old.stretches
    events = [each async for part in new.events(1, size) for each in part]
    assert [each.stored_at_ns for each in events] == [
        each.stored_at_ns async for part in old.events(1, size) for each in part
    ]
    assert new.stretches == [stretch]
    writer = await growing(new)
    more = events[-1]._replace(leaf=events[-1].leaf._replace(sequence=size + 1))
    await writer.seal([more])
    check_consistency(size, root, size + 1, writer.root(), await new.consistency(size, size + 1))

    # Only an empty log is filled.
    done = restoring(home, sealed.folder, "--key", sealed.key)
    assert done.returncode == 1
    assert f"CASES holds {3 * CASES} events" in done.stderr
    assert await held(home) == sealed.events


async def test_a_restore_killed_again_and_again_goes_on_where_it_was(home: Path, sealed: Sealed) -> None:
    dying = {"WHISTLE_FAULTS": "restore.written=0.5,restore.finishing=0.25"}
    outcomes = []
    for attempt in range(40):
        done = restoring(home, sealed.folder, "--key", sealed.key, **dying, WHISTLE_FAULTS_SEED=str(attempt))
        outcomes.append(done.returncode)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        if attempt == 0:
            async with log_in(home) as users:
                with pytest.raises(NotProvisioned):  # nobody takes what is not whole for the log
                    await streams.ensure(users["provision"], streams.evidence(1))
    assert outcomes[-1] == 0
    assert len(outcomes) > 2
    assert await held(home) == sealed.events


def test_a_file_that_was_changed_is_named_before_anything_is_written(
    home: Path, sealed: Sealed, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(sealed.folder, copy)
    [file] = (copy / "CASES" / "sealed").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    done = restoring(home, copy, "--key", sealed.key)
    assert done.returncode == 1
    assert file.name in done.stderr
    assert not (home / "nats").exists()
    assert not (home / "ledger").exists()


async def test_an_id_that_stands_twice_is_restored_twice(home: Path) -> None:
    """The server forgets ids after a while, so a log may hold one twice; a restore is much faster than that while."""
    leaves = [
        Leaf("CASES", n, f"case.c{n}.filed.1", TWICE if n in {2, 3, 9} else f"e{n}", b"{}")
        for n in range(1, 12)
    ]
    async with filling(Target(home, home / "vault-master")) as jetstream:
        restoring = Restoring(jetstream, streams.evidence(1))
        await restoring.begin()
        await restoring.write(leaves[:8])
        await restoring.write(leaves[4:8])  # sent again, as after a lost answer
        await restoring.write(leaves[7:])
        await restoring.finish({"CASES": 11})
    assert (await held(home))["CASES"] == leaves


async def test_what_somebody_else_wrote_meanwhile_is_not_taken_for_restored(
    home: Path, sealed: Sealed
) -> None:
    leaves = sealed.events["CASES"][:10]
    async with filling(Target(home, home / "vault-master")) as jetstream:
        restoring = Restoring(jetstream, streams.evidence(1))
        await restoring.begin()
        await jetstream.publish(Message("case.x.filed.1", b"{}", {}))
        with pytest.raises(BackupRefused, match="event 1 of CASES"):
            await restoring.write(leaves)
        with pytest.raises(BackupRefused, match="should hold 10"):
            await restoring.finish({"CASES": 10})
