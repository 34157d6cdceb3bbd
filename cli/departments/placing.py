"""Where a change of the bus users goes: to the servers of this machine, or into files for servers elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.departments.deployment import render
from cli.departments.keyring import Keyring, editing, save
from cli.departments.serving import change
from cli.output import UsageError, console
from cli.stack.files import write_atomically
from cli.stack.rulebook import example_policy
from cli.stack.state import Stack

READABLE: Final = 0o644
Edit = Callable[[Keyring], None]
KeysOption = Annotated[
    Path | None, typer.Option("--keys", help="public keys of departments elsewhere · 外部服务器的公钥文件")
]
AccountsOption = Annotated[
    Path | None, typer.Option("--accounts", help="accounts file to write for them · 外部服务器的账户文件")
]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Files for servers that are not ours."""

    keys: Path
    accounts: Path
    policy: Path

    async def change(self, edit: Edit) -> None:
        """Edit the keys and write the accounts that follow from them."""
        async with editing(self.keys) as keyring:
            edit(keyring)
            save(self.keys, keyring)
            accounts = render(keyring.by_token(), keyring.sensor_tokens(), keyring.room_tokens())
            # No secret is in it, and the servers, which read it, run as somebody else.
            write_atomically(self.accounts, accounts, mode=READABLE)


Place = Stack | Elsewhere


def place_of(keys: Path | None, accounts: Path | None, rules: Path | None = None) -> Place:
    """Where the change goes.  Raises UsageError for one of the files alone, NotRunning when nothing runs."""
    if keys is None and accounts is None:
        return Stack.load()
    if keys is None or accounts is None:
        raise UsageError("--keys and --accounts belong together · --keys 与 --accounts 须同时给出")
    return Elsewhere(keys, accounts, rules or example_policy())


async def apply(place: Place, edit: Edit) -> None:
    """Make the change there.  Raises what `edit` raises, then nothing has changed; ServerFailed."""
    await (change(place, edit) if isinstance(place, Stack) else place.change(edit))


def say_what_next(place: Place, guide: str = "docs/departments.md") -> None:
    """Tell on stderr what is still to be done, where the servers are not ours."""
    if isinstance(place, Elsewhere):
        console(stderr=True).print(
            f"wrote {place.accounts}: lay it down at each server and reload it twice ({guide})"
            f" · 已写出 {place.accounts}：请分发到各服务器并重新加载两次（{guide}）",
            markup=False,
        )
