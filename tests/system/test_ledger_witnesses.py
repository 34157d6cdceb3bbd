"""Witnesses and time stamps: others say when they saw a checkpoint, and none of them holds up the ledger."""

import shutil
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio

from cli.stack.ports import free_port
from libs.events.ledger.notes import Checkpoint, checked
from libs.events.subjects import NOTICES
from tests.support.ledger import SIGNER, Ledger, publish
from tests.support.nodes import Servers, single
from tests.support.posted import taking
from tests.support.stack import eventually
from tests.support.stamper import Stamper
from tests.support.witness import Witness

ORIGIN: Final = f"{SIGNER.name}/{NOTICES}"


@pytest_asyncio.fixture
async def servers(tmp_path: Path) -> AsyncGenerator[Servers]:
    async with single(tmp_path / "nats") as running:
        yield running


def witnessed_by(witness: Witness, port: int) -> dict[str, str]:
    return {"WHISTLE_LEDGER_WITNESSES": f"{witness.verifier} http://127.0.0.1:{port}/w/"}


async def names(ledger: Ledger, witness: Witness, size: int) -> list[str]:
    """Who signed the checkpoint of a size in the store, each signature checked."""
    archive = await ledger.archive(NOTICES)
    note = await archive.checkpoint(size)
    if note is None:
        return []
    assert len(note.signatures) == len({each.key_id for each in note.signatures}), "one of each"
    return [name for name, _ in checked(note, SIGNER.verifier, [witness.verifier]).witnesses]


async def test_a_witness_cosigns_is_away_and_is_caught_up(servers: Servers, tmp_path: Path) -> None:
    witness, jetstream = Witness(SIGNER.verifier), await servers.jetstream("notify")
    port = free_port()  # which nobody else gets while it is away
    async with taking(witness.take, port):
        ledger = Ledger(servers, tmp_path, settings=witnessed_by(witness, port))
        await publish(jetstream, 1, 5)
        ledger.start()
        await ledger.until(5, NOTICES)
        await eventually(lambda: cosigned(ledger, witness, 5))

        async def the_newest_is_cosigned_too() -> bool:
            newest = (ledger.store / NOTICES / "checkpoint").read_bytes()
            return newest == (ledger.store / NOTICES / f"checkpoints/{5:020d}").read_bytes()

        await eventually(the_newest_is_cosigned_too)
    # It is away.
    await publish(jetstream, 6, 9)
    await ledger.until(9, NOTICES)
    await publish(jetstream, 10, 12)
    await ledger.until(12, NOTICES)
    assert await names(ledger, witness, 12) == []
    async with httpx.AsyncClient(base_url=await ledger.url(), timeout=60) as http:
        assert (await http.get("/readyz")).status_code == 200
        behind = 'whistle_ledger_witness_behind_events{stream="NOTICES",witness="witness.example"}'
        assert f"{behind} 0.0" not in (await http.get("/metrics")).text
        async with taking(witness.take, port):
            await eventually(lambda: cosigned(ledger, witness, 12))
            assert witness.seen[ORIGIN][0] == 12

            async def none_is_behind() -> bool:
                return f"{behind} 0.0" in (await http.get("/metrics")).text

            await eventually(none_is_behind)
            # After a restart, and a death just behind a signature, there is no second one.
            await publish(jetstream, 13, 13)
            await eventually(lambda: cosigned(ledger, witness, 13))
            assert await ledger.stop() == 0
            ledger.start("ledger.witnessed=1")
            assert await ledger.ended() < 0
            ledger.start()
            await ledger.url()
            await eventually(lambda: witnessed(ledger))
            assert await names(ledger, witness, 13) == [witness.name]
            assert await ledger.stop() == 0


async def cosigned(ledger: Ledger, witness: Witness, size: int) -> bool:
    return await names(ledger, witness, size) == [witness.name]


async def witnessed(ledger: Ledger) -> bool:
    return any(line["stream"] == NOTICES for line in ledger.lines("ledger_witnessed"))


async def test_a_witness_that_saw_another_history_is_an_alert(servers: Servers, tmp_path: Path) -> None:
    witness, jetstream = Witness(SIGNER.verifier), await servers.jetstream("notify")
    witness.seen[ORIGIN] = (3, bytes(32))
    async with taking(witness.take) as port:
        ledger = Ledger(servers, tmp_path, settings=witnessed_by(witness, port))
        await publish(jetstream, 1, 5)
        ledger.start()
        await ledger.until(5, NOTICES)

        async def alarmed() -> bool:
            return bool(ledger.lines("ledger_witness_contradicts"))

        await eventually(alarmed)
        [line, *_] = ledger.lines("ledger_witness_contradicts")
        assert (line["level"], line["witness"], line["stream"]) == ("error", witness.name, NOTICES)
        assert "the tree of 5 does not grow from the one of 3 that it saw" in line["reason"]
        async with httpx.AsyncClient(base_url=await ledger.url(), timeout=60) as http:
            told = 'whistle_ledger_witness_contradicts{stream="NOTICES",witness="witness.example"} 1.0'
            assert told in (await http.get("/metrics")).text
        assert await names(ledger, witness, 5) == []
        await publish(jetstream, 6, 6)
        await ledger.until(6, NOTICES)
        assert await ledger.stop() == 0


def test_the_witness_of_these_tests_refuses_what_it_should() -> None:
    witness = Witness(SIGNER.verifier)
    note = SIGNER.sign(Checkpoint(ORIGIN, 5, bytes(32)))

    def asked(old: int, size: int, root: bytes) -> int:
        body = f"old {old}\n\n".encode() + SIGNER.sign(Checkpoint(ORIGIN, size, root)).encode()
        return witness.add_checkpoint(body)[0]

    assert asked(0, 5, bytes(32)) == 200
    assert asked(0, 6, bytes(32)) == 409
    assert asked(5, 5, b"\x01" * 32) == 409
    assert asked(5, 6, bytes(32)) == 422
    assert asked(7, 6, bytes(32)) == 400
    assert witness.add_checkpoint(b"old 5\n\n" + note.encode().replace(b"\n5\n", b"\n6\n"))[0] == 403


@pytest.mark.skipif(not shutil.which("openssl"), reason="the authority is made of openssl")
async def test_the_time_of_a_checkpoint_is_stamped(servers: Servers, tmp_path: Path) -> None:
    stamper, jetstream = Stamper(tmp_path / "tsa"), await servers.jetstream("notify")
    stamper.refuses = True
    async with taking(stamper.take) as port:
        settings = {
            "WHISTLE_LEDGER_TSA_URL": f"http://127.0.0.1:{port}/",
            "WHISTLE_LEDGER_STAMP_SECONDS": "0.2",
        }
        ledger = Ledger(servers, tmp_path, settings=settings)
        await publish(jetstream, 1, 5)
        ledger.start()
        await ledger.until(5, NOTICES)

        async def refused() -> bool:
            return bool(ledger.lines("ledger_not_stamped"))

        await eventually(refused)
        stamper.refuses = False
        stamp = ledger.store / NOTICES / f"checkpoints/{5:020d}.tsr"

        async def stamped() -> bool:
            return stamp.exists()

        await eventually(stamped)
        note = await (await ledger.archive(NOTICES)).checkpoint(5)
        assert note is not None
        stamper.verify(stamp, note.text.encode())
        with pytest.raises(subprocess.CalledProcessError):
            stamper.verify(stamp, note.text.replace("5", "6").encode())
        assert await ledger.stop() == 0
