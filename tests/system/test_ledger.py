"""The ledger on a real log: what it seals, how it dies and goes on, and what it refuses."""

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest_asyncio

from libs.events import streams
from libs.events.jetstream import Message
from libs.events.ledger.merkle import check_inclusion
from libs.events.ledger.notes import Checkpoint, Signer, checked, parsed
from libs.events.log import History
from libs.events.subjects import CASES, NOTICES
from libs.events.testing.examples import REPORTED_AT
from services.ledger.board import document_of
from services.ledger.standing import EXIT_REFUSED
from tests.support.ledger import SIGNER, Ledger, all_true, publish, root_of_log, shown
from tests.support.nodes import REPORTED, Servers, facts, single
from tests.support.stack import eventually

POINTS: Final = ("tiles_kept", "sealed", "signed", "published", "kept")
KILLED: Final = -9


@pytest_asyncio.fixture
async def servers(tmp_path: Path) -> AsyncGenerator[Servers]:
    async with single(tmp_path / "nats") as running:
        yield running


async def break_glass(servers: Servers, call: str, body: dict[str, Any] | None = None) -> None:
    await (await servers.jetstream("breakglass")).api(call, body)


async def made_anew(servers: Servers, stream: str) -> None:
    """The stream is deleted, and made again as it was declared."""
    await break_glass(servers, f"STREAM.DELETE.{stream}")
    [declared] = [each for each in streams.log_streams(1) if each.name == stream]
    await streams.ensure(await servers.jetstream("provision"), [declared])


async def test_what_is_appended_is_sealed_signed_and_shown(servers: Servers, tmp_path: Path) -> None:
    ledger, log = Ledger(servers, tmp_path), await servers.log()
    await log.append(History("0" * 20), facts("a-1", "a-2", event=REPORTED))
    ledger.start()
    url = await ledger.url()
    await ledger.until(2)
    await log.append(History("1" * 20), facts("b-1", event=REPORTED))
    checkpoint = await ledger.until(3)
    assert checkpoint == Checkpoint("city.example/CASES", 3, await root_of_log(servers, CASES, 3))
    archive = await ledger.archive()
    events = [event async for part in archive.events(1, 3) for event in part]
    assert [event.leaf.event_id for event in events] == ["a-1", "a-2", "b-1"]
    assert events[0].stored_at_ns <= events[2].stored_at_ns
    await all_true(archive, await shown(servers, CASES))
    assert (await shown(servers, CASES))[-1] == checkpoint
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        assert (await http.get("/readyz")).status_code == 200
        assert (
            (await http.get("/key")).text == f"{SIGNER.verifier}\n" == (ledger.store / "key.pub").read_text()
        )
        note = parsed((await http.get("/checkpoints/CASES")).content)
        assert checked(note, SIGNER.verifier).checkpoint == checkpoint
        assert (await http.get("/checkpoints/CASES/3")).content == note.encode()
        tile = (await http.get("/tree/CASES/tile/0/000.p/3")).content
        assert tile[64:] == events[2].leaf.hash()
        check_inclusion(tile[64:], 2, 3, await archive.inclusion(3, 3), checkpoint.root)
        for path in ("/checkpoints/PARKED", "/checkpoints/CASES/0", "/checkpoints/CASES/x"):
            assert (await http.get(path)).status_code == 422, path
        for path in (
            *("/checkpoints/CASES/4", "/tree/CASES/tile/0/001", "/tree/CASES/tile/../sealed"),
            *("/tree/CASES/tile/0/000.p/3/..", "/tree/CASES/tile/%2e%2e/%2e%2e/key.pub"),
        ):
            assert (await http.get(path)).status_code == 404, path
        metrics = (await http.get("/metrics")).text
    assert 'whistle_ledger_size_events{stream="CASES"} 3.0' in metrics
    assert 'whistle_ledger_refused{stream="CASES"} 0.0' in metrics
    assert ledger.store.stat().st_mode & 0o777 == 0o700
    assert await ledger.stop() == 0


async def test_a_death_at_any_step_leaves_no_gap_and_no_double(servers: Servers, tmp_path: Path) -> None:
    ledger, jetstream = Ledger(servers, tmp_path), await servers.jetstream("notify")
    size = 0
    for point in POINTS:
        await publish(jetstream, size + 1, size + 7)
        size += 7
        ledger.start(f"ledger.{point}=1")
        assert await ledger.ended() == KILLED, point
        await publish(jetstream, size + 1, size + 3)
        size += 3
        ledger.start()
        await ledger.until(size, NOTICES)
        assert await ledger.stop() == 0
    archive = await ledger.archive(NOTICES)
    assert archive.size == size
    checkpoints = await shown(servers)
    await all_true(archive, checkpoints)
    kept = await archive.checkpoint_sizes()
    assert kept == [each.size for each in checkpoints], "bus and store know the same"
    assert checkpoints[-1].root == await root_of_log(servers, NOTICES, size), "as if nothing had happened"


async def test_of_two_ledgers_one_signs_and_both_stay_true(servers: Servers, tmp_path: Path) -> None:
    jetstream = await servers.jetstream("notify")
    pair = [Ledger(servers, tmp_path, name=name) for name in ("one", "two")]
    for each in pair:
        each.start()
    for each in pair:
        await each.url()
    for first in range(1, 200, 10):
        await publish(jetstream, first, first + 9)
    await pair[0].until(200, NOTICES)
    archive, checkpoints = await pair[0].archive(NOTICES), await shown(servers)
    await all_true(archive, checkpoints)
    pair[0].kill()
    await publish(jetstream, 201, 210)
    await pair[1].until(210, NOTICES)
    await all_true(await pair[1].archive(NOTICES), await shown(servers))
    assert await pair[1].stop() == 0


# What is refused. Nothing is signed then, and one line says why.


@pytest_asyncio.fixture
async def sealed(servers: Servers, tmp_path: Path) -> Ledger:
    """A ledger that has sealed 40 notices, and stands still."""
    ledger = Ledger(servers, tmp_path)
    await publish(await servers.jetstream("notify"), 1, 40)
    ledger.start()
    await ledger.until(40, NOTICES)
    assert await ledger.stop() == 0
    return ledger


async def refuses(ledger: Ledger, servers: Servers, *words: str) -> None:
    """It is alive and not ready, says all of these words in one line, signs nothing, and ends with its code."""
    before = [await shown(servers, stream) for stream in (NOTICES, CASES)]
    ledger.start()
    [reason], code = await ledger.refused()
    for word in words:
        assert word in reason, reason
    assert code == EXIT_REFUSED
    [line] = ledger.lines("ledger_refused")
    assert (line["stream"], line["reason"], line["level"]) == (NOTICES, reason, "error")
    assert [await shown(servers, stream) for stream in (NOTICES, CASES)] == before


async def test_a_stream_that_was_deleted_and_made_anew_is_refused(servers: Servers, sealed: Ledger) -> None:
    await made_anew(servers, NOTICES)
    await publish(await servers.jetstream("notify"), 1, 50, "other")
    await refuses(sealed, servers, "stream NOTICES was made at", "deleted and made anew")


async def created_is_told(servers: Servers, ledger: Ledger) -> None:
    """As a restore does it, which answers for the stream being the same."""
    info = await (await servers.jetstream("auditor")).api(f"STREAM.INFO.{NOTICES}")
    await (await ledger.archive(NOTICES)).keep_created(info["created"])


async def test_a_restored_stream_goes_on_if_it_is_the_same(servers: Servers, sealed: Ledger) -> None:
    await made_anew(servers, NOTICES)
    await created_is_told(servers, sealed)
    jetstream = await servers.jetstream("notify")
    await publish(jetstream, 1, 39)
    await refuses(sealed, servers, "ends at event 39, and 40 are sealed")
    await publish(jetstream, 40, 45)
    sealed.start()
    checkpoint = await sealed.until(45, NOTICES)
    assert checkpoint.root == await root_of_log(servers, NOTICES, 45)
    assert await sealed.stop() == 0


async def test_an_event_that_differs_from_the_sealed_one_is_named(servers: Servers, sealed: Ledger) -> None:
    await made_anew(servers, NOTICES)
    await created_is_told(servers, sealed)
    jetstream = await servers.jetstream("notify")
    await publish(jetstream, 1, 39)
    await publish(jetstream, 40, 40, "other")
    await refuses(
        sealed, servers, "event 40 of NOTICES in the log (id e-40other", "not the one that is sealed"
    )


async def test_a_tree_that_is_shorter_than_what_was_signed_is_refused(
    servers: Servers, sealed: Ledger, tmp_path: Path
) -> None:
    shutil.rmtree(sealed.store / NOTICES)
    await refuses(sealed, servers, "on the bus has 40 events, the sealed files have 0")
    again = Ledger(servers, tmp_path, name="again", WHISTLE_LEDGER_RESEAL="true")
    again.start()
    assert (await again.until(40, NOTICES)).root == await root_of_log(servers, NOTICES, 40)
    assert await again.stop() == 0
    await publish(await servers.jetstream("notify"), 41, 45)
    again.start()
    checkpoint = await again.until(45, NOTICES)
    assert checkpoint.root == await root_of_log(servers, NOTICES, 45)
    await all_true(await again.archive(NOTICES), await shown(servers))
    assert await again.stop() == 0


async def test_files_that_lead_to_another_root_are_refused(servers: Servers, sealed: Ledger) -> None:
    tile = sealed.store / NOTICES / "tile/0/000.p/40"
    content = bytearray(tile.read_bytes())
    content[5] ^= 1
    tile.write_bytes(content)
    await refuses(sealed, servers, "on the bus has the root", "at 40 events, the sealed files give")


async def test_a_checkpoint_by_another_key_is_refused(servers: Servers, sealed: Ledger) -> None:
    other = Signer("city.example", bytes(32))
    _, document = document_of(other.sign(Checkpoint("city.example/NOTICES", 41, bytes(32))), REPORTED_AT)
    await (await servers.jetstream("ledger")).publish(Message(f"ledger.{NOTICES}", document, {}))
    sealed.start()
    [reason], code = await sealed.refused()
    assert "no signature of city.example" in reason
    assert code == EXIT_REFUSED
    kept = await sealed.signed(NOTICES)
    assert kept is not None
    assert kept.size == 40


async def test_a_store_of_another_key_is_refused(servers: Servers, sealed: Ledger, tmp_path: Path) -> None:
    other = Ledger(servers, tmp_path, name="other", signer=Signer("other.example", bytes(32)))
    other.start()
    reasons, code = await other.refused()
    assert len(reasons) == len(streams.LEDGER_STREAMS)
    assert all("what lies in the store was signed with city.example+" in each for each in reasons)
    assert code == EXIT_REFUSED


async def test_a_stream_that_goes_while_it_is_sealed_is_noticed(servers: Servers, sealed: Ledger) -> None:
    sealed.start()
    url = await sealed.url()
    await made_anew(servers, NOTICES)
    async with httpx.AsyncClient(timeout=60) as http:

        async def is_refused() -> bool:
            return (await http.get(f"{url}/readyz")).status_code == 503 and bool(
                sealed.lines("ledger_refused")
            )

        await eventually(is_refused)
        metrics = (await http.get(f"{url}/metrics")).text
    assert 'whistle_ledger_refused{stream="NOTICES"} 1.0' in metrics
    assert 'whistle_ledger_refused{stream="POLICY"} 0.0' in metrics
    assert await sealed.stop() == EXIT_REFUSED
