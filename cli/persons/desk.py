"""What the operator of people's data works with: the keeper's role in the vault, and the user `persons` of the log.

In a container the environment names all of it (`WHISTLE_SECRETS_DIR`, `WHISTLE_NATS_URL`, `WHISTLE_POSTGRES_DSN`);
otherwise it is the stack that runs here.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo

from cli.embedded.errors import SecretMissing, StackError
from cli.embedded.postgres import SUPERUSER
from cli.embedded.secrets import Secrets
from cli.stack.databases import VAULT_MASTER
from cli.stack.plan import VAULT_INDEX
from cli.stack.state import DATABASE, Stack, dsn_for
from libs.events import policy
from libs.events.errors import VaultInconsistent, VaultUnavailable
from libs.events.jetstream import JetStream, connected
from libs.events.log import Log, opened
from libs.events.personal.records import PersonRecords
from libs.events.readmodel import Pool
from libs.events.vault.index import Index
from libs.events.vault.master import MasterFile
from libs.events.vault.store import reaching, vault_at

KEEPER: Final = "whistle_vault_keeper"
USER: Final = "persons"
OPERATOR: Final = "operator:cli"
CONNECT_SECONDS_MAX: Final = 10.0


class Keeping(NamedTuple):
    """The vault, as its keeper sees it."""

    pool: Pool
    file: Path
    """With the master key."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The vault and the log together."""

    pool: Pool
    master: MasterFile
    index: Index
    jetstream: JetStream
    log: Log
    records: PersonRecords
    zone: ZoneInfo
    """Of the city, in which times are shown."""


@asynccontextmanager
async def vault_opened() -> AsyncGenerator[Keeping]:
    """The vault that the environment names, or that of the stack that runs here.  Raises StackError."""
    dsn, file = _keeper()
    try:
        async with vault_at(dsn) as pool:
            with reaching():
                yield Keeping(pool, file)
    except VaultUnavailable as error:
        raise StackError(f"{error}; try again when PostgreSQL runs · 无法连接数据库，请稍后重试") from error
    except VaultInconsistent as error:
        raise StackError(
            f"{error}; use the file that belongs to this vault · 主密钥文件与此库不符，请使用配套的文件"
        ) from error


@asynccontextmanager
async def at_desk() -> AsyncGenerator[Desk]:
    """All of it.  Raises StackError when a part is away."""
    async with records_opened() as (jetstream, log, records), vault_opened() as vault:
        zone = (await policy.current(jetstream)).zone
        yield Desk(vault.pool, MasterFile(vault.file), _index(), jetstream, log, records, zone)


@asynccontextmanager
async def records_opened() -> AsyncGenerator[tuple[JetStream, Log, PersonRecords]]:
    """The log, as the user `persons`.  Raises StackError when it is away."""
    url, password = _log()
    async with AsyncExitStack() as resources:
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                client = await resources.enter_async_context(connected(url, user=USER, password=password))
        except TimeoutError as error:
            raise StackError(
                f"{url} cannot be reached: nothing was changed; try again when the log's server runs"
                " · 无法连接日志服务器，未作任何更改，请稍后重试"
            ) from error
        log = await resources.enter_async_context(opened(client))
        jetstream = JetStream(client)
        yield jetstream, log, PersonRecords(jetstream)


def administrator() -> str:
    """Address of the database for who made it; raises SecretMissing."""
    folder, dsn = os.environ.get("WHISTLE_SECRETS_DIR"), given("WHISTLE_POSTGRES_DSN")
    if folder and dsn:
        return whole(dsn)
    stack = Stack.load()
    return dsn_for(stack.postgres_admin_dsn, SUPERUSER, stack.secret(SUPERUSER))


def given(name: str) -> str | None:
    """A setting of the environment, itself or in the file that `<name>_FILE` names."""
    path = os.environ.get(f"{name}_FILE")
    return Path(path).read_text(encoding="utf-8").strip() if path else os.environ.get(name)


def whole(admin_dsn: str) -> str:
    """The administrator's address, of our own database."""
    return urlunsplit(urlsplit(admin_dsn)._replace(path=f"/{DATABASE}"))


def _keeper() -> tuple[str, Path]:
    dsn, file = given("WHISTLE_VAULT_DSN"), os.environ.get("WHISTLE_VAULT_MASTER_FILE")
    if bool(dsn) != bool(file):
        raise SecretMissing(
            "set both WHISTLE_VAULT_DSN and WHISTLE_VAULT_MASTER_FILE, or neither · 请同时设置两个变量"
        )
    if dsn and file:
        return dsn, Path(file)
    folder, admin = os.environ.get("WHISTLE_SECRETS_DIR"), given("WHISTLE_POSTGRES_DSN")
    if folder and admin:
        return dsn_for(admin, KEEPER, Secrets(Path(folder))(KEEPER)), Path(folder) / VAULT_MASTER
    stack = Stack.load()
    return stack.postgres_dsn(KEEPER), stack.secrets_folder / VAULT_MASTER


def _log() -> tuple[str, str]:
    url, folder = os.environ.get("WHISTLE_NATS_URL"), os.environ.get("WHISTLE_SECRETS_DIR")
    if url and folder:
        return url, Secrets(Path(folder))(USER)
    stack = Stack.load()
    return stack.nats_url, stack.secret(USER)


def _index() -> Index:
    secret = given("WHISTLE_VAULT_INDEX_SECRET")
    if secret:
        return Index(secret)
    folder = os.environ.get("WHISTLE_SECRETS_DIR")
    if folder:
        return Index(Secrets(Path(folder))(VAULT_INDEX))
    return Index(Stack.load().secret(VAULT_INDEX))
