"""The empty log that is filled: servers of our own for so long, or somebody else's.

Who fills a log may write any fact.  So the user `restorer` stands in no accounts file but that of a server that this
command starts for itself, with a password that nobody else ever has; on servers elsewhere whoever runs them puts it
there, and takes it away again.
"""

import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from cli.departments.serving import accounts_of
from cli.embedded.accounts import CONSUMING_SERVICES, RESTORER, user_names
from cli.embedded.nats import NatsServer
from cli.embedded.postgres import SUPERUSER, PostgresServer
from cli.embedded.secrets import Secrets
from cli.stack.lock import lock_home
from cli.stack.ports import free_port
from cli.stack.state import DATABASE
from libs.events.jetstream import JetStream, connected

SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname ~ $1"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to restore to."""

    home: Path
    master: Path
    """The file with the master key of the vault, for which a backup seals secrets."""
    nats_url: str = ""
    """Somebody else's servers; empty: our own, in `home`."""
    secrets_folder: Path | None = None
    """With the password of `restorer` on somebody else's; None: in `home`."""
    postgres_dsn: str = ""
    """Administrator of a database whose read models are of the log that was lost; empty: our own, if there is one."""


@asynccontextmanager
async def filling(target: Target) -> AsyncGenerator[JetStream]:
    """The log, for as long as it is filled.  Raises AlreadyRunning, ServerFailed or SecretMissing."""
    if target.nats_url:
        folder = target.secrets_folder or target.home / "secrets"
        async with connected(target.nats_url, user=RESTORER, password=Secrets(folder)(RESTORER)) as client:
            yield JetStream(client)
            if target.postgres_dsn:
                await forget_read_models(target.postgres_dsn)
        return
    lock = await lock_home(target.home)
    try:
        async with _own_server(target.home, lock) as url_and_password:
            url, password = url_and_password
            async with connected(url, user=RESTORER, password=password) as client:
                yield JetStream(client)
        if (target.home / "postgres").exists():
            await _forget_own_read_models(target.home, lock)
    finally:
        os.close(lock)


@asynccontextmanager
async def _own_server(home: Path, lock: int) -> AsyncGenerator[tuple[str, str]]:
    _let_others_through(home)
    kept, password = Secrets(home / "secrets"), "w" + secrets.token_hex(24)
    kept.make(user_names())
    server = NatsServer(
        home / "nats",
        port=free_port(),
        accounts=lambda: accounts_of(
            home, lambda user: password if user == RESTORER else kept(user), restoring=True
        ),
        log=home / "log" / "nats.log",
        inherited=(lock,),
    )
    await server.start()
    try:
        yield server.url, password
    finally:
        await server.stop()


def _let_others_through(home: Path) -> None:
    home.chmod(0o711)


async def _forget_own_read_models(home: Path, lock: int) -> None:
    kept = Secrets(home / "secrets")
    server = PostgresServer(
        home / "postgres",
        port=free_port(),
        password=kept(SUPERUSER),
        log=home / "log" / "postgres.log",
        inherited=(lock,),
    )
    await server.start()
    try:
        await forget_read_models(server.dsn)
    finally:
        await server.stop()


async def forget_read_models(admin_dsn: str) -> None:
    """Drop what services derived from a log that may have gone further than the one that is restored.

    Its positions would pass over what is written from now on.  The vault stays.  Raises asyncpg.PostgresError.
    """
    connection = await asyncpg.connect(urlunsplit(urlsplit(admin_dsn)._replace(path=f"/{DATABASE}")))
    try:
        for record in await connection.fetch(SCHEMAS, f"^({'|'.join(CONSUMING_SERVICES)})(_g[0-9]+)?$"):
            await connection.execute(f'DROP SCHEMA "{record["nspname"]}" CASCADE')
    finally:
        await connection.close()
