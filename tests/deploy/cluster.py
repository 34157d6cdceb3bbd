"""The three servers of the log as they are deployed, run here: the same configuration files, the same flags."""

import asyncio
import json
import shutil
import signal
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from cli.embedded.nats import server_binary
from cli.stack.ports import HOST, free_port

from .manifests import ROOT

READY_SECONDS_MAX = 180.0
POLL_SECONDS = 0.05
ANSWER_SECONDS_MAX = 30.0


@dataclass(slots=True)
class Node:
    """One server: its folder, its ports, its process."""

    name: str
    folder: Path
    client: int
    monitor: int
    route: int
    process: Process | None = None

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def configure(self, passwords: Path, others: Sequence["Node"]) -> None:
        """Lay its files out; only the addresses at which the servers meet are those of this machine."""
        lay_out(self.folder / "etc", passwords)
        # In the files, not by flags: one would take away the routes' password, others break the reload.
        _replace(self._configuration, '  store_dir: "/data"\n', f'  store_dir: "{self.folder / "data"}"\n')
        _replace(self._configuration, "  port: 6222\n", f'  listen: "{HOST}:{self.route}"\n')
        for number, other in enumerate(others):
            address = f"@nats-{number}.nats:6222"
            _replace(self.folder / "etc/nats-secrets/passwords.conf", address, f"@{HOST}:{other.route}")

    @property
    def _configuration(self) -> Path:
        return self.folder / "etc/nats/nats.conf"

    async def start(self) -> None:
        """Start it, also again, with the flags of the deployment and the ports of this machine."""
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                server_binary(),
                f"--config={self._configuration}",
                *(f"--addr={HOST}", f"--port={self.client}", f"--http_port={self.monitor}"),
                f"--cluster_advertise={HOST}:{self.route}",
                env={"WHISTLE_SERVER_NAME": self.name},
                stdout=log,
                stderr=log,
            )

    async def reload(self, accounts: str, passwords: Path, others: Sequence["Node"]) -> None:
        """Give it new accounts, as docs/operate.md says: two reloads, nobody disconnected."""
        shutil.rmtree(self.folder / "etc")
        self.configure(passwords, others)
        (self.folder / "etc/nats/accounts.conf").write_text(accounts, encoding="utf-8")
        assert self.process is not None
        for number in (1, 2):
            self.process.send_signal(signal.SIGHUP)

            async def reloaded(times: int = number) -> bool:
                return self.log.count("Reloaded server configuration") == times

            await until(reloaded, lambda: self.log)

    async def kill(self) -> None:
        """`kill -9`, if it still runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def ask(self, path: str) -> dict[str, object]:
        """What its monitoring port answers; raises OSError."""
        text = await asyncio.to_thread(_get, f"http://{HOST}:{self.monitor}{path}")
        answer: dict[str, object] = json.loads(text)
        return answer

    async def until_healthy(self) -> None:
        """Wait until the probe of the deployment would say so."""
        await until(self._healthy, lambda: self.log)

    async def _healthy(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, self.log
        try:
            return (await self.ask("/healthz"))["status"] == "ok"
        except OSError:
            return False


@dataclass(slots=True)
class Cluster:
    """Three of them, and the secrets that were made for them."""

    folder: Path
    secrets: Path
    nodes: list[Node] = field(default_factory=list)

    @property
    def url(self) -> str:
        """All servers, as services are told of them."""
        return ",".join(f"nats://{HOST}:{node.client}" for node in self.nodes)

    def password(self, user: str) -> str:
        """The password of a user."""
        return (self.secrets / user).read_text(encoding="utf-8")

    async def start(self) -> None:
        """Start all three and wait until each is healthy."""
        for number in range(3):
            self.nodes.append(new_node(f"nats-{number}", self.folder))
        for node in self.nodes:
            node.configure(self.secrets / "nats-passwords.conf", self.nodes)
        for node in self.nodes:
            await node.start()
        for node in self.nodes:
            await node.until_healthy()

    async def stop(self) -> None:
        """End all of them."""
        for node in self.nodes:
            await node.kill()


def lay_out(folder: Path, passwords: Path) -> Path:
    """The two folders as they are mounted in a container; gives the configuration file."""
    for name, files in (("nats", (ROOT / "deploy/nats").glob("*.conf")), ("nats-secrets", ())):
        (folder / name).mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder / name)
    shutil.copy(passwords, folder / "nats-secrets" / "passwords.conf")
    return folder / "nats" / "nats.conf"


def new_node(name: str, folder: Path) -> Node:
    """A server that was not started yet, on free ports."""
    client, monitor, route = (free_port() for _ in range(3))
    return Node(name, folder / name, client, monitor, route)


def _replace(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{file}: {before}"
    file.write_text(text.replace(before, after), encoding="utf-8")


async def until(holds: Callable[[], Awaitable[bool]], explain: Callable[[], str]) -> None:
    """Wait for something to be true; fails with an explanation when it does not come."""
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            while not await holds():  # noqa: ASYNC110 - another process changes it
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise AssertionError(explain()) from None


def _get(url: str) -> bytes:
    with urlopen(url, timeout=ANSWER_SECONDS_MAX) as answer:
        body: bytes = answer.read()
        return body
