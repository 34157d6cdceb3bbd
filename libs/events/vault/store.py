"""The vault in PostgreSQL, and as who seals sees it; who opens: `opening.py`."""

import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import asyncpg
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libs.events.away import DATABASE_AWAY
from libs.events.errors import VaultUnavailable
from libs.events.readmodel import Pool
from libs.events.sealing import Contact, Spot, person_of, sealed_for
from libs.events.vault.index import Index
from libs.events.vault.master import ForPublished, Published, Wraps

CONNECTIONS_MAX: Final = 4
CONNECT_SECONDS_MAX: Final = 10.0
ANSWER_SECONDS_MAX: Final = 15.0
ENROL_ATTEMPTS_MAX: Final = 3
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
PERSON_CHARACTERS: Final = 20

KNOWN: Final = "SELECT * FROM vault.known($1, $2)"
ENROL: Final = "SELECT * FROM vault.enrol($1, $2, $3, $4, $5, $6)"
DISCARD: Final = "SELECT vault.discard($1)"


@asynccontextmanager
async def vault_at(dsn: str) -> AsyncGenerator[Pool]:
    """Connections to the vault, opened when they are needed: who has them starts without PostgreSQL, too."""
    async with asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=CONNECTIONS_MAX,
        timeout=CONNECT_SECONDS_MAX,
        command_timeout=ANSWER_SECONDS_MAX,
    ) as pool:
        yield pool


@contextmanager
def reaching() -> Generator[None]:
    """Whatever says that PostgreSQL is away becomes VaultUnavailable."""
    try:
        yield
    except (OSError, *DATABASE_AWAY) as error:
        raise VaultUnavailable(f"the vault cannot be reached: {type(error).__name__}") from error


class PostgresSealer:
    """Seals with the role `whistle_vault_sealer`, which can read no key; see `sealing.Sealer`."""

    def __init__(self, pool: Pool, index: Index, wraps: Wraps | None = None) -> None:
        self._pool = pool
        self._index = index
        self._wraps = wraps or ForPublished()

    async def seal(self, contact: Contact, spot: Spot) -> str:
        """The sealed text; who is not there yet is added."""
        who, addresses = self._index.contact(contact, spot), self._index.addresses(contact)
        with reaching():
            for _ in range(ENROL_ATTEMPTS_MAX):
                found = await self._pool.fetchrow(KNOWN, who, addresses)
                if found is not None and found["person"] is None:
                    found = await self._enrol(
                        who, addresses, Published(found["master_key_id"], found["master_public_key"])
                    )
                if found is not None:
                    return sealed_for(found["person"], found["public_key"], contact, spot)
        raise VaultUnavailable("the vault has no master key in force")

    async def _enrol(self, who: bytes, addresses: list[bytes], master: Published) -> asyncpg.Record | None:
        person, key = new_person(), X25519PrivateKey.generate()
        wrapped = await self._wraps.wrap(key.private_bytes_raw(), person, master)
        public_key = key.public_key().public_bytes_raw()
        return await self._pool.fetchrow(ENROL, who, addresses, person, public_key, wrapped, master.key_id)

    async def discard(self, sealed: str) -> None:
        """Take back what `seal` added for a value that was not written."""
        with reaching():
            await self._pool.execute(DISCARD, person_of(sealed))


def new_person() -> str:
    """A fresh pseudonym: 100 random bits that say nothing."""
    return "p" + "".join(secrets.choice(_ALPHABET) for _ in range(PERSON_CHARACTERS))
