"""The ledger as a process of its own on a real log, to be killed, misled and asked."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import httpx
import orjson

from cli.embedded import child
from cli.embedded.process import tail
from cli.stack.state import repository
from libs.events.jetstream import JetStream, Message
from libs.events.jetstream.reader import read_kept
from libs.events.ledger.archive import Archive, opened
from libs.events.ledger.leaf import Leaf
from libs.events.ledger.merkle import Peaks
from libs.events.ledger.notes import Checkpoint, Signer, checked, parsed
from libs.events.storage import FolderStore
from libs.events.subjects import CASES, LEDGER, NOTICES
from tests.support.nodes import AUDITOR, PASSWORD, Servers
from tests.support.stack import ended_with, environment, eventually

SIGNER: Final = Signer("city.example", bytes(range(32)))
END_SECONDS_MAX: Final = 120
SOON: Final = {"WHISTLE_LEDGER_CHECKPOINT_SECONDS": "0.1"}


class Ledger:
    """One replica; its files lie in *folder*."""

    def __init__(
        self,
        servers: Servers,
        folder: Path,
        *,
        name: str = "ledger",
        signer: Signer = SIGNER,
        settings: Mapping[str, str] | None = None,
        **more: str,
    ) -> None:
        self.store = folder / "store"
        self._servers = servers
        self._folder = folder
        self._settings = {**SOON, "WHISTLE_LEDGER_KEY": signer.secret(), **(settings or {}), **more}
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, faults: str = "") -> None:
        """Start it; it may meet its end at any of the *faults*."""
        own = {
            "WHISTLE_NATS_URL": self._servers.url,
            "WHISTLE_NATS_USER": "ledger",
            "WHISTLE_NATS_PASSWORD": PASSWORD,
            "WHISTLE_HTTP_PORT": "0",
            "WHISTLE_LOG_FORMAT": "json",
            "WHISTLE_LEDGER_STORE": str(self.store),
            "WHISTLE_FAULTS": faults,
        }
        self.log.write_bytes(b"")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", child.__file__, f"parent={os.getpid()}"),
                    *(f"death_signal={int(signal.SIGKILL)}", "--"),
                    *(sys.executable, "-P", "-m", "services.ledger.main"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environment(self._folder), **own, **self._settings},
                cwd=repository(),
            )
        ended_with(self, self._process)

    async def url(self) -> str:
        """Where it is asked over HTTP, as soon as it answers."""
        found: list[str] = []

        async def listens() -> bool:
            for line in self.lines("http_listening"):
                found[:] = [f"http://127.0.0.1:{line['port']}"]
            assert found or not self.has_ended, tail(self.log)
            return bool(found)

        await eventually(listens)
        return found[0]

    @property
    def has_ended(self) -> bool:
        """Whether it does not run any more."""
        return self._process is None or self._process.poll() is not None

    def lines(self, event: str) -> list[dict[str, str]]:
        """What it logged under this name."""
        text = self.log.read_text(encoding="utf-8")
        return [orjson.loads(line) for line in text.splitlines() if f'"{event}"' in line]

    async def ended(self) -> int:
        """Wait until it has ended; how it did."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, END_SECONDS_MAX)

    async def stop(self) -> int:
        """End it in order; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return await self.ended()

    def kill(self) -> None:
        """As `kill -9` does it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(END_SECONDS_MAX)

    async def refused(self) -> tuple[list[str], int]:
        """What `/readyz` says is wrong once it refuses, and the exit code with which it ends then."""
        async with httpx.AsyncClient(timeout=60) as http:
            answer = await http.get(f"{await self.url()}/readyz")
        assert answer.status_code == 503, answer.text
        return [each["detail"] for each in answer.json()["checks"] if not each["ok"]], await self.stop()

    async def archive(self, stream: str = CASES) -> Archive:
        """Its files."""
        return await opened(FolderStore(self.store), stream, f"{SIGNER.name}/{stream}")

    async def signed(self, stream: str = CASES) -> Checkpoint | None:
        """The newest checkpoint in its store."""
        note = await (await self.archive(stream)).checkpoint()
        return checked(note, SIGNER.verifier).checkpoint if note else None

    async def until(self, size: int, stream: str = CASES) -> Checkpoint:
        """Wait until so many events are under a checkpoint in the store."""

        async def reached() -> bool:
            assert not self.has_ended, tail(self.log)
            found = await self.signed(stream)
            return found is not None and found.size >= size

        await eventually(reached)
        found = await self.signed(stream)
        assert found is not None
        return found


async def publish(jetstream: JetStream, first: int, last: int, text: str = "") -> None:
    """Events *first* to *last* on NOTICES, one by one."""
    for number in range(first, last + 1):
        headers = {"Nats-Msg-Id": f"e-{number}{text}"}
        await jetstream.publish(
            Message(f"notice.c1.screen.{number}", b"%d%b" % (number, text.encode()), headers)
        )


async def root_of_log(servers: Servers, stream: str, size: int) -> bytes:
    """The root over the first events of a stream, out of the log alone."""
    peaks, jetstream = Peaks(), await servers.jetstream("auditor")
    if size == 0:
        return peaks.root()
    async for events in read_kept(jetstream, AUDITOR, stream=stream, stop=size):
        for each in events:
            leaf = Leaf(stream, each.sequence, each.subject.decode(), each.event_id.decode(), each.payload)
            peaks.push(leaf.hash())
    assert peaks.size == size
    return peaks.root()


async def shown(servers: Servers, stream: str = NOTICES) -> list[Checkpoint]:
    """Every checkpoint of a stream on the bus, in order, each with a signature that is right."""
    jetstream, found, position = await servers.jetstream("auditor"), list[Checkpoint](), 1
    while stored := await jetstream.next_on_leader(LEDGER, f"ledger.{stream}", position):
        document = orjson.loads(stored.payload)
        checkpoint = checked(parsed(document["data"]["note"].encode()), SIGNER.verifier).checkpoint
        assert set(document["data"]) == {"origin", "size", "root", "note"}
        assert (document["subject"], document["data"]["size"]) == (checkpoint.origin, checkpoint.size)
        found.append(checkpoint)
        position = stored.sequence + 1
    return found


async def all_true(archive: Archive, checkpoints: Iterable[Checkpoint]) -> None:
    """Every one of them is of this tree, and each is larger than the one before."""
    sizes = [each.size for each in checkpoints]
    assert sizes == sorted(set(sizes)), "no checkpoint twice, none behind a larger one"
    for each in checkpoints:
        assert await archive.root(each.size) == each.root, each.size
