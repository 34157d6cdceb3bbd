"""The database and its roles: one role for each service, which may create schemas and sees nobody else's.

And the vault, with a role for each thing that may be done there: `libs/events/vault/schema.sql`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from cli.stack.state import DATABASE

ROLES = ("whistle_intake", "whistle_dispatch", "whistle_evaluation", "whistle_notify")
VAULT_ROLES = ("whistle_vault_sealer", "whistle_vault_opener", "whistle_vault_keeper")
VAULT_MASTER = "vault-master"
"""The secret that people's keys are wrapped for: one line, and a second one while it is being replaced."""


async def prepare_databases(
    admin_dsn: str, secret: Callable[[str], str], *, reset_passwords: bool, roles: Sequence[str] = ROLES
) -> None:
    """Create what is missing; repeated, it changes nothing.

    `reset_passwords` also sets the password of roles that are there: right for a server of our own, wrong for
    one that others use. Raises asyncpg.PostgresError if the server refuses, VaultInconsistent when the vault that is
    there was made with another master key.
    """
    connection = await asyncpg.connect(admin_dsn)
    try:
        for role in (*roles, *VAULT_ROLES):
            await _prepare_role(connection, role, secret(role), reset_passwords)
        await _prepare_database(connection, roles)
    finally:
        await connection.close()
    await _prepare_vault(admin_dsn, secret)


async def _prepare_role(
    connection: asyncpg.Connection, role: str, password: str, reset_password: bool
) -> None:
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    if exists and not reset_password:
        return
    # Utility statements take no parameters: let the server quote.
    verb = "ALTER" if exists else "CREATE"
    statement = await connection.fetchval(
        f"SELECT format('{verb} ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)", role, password
    )
    await connection.execute(statement)


async def _prepare_database(connection: asyncpg.Connection, roles: Sequence[str]) -> None:
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
        with suppress(asyncpg.DuplicateDatabaseError):  # somebody else made it at the same moment
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    await connection.execute(f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC")
    for role in roles:
        await connection.execute(f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {DATABASE} TO {role}")
    for role in VAULT_ROLES:
        await connection.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO {role}")


async def _prepare_vault(admin_dsn: str, secret: Callable[[str], str]) -> None:
    from libs.events.vault.keeping import prepare  # only here: `status` and `--help` need no cryptography

    connection = await asyncpg.connect(urlunsplit(urlsplit(admin_dsn)._replace(path=f"/{DATABASE}")))
    try:
        await prepare(connection, secret(VAULT_MASTER))
    finally:
        await connection.close()
