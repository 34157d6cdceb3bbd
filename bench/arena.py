"""Servers of our own in a temporary folder: the user's data is never touched, and nothing stays behind."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nats.aio.client import Client

from cli.stack.plan import Service, StackPlan
from cli.stack.rulebook import example_in
from cli.stack.state import Stack, dsn_for
from cli.stack.supervisor import running_stack
from libs.events.jetstream import connected

FOLDER_PREFIX: Final = "run-"
SUPERUSER: Final = "postgres"


@dataclass(frozen=True, slots=True)
class Arena:
    """Running servers, provisioned as `whistle up` does it."""

    stack: Stack

    def postgres_dsn(self, database: str = "postgres") -> str:
        """The address for the superuser."""
        secret = self.stack.secret(SUPERUSER)
        return dsn_for(self.stack.postgres_admin_dsn, SUPERUSER, secret, database=database)

    @asynccontextmanager
    async def connection(self, user: str) -> AsyncGenerator[Client]:
        """A connection to the log as *user*."""
        async with connected(self.stack.nats_url, user=user, password=self.stack.secret(user)) as client:
            yield client

    def pid(self, process: str) -> int:
        """The process id of a server or service."""
        return next(each.pid for each in self.stack.processes if each.name == process)


@asynccontextmanager
async def arena(folder: Path, services: tuple[Service, ...] = ()) -> AsyncGenerator[Arena]:
    """nats-server, PostgreSQL and *services* with their data in *folder*, until the block ends."""
    from cli.stack.rulebook import provision

    # A city's own limits: in an exercise, where they pass in seconds, most of the work would be clocks.
    policy = example_in(folder / "policy", time_lapse=1)
    plan = StackPlan(
        home=folder,
        policy_dir=policy,
        provision=provision,
        services=services,
        secrets_folder=folder / "secrets",
    )
    async with running_stack(plan) as stack:
        postgres = next(each for each in stack.processes if each.name == "postgres")
        outside = _data_outside(folder, postgres.pid)
        yield Arena(stack)
    if outside is not None:
        shutil.rmtree(outside, ignore_errors=True)


@contextmanager
def temporary_folder(parent: Path) -> Generator[Path]:
    """A folder on the disk of *parent* that is removed at the end; what a killed run left there goes first.

    It does not lie in the system's temporary folder, which is often memory: there a sync costs nothing.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(parent)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent))
    folder.chmod(0o711)
    lock = os.open(folder / "bench.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{FOLDER_PREFIX}*"):
        try:
            lock = os.open(folder / "bench.lock", os.O_RDWR)
        except OSError:
            continue  # being made or being removed by somebody else
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # another run that is under way
        finally:
            os.close(lock)


def _data_outside(folder: Path, postgres_pid: int) -> Path | None:
    """Where root may not use a namespace, PostgreSQL's data lies in a folder that its own user can reach."""
    data = Path(f"/proc/{postgres_pid}/cwd").resolve()
    return None if data.is_relative_to(folder.resolve()) else data.parents[1]
