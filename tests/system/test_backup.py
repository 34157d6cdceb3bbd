"""The whole system on a machine, backed up while it works, and begun anew on another one from the files alone."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from cli.client import ask
from cli.stack.rulebook import example_in
from cli.stack.state import Stack
from libs.events.keyvalue import KeyValue
from libs.events.ledger.archive import opened
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.merkle import check_consistency
from libs.events.ledger.notes import Signer, checked
from libs.events.objects import Objects
from libs.events.storage import FolderStore
from libs.events.streams import LEDGER_STREAMS
from libs.events.subjects import KEYS, PHOTOS, RECEIVERS
from services.notify.subscriptions.model import Secret, Subscription
from services.notify.subscriptions.store import Subscriptions
from tests.support.cases import act, caught_up, import_cases, report, until_in_log, verify
from tests.support.s3 import s3_server
from tests.support.sealing import events_of
from tests.support.stack import eventually, log_of, machine, running, whistle, whistle_at

SERVICES: Final = ("intake", "dispatch", "evaluation", "notify")
READ_MODELS: Final = ("evaluation", "dispatch")
IMPORTED: Final = 200
PAUSE_SECONDS: Final = 0.2
"""Between two reports while a backup is made."""
PICTURE: Final = b"\x89PNG not looked at here" * 20_000
WEBHOOK: Final = Subscription(
    id="w1",
    owner="integrator:meteo",
    url="https://meteo.example.org/facts",
    types=("none.that.there.is",),
    secrets=(Secret(value="whsec_cloud"),),
    made_at=datetime(2026, 1, 1, tzinfo=UTC),
    after_position=0,
)
DIGEST: Final = sha256(PICTURE).hexdigest()


@dataclass
class Lost:
    """What a machine knew before it was lost."""

    backup: Path
    secrets: Path
    policy: Path
    open_case: str
    """Reported and assigned, and nobody has worked on it yet."""
    events: dict[str, list[Leaf]] = field(default_factory=dict)
    digests: dict[str, Any] = field(default_factory=dict)
    scoreboard: Any = None
    keys: dict[str, bytes] = field(default_factory=dict)
    receivers: dict[str, bytes] = field(default_factory=dict)
    under_load: dict[str, Any] = field(default_factory=dict)
    second: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Lost:
    """A machine that worked, was backed up while it did, and is gone."""
    folder = tmp_path_factory.mktemp("kept")
    # A clock as people have it, so that no deadline comes while the test runs.
    policy = example_in(folder / "policy", time_lapse=1)
    with running(policy_dir=policy) as stack:
        found = Lost(folder / "backup", folder / "secrets", policy, report(stack)["case_id"])
        asyncio.run(work(stack, found))
        shutil.copytree(stack.secrets_folder, found.secrets)
    return found


async def work(stack: Stack, found: Lost) -> None:
    await import_cases(stack, [str(number) for number in range(IMPORTED)])
    done = await asyncio.to_thread(report, stack)
    await until_in_log(stack, done["case_id"], "assigned")
    for verb in ("accept", "handle"):
        await asyncio.to_thread(act, stack, "water", done["case_id"], verb)
    await asyncio.to_thread(verify, stack, done["case_id"])
    await until_in_log(stack, done["case_id"], "closed")
    async with log_of(stack, "intake") as (_, jetstream):
        await Objects(jetstream, PHOTOS).put(DIGEST, PICTURE, "image/png", {"uploaded_at": "2026-01-01"})
    made = await asyncio.to_thread(whistle, stack, "key", "add", "weather", "--post", "integrator:meteo")
    assert made.returncode == 0, made.stderr
    async with log_of(stack, "notify") as (_, jetstream):
        assert await Subscriptions(KeyValue(jetstream, RECEIVERS)).put(WEBHOOK, 0)
    found.under_load = await while_cases_come(stack, found.backup)
    await until_in_log(stack, found.open_case, "assigned")
    await caught_up(stack, *SERVICES)
    found.second = await asyncio.to_thread(backed_up, stack, found.backup)
    found.events = await evidence(stack)
    found.digests = {name: await asyncio.to_thread(digests, stack, name) for name in READ_MODELS}
    found.scoreboard = scoreboard(stack)
    found.keys, found.receivers = await buckets(stack)


async def while_cases_come(stack: Stack, place: Path) -> dict[str, Any]:
    """A backup that is made while cases are reported."""
    over = threading.Event()

    def keep_reporting() -> None:
        while not over.wait(PAUSE_SECONDS):
            report(stack)

    reporting = asyncio.create_task(asyncio.to_thread(keep_reporting))
    try:
        return await asyncio.to_thread(backed_up, stack, place)
    finally:
        over.set()
        await reporting


def backed_up(stack: Stack, place: Path) -> dict[str, Any]:
    done = whistle(stack, "backup", str(place), "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


async def evidence(stack: Stack) -> dict[str, list[Leaf]]:
    async with log_of(stack, "auditor") as (_, jetstream):
        return {stream: await events_of(jetstream, stream) for stream in LEDGER_STREAMS}


async def buckets(stack: Stack) -> tuple[dict[str, bytes], dict[str, bytes]]:
    async with log_of(stack, "backup") as (_, jetstream):
        found = [await KeyValue(jetstream, bucket).all() for bucket in (KEYS, RECEIVERS)]
    keys, receivers = ({each.key: each.payload for each in values} for values in found)
    return keys, receivers


def digests(stack: Stack, service: str) -> dict[str, str]:
    """The digest of each table, built anew from the log."""
    done = whistle(stack, "rebuild", service, "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert not any(each["different_cases"] for each in report["tables"]), report
    return {each["name"]: each["new_digest"] for each in report["tables"]}


def scoreboard(stack: Stack) -> Any:
    query = {"by": "department", "as_of": "2020-01-01T00:00:00Z"}
    return ask(stack.service_url("evaluation"), "/scoreboard", query=query)


@pytest.fixture(scope="module")
def anew(lost: Lost) -> Iterator[Stack]:
    """Another machine, begun from backup and secrets alone."""
    with machine() as home:
        shutil.copytree(lost.secrets, home / "secrets")
        bare = Stack.read(home)
        assert bare is None
        done = restored(home, lost.backup)
        assert done["written"], done
        with running(policy_dir=lost.policy, home=home) as stack:
            yield stack


def restored(home: Path, place: Path, *options: str) -> dict[str, Any]:
    done = whistle_at(home, "restore", str(place), "--json", *options)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_backup_is_made_while_the_city_works_and_then_only_what_is_new(lost: Lost) -> None:
    first, second = lost.under_load, lost.second
    assert first["streams"]["CASES"] >= 5 * IMPORTED
    assert first["behind"] == second["behind"] == {}
    assert (first["pictures"], second["pictures"], second["log_was_reached"]) == (1, 1, True)
    assert second["streams"] == {stream: len(events) for stream, events in lost.events.items() if events}
    assert second["streams"]["CASES"] > first["streams"]["CASES"], "cases came while the first was made"


def test_no_secret_stands_in_a_backup(lost: Lost) -> None:
    secrets = [file.read_bytes().strip() for file in lost.secrets.iterdir()] + [b"whsec_cloud"]
    for file in lost.backup.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(secret in content for secret in secrets), file


def test_who_verifies_a_backup_as_sealed_files_hears_how_it_is_done(lost: Lost, tmp_path: Path) -> None:
    key = str(Signer.of((lost.secrets / "ledger-key").read_text()).verifier)
    done = whistle_at(tmp_path, "audit", "verify", str(lost.backup), "--key", key)
    assert done.returncode == 1
    assert f"./whistle restore {lost.backup} --check" in done.stderr
    shutil.copytree(lost.secrets, tmp_path / "secrets")
    checked_only = whistle_at(tmp_path, "restore", "--check", str(lost.backup), "--key", key)
    assert checked_only.returncode == 0, checked_only.stderr


async def test_another_machine_has_the_same_log_and_nothing_is_done_twice(anew: Stack, lost: Lost) -> None:
    await caught_up(anew, *SERVICES)
    assert await evidence(anew) == lost.events, "every fact was delivered again, and nothing came of it"
    assert {name: await asyncio.to_thread(digests, anew, name) for name in READ_MODELS} == lost.digests
    assert scoreboard(anew) == lost.scoreboard
    assert await buckets(anew) == (lost.keys, lost.receivers)
    async with log_of(anew, "intake") as (_, jetstream):
        photos = Objects(jetstream, PHOTOS)
        found = await photos.info(DIGEST)
        assert found is not None
        assert (found.media_type, await photos.content(found)) == ("image/png", PICTURE)


async def test_the_loop_goes_on_and_so_does_the_ledger(anew: Stack, lost: Lost) -> None:
    timers = await asyncio.to_thread(whistle, anew, "timers", "rebuild", "--json")
    assert timers.returncode == 0, timers.stderr
    for verb in ("accept", "handle"):
        await asyncio.to_thread(act, anew, "water", lost.open_case, verb)
    await asyncio.to_thread(verify, anew, lost.open_case)
    history = await until_in_log(anew, lost.open_case, "closed")
    names = [entry.name for entry in history.entries]
    assert len(names) == len(set(names)), names
    assert history.sequence > len(lost.events["CASES"])

    # What the ledger signs from now on begins with what it signed on the machine that is gone.
    key = Signer.of((lost.secrets / "ledger-key").read_text()).verifier
    archive = await opened(FolderStore(anew.home / "ledger"), "CASES", f"{key.name}/CASES")

    async def signed() -> bool:
        await archive.refresh()
        return (await archive.checkpoint_sizes())[-1] >= history.sequence

    await eventually(signed)
    old, new = len(lost.events["CASES"]), (await archive.checkpoint_sizes())[-1]
    before = await opened(FolderStore(lost.backup), "CASES", archive.origin)
    notes = [await before.checkpoint(old), await archive.checkpoint(new)]
    first, last = (checked(note, key).checkpoint for note in notes if note)
    check_consistency(old, first.root, new, last.root, await archive.consistency(old, new))
    ready = await asyncio.to_thread(ask, anew.service_url("ledger"), "/readyz")
    assert all(each["ok"] for each in ready["checks"]), ready


@pytest.mark.full
async def test_a_bucket_takes_a_backup_and_gives_it_back(anew: Stack, lost: Lost, tmp_path: Path) -> None:
    async with s3_server(tmp_path) as server:
        settings, location = server.environment(), server.location()
        first, second = [
            await asyncio.to_thread(whistle, anew, "backup", location, "--json", **settings) for _ in range(2)
        ]
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        made = json.loads(second.stdout)  # which had to bring only what is new
        before = await evidence(anew)
        with machine() as home:
            shutil.copytree(lost.secrets, home / "secrets")
            arguments = ("restore", location, "--json")
            done = await asyncio.to_thread(whistle_at, home, *arguments, **settings)
            assert done.returncode == 0, done.stderr
            told = json.loads(done.stdout)["streams"]
            assert {name: each["events"] for name, each in told.items() if each["events"]} == made["streams"]
            assert told["CASES"]["events"] <= len(before["CASES"])
            with running(policy_dir=lost.policy, home=home) as stack:
                await caught_up(stack, *SERVICES)
                after = await evidence(stack)
        size = told["CASES"]["events"]
        assert after["CASES"][:size] == before["CASES"][:size]


@pytest.mark.full
async def test_a_log_whose_volume_was_lost_comes_back_from_the_ledgers_own_store(tmp_path: Path) -> None:
    """PostgreSQL is still there, with read models that may have gone further than what was signed."""
    policy = example_in(tmp_path / "policy", time_lapse=1)
    with machine() as home:
        with running(policy_dir=policy, home=home) as stack:
            case_id = report(stack)["case_id"]
            await until_in_log(stack, case_id, "assigned")
            await caught_up(stack, *SERVICES)
            await asyncio.to_thread(
                backed_up, stack, home / "beside"
            )  # it comes back when all of it is signed
            before = await evidence(stack)
        shutil.rmtree(home / "nats")
        told = restored(home, home / "ledger", "--unsigned")
        assert told["streams"]["CASES"]["events"] == len(before["CASES"])
        assert told["key_was_given"]
        with running(policy_dir=policy, home=home) as stack:
            await caught_up(stack, *SERVICES)
            assert await evidence(stack) == before
            for verb in ("accept", "handle"):
                await asyncio.to_thread(act, stack, "water", case_id, verb)
            await asyncio.to_thread(verify, stack, case_id)
            await until_in_log(stack, case_id, "closed")
            ready = await asyncio.to_thread(ask, stack.service_url("ledger"), "/readyz")
            assert all(each["ok"] for each in ready["checks"]), ready
