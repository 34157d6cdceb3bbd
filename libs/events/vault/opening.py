"""The vault as who opens sees it: notify alone, of the services."""

from collections.abc import Awaitable, Callable
from typing import Final

from libs.events.errors import VaultInconsistent
from libs.events.readmodel import Pool
from libs.events.sealing import Contact, Forgotten, Spot, opened_with, person_of
from libs.events.vault.master import Unwraps
from libs.events.vault.store import reaching

WRAPPED: Final = "SELECT wrapped_key, erased_at FROM vault.persons WHERE person = $1"


class PostgresOpener:
    """Opens with the role `whistle_vault_opener` and the master key; see `sealing.Opener`.

    No key is kept in memory: who was erased is forgotten at once.  *is_erased* says whose erasure is on record,
    whatever this vault still holds of them: it may have come back from a backup.
    """

    def __init__(self, pool: Pool, master: Unwraps, is_erased: Callable[[str], Awaitable[bool]]) -> None:
        self._pool = pool
        self._master = master
        self._is_erased = is_erased

    async def open(self, sealed: str, spot: Spot) -> Contact | Forgotten:
        """The contact, or that it is forgotten.

        Raises VaultInconsistent when the vault never heard of the person, and what *is_erased* raises.
        """
        person = person_of(sealed)
        if await self._is_erased(person):
            return Forgotten(person)
        try:
            private_key = await self._private_key(person)
        except VaultInconsistent:  # the master key may have been turned between the two looks
            private_key = await self._private_key(person)
        return Forgotten(person) if private_key is None else opened_with(private_key, sealed, spot)

    async def _private_key(self, person: str) -> bytes | None:
        with reaching():
            found = await self._pool.fetchrow(WRAPPED, person)
        if found is None:
            raise VaultInconsistent(f"the vault has no person {person}")
        return None if found["erased_at"] else await self._master.unwrap(found["wrapped_key"], person)
