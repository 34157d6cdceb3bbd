"""Keys of departments on the servers of this machine: given, changed, and used to sign in."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nats.aio.client import Client

from cli.departments.errors import NotOurServers
from cli.departments.keyring import Key, Keyring, editing, load, new_seed, public_of, save
from cli.embedded.account_file import render_accounts
from cli.embedded.accounts import department_user
from cli.embedded.errors import SecretMissing
from cli.embedded.nats import reload, write_accounts
from cli.embedded.secrets import Secrets
from cli.stack.files import write_atomically
from cli.stack.state import KEYRING, Running, Stack
from libs.events.jetstream import connected
from libs.events.subjects import department_inbox, token

SERVER: Final = "nats"


def accounts_of(home: Path, password: Callable[[str], str], *, restoring: bool = False) -> str:
    """The accounts of the servers in `home`, with the keys of this moment."""
    keyring = load(home / KEYRING)
    return render_accounts(
        keyring.by_token(), password, keyring.sensor_tokens(), keyring.room_tokens(), restoring=restoring
    )


async def change(stack: Stack, edit: Callable[[Keyring], None]) -> None:
    """Edit the keys and have the server take them up; others stay connected.

    Raises what `edit` raises, then nothing has changed; NotOurServers, or ServerFailed.
    """
    server = _server(stack)
    async with editing(stack.keyring) as keyring:
        edit(keyring)
        save(stack.keyring, keyring)
        write_accounts(stack.home / SERVER, accounts_of(stack.home, Secrets(stack.secrets_folder)))
        if server.alive:  # otherwise it is being started again, and reads the new file
            await reload(server.pid, stack.home / "log" / f"{SERVER}.log")


async def enable(stack: Stack, departments: Iterable[str]) -> None:
    """See to it that this machine can sign in for each of them, with a key of its own where it has none that is valid.

    Raises NotOurServers where a key is missing and the servers are not ours, TooManyKeys where others have two.
    """
    codes = [code for code in dict.fromkeys(departments) if not _is_enabled(stack, code)]
    if not codes:
        return
    seeds = {code: new_seed() for code in codes}

    def edit(keyring: Keyring) -> None:
        for code, seed in seeds.items():
            give = keyring.rotate if keyring.keys.get(code) else keyring.add
            give(code, Key(public_of(seed), datetime.now(UTC)))

    await change(stack, edit)
    for code, seed in seeds.items():
        write_seed(stack.department_seed_file(code), seed)


@asynccontextmanager
async def signed_in(stack: Stack, department: str) -> AsyncGenerator[Client]:
    """A department's own connection, with the key that lies on this machine.  Raises SecretMissing without one."""
    async with connected(
        stack.nats_url,
        user=department_user(token(department)),
        seed=seed_of(stack, department),
        inbox=department_inbox(department),
    ) as client:
        yield client


def seed_of(stack: Stack, department: str) -> str:
    """The secret key of this machine for a department.  Raises SecretMissing with what to do about it."""
    file = stack.department_seed_file(department)
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SecretMissing(
            f"no key of {department} in {file}: ./whistle department add {department} · 缺少 {department} 的密钥"
        ) from error


def write_seed(file: Path, seed: str) -> None:
    """A file that only its owner reads; one that is there is replaced."""
    write_atomically(file, seed + "\n")


def _is_enabled(stack: Stack, department: str) -> bool:
    try:
        seed = seed_of(stack, department)
    except SecretMissing:
        return False
    return _is_elsewhere(stack) or load(stack.keyring).has(department, public_of(seed))


def _is_elsewhere(stack: Stack) -> bool:
    return not any(process.name == SERVER for process in stack.processes)


def _server(stack: Stack) -> Running:
    for process in stack.processes:
        if process.name == SERVER:
            return process
    raise NotOurServers(
        f"the servers at {stack.nats_url} are not ours: give --keys and --accounts, and see docs/departments.md"
        " · 服务器不由本机管理：请使用 --keys 与 --accounts"
    )
